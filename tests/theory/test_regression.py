"""Limits of regression against scipy's integration of the flow, closed forms, and each other."""

from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.problem import Problem
from kernels.theory.base import Forecast
from kernels.theory.table import PREDICTIONS, applicable
from tests.theory.problems import connected_limit, decomposed_limit, endpoint_at, problem, regression_data


def forecast(name: str, drawn: Problem) -> Forecast:
    assert PREDICTIONS[name].applies(drawn)
    found = PREDICTIONS[name].forecast(drawn)
    assert found is not None
    return found


def distance(name: str, drawn: Problem, beta: np.ndarray) -> float:
    layers = [np.zeros_like(layer) for layer in drawn.layers]
    found = PREDICTIONS[name].compare(drawn, forecast(name, drawn), endpoint_at(beta, layers)).distance
    assert found is not None
    return found


def flow_limit(drawn: Problem) -> np.ndarray:
    decomposition = drawn.decomposition
    assert decomposition is not None
    rho = decomposed_limit(drawn.dataset.x @ decomposition.s.T, drawn.dataset.y, np.array(drawn.coordinates))
    return np.real(decomposition.s.T @ rho)


CASES: list[dict[str, Any]] = [
    {"architecture": "diagonal", "depth": 2, "alpha": 0.01},
    {"architecture": "diagonal", "depth": 3, "alpha": 0.3},
    {"architecture": "walsh", "depth": 4, "alpha": 0.7},
    {"architecture": "odeco", "depth": 3, "alpha": 0.5, "width": 11},
    {"architecture": "odeco", "depth": 2, "alpha": 0.2, "width": 6, "init": {"structured": {"eta": "uniform"}}},
    {"architecture": "diagonal", "depth": 5, "alpha": 1.0, "init": {"structured": {"eta": "uniform"}}},
]


@pytest.mark.parametrize("axes", CASES, ids=str)
def test_minimum_q_norm_is_the_limit_of_the_flow(axes: dict[str, Any]) -> None:
    drawn = problem(regression_data(), task="regression", **axes)
    assert distance("minimum_q_norm", drawn, flow_limit(drawn)) < 1e-8


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("sizes", [{"architecture": "diagonal"}, {"architecture": "odeco", "width": 9}], ids=str)
def test_minimum_bregman_is_the_limit_from_any_start(depth: int, sizes: dict[str, Any]) -> None:
    drawn = problem(regression_data(), task="regression", depth=depth, alpha=0.5, init="gaussian", **sizes)
    assert not PREDICTIONS["minimum_q_norm"].applies(drawn)
    assert distance("minimum_bregman", drawn, flow_limit(drawn)) < 1e-8


def test_minimum_bregman_of_one_layer_is_the_nearest_solution() -> None:
    drawn = problem(regression_data(), task="regression", architecture="diagonal", depth=1, init="gaussian")
    x, y, start = drawn.dataset.x, drawn.dataset.y, drawn.layers[0]
    nearest = start + np.linalg.pinv(x) @ (y - x @ start)
    np.testing.assert_allclose(forecast("minimum_bregman", drawn).beta, nearest, rtol=1e-12)


@pytest.mark.parametrize("depth", [2, 3])
def test_complex_networks_with_one_sample(depth: int) -> None:
    """Convolution of d = 5: the drive keeps its phases, so the moduli follow the real equations."""
    one = regression_data(samples=1, dim=5)
    drawn = problem(one, task="regression", architecture="convolutional", depth=depth, alpha=0.2)
    assert distance("minimum_q_norm", drawn, flow_limit(drawn)) < 1e-8
    parallel = Dataset("parallel", np.vstack([one.x, -2 * one.x]), np.concatenate([one.y, -2 * one.y]))
    also = problem(parallel, task="regression", architecture="convolutional", depth=depth, alpha=0.2)
    np.testing.assert_allclose(
        forecast("minimum_q_norm", also).beta, forecast("minimum_q_norm", drawn).beta, rtol=1e-10
    )
    clear = Dataset("tone", np.cos(2 * np.pi / 5 * np.arange(5) + 0.3)[None] + 0.1 * one.x, np.array([1.0]))
    small = problem(clear, task="regression", architecture="convolutional", depth=depth, alpha=1e-6)
    np.testing.assert_allclose(
        forecast("weighted_l1", small).beta, forecast("minimum_q_norm", small).beta, rtol=1e-3, atol=1e-3
    )


