"""Two layers and one sample: against scipy's flow and matrix exponentials, closed forms, and where it must fail."""

from typing import Any

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import brentq

from kernels.data.kinds import Dataset
from kernels.networks.base import Architecture
from kernels.networks.decomposition import Decomposition, Layers
from kernels.problem import Problem
from kernels.theory.base import Endpoint, Forecast
from kernels.theory.one_sample import _singular, singular_basis, substitute
from kernels.theory.remaining import remaining
from kernels.theory.table import PREDICTIONS, applicable
from tests.marks import sampled
from tests.theory.problems import connected_limit, endpoint_at, problem, regression_data


class Listed(Architecture):
    """beta_i = v_1^T T_i v_2 with T of shape (2, 4, 5): M((1, 0)) has singular values 3, 3, 2, 0, M((0, 1)) mixes."""

    tensor = np.zeros((2, 4, 5))
    tensor[0] = np.diag([3.0, 3.0, 2.0, 0.0]) @ np.eye(4, 5)
    tensor[1] = np.random.default_rng(4).standard_normal((4, 5))

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((4,), (5,))

    def coefficients(self, layers: Layers) -> Any:
        return (self.tensor @ layers[1]) @ layers[0]

    def decomposition(self) -> Decomposition | None:
        return None

    def invariants(self, layers: Layers) -> list[Any]:
        return []


LISTED = f"{__name__}:Listed"
NETWORKS: list[dict[str, Any]] = [
    {"architecture": "fully_connected", "width": 4},
    {"architecture": "convolutional", "filter": 3},
    {"architecture": "convolutional"},
    {"architecture": "multichannel_convolutional", "width": 2, "filter": 2},
    {"architecture": LISTED},
]


def drawn_from(network: dict[str, Any], seed: int = 0, **axes: Any) -> Problem:
    if network["architecture"] == LISTED:
        data = Dataset("axis", np.array([[1.0, 0.0]]), np.array([1.0 - 2 * seed]))
    else:
        data = regression_data(1, 5, seed)
    return problem(data, **{"task": "regression", "depth": 2, "init": "gaussian", "seed": seed, **network, **axes})


def matrix_of(drawn: Problem, x: np.ndarray) -> np.ndarray:
    """M(x) from its definition."""
    first, second = drawn.architecture.shapes
    left, right = np.eye(int(np.prod(first))), np.eye(int(np.prod(second)))
    beta = drawn.architecture.coefficients
    return np.array([[x @ beta([v.reshape(first), w.reshape(second)]) for w in right] for v in left])


def motion(drawn: Problem) -> np.ndarray:
    """[[0, M], [M^T, 0]] of d(v_1, v_2)/ds = (M v_2, M^T v_1)."""
    m = matrix_of(drawn, drawn.dataset.x[0])
    return np.block([[np.zeros((len(m), len(m))), m], [m.T, np.zeros((m.shape[1],) * 2)]])


def moved(drawn: Problem, generator: np.ndarray) -> tuple[np.ndarray, ...]:
    """The layers after the exponential of a generator."""
    return drawn.architecture.split(expm(generator) @ np.concatenate([np.ravel(layer) for layer in drawn.layers]))


def layers_where(drawn: Problem, target: float) -> tuple[np.ndarray, ...]:
    """The layers where f = target; f rises along s."""
    whole, x = motion(drawn), drawn.dataset.x[0]
    reach = 16 / np.linalg.norm(whole, 2)

    def left(clock: float) -> float:
        return float(x @ drawn.architecture.coefficients(moved(drawn, clock * whole)) - target)

    return moved(drawn, float(brentq(left, -reach, reach, xtol=1e-15, rtol=1e-14)) * whole)


def limit(drawn: Problem) -> np.ndarray:
    return np.asarray(drawn.architecture.coefficients(layers_where(drawn, float(drawn.dataset.y[0]))))


