"""The limit from balanced layers: against scipy's flow and scipy's optimiser, at its ends, and where it must fail."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from kernels.data.kinds import Dataset
from kernels.problem import Problem, problems_of
from kernels.theory.balanced import balanced_start, root, stops_at_zero
from kernels.theory.base import Forecast
from kernels.theory.table import PREDICTIONS
from tests.theory.problems import classification_data, connected_limit, problem, regression_data

BALANCED = PREDICTIONS["balanced"]


def start(data: Dataset, depth: int, alpha: float, init: Any = "balanced", **axes: Any) -> Problem:
    network = {"task": "regression", "architecture": "fully_connected", "depth": depth, "width": 5}
    return problem(data, **{**network, "init": init, "alpha": alpha, **axes})


def forecast(drawn: Problem) -> Forecast:
    assert BALANCED.applies(drawn)
    (made,) = BALANCED.forecast_all([drawn])
    assert made is not None
    assert made.beta is not None
    return made


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("alpha", [0.05, 0.4, 2.0])
def test_the_flow_ends_there(depth: int, alpha: float) -> None:
    data = regression_data(2, 6, seed=depth)
    drawn = start(data, depth, alpha, seed=depth)
    beta = forecast(drawn).beta
    limit = connected_limit(data, drawn.layers)
    assert np.linalg.norm(beta - limit) < 1e-10 * np.linalg.norm(limit)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_no_interpolating_solution_has_a_lower_potential(depth: int) -> None:
    """The convex problem as it is written, by BFGS over the solutions."""
    data = regression_data(3, 7)
    drawn = start(data, depth, 0.8)
    made, v = forecast(drawn), balanced_start(drawn)
    particular = np.linalg.pinv(data.x) @ data.y
    null = np.linalg.svd(data.x)[2][3:]

    def potential(z: np.ndarray) -> float:
        beta = particular + z @ null
        return float(depth / (depth + 1) * np.linalg.norm(beta) ** (1 + 1 / depth) - v @ beta)

    found = minimize(potential, np.zeros(len(null)), tol=1e-12)
    np.testing.assert_allclose(particular + found.x @ null, made.beta, atol=1e-5)
    assert made.objective == pytest.approx(found.fun, abs=1e-10)


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_the_least_l2_norm_is_approached_like_alpha(depth: int) -> None:
    """At the rate that minimum_l2_norm has in its detail, and with the constant of the docstring."""
    data, alphas = regression_data(2, 6), np.array([1e-6, 1e-4, 1e-2])
    least = PREDICTIONS["minimum_l2_norm"].forecast(start(data, depth, 1.0))
    assert least is not None
    assert least.beta is not None
    size = np.linalg.norm(least.beta)
    gaps = [np.linalg.norm(np.asarray(forecast(start(data, depth, a)).beta) - least.beta) / size for a in alphas]
    assert np.polyfit(np.log(alphas), np.log(gaps), 1)[0] == pytest.approx(least.detail["slope"], abs=1e-3)
    v = np.asarray(balanced_start(start(data, depth, 1.0)))
    unseen = np.linalg.norm(v - np.linalg.pinv(data.x) @ data.x @ v)
    assert gaps[0] == pytest.approx(1e-6 * unseen * size ** (-1 / depth), rel=1e-4)
    gaussian = PREDICTIONS["minimum_l2_norm"].forecast(start(data, depth, 1.0, init="gaussian"))
    assert gaussian is not None
    assert "slope" not in gaussian.detail


@pytest.mark.parametrize(("samples", "dim"), [(1, 2), (50, 300), (50, 60)])
def test_certificates_over_all_scales_shapes_and_depths(samples: int, dim: int) -> None:
    """d of hundreds, tens of samples, alpha from 1e-6 to 10, in one batch: nothing is lost to rounding."""
    data = regression_data(samples, dim)
    drawn = [start(data, depth, alpha) for depth in (2, 3, 10) for alpha in (1e-6, 1e-3, 1.0, 10.0)]
    for made in BALANCED.forecast_all(problems_of([(each.spec, data) for each in drawn])):
        assert made is not None
        assert made.beta is not None
        assert made.certificate is not None
        assert made.certificate <= 1e-12


@pytest.mark.parametrize("depth", [2, 3, 50, 3000])
def test_the_norm_of_the_limit_solves_its_equation(depth: int) -> None:
    unseen = np.array([0.0, 1e-8, 0.3, 0.99, 1.0, 1.2, 7.0])
    for least in (1e-30, 0.5, 1.0, 40.0):
        s = root(unseen, least, depth)
        logs = np.log(s)
        hidden = np.log(unseen, where=unseen > 0, out=np.full(7, -np.inf))
        right = np.logaddexp(2 * hidden + (2 * depth - 2) * logs, 2 * np.log(least))
        np.testing.assert_allclose(2 * depth * logs, right, rtol=1e-13, atol=1e-12 * depth)


def test_layers_count_not_the_name_of_the_start() -> None:
    """Given layers that are balanced have the prediction, with any signs; others, or nearly balanced ones, do not."""
    data = regression_data(2, 3)
    u, v, w = (vector / np.linalg.norm(vector) for vector in np.random.default_rng(1).standard_normal((3, 3)))
    signed = [np.outer(u, v), -np.outer(v, w), -w]
    for change, applies in ((0.0, True), (1e-6, False)):
        layers = [(layer + change * np.ones_like(layer)).tolist() for layer in signed]
        assert BALANCED.applies(start(data, 3, 0.5, init={"layers": layers}, width=3)) == applies
    for init in ("gaussian", "orthogonal"):
        assert not BALANCED.applies(start(data, 3, 0.5, init=init))
    drawn = start(data, 3, 0.5, init={"layers": [layer.tolist() for layer in signed]}, width=3)
    limit = connected_limit(data, drawn.layers)
    assert np.linalg.norm(forecast(drawn).beta - limit) < 1e-10 * np.linalg.norm(limit)


def test_it_fails_from_a_start_that_is_not_balanced() -> None:
    """The same coefficients b_0, with one layer twice and the next half as large: another limit."""
    data = regression_data(2, 6)
    drawn = start(data, 2, 0.8)
    first, second = drawn.layers
    other = connected_limit(data, [2 * first, second / 2])
    beta = np.asarray(forecast(drawn).beta)
    assert np.linalg.norm(other - beta) > 0.1 * np.linalg.norm(beta)


@pytest.mark.parametrize("depth", [2, 3])
def test_starts_that_lead_into_the_saddle_have_no_prediction(depth: int) -> None:
    """On the wrong side of one direction of inputs the flow comes to rest at zero; next to it, it goes round."""
    x = np.array([[0.6, 0.8], [1.2, 1.6]])
    data = Dataset("line", x, np.array([1.0, 2.0]))

    def at(angle: float) -> Problem:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        u, rest = turn @ np.array([0.6, 0.8]), np.eye(2)[0]
        layers = [np.outer(u, rest), *[np.outer(rest, rest)] * (depth - 2), rest]
        return start(data, depth, 0.5, init={"layers": [layer.tolist() for layer in layers]}, width=2)

    assert forecast(at(0.0)).beta == pytest.approx(np.array([0.6, 0.8]))
    assert stops_at_zero(at(np.pi))
    for name in ("balanced", "minimum_l2_norm"):
        assert not PREDICTIONS[name].applies(at(np.pi))
    beside = at(np.pi - 0.01)
    limit = connected_limit(data, beside.layers)
    assert np.linalg.norm(forecast(beside).beta - limit) < 1e-9 * np.linalg.norm(limit)
    # at rest there: the layers' norm falls to zero along the flow of s, ds/dt = -s^{L-1} (s^L + 1) 5
    for size in (0.5, 1e-3):
        small = [size / 0.5 * layer for layer in at(np.pi).layers]
        force = data.x.T @ (data.x @ np.linalg.multi_dot([*small[:-1], small[-1][:, None]])[:, 0] - data.y)
        last = -np.linalg.multi_dot([*small[:-1], np.eye(2)]).T @ force
        assert last @ small[-1] == pytest.approx(-5 * (1 + size**depth) * size**depth)


def test_the_saddle_is_reached_along_a_singular_vector_only() -> None:
    """Two directions of inputs: v_0 = -X^T y leads into zero where X^T y is a right singular vector of X."""
    u = np.eye(3)[0]
    for x, y, stops in (([[2.0, 0, 0], [0, 1, 0]], [1.0, 0.0], True), ([[2.0, 1, 0], [0, 1, 0]], [1.0, 0.0], False)):
        data = Dataset("plane", np.array(x), np.array(y))
        pull = data.x.T @ data.y
        layers = [np.outer(-pull / np.linalg.norm(pull), u), u]
        drawn = start(data, 2, 0.5, init={"layers": [layer.tolist() for layer in layers]}, width=3)
        assert stops_at_zero(drawn) == stops
        assert BALANCED.applies(drawn) != stops


def test_classification_has_no_such_statement_but_the_same_saddle() -> None:
    data = classification_data(1, 3)
    unit = data.x[0] / np.linalg.norm(data.x[0])
    for side, stops in ((1.0, False), (-1.0, True)):
        layers = [(side * data.y[0] * np.outer(unit, np.eye(3)[0])).tolist(), [1.0, 0.0, 0.0]]
        drawn = start(data, 2, 0.5, init={"layers": layers}, width=3, task="classification")
        assert not BALANCED.applies(drawn)
        assert stops_at_zero(drawn) == stops
        assert PREDICTIONS["max_margin_l2"].applies(drawn) != stops
