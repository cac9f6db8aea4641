"""Least potentials subject to margins, and the lasso, against solvers that share nothing with theirs."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import lars_path

from kernels.theory.optimisers import above
from kernels.theory.optimisers.above import Above, Guess, minimise_above
from kernels.theory.optimisers.curves import Curve, GeneralCurve, StraightCurve, StructuredCurve
from kernels.theory.optimisers.lasso import lasso, lasso_path
from kernels.theory.optimisers.margins import least_norm, least_sum


def separable(samples: int, size: int, seed: int) -> np.ndarray:
    """Rows with labels absorbed, which some vector separates."""
    rng = np.random.default_rng([seed, 4])
    rows = rng.standard_normal((samples, size))
    signed: np.ndarray = rows * np.sign(rows @ rng.standard_normal(size))[:, None]
    return signed


def start(kind: str, depth: int, size: int, alpha: float, count: int = 1) -> Curve:
    rng = np.random.default_rng(depth)
    if depth == 1:
        return StraightCurve(np.repeat(alpha * rng.standard_normal((1, size)), count, axis=0))
    if kind == "structured":
        return StructuredCurve(np.full((count, size), alpha), depth)
    return GeneralCurve(np.repeat(alpha * rng.standard_normal((depth, 1, size)), count, axis=1))


def solved(curve: Curve, rows: np.ndarray, bounds: np.ndarray) -> Above:
    """From nothing."""
    each = np.repeat(bounds[:, None], len(rows), axis=1)
    return minimise_above(curve, np.repeat(rows[None], len(bounds), axis=0), each)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("kind", ["structured", "general"])
def test_the_chart_of_a_curve_is_inverted(kind: str, depth: int) -> None:
    curve = start(kind, depth, 5, 0.3, 4)
    z = np.random.default_rng(0).uniform(-9, 9, (4, 5))
    np.testing.assert_allclose(curve.chart(curve.at(z).rho), z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("depth", "kind", "samples"), [(1, "general", 6), (2, "structured", 6), (2, "general", 3), (3, "structured", 4)]
)
def test_minimum_is_that_of_sequential_quadratic_programming(depth: int, kind: str, samples: int) -> None:
    rows, gamma = separable(samples, 4, 1), 2.0
    curve = start(kind, depth, 4, 0.7)
    found = solved(curve, rows, np.array([gamma]))
    assert found.residual[0] < 1e-12

    def potential(rho: np.ndarray) -> float:
        z = curve.chart(rho[None])
        return float(curve.potential_at(z, curve.nu(z), rho[None])[0])

    def slope(rho: np.ndarray) -> np.ndarray:
        return curve.nu(curve.chart(rho[None]))[0]

    margins = {"type": "ineq", "fun": lambda rho: rows @ rho - gamma, "jac": lambda rho: rows}
    begin = gamma * np.linalg.lstsq(rows, np.full(samples, 3.0), rcond=None)[0] + 0.1
    other = minimize(potential, begin, jac=slope, method="SLSQP", constraints=[margins], options={"ftol": 1e-13})
    assert other.success
    assert found.objective[0] == pytest.approx(other.fun, rel=1e-7)
    np.testing.assert_allclose(found.rho[0], other.x, rtol=0, atol=2e-4 * np.abs(other.x).max())


@pytest.mark.parametrize("depth", [2, 3])
def test_regimes_cross_from_the_l2_margin_to_the_l1_margin(depth: int) -> None:
    """gamma / alpha^L -> 0 and -> infinity (Moroshko et al.): the potential is quadratic, then a sum of moduli."""
    rows, alpha = separable(5, 6, 2), 0.1
    gamma = alpha**depth * np.array([1e-4, 1e12])
    found = solved(start("structured", depth, 6, alpha, 2), rows, gamma)
    assert found.residual.max() < 1e-11
    euclidean, sparse = least_norm(rows).solution, np.real(least_sum(rows).solution)
    small, large = found.rho[0] / gamma[0], found.rho[1] / gamma[1]
    assert np.linalg.norm(euclidean - sparse) > 0.1 * np.linalg.norm(sparse)
    np.testing.assert_allclose(small, euclidean, rtol=0, atol=1e-4 * np.abs(euclidean).max())
    np.testing.assert_allclose(large, sparse, rtol=0, atol=2e-2 * np.abs(sparse).max())


@pytest.mark.parametrize(("depth", "alpha"), [(2, 1e-3), (3, 1e-3), (5, 1e-2)])
@pytest.mark.parametrize("kind", ["structured", "general"])
def test_small_weights_are_followed_from_the_start(
    kind: str, depth: int, alpha: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a guess that leads nowhere, without a search: up to 17 decades lie between the start's scale and gamma."""
    rows, gamma = separable(5, 7, 6), np.geomspace(1.0, 1e3, 4)
    curve = start(kind, depth, 7, alpha, 4)
    alone = solved(curve, rows, gamma)
    monkeypatch.setattr(above, "searched", None)
    each = np.repeat(gamma[:, None], 5, axis=1)
    guess = Guess(np.random.default_rng(0).uniform(-15, 15, (4, 7)), np.ones((4, 5)), np.zeros(4, int))
    found = minimise_above(curve, np.repeat(rows[None], 4, axis=0), each, guess)
    assert found.residual.max() < 1e-11
    np.testing.assert_allclose(found.rho, alone.rho, rtol=0, atol=1e-8 * np.abs(alone.rho).max())


