"""Whole runs against theory: every architecture with every prediction that applies, and where none may hold."""

from typing import Any

import numpy as np
import pytest

from kernels.architectures import ARCHITECTURES
from kernels.datasets import Dataset
from kernels.results import RunResult
from kernels.simulate import forecasts, simulate
from kernels.theory.predictions import PREDICTIONS
from tests.kernels.conftest import NETWORKS, classification_data, regression_data, spec_of

LIMITS = {"weighted_l1", "weighted_l2", "minimum_l2_norm"}
"""Predictions of which some are limits in alpha, met only there."""


def run(
    dataset: Dataset, alphas: tuple[float, ...] = (0.1,), seeds: tuple[int, ...] = (0,), **axes: Any
) -> list[RunResult]:
    specs = [spec_of(dataset, alpha=alpha, seed=seed, **axes) for alpha in alphas for seed in seeds]
    return simulate([(spec, dataset) for spec in specs])


def distances(results: list[RunResult], name: str) -> list[float]:
    return [
        p.distance for result in results for p in result.predictions if p.prediction == name and p.distance is not None
    ]


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("architecture", ["diagonal", "walsh", "odeco"])
def test_structured_regression_ends_at_the_q_norm(architecture: str, depth: int) -> None:
    """Exact at every alpha: 1e-5 at the default tolerance is the promise, kept here with room to spare."""
    alphas = (0.01, 0.1, 1.0, 10.0)
    results = run(
        regression_data(), alphas, task="regression", architecture=architecture, depth=depth, init="structured"
    )
    assert {result.status for result in results} == {"converged"}
    for name in ("minimum_q_norm", "minimum_bregman"):
        assert len(distances(results, name)) == len(alphas)
        assert max(distances(results, name)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("architecture", ["diagonal", "walsh", "odeco", "convolutional"])
@pytest.mark.parametrize(("rtol", "promise"), [(1e-7, 1e-5), (1e-10, 1e-8)])
def test_promised_distance_to_the_q_norm(architecture: str, depth: int, rtol: float, promise: float) -> None:
    dataset = regression_data(1, 2) if architecture == "convolutional" else regression_data(3, 8)
    alphas = tuple(float(alpha) for alpha in np.geomspace(0.01, 10, 13))
    axes = {"task": "regression", "architecture": architecture, "depth": depth, "init": "structured", "rtol": rtol}
    results = run(dataset, alphas, **axes)
    assert len(distances(results, "minimum_q_norm")) == len(alphas)
    assert max(distances(results, "minimum_q_norm")) < promise


@pytest.mark.parametrize("depth", [2, 3])
def test_arbitrary_initialisations_end_at_the_bregman_minimum(depth: int) -> None:
    axes = {"task": "regression", "architecture": "diagonal", "depth": depth, "init": "gaussian", "rtol": 1e-9}
    results = run(regression_data(), (0.05, 1.0), (0, 1, 2), **axes)
    assert len(distances(results, "minimum_bregman")) == 6
    assert max(distances(results, "minimum_bregman")) < 1e-6
    assert not distances(results, "minimum_q_norm")


def test_one_sample_meets_its_closed_form() -> None:
    """L = 2, one sample: beta_j = alpha^2 sinh(2 nu x_j) / 2 with x . beta = y."""
    x, y, alpha = np.array([1.0, 2.0]), 1.0, 0.3
    low, high = 0.0, 10.0
    for _ in range(200):
        nu = (low + high) / 2
        low, high = (nu, high) if x @ (alpha**2 * np.sinh(2 * nu * x) / 2) < y else (low, nu)
    dataset = Dataset("one", x[None], np.array([y]))
    axes = {"task": "regression", "architecture": "diagonal", "depth": 2, "init": "structured", "rtol": 1e-10}
    (result,) = run(dataset, (alpha,), **axes)
    np.testing.assert_allclose(result.beta, alpha**2 * np.sinh(2 * nu * x) / 2, rtol=1e-8)


@pytest.mark.parametrize("depth", [2, 3])
def test_orthogonal_fully_connected_regression_ends_at_the_least_norm(depth: int) -> None:
    axes = {"task": "regression", "architecture": "fully_connected", "depth": depth, "init": "orthogonal", "width": 9}
    results = run(regression_data(), (0.01, 1.0, 10.0), **axes)
    assert {p.kind for result in results for p in result.predictions} == {"exact"}
    assert max(distances(results, "minimum_l2_norm")) < 1e-6


def test_gaussian_fully_connected_regression_approaches_the_least_norm_as_alpha_falls() -> None:
    axes = {"task": "regression", "architecture": "fully_connected", "depth": 2, "init": "gaussian", "width": 9}
    gaps = [distances(run(regression_data(), (alpha,), **axes), "minimum_l2_norm")[0] for alpha in (1.0, 0.1, 0.01)]
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2]