def test_complex_networks_with_two_samples_miss_the_least_sum() -> None:
    """Why weighted_l1 does not apply there: as alpha -> 0 the flow's sum of moduli stays above the least."""
    from kernels.theory.optimisers import margins

    data = regression_data(samples=2, dim=5, seed=1)
    drawn = problem(data, task="regression", architecture="convolutional", depth=2, alpha=1e-3)
    assert [found.name for found in applicable(drawn)] == ["weighted_l2"]
    signed = np.sign(data.y)[:, None] * (data.x @ drawn.decomposition.s.T) / np.abs(data.y)[:, None]
    least = margins.least_sum(signed).objective
    rho = np.linalg.solve(drawn.decomposition.s.T, flow_limit(drawn).astype(complex))
    assert np.abs(rho).sum() > 1.01 * least


H = {
    2: lambda nu: np.sinh(2 * nu) / 2,
    3: lambda nu: np.tan(nu) / np.cos(nu) ** 2,
    4: lambda nu: nu / (1 - nu**2) ** 2,
}


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 1.0, 100.0])
def test_one_sample_closed_form(depth: int, alpha: float) -> None:
    """rho_j = c_j^L h_L(nu x_j c_j^{L-2}) with one nu, and x.rho = y."""
    data = regression_data(samples=1, dim=6, seed=2)
    init = {"structured": {"eta": "uniform"}}
    drawn = problem(data, task="regression", architecture="diagonal", depth=depth, alpha=alpha, init=init)
    rho, c, x = forecast("minimum_q_norm", drawn).beta, drawn.scale, data.x[0]
    assert rho is not None
    assert c is not None
    np.testing.assert_allclose(x @ rho, data.y[0], rtol=1e-12)
    # nu from the coordinate farthest from saturation, by bisection
    j = np.argmin(np.abs(x) * c ** (depth - 2))
    from scipy.optimize import brentq

    top = {2: 40.0, 3: np.pi / 2, 4: 1.0}[depth] * (1 - 1e-15)
    each = brentq(lambda nu: c[j] ** depth * H[depth](nu) / abs(rho[j]) - 1, 0, top, xtol=1e-18, rtol=1e-15)
    nu = np.sign(rho[j]) * each / (x[j] * c[j] ** (depth - 2))
    saturation = np.abs(nu * x * c ** (depth - 2))
    far = saturation < 0.99 * top if depth > 2 else np.full(len(x), True)
    expected = c**depth * H[depth](nu * x * c ** (depth - 2))
    np.testing.assert_allclose(rho[far], expected[far], rtol=1e-9)


@pytest.mark.parametrize("depth", [2, pytest.param(3, marks=pytest.mark.slow), 5])
@pytest.mark.parametrize("eta", ["ones", "uniform"])
def test_limits_in_alpha(depth: int, eta: str) -> None:
    axes: dict[str, Any] = {"task": "regression", "architecture": "odeco", "width": 12, "depth": depth}
    axes["init"] = {"structured": {"eta": eta}}

    def gap(name: str, alpha: float) -> float:
        drawn = problem(regression_data(), alpha=alpha, **axes)
        beta = forecast("minimum_q_norm", drawn).beta
        assert beta is not None
        return distance(name, drawn, beta)

    small = [gap("weighted_l1", alpha) for alpha in (1e-1, 1e-2, 1e-10 if depth == 2 else 1e-4)]
    assert small[0] > small[1] > small[2]
    assert small[2] < 1e-2
    large = [gap("weighted_l2", alpha) for alpha in (0.3, 1.0, 30.0)]
    assert large[0] > large[1] > large[2]
    assert large[2] < 1e-4
    assert gap("weighted_l1", 10.0) > 1e-3
    assert gap("weighted_l2", 1e-3) > 1e-3