def test_a_guess_changes_nothing() -> None:
    """From points of another margin, and from multipliers of the wrong samples, neighbours lead to the same minima."""
    rows, gamma = separable(7, 5, 3), np.geomspace(0.1, 1e5, 6)
    curve = start("structured", 3, 5, 0.2, 6)
    alone = solved(curve, rows, gamma)
    rng = np.random.default_rng(0)
    guess = Guess(rng.uniform(-3, 3, (6, 5)), np.abs(rng.standard_normal((6, 7))), np.zeros(6, int))
    each = np.repeat(gamma[:, None], 7, axis=1)
    found = minimise_above(curve, np.repeat(rows[None], 6, axis=0), each, guess)
    assert found.residual.max() < 1e-10
    size = np.abs(alone.rho).max(axis=1)[:, None]
    np.testing.assert_allclose(found.rho / size, alone.rho / size, rtol=0, atol=1e-9)


def test_margins_that_nothing_has_are_not_certified() -> None:
    """x and -x: no rho has both margins, and no exception tells so."""
    rows = np.array([[1.0, 2.0], [-1.0, -2.0]])
    assert not solved(start("structured", 2, 2, 0.1), rows, np.array([1.0])).residual[0] < 1e-8


def test_lasso_is_that_of_least_angle_regression() -> None:
    rng = np.random.default_rng(5)
    a, y = rng.standard_normal((6, 12)), rng.standard_normal(6)
    penalties, _, coefficients = lars_path(a, y, method="lasso")
    some = np.array([0.9, 0.5, 0.2, 0.05]) * penalties[0]
    expected = np.array([[np.interp(-p, -penalties, row) for row in coefficients] for p in some])
    each = np.repeat(6 * some[:, None], 12, axis=1)  # scikit-learn divides squares by the number of samples
    path = lasso_path(a, y, np.ones(12), np.ones(12))
    for sides in (path.at(6 * some), None):
        found = lasso(a, y, each, each, sides)
        assert found.certificate.max() < 1e-12
        np.testing.assert_allclose(found.r, expected, rtol=0, atol=1e-10)
    assert not path.at(np.array([1.1 * path.penalties[0]])).any()
    np.testing.assert_allclose(path.at(np.zeros(1))[0] @ np.vstack([a.T, -a.T]), y, atol=1e-12)


def test_lasso_with_a_weight_for_each_sign_is_that_of_coordinate_descent() -> None:
    rng = np.random.default_rng(6)
    a, y = rng.standard_normal((5, 8)), rng.standard_normal(5)
    plus, minus = rng.uniform(0.1, 1, (2, 8))
    minus[:3] = np.inf
    r = np.zeros(8)
    for _ in range(3000):
        for j in range(8):
            slope, size = float(a[:, j] @ (y - a @ r + a[:, j] * r[j])), float(a[:, j] @ a[:, j])
            r[j] = (max(slope - plus[j], 0.0) - max(-slope - minus[j], 0.0)) / size
    sides = lasso_path(a, y, plus, minus).at(np.ones(1)) / np.append(plus, minus)
    for known in (sides, None):
        found = lasso(a, y, plus[None], minus[None], known)
        assert found.certificate[0] < 1e-12
        np.testing.assert_allclose(found.r[0], r, rtol=0, atol=1e-8)
        assert (found.r[0, :3] >= 0).all()


def test_two_coefficients_of_the_lasso_that_appear_at_once() -> None:
    """X = I: each is soft-thresholded by itself."""
    path = lasso_path(np.eye(2), np.ones(2), np.ones(2), np.ones(2))
    found = path.at(np.array([1.5, 1.0, 0.25, 0.0]))
    np.testing.assert_allclose(found, [[0, 0, 0, 0], [0, 0, 0, 0], [0.75, 0.75, 0, 0], [1, 1, 0, 0]], atol=1e-15)


def test_the_lassos_certificate_tells_a_wrong_answer() -> None:
    """Twin columns share a coefficient in any way; another penalty's answer is told."""
    from kernels.theory.optimisers.lasso import _certificate

    rng = np.random.default_rng(7)
    a, y = rng.standard_normal((4, 3)), rng.standard_normal(4)
    a = np.column_stack([a, a])
    each = np.full((1, 6), 0.1)
    found = lasso(a, y, each, each)
    assert found.certificate[0] < 1e-12
    assert _certificate(a, y, (1.1 * each, 1.1 * each), found.r)[0] > 1e-3
