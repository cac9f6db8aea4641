"""Hard problems: stiff regressions, and a thousand classifications driven to -log Loss = 1e8."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from kernels.data.kinds import Dataset
from kernels.integrator.lane import CONVERGED, NOTHING_TO_DO
from kernels.problem import Problem, problem_of
from kernels.results import RunResult
from kernels.simulate import simulate
from kernels.x64 import jax
from tests.kernels.conftest import classification_data, regression_data, spec_of
from tests.kernels.test_flow import ends_of

SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("diagonal", {}),
    ("signed_diagonal", {}),
    ("walsh", {}),
    ("convolutional", {}),
    ("convolutional", {"filter": 3}),
    ("fully_connected", {"width": 10}),
]


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 4])
def test_a_condition_number_of_1e8_costs_no_accuracy(depth: int) -> None:
    """X X^T has eigenvalues from 1 to 1e-8; the limit is known at every alpha, from its own solver."""
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.standard_normal((size, 4)))[0] for size in (4, 8))
    x = left @ np.diag(np.geomspace(1, 1e-4, 4)) @ right.T
    dataset = Dataset("stiff", x, x @ rng.standard_normal(8))
    axes = {"task": "regression", "architecture": "diagonal", "init": "structured", "stop": {"residual": 1e-12}}
    specs = [spec_of(dataset, depth=depth, alpha=alpha, **axes) for alpha in (0.1, 1.0)]
    for result in simulate([(spec, dataset) for spec in specs]):
        assert result.status == "converged"
        (prediction,) = [p for p in result.predictions if p.prediction == "minimum_q_norm"]
        assert prediction.distance is not None
        assert prediction.distance < 1e-6


@pytest.mark.slow
def test_rounding_is_not_taken_for_error() -> None:
    """Compressed sensing at a small scale: 20 rates from 1e-10 to 70, and steps of 1e10 that only rounding sees."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((20, 50))
    dataset = Dataset("sparse", x, x[:, :3] @ np.array([1.0, -2.0, 1.5]))
    axes = {"task": "regression", "architecture": "diagonal", "depth": 3, "init": "structured", "record": False}
    (result,) = simulate([(spec_of(dataset, alpha=1e-3, **axes), dataset)])
    assert result.status == "converged"
    assert result.steps < 2_000


@pytest.mark.slow
def test_a_thousand_classifications_reach_1e8_in_few_steps() -> None:
    """No run fails, half of them take at most a hundred steps, and none takes more than a thousand."""
    attempts = []
    for architecture, sizes in SHAPES:
        for depth in range(1, 7):
            axes = {"task": "classification", "architecture": architecture, "depth": depth, "init": "gaussian", **sizes}
            axes |= {"alpha": 0.1, "record": False, "stop": {"log_loss": -1e8}}
            datasets = [classification_data(4, 8, 1000 + seed) for seed in range(28)]
            runs = [(spec_of(dataset, seed=seed, **axes), dataset) for seed, dataset in enumerate(datasets)]
            ends = ends_of(runs)
            assert {end.status for end in ends} == {CONVERGED}, (architecture, depth)
            attempts += [end.steps + end.rejected for end in ends]
    assert len(attempts) > 1000
    assert max(attempts) <= 1000
    assert np.median(attempts) <= 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "most"), [({"log_loss": -1e4}, 4), ({"log_margin": 5.0}, 4), ({"log_margin": -15.0}, 40)]
)
def test_a_classification_lands_on_its_stop_in_a_few_attempts(stop: dict[str, float], most: int) -> None:
    """By false position: slowest where the smallest margin comes from below zero and must be e^-15, to 1e-4 of that."""
    datasets = [classification_data(4, 8, seed) for seed in range(8)]
    axes = {"task": "classification", "architecture": "diagonal", "depth": 1, "init": "gaussian", "record": False}
    ends = ends_of([(spec_of(dataset, alpha=0.1, stop=stop, **axes), dataset) for dataset in datasets])
    assert sum(end.status == CONVERGED for end in ends) > 4
    for end in ends:
        assert end.status == (CONVERGED if end.steps else NOTHING_TO_DO)
        assert end.rejected <= most