def test_weighted_norms_against_other_solvers() -> None:
    """weighted_l1 below every random feasible point, weighted_l2 by its normal equations."""
    init = {"structured": {"eta": "uniform"}}
    drawn = problem(regression_data(), task="regression", architecture="diagonal", depth=4, alpha=0.3, init=init)
    x, y, eta = drawn.dataset.x, drawn.dataset.y, np.asarray(drawn.scale) / 0.3
    least, square = forecast("weighted_l1", drawn), forecast("weighted_l2", drawn)
    inverse = eta**6
    np.testing.assert_allclose(square.beta, inverse * (x.T @ np.linalg.solve((x * inverse) @ x.T, y)), rtol=1e-8)
    assert least.beta is not None
    assert least.objective == pytest.approx(np.abs(least.beta) @ eta**-2)
    null = np.linalg.svd(x)[2][len(y) :]
    for row in np.random.default_rng(0).standard_normal((200, len(null))):
        assert np.abs(least.beta + 0.1 * row @ null) @ eta**-2 > least.objective
    reached = PREDICTIONS["weighted_l1"].compare(drawn, least, endpoint_at(least.beta, [np.ones(8)] * 3 + [least.beta]))
    assert reached.detail["objective_reached"] == pytest.approx(least.objective)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("width", [5, 7])
def test_fully_connected_from_orthogonal_layers(depth: int, width: int) -> None:
    """The minimum l2 norm exactly, at a scale where a Gaussian start ends far from it."""
    data = regression_data(samples=2, dim=5)
    axes: dict[str, Any] = {"task": "regression", "architecture": "fully_connected", "depth": depth, "width": width}
    drawn = problem(data, init="orthogonal", alpha=1.0, **axes)
    assert PREDICTIONS["minimum_l2_norm"].kind(drawn) == "exact"
    assert distance("minimum_l2_norm", drawn, connected_limit(data, drawn.layers)) < 1e-8
    far = problem(data, init="gaussian", alpha=1.0, **axes)
    near = problem(data, init="gaussian", alpha=0.01, **axes)
    assert PREDICTIONS["minimum_l2_norm"].kind(far) == "limit alpha->0"
    gaps = [distance("minimum_l2_norm", each, connected_limit(data, each.layers)) for each in (far, near)]
    assert gaps[0] > 1e-2
    assert gaps[1] < gaps[0] / 10


