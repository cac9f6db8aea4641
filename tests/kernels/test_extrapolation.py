"""The integrator against matrix exponentials."""

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from kernels.extrapolation import ExtrapolatedEuler

rng = np.random.default_rng(0)
NONSTIFF = rng.standard_normal((6, 6)) / np.sqrt(6)
FACTOR = rng.standard_normal((2, 6)) / 3
START = rng.standard_normal(6)


def integrate(matrix: np.ndarray, factor: np.ndarray, columns: int, steps: int) -> np.ndarray:
    solver = ExtrapolatedEuler(lambda t, y, args: jnp.asarray(factor), columns=columns)
    term = diffrax.ODETerm(lambda t, y, args: matrix @ y)
    y = jnp.asarray(START)
    state = solver.init(term, 0.0, 1.0 / steps, y, None)
    for index in range(steps):
        y, _, _, state, _ = solver.step(term, index / steps, (index + 1) / steps, y, None, state, False)
    return np.asarray(y)


@pytest.mark.parametrize("columns", [3, 4, 6])
def test_converges_at_its_declared_order(columns: int) -> None:
    """On a linear system whose Jacobian the factor only knows in part."""
    matrix = NONSTIFF - FACTOR.T @ FACTOR
    truth = scipy.linalg.expm(matrix) @ START
    steps = np.array([8, 12, 16])
    errors = [np.linalg.norm(integrate(matrix, FACTOR, columns, int(n)) - truth) for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    solver = ExtrapolatedEuler(lambda t, y, args: None, columns=columns)
    assert solver.order(None) == columns
    assert slope == pytest.approx(columns, abs=0.6)


def test_damps_what_is_stiff() -> None:
    """Rates of 1e4 with a step of 1/8: the stiff part is gone, the rest as good as rounding lets it be."""
    stiff = 1e2 * FACTOR
    matrix = NONSTIFF - stiff.T @ stiff
    truth = scipy.linalg.expm(matrix) @ START
    assert np.linalg.norm(integrate(matrix, stiff, 8, 8) - truth) < 1e-7 * np.linalg.norm(truth)


def test_serves_diffeqsolve() -> None:
    matrix = NONSTIFF - FACTOR.T @ FACTOR
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: matrix @ y),
        ExtrapolatedEuler(lambda t, y, args: jnp.asarray(FACTOR)),
        t0=0.0, t1=1.0, dt0=0.1, y0=jnp.asarray(START),
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-10),
    )  # fmt: skip
    assert solution.ys is not None
    np.testing.assert_allclose(solution.ys[0], scipy.linalg.expm(matrix) @ START, atol=1e-9)
