"""The power of alpha with which the least sum is approached: against exact limits at small scales, and by hand."""

from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.theory.table import PREDICTIONS
from tests.theory.problems import problem, regression_data

LINE = Dataset("line", np.array([[1.0, 1, 1], [3, 0, 1]]), np.array([3.0, 3]))
PLANE = Dataset("plane", np.array([[2.0, -1, 0, 1], [0, 3, 2, 0]]), np.array([0.0, 6]))


def slopes(data: Dataset, depth: int, scales: tuple[float, float], **axes: Any) -> tuple[float, float]:
    """Predicted, and fitted between two scales."""
    gaps, least = [], None
    for alpha in scales:
        drawn = problem(data, **{"task": "regression", "architecture": "diagonal", **axes}, depth=depth, alpha=alpha)
        exact, least = (PREDICTIONS[name].forecast(drawn) for name in ("minimum_bregman", "weighted_l1"))
        assert exact is not None
        assert least is not None
        gaps.append(np.linalg.norm(np.subtract(exact.beta, least.beta)))
    assert least is not None
    return least.detail["slope"], float(np.log(gaps[1] / gaps[0]) / np.log(scales[1] / scales[0]))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_layers_have_a_power_of_the_data(seed: int) -> None:
    """2 (1 - r), where the support has as many coordinates as there are samples: lambda is determined by it."""
    data = regression_data(3, 8, seed)
    predicted, fitted = slopes(data, 2, (1e-9, 1e-8))
    drawn = problem(data, task="regression", architecture="diagonal", depth=2)
    rho = np.asarray(PREDICTIONS["weighted_l1"].forecast(drawn).beta)
    support = np.abs(rho) > 1e-9
    multipliers = np.linalg.solve(data.x[:, support].T, np.sign(rho[support]))
    assert predicted == pytest.approx(2 - 2 * np.abs(data.x[:, ~support].T @ multipliers).max())
    assert predicted == pytest.approx(fitted, abs=0.02)


def test_fewer_coordinates_than_samples_leave_the_multipliers_free() -> None:
    """One coordinate on the support of two samples: the least r over the line of multipliers that are tight on it."""
    x = np.random.default_rng(3).standard_normal((2, 5))
    x[:, 1] *= 3
    data = Dataset("sparse", x, x[:, 1])
    predicted, fitted = slopes(data, 2, (1e-6, 1e-4))
    normal, along = x[:, 1] / (x[:, 1] @ x[:, 1]), np.array([-x[1, 1], x[0, 1]])
    others = np.delete(x, 1, axis=1)
    level, rate = np.tile(others.T @ normal, 2), np.tile(others.T @ along, 2)
    level[4:], rate[4:] = -level[4:], -rate[4:]
    crossings = [(level[j] - level[i]) / (rate[i] - rate[j]) for i in range(8) for j in range(i) if rate[i] != rate[j]]
    least = min(np.max(level + t * rate) for t in crossings)
    assert predicted == pytest.approx(2 - 2 * least)
    assert predicted == pytest.approx(fitted, abs=0.05)


@pytest.mark.parametrize("depth", [3, 4])
def test_deeper_networks_have_their_depth(depth: int) -> None:
    predicted, fitted = slopes(regression_data(3, 8, 2), depth, (1e-3, 2e-3))
    assert predicted == depth
    assert fitted == pytest.approx(depth, abs=0.02)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_ties_are_decided_to_the_fourth_power(depth: int) -> None:
    """Nothing lies off the line; off the plane a coordinate is slower for L = 2, 3, and as slow for L = 4."""
    assert slopes(LINE, depth, (3e-2, 6e-2)) == (4.0, pytest.approx(4.0, abs=0.1))
    predicted, fitted = slopes(PLANE, depth, (1e-3, 1e-2) if depth == 2 else (1e-2, 3e-2))
    assert predicted == pytest.approx({2: 1.0, 3: 3.0}.get(depth, 4.0))
    if depth < 5:
        assert fitted == pytest.approx(predicted, abs=0.05)


@pytest.mark.parametrize(("depth", "power"), [(2, 4.0), (3, 3.0)])
def test_layers_of_one_modulus_know_one_sign(depth: int, power: float) -> None:
    """u^L - v^L: the copy of a coordinate on the support that must not grow has slope -1, so 2 (1 + 1) for L = 2."""
    init = {"layers": [[1.0] * 6] * depth}
    predicted, fitted = slopes(
        LINE, depth, (1e-3, 3e-3) if depth > 2 else (1e-3, 1e-2), init=init, architecture="signed_diagonal"
    )
    assert predicted == pytest.approx(power)
    assert fitted == pytest.approx(power, abs=0.05)
