"""beta = u^L - v^L from u = v = alpha: the minimum Bregman divergence is Woodworth et al.'s potential.

Woodworth et al., arXiv:2002.09277, theorem 1 and its analogue for L > 2: the least sum_j q_L(beta_j / alpha^L)
subject to X beta = y, with q_2(z) = 2 - sqrt(4 + z^2) + z asinh(z / 2) and q_L' = h_L^{-1},
h_L(s) = (1 - s)^{-L/(L-2)} - (1 + s)^{-L/(L-2)}.
"""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq, minimize, root

from kernels.simulate import simulate
from kernels.theory.table import forecasts
from tests.kernels.conftest import regression_data, spec_of

ALPHAS = (0.1, 0.5, 3.0)


def slope(z: float, depth: int) -> float:
    """q_L'(z)."""
    if depth == 2:
        return float(np.arcsinh(z / 2))
    power = depth / (depth - 2)
    size = brentq(lambda s: (1 - s) ** -power - (1 + s) ** -power - abs(z), 0, 1 - 1e-15, xtol=1e-17, rtol=1e-15)
    return float(np.copysign(size, z))


def curvature(z: float, depth: int) -> float:
    """q_L''(z)."""
    if depth == 2:
        return float(1 / np.sqrt(4 + z**2))
    s, power = slope(z, depth), depth / (depth - 2)
    return float(1 / (power * ((1 - s) ** (-power - 1) + (1 + s) ** (-power - 1))))


def potential(z: np.ndarray, depth: int) -> float:
    """sum_j q_L(z_j); for L > 2 by integral q' = z s - integral h, h's own primitive being elementary."""
    if depth == 2:
        return float((2 - np.sqrt(4 + z**2) + z * np.arcsinh(z / 2)).sum())
    s, rest = np.array([slope(entry, depth) for entry in z]), depth / (depth - 2) - 1
    return float((z * s - ((1 - s) ** -rest + (1 + s) ** -rest - 2) / rest).sum())


def least_potential(x: np.ndarray, y: np.ndarray, scale: float, depth: int) -> np.ndarray:
    """argmin sum_j q_L(beta_j / scale) s.t. X beta = y: over the null space of X, then its gradient to rounding."""
    particular, null = np.linalg.pinv(x) @ y, np.linalg.svd(x)[2][len(y) :].T

    def place(t: np.ndarray) -> np.ndarray:
        return (particular + null @ t) / scale

    def gradient(t: np.ndarray) -> np.ndarray:
        return null.T @ np.array([slope(z, depth) for z in place(t)])

    def hessian(t: np.ndarray) -> np.ndarray:
        return null.T @ (null * np.array([[curvature(z, depth)] for z in place(t)])) / scale

    start = np.zeros(null.shape[1])
    found = minimize(
        lambda t: scale * potential(place(t), depth), start, jac=gradient, hess=hessian, method="trust-exact"
    )
    polished = root(gradient, found.x, jac=hessian, tol=1e-15)
    assert np.abs(gradient(polished.x)).max() < 1e-13 * max(1.0, np.abs(slope(place(polished.x).max(), depth)))
    return scale * place(polished.x)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_prediction_and_the_flow_are_the_least_potential(depth: int) -> None:
    """Prediction to 1e-9; the flow to 1e-5 at the default tolerance."""
    dataset = regression_data()
    axes: dict[str, Any] = {"task": "regression", "architecture": "signed_diagonal", "depth": depth, "record": False}
    init = {"layers": [[1.0] * 16] * depth}
    runs = [(spec_of(dataset, alpha=alpha, init=init, **axes), dataset) for alpha in ALPHAS]
    for alpha, (spec, _), result in zip(ALPHAS, runs, simulate(runs), strict=True):
        expected = least_potential(dataset.x, dataset.y, alpha**depth, depth)
        (record,) = (made for made in forecasts(spec, dataset) if made.prediction == "minimum_bregman")
        np.testing.assert_allclose(record.beta, expected, rtol=0, atol=1e-9 * np.linalg.norm(expected))
        # the clock of u^L - v^L runs L times as fast, and nu is measured in alpha^{2-L} / (L-2)
        unit = alpha**2 / 2 if depth == 2 else alpha**2 / (depth - 2)
        assert record.objective == pytest.approx(unit * potential(expected / alpha**depth, depth), rel=1e-8)
        assert result.status == "converged"
        assert np.linalg.norm(result.beta - expected) < 1e-5 * np.linalg.norm(expected)