def forecast(name: str, drawn: Problem) -> Forecast:
    assert PREDICTIONS[name].applies(drawn)
    (found,) = PREDICTIONS[name].forecast_all([drawn])
    assert found is not None
    assert found.beta is not None
    assert found.certificate is not None
    assert found.certificate < 1e-10
    return found


def gap(a: Any, b: Any) -> float:
    return float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b))


@pytest.mark.parametrize("network", sampled(NETWORKS, 3), ids=str)
@pytest.mark.parametrize("alpha", [0.02, 0.5, 3.0])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_limit_from_any_start(network: dict[str, Any], alpha: float, seed: int) -> None:
    """Repeated and zero singular values, more columns than rows, channels, targets of both signs."""
    drawn = drawn_from(network, seed, alpha=alpha)
    assert gap(forecast("minimum_bregman", drawn).beta, limit(drawn)) < 1e-10
    assert not PREDICTIONS["minimum_q_norm"].applies(drawn)


def test_the_exponential_is_the_flow() -> None:
    drawn = drawn_from(NETWORKS[0], alpha=0.5)
    assert gap(limit(drawn), connected_limit(drawn.dataset, drawn.layers)) < 1e-9


@pytest.mark.parametrize("init", ["gaussian", "orthogonal", "balanced"])
@pytest.mark.parametrize("alpha", [1e-6, 0.3, 10.0])
def test_it_agrees_with_the_closed_form_of_fully_connected_layers(init: str, alpha: float) -> None:
    for seed in range(3):
        drawn = drawn_from({"architecture": "fully_connected", "width": 7}, seed, alpha=alpha, init=init)
        assert gap(forecast("minimum_bregman", drawn).beta, forecast("two_layer_one_sample", drawn).beta) < 1e-10


@pytest.mark.parametrize("network", NETWORKS[:4], ids=str)
def test_samples_of_one_direction_are_one(network: dict[str, Any]) -> None:
    """Forces a_i r_i add up along the one input; targets that disagree are fitted as least squares would."""
    drawn = drawn_from(network, alpha=0.4)
    x, y = drawn.dataset.x, drawn.dataset.y
    several = Dataset("several", np.vstack([x, -2 * x, 0.5 * x]), np.array([y[0], -2 * y[0] + 0.3, 0.5 * y[0] + 0.6]))
    assert several.y @ [1, -2, 0.5] == pytest.approx(5.25 * y[0] - 0.3)
    also = problem(several, task="regression", depth=2, init="gaussian", alpha=0.4, **network)
    mean = Dataset("mean", x, np.array([several.y @ [1, -2, 0.5] / 5.25]))
    alone = problem(mean, task="regression", depth=2, init="gaussian", alpha=0.4, **network)
    assert gap(forecast("minimum_bregman", also).beta, limit(alone)) < 1e-10


@pytest.mark.parametrize("network", sampled(NETWORKS, 3), ids=str)
def test_limits_of_scale_from_one_zero_layer(network: dict[str, Any]) -> None:
    """minimum_q_norm is exact at every alpha, and tends to weighted_l1 at the predicted power and to weighted_l2."""
    unit = drawn_from(network)
    layers = {"layers": [unit.layers[0].tolist(), np.zeros_like(unit.layers[1]).tolist()]}
    at = {a: drawn_from(network, init=layers, alpha=a) for a in (1e-9, 1e-8, 1e-6, 0.3, 30.0, 300.0)}
    exact = {a: forecast("minimum_q_norm", each).beta for a, each in at.items()}
    assert gap(exact[0.3], limit(at[0.3])) < 1e-10
    least, square = (forecast(name, at[0.3]) for name in ("weighted_l1", "weighted_l2"))
    away = [gap(exact[a], least.beta) for a in (1e-9, 1e-8, 0.3)]
    assert away[0] < 1e-2 < away[2]
    assert np.log10(away[1] / away[0]) == pytest.approx(least.detail["slope"], abs=0.02)
    # corrections are of order alpha^-4
    assert gap(exact[300.0], square.beta) < 1e-6
    assert gap(exact[300.0], square.beta) < 1e-2 * gap(exact[30.0], square.beta) or gap(exact[30.0], square.beta) < 1e-9


