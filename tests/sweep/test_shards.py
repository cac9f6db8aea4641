"""Shards of a grid: every run in one of them, whatever else is in the grid; together they are the grid."""

import json
import math
import os
import subprocess
from pathlib import Path

import pytest

from db.merge import merge
from db.store import Store
from sweep.execution.plan import make_plan
from sweep.execution.shard import Shard, parse
from sweep.grid.grid import load
from sweep.grid.mistakes import GridError
from tests.docs.test_pages import ROOT, blocks
from tests.sweep.conftest import SMALL, Launch, Write
from tests.sweep.test_cli import invoke

MANY = SMALL.replace("[0, 4]", "[0, 500]")
PARTS = 4


def planned(grid: Path, store: Path, parts: int) -> list[set[str]]:
    plans = [make_plan(load(grid), Store(store), shard=Shard(n, parts)) for n in range(1, parts + 1)]
    assert {plan.total + plan.elsewhere for plan in plans} == {make_plan(load(grid), Store(store)).total}
    for plan in plans:
        assert [run.run_id for run in plan.candidates()] == plan.run_ids[0].to_pylist()
    return [set(plan.run_ids[0].to_pylist()) for plan in plans]


def test_shards_are_disjoint_complete_balanced_and_stay(write: Write, tmp_path: Path) -> None:
    """A part of N runs in n has N/n give or take five times sqrt(N/n); a larger grid moves no run."""
    none = tmp_path / "none.duckdb"
    parts = planned(write(MANY), none, PARTS)
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1000
    assert all(abs(len(part) - 250) < 5 * math.sqrt(250) for part in parts)
    small = planned(write(SMALL), none, PARTS)
    assert sum(map(len, small)) == 8
    assert all(few <= many for few, many in zip(small, parts, strict=True))


@pytest.mark.parametrize("text", ["", "1", "a/b", "-1/3", "1/3/5", "1.5/2", "0/3", "4/3", "0/0", "1/9999999"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(GridError, match=r"--shard .*(for example 1/8|parts count from 1 to)"):
        parse(text)


@pytest.mark.slow
def test_shards_merged_are_the_grid(launch: Launch, tmp_path: Path) -> None:
    stores = [tmp_path / f"part-{n}.duckdb" for n in (1, 2)]
    for n, store in enumerate(stores, 1):
        ended = launch(SMALL, store=store, shard=Shard(n, 2))
        assert list(ended.lines())[-1].startswith(f"shard {n}/2: {ended.plan['total']} runs: ")
    merge(Store(tmp_path / "results.duckdb"), [Store(store) for store in stores])
    whole = launch(SMALL)
    assert (whole.plan["cached"], whole.plan["pending"]) == (8, 0)
    sweeps = Store(tmp_path / "results.duckdb").query("SELECT name, shard FROM progress ORDER BY created_at")
    assert sweeps.to_pylist() == [{"name": "small", "shard": shard} for shard in ("1/2", "2/2", None)]


def test_a_shard_without_runs_is_a_sweep_without_runs(launch: Launch, write: Write, tmp_path: Path) -> None:
    (empty,) = [n for n, part in enumerate(planned(write(SMALL), tmp_path / "none.duckdb", 12), 1) if not part][:1]
    ended = launch(SMALL, shard=Shard(empty, 12))
    last = f"shard {empty}/12: 0 runs: 0 converged, 0 stopped, 0 diverged, 0 failed"
    assert list(ended.lines())[-1] == last
    assert Store(tmp_path / "results.duckdb").query("SELECT shard, runs FROM progress").to_pylist() == [
        {"shard": f"{empty}/12", "runs": 0}
    ]


def test_plan_tells_of_the_shard(write: Write, tmp_path: Path) -> None:
    grid, store = write(SMALL), tmp_path / "none.duckdb"
    found = json.loads(invoke("plan", grid, "--shard", "2/2", "--json", store=store).stdout)
    assert (found["shard"], found["total"] + found["elsewhere"]) == ("2/2", 8)
    first = invoke("plan", grid, "--shard", "2/2", store=store).stdout.splitlines()[0]
    assert first == f"small, shard 2/2: {found['total']} of 8 runs, 0 cached, {found['total']} pending"


def test_the_script_for_slurm_names_its_shard(tmp_path: Path) -> None:
    """The page's own script, with a `sweep` that prints its arguments."""
    (script,) = [block for block in blocks(ROOT / "docs" / "clusters.md", "bash") if "SLURM_ARRAY_TASK_ID" in block]
    (tmp_path / "job.sh").write_text(script)
    stub = tmp_path / "sweep"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    slurm = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_SUBMIT_DIR": str(tmp_path)}
    slurm["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "job.sh"], cwd=tmp_path, env=slurm, capture_output=True, text=True, check=True)
    said = done.stdout.split()
    assert said[said.index("--shard") + 1] == "3/8"
    assert said[said.index("--store") + 1].endswith("-3.duckdb")
    assert f"#SBATCH --array=1-{8}" in script