@pytest.mark.slow
def test_small_tolerances_waste_few_attempts() -> None:
    """Errors that rounding hides make no steps that are rejected next: at most one attempt in three."""
    axes = {"task": "regression", "architecture": "diagonal", "depth": 3, "init": "structured", "record": False}
    runs = [
        (spec_of(dataset, alpha=0.1, rtol=1e-10, **axes), dataset)
        for dataset in (regression_data(3, 8, seed) for seed in range(8))
    ]
    ends = ends_of(runs)
    assert {end.status for end in ends} == {CONVERGED}
    assert sum(end.rejected for end in ends) < sum(end.steps for end in ends) / 2


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.6, 3.0, 12.0])
def test_small_targets_of_large_layers_cost_few_steps(alpha: float) -> None:
    """Channels cancel to a thousandth and less of what each gives; ends are those of an independent solver."""
    rng = np.random.default_rng(4)
    datasets = [Dataset("small", rng.standard_normal((3, 6)), 1e-3 * rng.standard_normal(3)) for _ in range(4)]
    axes = {"task": "regression", "architecture": "multichannel_convolutional", "width": 3, "filter": 2, "depth": 3}
    specs = [
        spec_of(data, alpha=alpha, init="gaussian", seed=k, record=False, **axes) for k, data in enumerate(datasets)
    ]
    for result, spec, dataset in zip(simulate(list(zip(specs, datasets, strict=True))), specs, datasets, strict=True):
        assert result.status == "converged"
        assert result.steps + result.rejected < 200
        assert result.residual < 1e-6  # outputs are sums of terms up to 1e7 times as large, and rounded like them
        expected = by_radau(problem_of(spec, dataset))
        np.testing.assert_allclose(result.beta, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("alpha", [10.0, 100.0])
def test_large_gaussian_starts_end_where_they_must(depth: int, alpha: float) -> None:
    """Coefficients up to 1e8 times those that fit, most of which stay: the flow is over after a short time."""
    results = large_starts(regression_data(4, 10, 0), "diagonal", depth, alpha)
    certified = 0
    for result in results:
        assert (result.status, result.message) == ("converged", "")
        assert result.steps + result.rejected < 60
        assert result.log_time < 0
        assert result.residual < 1e-14 * np.linalg.norm(result.beta) + 1e-10
        for prediction in result.predictions:
            if prediction.prediction == "minimum_bregman" and prediction.distance is not None:
                certified += 1
                assert prediction.distance < 1e-9
    assert certified > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "sizes"), [("fully_connected", {"width": 5}), ("convolutional", {}), ("walsh", {})]
)
@pytest.mark.parametrize("depth", [2, 4])
def test_large_gaussian_layers_end_where_an_independent_solver_does(
    architecture: str, sizes: dict[str, Any], depth: int
) -> None:
    dataset = regression_data(3, 8, 0)
    for result in large_starts(dataset, architecture, depth, 30.0, **sizes):
        assert result.status == "converged"
        assert result.steps + result.rejected < 60
        expected = by_radau(problem_of(result.spec, dataset), scale=1 / 30.0 ** (2 * depth - 2))
        np.testing.assert_allclose(result.beta, expected, atol=1e-6 * np.abs(expected).max())


def test_targets_that_rounding_hides_are_said_to_be_hidden() -> None:
    """Coefficients 1e15 times those that fit: outputs are rounded to more than the targets, and no step helps."""
    for result in large_starts(regression_data(4, 10, 0), "diagonal", 5, 1e4):
        assert result.status == "stopped"
        assert "rounding of the outputs hides them; lower alpha or scale y" in result.message
        assert result.steps + result.rejected < 100
        assert result.log_time < 0


def large_starts(dataset: Dataset, architecture: str, depth: int, alpha: float, **sizes: Any) -> list[RunResult]:
    axes = {"task": "regression", "architecture": architecture, "depth": depth, "init": "gaussian", **sizes}
    specs = [spec_of(dataset, alpha=alpha, seed=seed, record=False, **axes) for seed in range(4)]
    return simulate([(spec, dataset) for spec in specs])


def by_radau(problem: Problem, scale: float = 1.0) -> np.ndarray:
    """Coefficients at the end of the layers' own gradient flow, long after it has settled: at time 1e6 `scale`."""
    network, dataset = problem.architecture, problem.dataset

    def loss(theta: Any) -> Any:
        return 0.5 * jnp.sum((dataset.x @ network.coefficients(network.split(theta)) - dataset.y) ** 2)

    start = np.concatenate([np.ravel(v) for v in problem.layers])
    slope, curvature = jax.jit(jax.grad(loss)), jax.jit(jax.hessian(loss))
    found = solve_ivp(
        lambda t, theta: -np.asarray(slope(theta)), (0.0, 1e6 * scale), start,
        method="Radau", jac=lambda t, theta: -np.asarray(curvature(theta)), rtol=1e-10, atol=1e-13,
    )  # fmt: skip
    return np.asarray(network.coefficients(network.split(found.y[:, -1])))