def test_no_limit_in_large_alpha_where_beta_is_not_zero_at_first() -> None:
    """Orthogonal coordinates with neither layer zero: structured in rho, but beta(0) grows like alpha^2."""
    rho = {"layers": [[1.0, 0, 0, 1], [0.0, 1, 1, 0, 0]]}
    drawn = drawn_from({"architecture": LISTED}, init=rho, alpha=0.5)
    other = substitute(drawn)
    assert other is not None
    assert other.problem.scale is None or not other.from_zero
    assert not PREDICTIONS["weighted_l2"].applies(drawn)
    assert gap(forecast("minimum_bregman", drawn).beta, limit(drawn)) < 1e-10


def half_way(drawn: Problem) -> float:
    """The time at which f = y / 2, by dt = ds / (y - f) along the eigenvectors of the motion."""
    rates, axes = np.linalg.eigh(motion(drawn))
    start = axes.T @ np.concatenate([np.ravel(layer) for layer in drawn.layers])
    x, y = drawn.dataset.x[0], float(drawn.dataset.y[0])

    def fit(clock: float) -> float:
        layers = drawn.architecture.split(axes @ (np.exp(clock * rates) * start))
        return float(x @ drawn.architecture.coefficients(layers))

    half = brentq(lambda clock: fit(clock) - y / 2, 0, 80 / rates.max() * np.sign(y))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    return float(half / 2 * (weights @ [1 / (y - fit(half * (node + 1) / 2)) for node in nodes]))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_one_jump_of_one_sample(network: dict[str, Any]) -> None:
    """Its time grows with log(1/alpha) by 1 / (sigma |y|), sigma the largest singular value, and no other one."""
    seen, due = [], []
    for alpha in (1e-20, 1e-24):
        drawn = drawn_from(network, alpha=alpha)
        made = forecast("saddle_sequence", drawn)
        record = PREDICTIONS["saddle_sequence"].compare(drawn, made, endpoint_at(np.array(made.beta), drawn.layers))
        assert [each.number for each in record.saddles] == [0, 1]
        np.testing.assert_allclose(record.saddles[1].predicted, forecast("weighted_l1", drawn).beta, rtol=1e-12)
        due.append(np.exp(record.saddles[1].log_time_predicted))
        seen.append(half_way(drawn))
    assert seen[1] - seen[0] == pytest.approx(due[1] - due[0], rel=1e-3)
    values = np.linalg.svd(matrix_of(drawn, drawn.dataset.x[0]), compute_uv=False)
    rate = abs(float(drawn.dataset.y[0])) / np.log(1e4)
    assert due[1] - due[0] == pytest.approx(1 / (values[0] * rate), rel=1e-12)
    for other in values[(values > 0.1) & (values < 0.99 * values[0])]:
        assert seen[1] - seen[0] != pytest.approx(1 / (other * rate), rel=1e-3)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("label", [1.0, -1.0])
def test_the_margin_of_one_sample(network: dict[str, Any], label: float) -> None:
    """The direction at s -> infinity; of repeated singular values the combination that the start chooses."""
    regression = drawn_from(network)
    data = Dataset("label", regression.dataset.x, np.array([label]))
    axes = {**network, "task": "classification", "depth": 2, "init": "gaussian", "alpha": 0.1}
    drawn = problem(data, **axes)
    whole = label * motion(drawn)
    largest = np.linalg.norm(whole, 2)
    # less the growth that all share, so that nothing overflows
    far = drawn.architecture.coefficients(moved(drawn, 400 / largest * (whole - largest * np.eye(len(whole)))))
    made = forecast("max_margin_bridge", drawn)
    assert np.linalg.norm(made.beta) == pytest.approx(1.0)
    assert np.linalg.norm(made.beta - far / np.linalg.norm(far)) < 1e-6
    assert made.objective == pytest.approx(1 / largest)