@pytest.mark.parametrize("alpha", [1e-3, 0.3, 3.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_layers_one_sample(alpha: float, seed: int) -> None:
    """The closed form against the flow, from Gaussian layers; seeds give targets of both signs."""
    data = regression_data(samples=1, dim=4, seed=seed)
    axes: dict[str, Any] = {"architecture": "fully_connected", "depth": 2, "width": 6, "init": "gaussian"}
    drawn = problem(data, task="regression", alpha=alpha, seed=seed, **axes)
    assert distance("two_layer_one_sample", drawn, connected_limit(data, drawn.layers)) < 1e-8


def test_two_layers_one_sample_from_a_zero_last_layer() -> None:
    """beta = alpha^2 W W^T x sinh(|x| s) / |x| + x alpha^2 a (cosh - 1) sinh / |x|^3.

    Here a = |W^T x|^2 and sinh(2 |x| s) = 2 y |x| / (alpha^2 a).
    """
    data, alpha = regression_data(samples=1, dim=4, seed=3), 0.4
    w, x, y = np.random.default_rng(0).standard_normal((4, 5)), data.x[0], data.y[0]
    init = {"layers": [w.tolist(), [0.0] * 5]}
    axes: dict[str, Any] = {"architecture": "fully_connected", "depth": 2, "width": 5, "init": init}
    drawn = problem(data, task="regression", alpha=alpha, **axes)
    size, a = np.linalg.norm(x), np.sum((w.T @ x) ** 2)
    angle = np.arcsinh(2 * y * size / (alpha**2 * a)) / 2
    first = alpha**2 * w @ w.T @ x * np.sinh(angle) / size
    second = x * alpha**2 * a * (np.cosh(angle) - 1) * np.sinh(angle) / size**3
    np.testing.assert_allclose(forecast("two_layer_one_sample", drawn).beta, first + second, rtol=1e-11)


def test_one_layer() -> None:
    """From zero every isometric one-layer network finds the least norm; one that is no isometry is not promised to."""
    data = regression_data()
    for name in ("diagonal", "convolutional", "walsh", "fully_connected"):
        for init, kind in (("gaussian", "limit alpha->0"), ({"layers": [[0.0] * 8]}, "exact")):
            drawn = problem(data, task="regression", architecture=name, depth=1, init=init)
            assert PREDICTIONS["minimum_l2_norm"].kind(drawn) == kind
            expected = np.linalg.pinv(data.x) @ data.y
            np.testing.assert_allclose(forecast("minimum_l2_norm", drawn).beta, expected, rtol=1e-10)
    drawn = problem(data, task="regression", architecture="odeco", depth=1, width=8)
    assert [found.name for found in applicable(drawn)] == ["minimum_bregman"]


def test_two_zero_layers_never_move() -> None:
    """No statement is made of a coordinate, or a network, that is at rest at the start."""
    data = regression_data(dim=4)
    ones, half = [1.0] * 4, [1.0, 0.0, 1.0, 1.0]
    init = {"layers": [half, ones, [0.0] * 4]}
    assert applicable(problem(data, task="regression", architecture="diagonal", depth=3, init=init)) == []
    zeros = {"layers": [np.zeros((4, 4)).tolist(), [0.0] * 4]}
    assert (
        applicable(problem(data, task="regression", architecture="fully_connected", depth=2, width=4, init=zeros)) == []
    )


@pytest.mark.parametrize("name", ["diagonal", "walsh"])
@pytest.mark.parametrize("depth", [2, 3, 6])
def test_equal_columns_share(name: str, depth: int) -> None:
    """Twins, up to sign, stay equal along the flow, so in the limits too, where the linear program is not unique."""
    x = np.array([[1.0, -1.0, 0.25, 0.0], [2.0, -2.0, 0.0, 0.1]])
    if name == "walsh":
        x = x @ np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 4
    drawn = problem(
        Dataset("twins", x, np.array([1.0, 2.1])), task="regression", architecture=name, depth=depth, alpha=1e-3
    )
    transform = drawn.decomposition.s
    for found in ("minimum_q_norm", "weighted_l1"):
        made = forecast(found, drawn)
        assert made.certificate is not None
        assert made.certificate < 1e-12
        rho = np.linalg.solve(transform.T, np.asarray(made.beta))
        assert rho[0] == pytest.approx(-rho[1], rel=1e-10)
        assert abs(rho[0]) > 1e-3


def test_dependent_samples() -> None:
    """Repeated rows change nothing; targets that no coefficients fit are replaced by their projection."""
    data = regression_data()
    twice = Dataset("twice", np.vstack([data.x, data.x]), np.concatenate([data.y, data.y]))
    split = Dataset("split", twice.x, np.concatenate([data.y + 1, data.y - 1]))
    axes: dict[str, Any] = {"task": "regression", "architecture": "diagonal", "depth": 3, "alpha": 0.2}
    expected = forecast("minimum_q_norm", problem(data, **axes)).beta
    for other in (twice, split):
        np.testing.assert_allclose(forecast("minimum_q_norm", problem(other, **axes)).beta, expected, rtol=1e-9)


def test_a_record_says_whether_its_residual_was_reached() -> None:
    """From rho(0) = 1e9 a target of order 1 is lost in rounding: no coefficients, and the residual is told."""
    axes: dict[str, Any] = {"task": "regression", "architecture": "diagonal", "depth": 3, "init": "gaussian"}
    for alpha, reached, usable in ((1.0, 1.0, True), (30.0, 0.0, True), (1e3, 0.0, False)):
        made = forecast("minimum_bregman", problem(regression_data(samples=20, dim=200), alpha=alpha, **axes))
        assert made.certificate is not None
        assert made.detail["converged"] == reached == float(made.certificate <= 1e-12)
        assert (made.beta is not None) == usable == (made.certificate <= 1e-8)
