"""Plans: counts that add up, against a store and against the grid itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from db.store import Store
from sweep.batches import Sizer
from sweep.grid import load
from sweep.mistakes import GridError
from sweep.plan import make_plan
from tests.sweep.conftest import EXAMPLES, SMALL, Launch, Write


def test_an_absent_store_has_nothing_and_is_not_made(write: Write, tmp_path: Path) -> None:
    store = Store(tmp_path / "results.duckdb")
    plan = make_plan(load(write(SMALL)), store)
    counts = plan.counts(Sizer({}))
    assert (plan.total, plan.cached, plan.pending) == (8, 0, 8)
    assert (counts["shapes"], counts["batches"], counts["estimated_seconds"]) == (1, 1, None)
    assert not store.path.exists()
    assert [candidate.run_id for candidate in plan.candidates()] == plan.run_ids[0].to_pylist()


def test_what_is_stored_is_cached_and_the_rest_is_pending(launch: Launch, write: Write, tmp_path: Path) -> None:
    launch(SMALL)
    store = Store(tmp_path / "results.duckdb")
    plan = make_plan(load(write(SMALL), ["seed=0,1,2,3,4,5"]), store)
    assert (plan.total, plan.cached, plan.pending) == (12, 8, 4)
    assert {candidate.seed for candidate in plan.candidates()} == {4, 5}
    assert len(list(plan.candidates())) == 4
    seconds = plan.counts(Sizer(store.batch_seconds()))["estimated_seconds"]
    assert seconds is not None
    assert seconds >= 0


def test_runs_that_are_the_same_are_counted_by_rule(write: Write, tmp_path: Path) -> None:
    grid = "grid: {architecture: [diagonal, fully_connected], width: [3, 4], init: gaussian, seed: [0, 1], depth: 2}"
    text = "task: regression\ndata: {points: {x: [[1, 2]], y: [1]}}\n"
    twice = f"{text}blocks:\n- {grid}\n- grid: {{architecture: diagonal, init: gaussian, seed: [1, 2]}}\n"
    plan = make_plan(load(write(twice)), Store(tmp_path / "none.duckdb"))
    assert plan.dropped == {"width: not an axis of diagonal": 2, "the same run again": 1}
    assert plan.total == 2 + 4 + 1


def test_a_grid_without_runs_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(GridError) as caught:
        make_plan(load(write(SMALL + "when: depth > 9")), Store(tmp_path / "none.duckdb"))
    assert "when: depth > 9 (8)" in str(caught.value)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_plan(path: Path, tmp_path: Path) -> None:
    plan = make_plan(load(path), Store(tmp_path / "none.duckdb"))
    assert plan.pending == plan.total > 0
    assert plan.grid.name == path.stem


MILLION = """
task: regression
data: {gaussian: {samples: 4, dim: 8, seed: {range: [0, 8]}}}
grid:
  architecture: [diagonal, walsh]
  depth: [2, 3, 4, 5]
  init: [gaussian, ordered]
  alpha: {geomspace: [1e-3, 10, 66]}
  seed: {range: [0, 120]}
exclude: "depth == 5 and seed > 115"
"""


@pytest.mark.slow
def test_a_million_runs_plan_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(MILLION)
    code = (
        "from pathlib import Path; from db.store import Store\n"
        "from sweep.grid import load; from sweep.plan import make_plan\n"
        "plan = make_plan(load(Path('grid.yaml')), Store('none.duckdb'))\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(plan.total, peak.split()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    total, kilobytes = map(int, done.stdout.split())
    assert total == 8 * 2 * 2 * 66 * (3 * 120 + 116)
    assert kilobytes < 800_000
