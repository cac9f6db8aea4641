"""The rivals of the benchmarks integrate the flow that the project integrates; nothing here looks at speed."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.classification import Normalised
from benchmarks.common import RESULTS, spread
from benchmarks.ensembles import Ensemble, classification, regression
from benchmarks.rivals_scipy import system
from benchmarks.work_precision import rate_at
from kernels.flows.base import LaneData
from kernels.flows.regression import RegressionFlow

SMALL = {
    "walsh": regression("walsh", 1, 3, 4, architecture="walsh", depth=3),
    "diagonal": regression("diagonal", 1, 3, 4, architecture="diagonal", depth=4),
}
CONNECTED = regression("connected", 1, 2, 3, architecture="fully_connected", depth=3, width=4, init="orthogonal")


def differences(run: object, z: np.ndarray) -> np.ndarray:
    """The Jacobian of a velocity by central differences."""
    steps = 1e-6 * np.eye(len(z))
    return np.array([(run.velocity(0, z + d) - run.velocity(0, z - d)) / 2e-6 for d in steps]).T


@pytest.mark.parametrize("ensemble", [*SMALL.values(), CONNECTED], ids=lambda e: e.name)
def test_scipy_gets_the_same_flow(ensemble: Ensemble) -> None:
    (problem,) = ensemble.problems
    run = system(problem)
    theta, x, y = (jnp.asarray(value[0]) for value in (ensemble.theta, ensemble.x, ensemble.y))
    data = LaneData(x, y, problem.architecture.constants)
    velocity = RegressionFlow(problem.architecture).velocity(theta, jnp.zeros(()), data)
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
