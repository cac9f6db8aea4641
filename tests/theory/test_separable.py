"""The solver of separable problems: closed forms, extreme scales, optimality recomputed by other means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from kernels.theory.base import CERTIFIED
from kernels.theory.optimisers.curves import Curve, GeneralCurve, StructuredCurve
from kernels.theory.optimisers.separable import REACHED, minimise
from kernels.theory.table import forecast_of


def rows_and_target(a: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q, r = np.linalg.qr(a.T)
    return np.ascontiguousarray(q.T), np.linalg.solve(r.T, y)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(100)


def nu_of(rho: np.ndarray, c: np.ndarray, depth: int) -> np.ndarray:
    """c^{L-2} nu from rho = c^L sinh z cosh^{L-1} z, by root finding in log z and Gauss's rule."""
    values = []
    for value, scale in zip(rho, c, strict=True):
        size = abs(value)

        def excess(log_z: float, size: float = size, scale: float = scale) -> float:
            z = np.exp(log_z)
            return float(np.log(scale) * depth + np.log(np.sinh(z)) + (depth - 1) * np.log(np.cosh(z)) - np.log(size))

        z = np.exp(brentq(excess, -300, 4, xtol=1e-15, rtol=1e-15))
        values.append(np.sign(value) * z / 2 * (WEIGHTS @ np.cosh(z / 2 * (NODES + 1)) ** (2 - depth)))
    return np.array(values)


@pytest.mark.parametrize("depth", range(2, 11))
@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("samples", [1, 4])
def test_holds_over_seven_decades_of_scale(depth: int, alpha: float, samples: int) -> None:
    rng = np.random.default_rng([depth, samples])
    a, y = rng.standard_normal((samples, 10)), rng.standard_normal(samples)
    rows, target = rows_and_target(a, y)
    c = alpha * rng.uniform(0.5, 1.5, 10)
    minimum = minimise(StructuredCurve(c, depth), rows, target)
    assert minimum.residual < 1e-12
    np.testing.assert_allclose(a @ minimum.rho, y, rtol=1e-11, atol=1e-12)
    nu = c ** (2 - depth) * nu_of(minimum.rho, c, depth)
    np.testing.assert_allclose(rows.T @ (rows @ nu), nu, rtol=0, atol=1e-11 * np.abs(nu).max())


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("alpha", [1e-4, 0.1, 3.0])
def test_arbitrary_starts(depth: int, alpha: float) -> None:
    rng = np.random.default_rng(depth)
    rows, target = rows_and_target(rng.standard_normal((5, 30)), rng.standard_normal(5))
    assert minimise(GeneralCurve(alpha * rng.standard_normal((depth, 30))), rows, target).residual < 1e-12


@pytest.mark.parametrize("depth", [2, 3, 6])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2])
def test_fewer_coordinates_than_samples(depth: int, alpha: float) -> None:
    """A sparse teacher leaves multipliers undetermined in double precision; rho is not."""
    rng = np.random.default_rng(depth)
    a = rng.standard_normal((20, 50))
    teacher = np.concatenate([[2.0, -1.0, 0.5], np.zeros(47)])
    rows, target = rows_and_target(a, a @ teacher)
    minimum = minimise(StructuredCurve(np.full(50, alpha), depth), rows, target)
    assert minimum.residual < 1e-12
    assert np.abs(minimum.rho - teacher).max() < 10 * alpha


@pytest.mark.parametrize(
    ("samples", "size"), [(30, 300), pytest.param(200, 2000, marks=pytest.mark.slow)], ids=["300", "2000"]
)
def test_large_problems(samples: int, size: int) -> None:
    """Past the size where coordinates are eliminated."""
    rng = np.random.default_rng(0)
    rows, target = rows_and_target(rng.standard_normal((samples, size)), rng.standard_normal(samples))
    for depth, alpha in ((2, 1e-4), (3, 1e-3), (10, 1e-2), (5, 1e3)):
        assert minimise(StructuredCurve(np.full(size, alpha), depth), rows, target).residual < 1e-12
    assert minimise(GeneralCurve(0.5 * rng.standard_normal((3, size))), rows, target).residual < 1e-12


def drawn_residual(seed: int, kind: str, samples: int, size: int, depth: int, alpha: float) -> tuple[float, float]:
    """The residual of a drawn problem, and what rounding of rho and of the chart (z_0 + z) leaves of it."""
    rng = np.random.default_rng(seed)
    rows, target = rows_and_target(rng.standard_normal((samples, size)), rng.standard_normal(samples))
    curve: Curve
    if kind in ("ones", "uniform"):
        curve = StructuredCurve(alpha * (np.ones(size) if kind == "ones" else rng.uniform(0.5, 1.5, size)), depth)
    else:
        w = alpha * rng.standard_normal((depth, size))
        w[-1] *= kind == "gaussian"
        curve = GeneralCurve(w)
    minimum = minimise(curve, rows, target)
    point = curve.at(np.zeros(size))
    noise = np.abs(minimum.rho) + np.abs(point.rho) + point.drho * np.abs(curve.start)
    return minimum.residual, np.finfo(float).eps * float(np.linalg.norm(noise) / np.linalg.norm(target))


SCALES = st.floats(-4, 3).map(lambda exponent: 10**exponent)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(["ones", "uniform", "zero"]), st.data(), st.integers(2, 10), SCALES)
def test_any_depth_scale_and_size(seed: int, kind: str, data: st.DataObject, depth: int, alpha: float) -> None:
    """With one zero layer (eta equal, drawn, or all layers Gaussian) the promise holds whatever the problem."""
    size = data.draw(st.integers(2, 60))
    residual, _ = drawn_residual(seed, kind, data.draw(st.integers(1, size - 1)), size, depth, alpha)
    assert residual <= REACHED


