"""Whole runs: what is promised of tolerances, closed forms, rates. Networks x predictions are in test_pairs."""

from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.networks.table import ARCHITECTURES
from kernels.results import RunResult
from kernels.simulate import simulate
from kernels.theory.optimisers.margins import least_norm
from tests.kernels.conftest import NETWORKS, classification_data, regression_data, spec_of


def run(
    dataset: Dataset, alphas: tuple[float, ...] = (0.1,), seeds: tuple[int, ...] = (0,), **axes: Any
) -> list[RunResult]:
    specs = [spec_of(dataset, alpha=alpha, seed=seed, **axes) for alpha in alphas for seed in seeds]
    return simulate([(spec, dataset) for spec in specs])


def distances(results: list[RunResult], name: str) -> list[float]:
    return [
        p.distance for result in results for p in result.predictions if p.prediction == name and p.distance is not None
    ]


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


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("architecture", ["diagonal", "signed_diagonal"])
def test_sparse_unit_matrices_change_nothing(architecture: str, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large networks hold S and U_l sparse. With them every number is the same, predictions and orbits included."""
    dataset = regression_data(2, 4) if task == "regression" else classification_data(2, 4)
    axes = {"task": task, "architecture": architecture, "depth": 2, "init": "gaussian"}
    # both at one level of compilation: levels round differently, and steps at the noise follow
    monkeypatch.setattr("kernels.integrator.loop.OPTIMISATION", np.inf)
    (plain,) = run(dataset, **axes)
    monkeypatch.setattr("kernels.networks.decomposition.LARGEST_DENSE", 0)
    (sparse,) = run(dataset, **axes)
    assert plain.trajectory is not None
    assert sparse.trajectory is not None
    np.testing.assert_allclose(sparse.trajectory.beta, plain.trajectory.beta, rtol=1e-12)
    assert len(sparse.predictions) == len(plain.predictions) > 2
    for one, other in zip(sparse.predictions, plain.predictions, strict=True):
        assert (one.prediction, one.distance is None, len(one.path)) == (
            other.prediction, other.distance is None, len(other.path),
        )  # fmt: skip
        np.testing.assert_allclose(one.distance or 0, other.distance or 0, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(
            [each.distance for each in one.path], [each.distance for each in other.path], rtol=1e-6, atol=1e-12
        )


def test_one_sample_meets_its_closed_form() -> None:
    """L = 2, one sample: beta_j = alpha^2 sinh(2 nu x_j) / 2 with x . beta = y."""
    x, y, alpha = np.array([1.0, 2.0]), 1.0, 0.3
    low, high = 0.0, 10.0
    for _ in range(200):
        nu = (low + high) / 2
        low, high = (nu, high) if x @ (alpha**2 * np.sinh(2 * nu * x) / 2) < y else (low, nu)
    dataset = Dataset("one", x[None], np.array([y]))
    axes = {"task": "regression", "architecture": "diagonal", "depth": 2, "init": "structured", "rtol": 1e-10}
    axes["record"] = False
    (result,) = run(dataset, (alpha,), **axes)
    np.testing.assert_allclose(result.beta, alpha**2 * np.sinh(2 * nu * x) / 2, rtol=1e-8)


@pytest.mark.slow
def test_gaussian_fully_connected_regression_approaches_the_least_norm_as_alpha_falls() -> None:
    axes = {"task": "regression", "architecture": "fully_connected", "depth": 2, "init": "gaussian", "width": 9}
    results = run(regression_data(2, 8), (1.0, 0.1, 0.01), record=False, **axes)
    gaps = distances(results, "minimum_l2_norm")
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2]


@pytest.mark.slow
def test_a_diagonal_network_does_not_end_at_the_svm() -> None:
    """Nor does theory say so: no such prediction is reported, and the direction stays away from the SVM's."""
    dataset = classification_data(2, 8)
    axes = {"task": "classification", "architecture": "diagonal", "depth": 2, "init": "ordered", "record": False}
    (result,) = run(dataset, **axes)
    svm = least_norm(dataset.y[:, None] * dataset.x).solution
    assert "max_margin_l2" not in {record.prediction for record in result.predictions}
    assert np.linalg.norm(result.beta / np.linalg.norm(result.beta) - svm / np.linalg.norm(svm)) > 0.1


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
    assert slope == pytest.approx(-1 / depth, abs=0.05)
    for values in gaps.values():
        assert values[0] > values[1] > values[2]


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_loss_rate_reaches_its_constant_with_two_support_vectors(depth: int) -> None:
    dataset = Dataset("two", np.array([[1.0, 2.0], [0.0, -3.0]]), np.array([1.0, -1.0]))
    axes = {"task": "classification", "architecture": "fully_connected", "init": "gaussian", "width": 4}
    assert distances(run(dataset, (0.1,), depth=depth, **axes), "loss_rate")[0] < 1e-3


@pytest.mark.slow
def test_runs_of_different_shapes_go_together() -> None:
    dataset = regression_data()
    axes = {"task": "regression", "architecture": "diagonal", "record": False}
    runs = [(spec_of(dataset, depth=depth, **axes), dataset) for depth in (2, 3, 2)]
    for run, result in zip(runs, simulate(runs), strict=True):
        (alone,) = simulate([run])
        assert result.spec is run[0]
        np.testing.assert_allclose(result.beta, alone.beta, rtol=1e-10)


def test_all_architectures_take_part() -> None:
    assert set(ARCHITECTURES) == {name for name, _ in NETWORKS}
