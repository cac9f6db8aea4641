"""Runs of one shape share a loop and nothing else."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.integrator import lane as lane_module
from kernels.integrator.lane import (
    AT_REST,
    CAPACITY,
    CONVERGED,
    OUT_OF_STEPS,
    RUNNING,
    Lane,
    attempt,
    start,
    thin,
)
from kernels.integrator.passage import passage_of
from kernels.integrator.solvers import SOLVERS
from kernels.problem import problem_of
from kernels.simulate import simulate
from kernels.x64 import jax
from tests.kernels.conftest import classification_data, regression_data, spec_of
from tests.kernels.test_flow import ends_of


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("depth", [1, 2, 4])
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
        if end.steps < CAPACITY:
            np.testing.assert_array_equal(steps, np.arange(end.steps + 1))


@pytest.mark.slow
@pytest.mark.parametrize("uniform", [False, True])
def test_orbits_are_thinned_by_length(uniform: bool) -> None:
    """A full orbit keeps its first point and at least half of them, one on each piece of twice the spacing and more."""
    rng = np.random.default_rng(0)
    steps = np.full(CAPACITY - 1, 0.01) if uniform else rng.exponential(1.0, CAPACITY - 1) ** 4 + 0.01
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    rows = np.arange(2.0 * CAPACITY).reshape(CAPACITY, 2)
    state = dict.fromkeys(Lane._fields, jnp.zeros(()))
    more = {"orbit": jnp.asarray(rows), "lengths": jnp.asarray(lengths), "spacing": jnp.asarray(2.0**-8)}
    lane = Lane(**{**state, **more, "recorded": jnp.asarray(CAPACITY)})
    after = thin(lane, jnp.asarray(True))
    count = int(after.recorded)
    assert CAPACITY // 2 <= count < CAPACITY
    kept = np.asarray(after.orbit)[:count, 0].astype(int) // 2
    assert kept[0] == 0
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(np.asarray(after.lengths)[:count], lengths[kept])
    pieces = np.floor(lengths / float(after.spacing))
    np.testing.assert_array_equal(np.unique(pieces), pieces[kept])
    assert float(after.spacing) >= 2**-7
    untouched = thin(lane, jnp.asarray(False))
    assert all(np.array_equal(one, other) for one, other in zip(lane, untouched, strict=True))


SADDLES = Dataset("saddles", np.array([[1, 0.5, 0.7, 0], [0.5, 1, 0.1, 0.7]]), np.array([1.0, 0.0]))


@pytest.mark.slow
def test_plateaus_and_jumps_have_points() -> None:
    """Hundreds of steps to three saddles: the waits are 1e4 to 1e12 times as long as the jumps, and none is missed."""
    axes = {"task": "regression", "architecture": "diagonal", "init": "structured", "alpha": 1e-4}
    ends = ends_of([(spec_of(SADDLES, depth=depth, **axes), SADDLES) for depth in (3, 4, 5)])
    saddles = np.array([[0.8, 0, 0, 0], [0, 0, 1.4, 0], [0, 0, 10 / 7, -10 / 49]])
    for end in ends:
        assert end.steps > CAPACITY
        assert 64 <= len(end.orbit) <= CAPACITY
        beta = end.orbit[:, -4:]
        resting = [np.linalg.norm(beta - saddle, axis=1) < 1e-3 for saddle in saddles]
        assert all(near.sum() >= 8 for near in resting)
        # on the way from one to the next, in no time
        first, last = (np.flatnonzero(resting[k])[place] for k, place in ((0, -1), (1, 0)))
        assert last - first > 4
        assert np.linalg.norm(np.diff(beta, axis=0), axis=1).max() < 0.5


@pytest.mark.slow
def test_what_is_recorded_does_not_move_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other points, the same ends, to the rounding of a program of other code."""
    axes = {"task": "regression", "architecture": "diagonal", "init": "structured", "depth": 3}
    runs = [(spec_of(SADDLES, alpha=alpha, **axes), SADDLES) for alpha in (1e-4, 1.0)]
    one = ends_of(runs)
    monkeypatch.setattr(lane_module, "_length", lambda *_: jnp.ones(()))
    jax.clear_caches()
    other = ends_of(runs)
    jax.clear_caches()
    assert not np.array_equal(one[0].orbit[:, 0], other[0].orbit[:, 0])
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.final[-4:], b.final[-4:], rtol=1e-7, atol=1e-9)


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


@pytest.mark.slow
def test_statuses_are_results() -> None:
    dataset = regression_data(2, 4)
    axes = {"task": "regression", "architecture": "diagonal", "depth": 3, "alpha": 0.1}
    few = spec_of(dataset, init="gaussian", stop={"max_steps": 5}, **axes)
    rest = spec_of(dataset, init={"layers": [[0.0] * 4] * 3}, **axes)
    good = spec_of(dataset, init="gaussian", **axes)
    ends = ends_of([(few, dataset), (rest, dataset), (good, dataset)])
    assert [end.status for end in ends] == [OUT_OF_STEPS, AT_REST, CONVERGED]