def test_a_slower_continuation_is_tried() -> None:
    assert drawn_residual(846808, "zero", 25, 38, 10, 0.1160481171497004)[0] <= REACHED


def test_rounding_is_no_failure() -> None:
    """Newton's method that stalls just above its own tolerance, and one whose coordinates move by 1e-7 in all."""
    assert drawn_residual(62, "uniform", 5, 7, 10, 5e-4)[0] <= REACHED
    assert drawn_residual(16432, "zero", 26, 44, 7, 10.768220377037549)[0] <= REACHED


@pytest.mark.slow
def test_five_thousand_problems() -> None:
    """As above; without a zero layer up to the rounding of rho(0) ~ alpha^L, of which the residual tells."""
    rng = np.random.default_rng(1)
    for seed in range(5_000):
        kind, size = str(rng.choice(["ones", "uniform", "zero", "gaussian"])), int(rng.integers(1, 61))
        samples, depth, alpha = int(rng.integers(1, size + 1)), int(rng.integers(2, 11)), 10 ** rng.uniform(-4, 3)
        residual, noise = drawn_residual(seed, kind, samples, size, depth, float(alpha))
        assert residual <= (REACHED if kind != "gaussian" else max(REACHED, 1e3 * noise)), (seed, kind, residual, noise)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3, 4, 6, 10])
@pytest.mark.parametrize("kind", ["ones", "uniform", "zero", "gaussian"])
def test_two_thousand_coordinates(kind: str, depth: int) -> None:
    for alpha in (1e-4, 1e-2, 1.0, 30.0, 1e3):
        residual, noise = drawn_residual(depth, kind, 200, 2000, depth, alpha)
        assert residual <= (REACHED if kind != "gaussian" else max(REACHED, 1e3 * noise))


def test_one_program_for_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eliminating coordinates changes nothing but rounding."""
    rng = np.random.default_rng(3)
    rows, target = rows_and_target(rng.standard_normal((4, 20)), rng.standard_normal(4))
    curve = StructuredCurve(np.full(20, 0.01), 4)
    dense = minimise(curve, rows, target)
    monkeypatch.setattr("kernels.theory.optimisers.separable.DENSE", 0)
    eliminated = minimise(curve, rows, target)
    assert eliminated.residual < 1e-12
    np.testing.assert_allclose(eliminated.rho, dense.rho, rtol=1e-10, atol=1e-14)


def test_says_when_it_did_not_converge() -> None:
    """Tied coordinates cannot change sign: no point of the curves fits, and no exception tells so."""
    rows, target = rows_and_target(np.ones((1, 3)), np.array([-1.0]))
    assert not minimise(GeneralCurve(np.ones((2, 3))), rows, target).residual < 1e-8
    rows, target = rows_and_target(np.random.default_rng(0).standard_normal((3, 9)), np.ones(3))
    assert minimise(StructuredCurve(np.full(9, 1e-3), 4), rows, target, steps=2).residual > 1e-8


def test_the_start_may_be_the_answer() -> None:
    w = np.random.default_rng(0).standard_normal((3, 6))
    rows = np.eye(6)[:2]
    minimum = minimise(GeneralCurve(w), rows, rows @ w.prod(axis=0))
    assert abs(minimum.objective) < 1e-15
    np.testing.assert_allclose(minimum.rho, w.prod(axis=0), rtol=1e-12)


@pytest.mark.parametrize(("depth", "alpha"), [(2, 1e300), (3, 1e100), (5, 1e30), (20, 1e9), (30, 1e300)])
def test_scales_whose_powers_overflow(depth: int, alpha: float) -> None:
    """The limit of large alpha: rho = k eta^{2L-2} x, eta = (2, 1), x = (1, 2) and k fixed by y = 1."""
    rho = np.array([2.0 ** (2 * depth - 2), 2.0])
    start = {"layers": [[2, 1]] * (depth - 1) + [[0, 0]]}
    axes = {"architecture": "diagonal", "depth": depth, "init": start}
    found = forecast_of("minimum_q_norm", [[1, 2]], [1], alpha=alpha / 4, **axes)
    assert found.beta is not None
    np.testing.assert_allclose(found.beta, rho / (rho @ [1, 2]), rtol=1e-12)
    # at the scale where the potential is quadratic and doubles still hold it: D = y^2 / (2 sum x^2 c^{2L-2})
    if depth == 3:
        found = forecast_of("minimum_q_norm", [[1, 2]], [1], alpha=1e30, **axes)
        assert found.objective == pytest.approx(1e-120 / 2 / (16 + 4), rel=1e-12, abs=0)


@pytest.mark.parametrize(("depth", "alpha"), [(2, 1e-300), (10, 1e-100), (20, 1e-30)])
def test_scales_whose_powers_vanish_are_not_certified(depth: int, alpha: float) -> None:
    found = forecast_of("minimum_q_norm", [[1, 2]], [1], alpha=alpha, architecture="diagonal", depth=depth)
    assert found.beta is None
    assert found.certificate is not None
    assert not found.certificate <= CERTIFIED


def test_multipliers_below_doubles_are_a_failure_and_no_exception() -> None:
    rows, target = rows_and_target(np.random.default_rng(0).standard_normal((2, 6)), np.ones(2))
    assert not minimise(StructuredCurve(np.full(6, 1e9), 20), rows, target).residual < REACHED
