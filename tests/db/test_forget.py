"""Forgetting: what is named goes, with all of its rows, and nothing else, whatever happens meanwhile."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from db import forget
from db.arrow import TABLES
from db.check import check
from db.store import QueryError, Store, StoreError, StoreLocked
from tests.db import store_rows as rows
from tests.marks import sampled


@pytest.fixture
def swept(store: Store) -> Store:
    """Sweep s1 asked for a, b and p, which is pending; s2 for b and c; x was asked for by none."""
    store.commit(rows.whole(["a", "b"], sweep_id="s1") | rows.sweep("s1", ["a", "b", "p"]))
    store.commit(rows.whole(["c", "x"], sweep_id="s2") | rows.sweep("s2", ["b", "c"]))
    tries: list[dict[str, Any]] = [
        {"attempt_id": "1", "sweep_id": "s1"},
        {"attempt_id": "2", "sweep_id": "s1", "run_id": "a"},
        {"attempt_id": "3", "sweep_id": "s1", "run_id": "b"},
        {"attempt_id": "4", "sweep_id": "s1", "run_id": "p"},
        {"attempt_id": "5", "sweep_id": "s2", "run_id": "c"},
    ]
    store.commit({"attempts": rows.attempts(tries)})
    return store


def held(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, lists as text: they hold NaN, which equals nothing."""
    with store.reading() as duck:
        tables = {name: duck.execute(f"FROM {name} ORDER BY ALL").to_arrow_table().to_pylist() for name in TABLES}
    return {
        name: [{key: str(value) if isinstance(value, list) else value for key, value in row.items()} for row in rows]
        for name, rows in tables.items()
    }


def ids(store: Store, table: str, column: str = "run_id") -> list[str]:
    found: list[str] = store.query(f"SELECT {column} FROM {table} ORDER BY ALL")[column].to_pylist()
    return found


def test_a_sweep_goes_with_the_runs_that_are_its_alone(swept: Store) -> None:
    before = held(swept)
    doomed = forget.of_sweeps(swept, ["s1"])
    assert doomed.runs["run_id"].to_pylist() == ["a"]
    assert (doomed.staying, doomed.unsourced, doomed.unfinished) == (1, 1, 1)
    assert doomed.statuses == {"converged": 1}
    assert held(swept) == before
    assert forget.forget(swept, doomed) == 1
    after = held(swept)
    for name in TABLES:
        gone = [row for row in before[name] if row.get("run_id") == "a" or row.get("sweep_id") == "s1"]
        kept = [row for row in before[name] if row not in gone or row.get("run_id") == "b"]
        if name in ("sweeps", "sweep_runs"):
            kept = [row for row in before[name] if row["sweep_id"] != "s1"]
        assert after[name] == kept, name
    assert ids(swept, "attempts", "attempt_id") == ["3", "5"]
    assert check(swept).whole


@pytest.mark.slow
def test_sweeps_that_share_runs_take_them_when_both_go(swept: Store) -> None:
    doomed = forget.of_sweeps(swept, ["s1", "s2"])
    assert sorted(doomed.runs["run_id"].to_pylist()) == ["a", "b", "c"]
    assert doomed.staying == 0
    forget.forget(swept, doomed)
    assert (ids(swept, "runs"), ids(swept, "sweeps", "sweep_id"), ids(swept, "sweep_runs")) == (["x"], [], [])
    assert check(swept).whole


def test_runs_that_meet_a_condition_go_from_every_table(swept: Store) -> None:
    swept.commit(rows.whole(["d"], alpha=7.0))
    doomed = forget.where(swept, "alpha > 5 OR run_id IN (SELECT run_id FROM sweep_runs WHERE sweep_id = 's2')")
    assert sorted(doomed.runs["run_id"].to_pylist()) == ["b", "c", "d"]
    assert forget.forget(swept, doomed) == 3
    for name in ("runs", "predictions", "trajectories", "path_predictions", "saddles"):
        assert ids(swept, name) == ["a", "x"]
    assert ids(swept, "sweep_runs") == ["a", "p"]
    assert ids(swept, "sweeps", "sweep_id") == ["s1", "s2"]
    assert check(swept).whole


@pytest.mark.parametrize(
    "condition",
    sampled(
        ["true) OR (true", "", "alpha >", "true; DROP TABLE runs", "true --", "EXISTS (FROM read_text('/etc/passwd'))"],
        every=3,
    ),
)
def test_what_is_no_condition_removes_nothing(swept: Store, condition: str) -> None:
    before = held(swept)
    with pytest.raises(QueryError, match="--where"):
        forget.where(swept, condition)
    assert held(swept) == before


@pytest.mark.slow
def test_what_changed_since_it_was_looked_up_stays(store: Store) -> None:
    store.commit(rows.whole(["a", "b"], status="failed") | rows.sweep("s1", ["a", "b"]))
    of_sweep, failed = forget.of_sweeps(store, ["s1"]), forget.where(store, "status = 'failed'")
    store.commit(rows.whole(["a"], created_at=rows.RUN["created_at"].replace(day=3)))
    assert forget.forget(store, failed) == 1
    assert ids(store, "runs") == ["a"]
    store.commit(rows.whole(["b"], status="failed") | rows.sweep("s2", ["b"]))
    assert forget.forget(store, of_sweep) == 0
    assert ids(store, "runs") == ["a", "b"]
    assert check(store).whole


def test_an_error_on_the_way_leaves_all(swept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = held(swept)
    monkeypatch.setattr(forget, "OF_A_RUN", (*forget.OF_A_RUN, "nowhere"))
    with pytest.raises(StoreError, match="nowhere"):
        forget.forget(swept, forget.of_sweeps(swept, ["s1"]))
    assert held(swept) == before


@pytest.mark.slow
def test_a_store_that_is_held_is_left(swept: Store, tmp_path: Path) -> None:
    doomed = forget.of_sweeps(swept, ["s1"])
    swept.timeout = 0.05
    copy = tmp_path / "before.duckdb"
    with duckdb.connect(str(swept.path)):
        shutil.copy(swept.path, copy)
        with pytest.raises(StoreLocked):
            forget.forget(swept, doomed)
    assert held(swept) == held(Store(copy))