def test_the_rest_of_the_way_is_that_of_the_flow() -> None:
    """`remaining` shortly before the end against the distance to the end, in every network."""
    for network in NETWORKS:
        drawn = drawn_from(network, alpha=0.5)
        end, layers = limit(drawn), layers_where(drawn, float(drawn.dataset.y[0]) * (1 - 1e-5))
        beta = np.asarray(drawn.architecture.coefficients(layers))
        (share,) = remaining([drawn], [endpoint_at(beta, layers)])
        assert share == pytest.approx(gap(beta, end), rel=1e-3)


def test_it_says_nothing_of_two_directions_or_three_layers() -> None:
    """And rightly: with a second direction the flow does not end where the substitute of the first sample does."""
    network = {"architecture": "fully_connected", "width": 4}
    two = regression_data(2, 5)
    drawn = problem(two, task="regression", depth=2, init="gaussian", alpha=0.5, **network)
    assert substitute(drawn) is None
    assert singular_basis(drawn) is None
    assert [found.name for found in applicable(drawn)] == ["minimum_l2_norm"]
    deep = problem(regression_data(1, 5), task="regression", depth=3, init="gaussian", alpha=0.5, **network)
    assert substitute(deep) is None
    first = problem(
        Dataset("first", two.x[:1], two.y[:1]), task="regression", depth=2, init="gaussian", alpha=0.5, **network
    )
    assert gap(forecast("minimum_bregman", first).beta, connected_limit(two, drawn.layers)) > 0.1


def test_starts_that_cannot_grow_have_no_statement() -> None:
    """v_1 = -v_2 in every coordinate: f < 0 for ever, and no positive target is fitted."""
    u = [1.0, 2, 0, 0]
    against = {"layers": [u, [-1.0, -2, 0, 0, 0]]}
    for seed, applies in ((0, False), (1, True)):
        drawn = drawn_from({"architecture": LISTED}, seed, init=against, alpha=0.3)
        assert PREDICTIONS["minimum_bregman"].applies(drawn) == applies
        if applies:
            assert gap(forecast("minimum_bregman", drawn).beta, limit(drawn)) < 1e-10
    still = {"layers": [[0.0, 0, 0, 1], [0.0, 0, 0, 1, 1]]}
    assert applicable(drawn_from({"architecture": LISTED}, init=still)) == []


def test_coordinates_are_distinct_singular_values() -> None:
    basis = singular_basis(drawn_from({"architecture": LISTED}))
    assert basis is not None
    np.testing.assert_allclose(basis.values, [3.0, 2.0])
    np.testing.assert_array_equal(basis.group, [0, 0, 1])
    ends = drawn_from({"architecture": LISTED}, alpha=0.5)
    other = substitute(ends)
    assert other is not None
    seen = other.seen(Endpoint(ends.layers, np.zeros(2), np.zeros((1, 9)), 0.0, 0.0, 0.0))
    np.testing.assert_allclose(seen.layers, other.problem.layers)
    f = float(ends.architecture.coefficients(ends.layers)[0])
    assert basis.values @ np.prod(seen.layers, axis=0) == pytest.approx(f)


@pytest.mark.parametrize("shape", [(4, 4), (3, 6), (6, 3)])
def test_singular_vectors_of_a_diagonal_network_are_read_off(shape: tuple[int, int]) -> None:
    """A matrix with at most one entry in each row and column, zero rows and equal sizes included."""
    rng = np.random.default_rng(0)
    matrix = np.zeros(shape)
    rows, columns = rng.permutation(shape[0])[:3], rng.permutation(shape[1])[:3]
    matrix[rows, columns] = [-2.0, 0.5, 2.0]
    left, values, right = _singular(matrix)
    np.testing.assert_array_equal((left * values) @ right, matrix)
    np.testing.assert_array_equal(left.T @ left, np.eye(3))
    np.testing.assert_array_equal(right @ right.T, np.eye(3))
    np.testing.assert_allclose(values, np.linalg.svd(matrix, compute_uv=False)[:3])