def test_the_limits_in_alpha_are_limits() -> None:
    """The l1 gap closes as alpha falls and stays open at large alpha, the l2 gap the other way round."""
    axes = {"task": "regression", "architecture": "diagonal", "depth": 3, "init": "structured"}
    results = run(regression_data(), (1e-3, 0.1, 10.0), **axes)
    l1, l2 = distances(results, "weighted_l1"), distances(results, "weighted_l2")
    assert l1[0] < 1e-2 < l1[1] < l1[2]
    assert l2[2] < 1e-2 < l2[1] < l2[0]
    assert l1[2] > 0.1
    assert l2[0] > 0.1


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_fully_connected_classification_ends_at_the_svm(depth: int) -> None:
    axes = {"task": "classification", "architecture": "fully_connected", "init": "gaussian", "width": 10}
    results = run(classification_data(), (0.3,), (0, 1), depth=depth, **axes)
    assert max(distances(results, "max_margin_l2")) < 2e-2
    assert max(distances(results, "singular_vectors")) < 1e-2
    assert max(distances(results, "parameter_kkt")) < 3e-2


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_svm_is_approached_like_a_power_of_the_loss(depth: int) -> None:
    """Distance ~ (-log Loss)^(-1/L) between 1e4 and 1e8; singular vectors and loss rate tighten too."""
    gaps: dict[str, list[float]] = {"max_margin_l2": [], "singular_vectors": [], "loss_rate": []}
    for log_loss in (-1e4, -1e6, -1e8):
        axes = {"task": "classification", "architecture": "fully_connected", "init": "gaussian", "width": 10}
        results = run(classification_data(), (0.3,), (0, 1, 2), depth=depth, stop={"log_loss": log_loss}, **axes)
        for name, values in gaps.items():
            values.append(float(np.median(distances(results, name))))
    slope = np.polyfit(np.log([1e4, 1e6, 1e8]), np.log(gaps["max_margin_l2"]), 1)[0]
    assert slope == pytest.approx(-1 / depth if depth > 2 else -1 / 2, abs=0.05)
    for values in gaps.values():
        assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_loss_rate_reaches_its_constant_with_two_support_vectors(depth: int) -> None:
    dataset = Dataset("two", np.array([[1.0, 2.0], [0.0, -3.0]]), np.array([1.0, -1.0]))
    axes = {"task": "classification", "architecture": "fully_connected", "init": "gaussian", "width": 4}
    assert distances(run(dataset, (0.1,), depth=depth, **axes), "loss_rate")[0] < 1e-3


def test_convolutional_classification_ends_near_its_convex_optimum() -> None:
    """L = 2: the complex l1 problem; the direction is within 10 % and closing."""
    gaps = []
    for log_loss in (-1e4, -1e6):
        axes = {"task": "classification", "architecture": "convolutional", "depth": 2, "init": "ordered"}
        results = run(classification_data(), (0.1,), (0, 1, 2), stop={"log_loss": log_loss}, **axes)
        gaps.append(max(distances(results, "max_margin_bridge")))
    assert 0.1 > gaps[0] > gaps[1]


def test_assumptions_matter() -> None:
    """A diagonal network is no fully connected one: its direction stays away from the SVM's, as theory says."""
    dataset = classification_data()
    (deep,) = run(dataset, task="classification", architecture="diagonal", depth=3, init="ordered")
    (flat,) = run(dataset, task="classification", architecture="diagonal", depth=1, init="ordered")
    svm = flat.beta / np.linalg.norm(flat.beta)
    assert distances([flat], "max_margin_l2")[0] < 1e-5
    assert not distances([deep], "max_margin_l2")
    assert np.linalg.norm(deep.beta / np.linalg.norm(deep.beta) - svm) > 0.1


@pytest.mark.parametrize(("architecture", "sizes"), NETWORKS, ids=str)
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_every_forecast_carries_a_certificate(architecture: str, sizes: dict[str, Any], task: str) -> None:
    dataset = regression_data() if task == "regression" else classification_data()
    inits = ["gaussian", "orthogonal"] if architecture == "fully_connected" else ["gaussian", "structured", "ordered"]
    for init in inits:
        if (init == "orthogonal" and sizes["width"] < 8) or ("filter" in sizes and init != "gaussian"):
            continue
        spec = spec_of(dataset, task=task, architecture=architecture, depth=2, init=init, alpha=0.2, **sizes)
        for record in forecasts(spec, dataset):
            assert record.prediction in PREDICTIONS
            assert record.distance is None
            if record.beta is not None:
                assert record.certificate is not None
                assert record.certificate < 1e-8


def test_runs_of_different_shapes_are_refused() -> None:
    dataset = regression_data()
    axes = {"task": "regression", "architecture": "diagonal"}
    with pytest.raises(ValueError, match="must share a compile key; these have 2"):
        simulate([(spec_of(dataset, depth=depth, **axes), dataset) for depth in (2, 3)])


def test_all_architectures_take_part() -> None:
    assert set(ARCHITECTURES) == {name for name, _ in NETWORKS}
