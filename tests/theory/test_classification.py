"""Statements of the endpoint, at points where they are known to hold and where they are known to fail."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import CERTIFIED, Endpoint
from kernels.theory.optimisers import margins
from kernels.theory.table import PREDICTIONS
from tests.theory.problems import classification_data, problem

LOG_MARGIN = 1e6


def diagonal(depth: int, init: Any = "ordered", **axes: Any) -> Problem:
    axes = {"architecture": "diagonal", "depth": depth, "init": init, **axes}
    return problem(classification_data(), task="classification", **axes)


def at_rho(drawn: Problem, rho: np.ndarray) -> Endpoint:
    """The balanced layers of a diagonal network with w_1 * ... * w_L = rho, at -log Loss = 1e6."""
    depth = drawn.depth
    root = np.abs(rho) ** (1 / depth)
    layers = np.array([np.sign(rho) * root, *[root] * (depth - 1)])
    layers /= np.linalg.norm(layers)
    beta = layers.prod(axis=0)
    columns = [drawn.dataset.x * np.delete(layers, layer, axis=0).prod(axis=0) for layer in range(depth)]
    least = (drawn.dataset.y * (drawn.dataset.x @ beta)).min()
    log_norm = np.log(LOG_MARGIN / least) / depth
    return Endpoint(tuple(layers), beta, np.hstack(columns), float(log_norm), -LOG_MARGIN, LOG_MARGIN)


def compare(name: str, drawn: Problem, end: Endpoint) -> PredictionRecord:
    prediction = PREDICTIONS[name]
    assert prediction.applies(drawn)
    return prediction.compare(drawn, prediction.forecast(drawn), end)


def signed(data: Dataset) -> np.ndarray:
    return data.y[:, None] * data.x


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_kkt_points_are_recognised(depth: int) -> None:
    """The least ||rho||_{2/L} is a KKT point in Theta, an aligned one, and stationary on its support."""
    drawn = diagonal(depth)
    z = signed(drawn.dataset)
    best = margins.least_norm(z) if depth == 1 else margins.least_sum(z) if depth == 2 else None
    rho = margins.best_known(z, 2 / depth, 32).solution if best is None else best.solution
    end = at_rho(drawn, rho)
    kkt = compare("parameter_kkt", drawn, end)
    assert kkt.distance is not None
    assert kkt.distance < 1e-8
    assert kkt.detail["complementarity"] < 1e-10
    bridge = compare("max_margin_bridge", drawn, end)
    assert bridge.distance is not None
    assert bridge.distance < 1e-8
    assert depth < 3 or bridge.detail["stationarity"] < 1e-8
    assert bridge.detail["objective_reached"] == pytest.approx(bridge.objective, rel=1e-8)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_other_points_are_not(depth: int) -> None:
    drawn = diagonal(depth)
    rng = np.random.default_rng(0)
    z = signed(drawn.dataset)
    other = margins.least_norm(z * rng.uniform(0.5, 2, z.shape[1])).solution
    while (z @ other).min() <= 0:
        other = margins.least_norm(z).solution * rng.uniform(0.7, 1.4, z.shape[1])
    end = at_rho(drawn, other)
    for name in ("parameter_kkt", "singular_vectors"):
        found = compare(name, drawn, end).distance
        assert found is not None
        assert found > 1e-2
    bridge = compare("max_margin_bridge", drawn, end)
    if depth < 3:
        assert bridge.distance is not None
        assert bridge.distance > 1e-2
        return
    # no stationary point is near: none is predicted, and the residual at the end itself is still told
    assert bridge.detail["stationarity"] > 1e-2
    assert bridge.certificate is not None
    assert (bridge.distance is None) == (bridge.beta is None) == (bridge.certificate > CERTIFIED)
    assert bridge.distance is None or bridge.distance > 1e-2


def test_inactive_samples_carry_no_multiplier() -> None:
    """(1, 2) -> +1, (0, -3) -> -1: one support vector for the SVM; at the other point both would be needed."""
    data = Dataset("plane", np.array([[1.0, 2.0], [0.0, -3.0]]), np.array([1.0, -1.0]))
    drawn = problem(data, task="classification", architecture="diagonal", depth=1, init="ordered")
    right = compare("parameter_kkt", drawn, at_rho(drawn, np.array([1.0, 2.0])))
    assert right.detail["active_samples"] == 1
    assert right.distance == pytest.approx(0, abs=1e-12)
    wrong = compare("parameter_kkt", drawn, at_rho(drawn, np.array([1.0, 6.0])))
    assert wrong.distance is not None
    assert wrong.distance > 0.1


@pytest.mark.parametrize("depth", [2, 3])
def test_fully_connected_rank_one(depth: int) -> None:
    """W_l = u_l u_{l+1}^T along the SVM direction: aligned, of singular ratio 0, and of the largest margin."""
    data = classification_data()
    axes: dict[str, Any] = {"architecture": "fully_connected", "depth": depth, "width": 5, "init": "gaussian"}
    drawn = problem(data, task="classification", **axes)
    rng = np.random.default_rng(0)
    svm = margins.least_norm(signed(data)).solution
    chain = [svm / np.linalg.norm(svm), *(v / np.linalg.norm(v) for v in rng.standard_normal((depth - 1, 5)))]

    def end_of(parts: list[np.ndarray]) -> Endpoint:
        scale = np.sqrt(sum((part**2).sum() for part in parts))
        layers = tuple(part / scale for part in parts)
        blocks = []
        for index, layer in enumerate(layers):
            left = np.linalg.multi_dot([data.x, *layers[:index], np.eye(layer.shape[0])])
            rest = layers[index + 1 :]
            right = np.linalg.multi_dot(rest) if len(rest) > 1 else rest[0] if rest else np.ones(1)
            block = left[:, :, None] * right if layer.ndim == 2 else left
            blocks.append(block.reshape(len(data.y), -1))
        beta = np.linalg.multi_dot(layers)
        least = (data.y * (data.x @ beta)).min()
        log_norm = np.log(LOG_MARGIN / least) / depth
        return Endpoint(layers, beta, np.hstack(blocks), float(log_norm), -LOG_MARGIN, LOG_MARGIN)

    parts = [np.outer(a, b) for a, b in pairwise(chain)] + [chain[-1]]
    end = end_of(parts)
    np.testing.assert_allclose(
        end.jacobian @ np.concatenate([p.ravel() for p in end.layers]), depth * data.x @ end.beta
    )
    for name in ("max_margin_l2", "parameter_kkt"):
        assert compare(name, drawn, end).distance == pytest.approx(0, abs=1e-8)
    vectors = compare("singular_vectors", drawn, end)
    # the softmax of margins equal to rounding is not the multipliers', so the gradient need not be along the SVM
    assert vectors.singular_ratio is not None
    assert vectors.singular_ratio < 1e-14
    assert vectors.rank == 1
    assert vectors.adjacent_alignment == pytest.approx(1)
    # M(u) of unit vectors along the chain is u.svm / (||u|| ||svm||), at most 1
    assert vectors.singular_value is not None
    assert 0 < vectors.singular_value <= 1 + 1e-12
    crooked = end_of([parts[0] + 0.05 * rng.standard_normal(parts[0].shape), *parts[1:]])
    found = compare("singular_vectors", drawn, crooked).singular_ratio
    assert found is not None
    assert found > 0.03
    assert compare("singular_vectors", drawn, end_of([parts[0] + np.eye(*parts[0].shape), *parts[1:]])).rank > 1


def test_loss_rate_of_one_sample() -> None:
    """L = 1 from zero: e^{|x|^2 s} grows as 1 + |x|^2 t, so Loss t -> 1 / |x|^2 like 1 - 1 / (|x|^2 t)."""
    x = np.array([[1.0, 2.0]])
    drawn = problem(
        Dataset("one", x, np.ones(1)), task="classification", architecture="diagonal", depth=1, init="ordered"
    )
    for log_time in (10.0, 30.0):
        end = at_rho(drawn, x[0])
        log_loss = -np.log1p(5 * np.exp(log_time))
        end = Endpoint(end.layers, end.beta, end.jacobian, end.log_norm, float(log_loss), log_time)
        found = compare("loss_rate", drawn, end).distance
        assert found == pytest.approx(np.exp(-log_time) / 5, rel=1e-3, abs=1e-13)


def test_loss_rate_needs_time() -> None:
    drawn = diagonal(2)
    early = at_rho(drawn, margins.least_sum(signed(drawn.dataset)).solution)
    early = Endpoint(early.layers, early.beta, early.jacobian, 0.0, -1.0, 0.5)
    assert compare("loss_rate", drawn, early).distance is None


@pytest.mark.parametrize("name", ["diagonal", "convolutional", "walsh", "fully_connected", "odeco"])
def test_one_layer_is_the_svm(name: str) -> None:
    """Isometric networks of one layer have both predictions, and they agree; odeco of one layer only its own."""
    drawn = problem(classification_data(), task="classification", architecture=name, depth=1, init="gaussian")
    applying = {key for key in ("max_margin_l2", "max_margin_bridge") if PREDICTIONS[key].applies(drawn)}
    expected = {"fully_connected": {"max_margin_l2"}, "odeco": {"max_margin_bridge"}}
    assert applying == expected.get(name, {"max_margin_l2", "max_margin_bridge"})
    betas = [PREDICTIONS[key].forecast(drawn).beta for key in applying]
    np.testing.assert_allclose(betas[0], betas[-1], atol=1e-8)


def test_bridge_needs_one_least_layer() -> None:
    """Layers of equal modulus cannot cross zero: the statement is not made."""
    ones, less = [1.0] * 8, [0.5] * 8
    assert PREDICTIONS["max_margin_bridge"].applies(diagonal(2, {"layers": [less, ones]}))
    assert PREDICTIONS["max_margin_bridge"].applies(diagonal(2, "structured"))
    assert PREDICTIONS["max_margin_bridge"].applies(diagonal(3, "gaussian"))
    assert not PREDICTIONS["max_margin_bridge"].applies(diagonal(2, {"layers": [ones, ones]}))
    assert not PREDICTIONS["max_margin_bridge"].applies(diagonal(2, {"layers": [ones, [-1.0] * 8]}))


def test_dual_off_the_support() -> None:
    """(1, 0.9) -> +1: the l1 margin is on the first coordinate, the other dies like (-log Loss)^{-0.1}."""
    data = Dataset("near", np.array([[1.0, 0.9]]), np.ones(1))
    drawn = problem(data, task="classification", architecture="diagonal", depth=2, init="ordered")
    made = PREDICTIONS["max_margin_bridge"].forecast(drawn)
    assert made is not None
    np.testing.assert_allclose(made.beta, [1, 0], atol=1e-12)
    assert made.detail["off_support_dual"] == pytest.approx(0.9)


@pytest.mark.parametrize("name", ["diagonal", "signed_diagonal"])
def test_dual_off_the_support_of_signed_networks(name: str) -> None:
    """u^L - v^L has each column twice: the mirror image of the support is no coordinate that dies."""
    for x, dual in (([[1.0, 0.9]], 0.9), ([[1.0, -0.4]], 0.4), ([[1.0]], 0.0)):
        data = Dataset("near", np.array(x), np.ones(1))
        drawn = problem(data, task="classification", architecture=name, depth=2, init="ordered")
        made = PREDICTIONS["max_margin_bridge"].forecast(drawn)
        assert made is not None
        assert made.detail["off_support_dual"] == pytest.approx(dual)


def test_directions_of_samples_of_very_different_norms() -> None:
    """x = (1e4, 0) -> +1, (0, 1e-4) -> -1: beta = (1e-4, -1e4), in both predictions that speak of it."""
    data = Dataset("norms", np.diag([1e4, 1e-4]), np.array([1.0, -1.0]))
    for name, axes in (
        ("max_margin_l2", {"architecture": "fully_connected", "depth": 2, "width": 3, "init": "gaussian"}),
        ("max_margin_bridge", {"architecture": "diagonal", "depth": 1, "init": "gaussian"}),
        ("max_margin_bridge", {"architecture": "diagonal", "depth": 2, "init": "ordered"}),
    ):
        made = PREDICTIONS[name].forecast(problem(data, task="classification", **axes))
        assert made is not None
        assert made.certificate is not None
        assert made.certificate < 1e-12
        np.testing.assert_allclose(made.beta, [1e-8, -1], rtol=1e-10)


def test_complex_bridge_is_symmetric() -> None:
    """Convolution, L = 2: the least sum of moduli of spectra, its value that of the real coefficients predicted."""
    drawn = problem(classification_data(), task="classification", architecture="convolutional", depth=2, init="ordered")
    made = PREDICTIONS["max_margin_bridge"].forecast(drawn)
    assert made is not None
    assert made.certificate is not None
    assert made.certificate < 1e-8
    rho = np.linalg.solve(drawn.decomposition.s.T, np.asarray(made.beta).astype(complex))
    reached = margins.quasi_norm(signed(drawn.dataset) @ drawn.decomposition.s.T, rho, 1.0)
    assert reached == pytest.approx(made.objective, rel=1e-7)
