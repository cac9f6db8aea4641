"""A store made by the real pipeline: a tiny grid, integrated, written as a sweep writes it."""

import fcntl
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from kernels.data.kinds import Dataset, canonical, load
from kernels.room import compile_key
from kernels.spec import RunSpec
from kernels.validate import canonicalise
from sweep.execution import records

LINE = {"points": {"x": [[1, 2]], "y": [1]}}
PAIR = {"points": {"x": [[1, 2], [0, -3]], "y": [1, -1]}}
GRID = "name: tiny\ntask: regression # </script><b>not markup</b>\n"
SCALES = (0.01, 0.03, 0.1, 1.0, 10.0)


def grid() -> list[tuple[RunSpec, Dataset]]:
    """Regression and classification in the plane, networks of depth 2."""
    regression: list[dict[str, Any]] = [
        *({"architecture": "diagonal", "alpha": alpha} for alpha in SCALES),
        *({"architecture": "fully_connected", "width": 2, "init": "orthogonal", "alpha": alpha} for alpha in SCALES),
        *(
            {"architecture": "fully_connected", "width": 2, "init": "gaussian", "alpha": alpha, "seed": seed}
            for alpha in (0.01, 0.1, 1.0)
            for seed in range(2)
        ),
    ]
    classification: list[dict[str, Any]] = [
        {"architecture": "fully_connected", "width": 2, "init": "gaussian", "alpha": 0.1, "seed": seed}
        for seed in range(4)
    ]
    return [
        *(_run("regression", LINE, axes) for axes in regression),
        *(_run("classification", PAIR, axes) for axes in classification),
    ]


def _run(task: str, data: dict[str, Any], axes: dict[str, Any]) -> tuple[RunSpec, Dataset]:
    known = canonical(data, task, Path())
    dataset = load(known, task)
    return canonicalise({"task": task, "data": known, "depth": 2, **axes}, dataset.x.shape[1]), dataset


@pytest.fixture(scope="session")
def store_path(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Every run of `grid`, with its predictions and orbit; the first process that tests makes it, all read it."""
    folder = tmp_path_factory.getbasetemp()
    path = (folder if worker_id == "master" else folder.parent) / "analysis.duckdb"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _fill(path)
    return path


def _fill(path: Path) -> None:
    """Make the store aside, so that it is there whole or not at all."""
    from kernels.simulate import simulate

    batches: dict[Any, list[tuple[RunSpec, Dataset]]] = defaultdict(list)
    for spec, dataset in grid():
        batches[compile_key(spec, dataset.x.shape[1], dataset.x.shape[0])].append((spec, dataset))
    store = Store(path.with_suffix(".part"))
    store.create()
    sweep = {"sweep_id": ["tiny-1"], "name": ["tiny"], "grid": [GRID], "git_sha": ["0123abc"], "python": ["3.11.7"],
             "packages": ['{"jax":"0.10.2"}'], "created_at": [datetime(2026, 1, 2, 3, 4)]}  # fmt: skip
    store.commit({"sweeps": records.table("sweeps", sweep)})
    for runs in batches.values():
        tables = records.tables(simulate(runs), "tiny-1")
        asked = {"sweep_id": ["tiny-1"] * len(runs), "run_id": [spec.run_id for spec, _ in runs]}
        store.commit({**tables, "sweep_runs": records.table("sweep_runs", asked)})
    store.path.rename(path)


@pytest.fixture(scope="session")
def grid_text() -> str:
    """What the sweep of the store says its grid was."""
    return GRID


@pytest.fixture(scope="session")
def store(store_path: Path) -> Store:
    return Store(store_path)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A store without a run."""
    path = tmp_path / "empty.duckdb"
    Store(path).create()
    return path
