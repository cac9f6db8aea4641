"""The integrator against matrix exponentials."""

from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from kernels.flows.stiffness import Axes, Inverses, Stiffness
from kernels.integrator.extrapolation import ExtrapolatedEuler
from kernels.x64 import jax

rng = np.random.default_rng(0)
NONSTIFF = rng.standard_normal((6, 6)) / np.sqrt(6)
FACTOR = rng.standard_normal((2, 6)) / 3
START = rng.standard_normal(6)
DAMPS = ["turned forces", "forces", "parameters", "inverses", "scaled inverses"]


def solver_of(factor: np.ndarray, damps: str = "parameters", columns: int = 8) -> ExtrapolatedEuler:
    """For dy/dt = (NONSTIFF - F^T F) y: forces -F y, pushed by F^T, and what is not stiff beside them."""
    rates, axes = np.linalg.eigh(factor @ factor.T)
    turned = axes.T @ factor
    own = turned if damps == "turned forces" else factor
    gram = jnp.asarray(factor @ factor.T)
    curvature = jnp.eye(len(factor)) if damps == "scaled inverses" else None
    by_axes = Axes(
        jnp.asarray(rates),
        mixing=(jnp.asarray(axes), jnp.asarray(turned @ factor.T)) if damps == "forces" else None,
        basis=jnp.asarray(turned) if damps == "parameters" else None,
        cancels=damps == "parameters",
    )

    stiff: Stiffness = Inverses(gram, curvature) if "inverses" in damps else by_axes

    def force(t: Any, y: Any, args: None) -> Any:
        return -own @ y, lambda g: own.T @ g + NONSTIFF @ y

    return ExtrapolatedEuler(force, lambda t, y, args: stiff, columns)


def term_of(factor: np.ndarray) -> diffrax.ODETerm:
    return diffrax.ODETerm(lambda t, y, args: (NONSTIFF - factor.T @ factor) @ y)


def integrate(factor: np.ndarray, damps: str, columns: int, steps: int) -> np.ndarray:
    solver, term = solver_of(factor, damps, columns), term_of(factor)
    y = jnp.asarray(START)
    state = solver.init(term, 0.0, 1 / steps, y, None)
    step = jax.jit(lambda t, y: solver.step(term, t, t + 1 / steps, y, None, state, False)[0])
    for index in range(steps):
        y = step(index / steps, y)
    return np.asarray(y)


@pytest.mark.parametrize(
    ("damps", "columns"),
    [
        pytest.param("parameters", 3, marks=pytest.mark.slow),
        pytest.param("parameters", 6, marks=pytest.mark.slow),
        ("forces", 4),
        pytest.param(DAMPS[0], 5, marks=pytest.mark.slow),
        pytest.param(DAMPS[3], 5, marks=pytest.mark.slow),
        pytest.param(DAMPS[4], 4, marks=pytest.mark.slow),
    ],
)
def test_converges_at_its_declared_order(damps: str, columns: int) -> None:
    """On a linear system whose Jacobian the factor only knows in part."""
    matrix = NONSTIFF - FACTOR.T @ FACTOR
    truth = scipy.linalg.expm(matrix) @ START
    steps = np.array([8, 12, 16])
    errors = [np.linalg.norm(integrate(FACTOR, damps, columns, int(n)) - truth) for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert solver_of(FACTOR, damps, columns).order(None) == columns
    assert slope == pytest.approx(columns, abs=0.6)


@pytest.mark.parametrize(
    ("damps", "accuracy"),
    [
        pytest.param(each, 1e-7 if each == "parameters" else 1e-5, marks=pytest.mark.slow if place > 1 else [])
        for place, each in enumerate(DAMPS)
    ],
)
def test_damps_what_is_stiff(damps: str, accuracy: float) -> None:
    """Rates of 1e4 with a step of 1/8: the stiff part is gone. What no force drives is not damped with the forces."""
    stiff = 1e2 * FACTOR
    matrix = NONSTIFF - stiff.T @ stiff
    truth = scipy.linalg.expm(matrix) @ START
    assert np.linalg.norm(integrate(stiff, damps, 8, 8) - truth) < accuracy * np.linalg.norm(truth)


@pytest.mark.slow
def test_serves_diffeqsolve() -> None:
    matrix = NONSTIFF - FACTOR.T @ FACTOR
    solution = diffrax.diffeqsolve(
        term_of(FACTOR),
        solver_of(FACTOR),
        t0=0.0, t1=1.0, dt0=0.1, y0=jnp.asarray(START),
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-10),
    )  # fmt: skip
    assert solution.ys is not None
    np.testing.assert_allclose(solution.ys[0], scipy.linalg.expm(matrix) @ START, atol=1e-9)
