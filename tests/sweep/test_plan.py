"""Plans: counts that add up, against a store and against the grid itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from db.store import Store
from sweep.execution.estimate import foreseen
from sweep.execution.plan import Plan, make_plan
from sweep.grid.grid import load
from sweep.grid.mistakes import GridError
from tests.sweep.conftest import EXAMPLES, SMALL, Launch, Write
from tests.sweep.test_cli import invoke

COLD = EXAMPLES.parent / "benchmarks" / "cold.yaml"
"""4,000 runs of 160 shapes, which three programs share."""


def test_an_absent_store_has_nothing_and_is_not_made(write: Write, tmp_path: Path) -> None:
    store = Store(tmp_path / "results.duckdb")
    plan = make_plan(load(write(SMALL)), store)
    counts = foreseen(plan, store)
    assert (plan.total, plan.cached, plan.pending) == (8, 0, 8)
    assert (counts["programs"], counts["batches"], counts["estimated_seconds"]) == (1, 1, None)
    assert not store.path.exists()
    assert [candidate.run_id for candidate in plan.candidates()] == plan.run_ids[0].to_pylist()


def test_what_is_stored_is_cached_and_the_rest_is_pending(launch: Launch, write: Write, tmp_path: Path) -> None:
    launch(SMALL)
    store = Store(tmp_path / "results.duckdb")
    plan = make_plan(load(write(SMALL), ["seed=0,1,2,3,4,5"]), store)
    assert (plan.total, plan.cached, plan.pending) == (12, 8, 4)
    assert {candidate.seed for candidate in plan.candidates()} == {4, 5}
    assert len(list(plan.candidates())) == 4
    seconds = foreseen(plan, store)["estimated_seconds"]
    assert seconds is not None
    assert seconds >= 0


class Interrupted(Store):
    """A store that has all runs but these."""

    def __init__(self, path: Path, pending: set[str]):
        super().__init__(path)
        self._pending = pa.array(sorted(pending), pa.string())

    def missing(self, run_ids: pa.Array, retry_failed: bool = False) -> pa.Array:
        return run_ids.filter(pc.is_in(run_ids, value_set=self._pending))


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make_plan(load(COLD), Store(tmp_path_factory.mktemp("cold") / "none.duckdb"))


def rooms_of(plan: Plan) -> dict[str, tuple[str, object]]:
    """By compile key: the program and its room."""
    return {shape.key: (each.key, each.room) for each in plan.programs for shape in each.shapes if shape.pending}


def test_a_resumed_launch_integrates_in_the_same_programs(cold: Plan, tmp_path: Path) -> None:
    """They follow from all runs of the grid: those that are left alone would go through others."""
    left = {candidate.run_id for candidate in cold.candidates() if candidate.seed == 0 and candidate.alpha < 0.5}
    store = Interrupted(tmp_path / "none.duckdb", left)
    resumed = make_plan(load(COLD), store)
    assert (resumed.cached, resumed.pending) == (cold.total - len(left), len(left))
    assert rooms_of(resumed) == rooms_of(cold)
    alone = make_plan(load(COLD, ["grid.seed=[0]", "when=alpha < 0.5"]), store)
    assert alone.pending == len(left)
    assert rooms_of(alone) != rooms_of(cold)


def test_programs_are_those_that_pending_runs_need(cold: Plan, tmp_path: Path) -> None:
    path = tmp_path / "none.duckdb"
    assert len(cold.programs) == 3
    assert "of 3 compiled programs" in invoke("plan", COLD, store=path).stdout
    left = {candidate.run_id for candidate in cold.candidates() if candidate.structure.entry.samples == 40}
    (program,) = make_plan(load(COLD), Interrupted(path, left)).programs
    assert program.pending == len(left)


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
        "from sweep.grid.grid import load; from sweep.execution.plan import make_plan\n"
        "plan = make_plan(load(Path('grid.yaml')), Store('none.duckdb'))\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(plan.total, peak.split()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    total, kilobytes = map(int, done.stdout.split())
    assert total == 8 * 2 * 2 * 66 * (3 * 120 + 116)
    assert kilobytes < 800_000


NARROW = """
task: classification
data: {points: {x: [[1, 0], [0, -1], [1, -1]], y: [1, -1, 1]}}
alpha: 0.5
"""


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("architecture: {odeco: {s: [[1, -0.9]]}}", "grid.yaml:5: architecture: odeco cannot separate these classes"),
        ("list: [{architecture: diagonal, init: {layers: [[1, -1], [1, 1]]}}]", "init: this start cannot separate"),
    ],
)
def test_a_network_that_cannot_reach_the_data_is_refused(
    network: str, message: str, write: Write, tmp_path: Path
) -> None:
    with pytest.raises(GridError) as caught:
        make_plan(load(write(NARROW + network)), Store(tmp_path / "none.duckdb"))
    assert message in str(caught.value)


def test_drawn_networks_are_dropped_seed_by_seed(write: Write, tmp_path: Path) -> None:
    """One row of S separates if it lies in the cone |angle| of the data: counted here by its definition."""
    grid = (
        "grid: {architecture: odeco, width: 1, init: gaussian, depth: [2, 3], alpha: [0.5, 1], seed: {range: [0, 30]}}"
    )
    text = NARROW.replace("alpha: 0.5\n", "") + grid
    plan = make_plan(load(write(text)), Store(tmp_path / "none.duckdb"))
    signed = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    rows = [np.random.default_rng([seed, 1]).standard_normal((1, 2))[0] for seed in range(30)]
    kept = {seed for seed, row in enumerate(rows) if (signed @ row > 0).all() or (signed @ row < 0).all()}
    assert 0 < len(kept) < 30
    assert {candidate.seed for candidate in plan.candidates()} == kept
    assert plan.total == 4 * len(kept)
    ((rule, count),) = plan.dropped.items()
    assert rule.startswith("architecture: odeco cannot separate")
    assert count == 4 * (30 - len(kept))


def test_plan_says_which_value_became_which_label(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a,b,kind\n1,2,setosa\n3,-1,'vir\x1b'\n")
    grid, store = tmp_path / "grid.yaml", tmp_path / "none.duckdb"
    grid.write_text("task: classification\ndata: {file: f.csv, target: kind}\narchitecture: diagonal\ninit: gaussian\n")
    last = invoke("plan", grid, store=store).stdout.splitlines()[-1]
    assert re.fullmatch(r"labels of f-\w{8}: \"'vir.*x1b'\" is -1, 'setosa' is \+1", last), last
    assert "\x1b" not in last
    (both,) = json.loads(invoke("plan", grid, "--json", store=store).stdout)["classes"].values()
    assert both == ["'vir\x1b'", "setosa"]
    (tmp_path / "f.csv").write_text("a,b,kind\n1,2,-1\n3,-1,1\n")
    assert json.loads(invoke("plan", grid, "--json", store=store).stdout)["classes"] == {}
