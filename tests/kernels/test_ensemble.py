"""Runs of one shape share a loop and nothing else."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from kernels.integrator.lane import AT_REST, CAPACITY, CONVERGED, OUT_OF_STEPS, RUNNING, attempt, start
from kernels.integrator.passage import passage_of
from kernels.integrator.solvers import SOLVERS
from kernels.problem import problem_of
from kernels.simulate import simulate
from kernels.x64 import jax
from tests.kernels.conftest import classification_data, regression_data, spec_of
from tests.kernels.test_flow import ends_of


def test_a_run_does_not_depend_on_its_batch() -> None:
    """100 runs with their own data, targets and alpha, in two orders and in part: lanes are refilled differently.

    Equal to rounding, not to the bit: XLA's vector loops round the last lanes of a batch otherwise than the first.
    """
    axes = {"task": "regression", "architecture": "diagonal", "depth": 3, "init": "gaussian", "record": False}
    runs = []
    for seed, alpha in enumerate(np.geomspace(0.05, 2, 100)):
        dataset = regression_data(3, 6, seed)
        runs.append((spec_of(dataset, alpha=float(alpha), seed=seed, **axes), dataset))
    assert len(runs) > passage_of(problem_of(*runs[0])).program.lanes
    order = np.random.default_rng(0).permutation(len(runs))
    whole, shuffled = ends_of(runs), ends_of([runs[index] for index in order])
    part = ends_of(runs[20:50])
    for position, index in enumerate(order):
        np.testing.assert_allclose(shuffled[position].theta, whole[index].theta, rtol=1e-9)
        assert abs(shuffled[position].steps - whole[index].steps) <= 1
    for position in range(30):
        np.testing.assert_allclose(part[position].theta, whole[20 + position].theta, rtol=1e-9)


@pytest.mark.parametrize("task", ["regression", pytest.param("classification", marks=pytest.mark.slow)])
@pytest.mark.parametrize("depth", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(4, marks=pytest.mark.slow)])
def test_orbits_have_64_to_128_points(task: str, depth: int) -> None:
    dataset = regression_data(3, 6) if task == "regression" else classification_data(3, 6)
    axes = {"task": task, "architecture": "diagonal", "depth": depth, "init": "gaussian"}
    runs = [(spec_of(dataset, alpha=alpha, seed=seed, **axes), dataset) for alpha in (0.01, 1.0) for seed in range(4)]
    for end in ends_of(runs):
        assert end.status == CONVERGED
        assert 64 <= len(end.orbit) <= CAPACITY
        steps, log_time, log_loss = end.orbit[:, 0], end.orbit[:, 1], end.orbit[:, 2]
        assert steps[0] == 0
        assert log_time[0] == -np.inf
        assert (np.diff(steps) > 0).all()
        assert (np.diff(log_time[1:]) >= 0).all()
        assert (np.diff(log_loss) < 1e-9 * np.abs(log_loss[1:])).all()
        np.testing.assert_allclose(end.orbit[-1], end.final, rtol=1e-12, atol=1e-12)
        gaps = np.diff(steps)[:-1]
        assert gaps.max() == gaps.min()


@pytest.mark.slow
def test_thinned_orbits_stay_even() -> None:
    """A run of many steps keeps its start, its end and every 2^k-th step between."""
    dataset = regression_data(2, 4)
    axes = {"task": "regression", "architecture": "diagonal", "depth": 4, "init": "gaussian", "alpha": 0.02}
    (end,) = ends_of([(spec_of(dataset, rtol=1e-9, **axes), dataset)])
    gaps = np.unique(np.diff(end.orbit[:, 0])[:-1])
    assert end.steps > CAPACITY
    assert 64 <= len(end.orbit) <= CAPACITY
    assert len(gaps) == 1
    assert gaps[0] in (2, 4, 8, 16, 32)


@pytest.mark.slow
def test_a_run_that_ends_on_a_rejected_step_keeps_its_last_point() -> None:
    dataset = regression_data(2, 4)
    axes = {"task": "regression", "architecture": "diagonal", "depth": 4, "init": "gaussian", "alpha": 0.02}
    stops = range(30, 80)
    ends = ends_of([(spec_of(dataset, rtol=1e-9, stop={"max_steps": most}, **axes), dataset) for most in stops])
    for end in ends:
        assert end.status == OUT_OF_STEPS
        np.testing.assert_allclose(end.orbit[-1], end.final, rtol=1e-12, atol=1e-12)
        assert (np.diff(end.orbit[:, 0]) > 0).all()
    assert 1 in np.diff([end.rejected for end in ends])


@pytest.mark.slow
@pytest.mark.parametrize("capacity", [0, CAPACITY])
def test_a_trial_step_that_overflows_is_only_too_long(capacity: int) -> None:
    dataset = regression_data(2, 4)
    spec = spec_of(dataset, task="regression", architecture="diagonal", depth=3, init="gaussian", alpha=0.5)
    problem = problem_of(spec, dataset)
    passage = passage_of(problem)
    flow, run = passage.program.flow, jax.tree.map(jnp.asarray, passage.start)
    lane = start(flow, run.theta, run.data, run.control, capacity)
    far = lane._replace(h=1e200 * lane.h)
    one = functools.partial(attempt, flow, SOLVERS["extrapolation"], passage.program.columns)
    after = jax.jit(lambda lane: one(lane, run.data, run.control))(far)
    assert int(after.status) == RUNNING
    assert int(after.rejected) == 1
    assert float(after.h) == pytest.approx(0.1 * float(far.h))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_run_at_rest_meets_no_prediction(task: str) -> None:
    dataset = regression_data(2, 4) if task == "regression" else classification_data(2, 4)
    spec = spec_of(dataset, task=task, architecture="diagonal", depth=2, init={"layers": [[0.0] * 4] * 2})
    (result,) = simulate([(spec, dataset)])
    assert result.status == "stopped"
    assert result.predictions == ()
    assert result.invariant_drift == 0


def test_statuses_are_results() -> None:
    dataset = regression_data(2, 4)
    axes = {"task": "regression", "architecture": "diagonal", "depth": 3, "alpha": 0.1}
    few = spec_of(dataset, init="gaussian", stop={"max_steps": 5}, **axes)
    rest = spec_of(dataset, init={"layers": [[0.0] * 4] * 3}, **axes)
    good = spec_of(dataset, init="gaussian", **axes)
    ends = ends_of([(few, dataset), (rest, dataset), (good, dataset)])
    assert [end.status for end in ends] == [OUT_OF_STEPS, AT_REST, CONVERGED]
