"""The rivals of the benchmarks integrate the flow that the project integrates; nothing here looks at speed."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.classification import Normalised
from benchmarks.common import RESULTS, rate_at, spread
from benchmarks.curve_problems import SHAPES, Cell
from benchmarks.ensembles import Ensemble, classification, regression
from benchmarks.rivals_curve import RIVALS, Curves, find_end
from benchmarks.rivals_scipy import others, system
from kernels.flows.parametrisation import Layers, RunData
from kernels.flows.regression import RegressionFlow
from tests.marks import sampled

SMALL = {
    "walsh": regression("walsh", 1, 3, 4, architecture="walsh", depth=3),
    "diagonal": regression("diagonal", 1, 3, 4, architecture="diagonal", depth=4),
}
CONNECTED = regression("connected", 1, 2, 3, architecture="fully_connected", depth=3, width=4, init="orthogonal")


def differences(run: object, z: np.ndarray) -> np.ndarray:
    """The Jacobian of a velocity by central differences."""
    steps = 1e-6 * np.eye(len(z))
    return np.array([(run.velocity(0, z + d) - run.velocity(0, z - d)) / 2e-6 for d in steps]).T


@pytest.mark.parametrize("ensemble", sampled([*SMALL.values(), CONNECTED], 4), ids=lambda e: e.name)
def test_scipy_gets_the_same_flow(ensemble: Ensemble) -> None:
    (problem,) = ensemble.problems
    run = system(problem)
    theta, x, y = (jnp.asarray(value[0]) for value in (ensemble.theta, ensemble.x, ensemble.y))
    data = RunData(x, y, problem.architecture.constants)
    velocity = RegressionFlow(Layers(problem.architecture)).velocity(theta, jnp.zeros(()), data)
    assert np.linalg.norm(run.velocity(0, run.start)) == pytest.approx(float(jnp.linalg.norm(velocity)))


@pytest.mark.parametrize("ensemble", SMALL.values(), ids=lambda e: e.name)
def test_scipy_gets_the_exact_jacobian(ensemble: Ensemble) -> None:
    run = system(ensemble.problems[0])
    z = run.start + 0.1 * np.random.default_rng(0).standard_normal(run.start.size)
    np.testing.assert_allclose(run.jacobian(0, z), differences(run, z), atol=1e-7)


def test_scipy_gets_the_exact_jacobian_in_normalised_coordinates() -> None:
    ensemble = classification("diagonal", 1, 3, 4, architecture="diagonal", depth=3, init="gaussian")
    run = Normalised(ensemble.problems[0], 1e4)
    np.testing.assert_allclose(run.jacobian(0, run.start), differences(run, run.start), atol=1e-7)


def curves(start: str, depth: int) -> tuple[Curves, np.ndarray, np.ndarray, np.ndarray]:
    """One run in curve coordinates, and its A, y and layers; a gaussian start has gaps and signs of every kind."""
    cell, rng = Cell("4 x 10", depth, 0.3, 1), np.random.default_rng(depth)
    w = cell.start(0) if start == "structured" else rng.standard_normal((depth, 10))
    return Curves(cell.x, cell.y, w), cell.x, cell.y, w


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
@pytest.mark.parametrize("start", ["structured", "gaussian"])
def test_one_state_a_coordinate_has_the_same_flow(start: str, depth: int) -> None:
    run, a, y, w = curves(start, depth)
    np.testing.assert_allclose(run.beta(run.start), w.prod(axis=0), atol=1e-13)
    change = (run.beta(run.start + 1e-6) - run.beta(run.start - 1e-6)) / 2e-6 * run.velocity(0, run.start)
    wanted = -(a.T @ (a @ w.prod(axis=0) - y)) * (others(w) ** 2).sum(axis=0)
    np.testing.assert_allclose(change, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
@pytest.mark.parametrize("start", ["structured", "gaussian"])
def test_one_state_a_coordinate_has_the_exact_jacobian(start: str, depth: int) -> None:
    run, *_ = curves(start, depth)
    q = run.start + 0.1 * np.random.default_rng(0).standard_normal(run.start.size)
    found = run.jacobian(0, q)
    np.testing.assert_allclose(found, differences(run, q), atol=1e-7 * np.abs(found).max())


@pytest.mark.parametrize("name", RIVALS)
def test_one_state_a_coordinate_ends_at_the_exact_limit(name: str) -> None:
    cell = Cell("4 x 10", 3, 1e-2, 1)
    run = Curves(cell.x, cell.y, cell.start(0))
    assert find_end(run, 20.0)
    end = RIVALS[name][1](run, 1e-7, 20.0)
    assert end.finished
    np.testing.assert_allclose(run.beta(end.z), cell.limits([0])[0], atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_what_they_are_called(shape: str) -> None:
    assert Cell(shape, 2, 1.0, 1).x.shape == tuple(map(int, shape.split(" x ")))


def test_rates_are_compared_at_equal_error() -> None:
    ladder = [
        {"setting": 1e-4, "worst_error": 1e-4, "runs_per_second": 100.0},
        {"setting": 1e-6, "worst_error": 1e-6, "runs_per_second": 25.0},
        {"setting": 1e-8, "worst_error": 1e-8, "runs_per_second": 1e6, "unfinished": 1},
    ]
    assert rate_at(ladder, 1e-5) == pytest.approx(50)
    assert rate_at(ladder, 1e-6) == pytest.approx(25)
    assert rate_at(ladder, 1e-8) is None


def test_samples_are_even() -> None:
    assert spread(3, 5) == [0, 1, 2]
    assert spread(9, 3) == [1, 4, 7]


def test_every_benchmark_is_listed() -> None:
    files = {path.stem for path in RESULTS.parent.glob("*.py") if "def main(" in path.read_text(encoding="utf-8")}
    assert {name for name in files if not name.startswith("rivals_")} == set(BENCHMARKS)
