"""Merging: every row of the sources once, results before failures, and all of it or nothing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from db import merge as merging
from db.check import check
from db.errors import Damaged, NoStore, NotAStore, OlderSchema, StoreError
from db.insert import KEYS
from db.merge import EndsDiffer, merge
from db.store import Store
from tests.db import store_rows as rows
from tests.db.test_forget import held
from tests.db.test_schema import of_revision

NewStore = Callable[[], Store]


def filled(store: Store, ids: list[str], sweep: str, **columns: Any) -> Store:
    store.commit(rows.whole(ids, sweep_id=sweep, **columns) | rows.sweep(sweep, ids))
    store.commit({"attempts": rows.attempts([{"attempt_id": sweep, "sweep_id": sweep}])})
    return store


@pytest.fixture
def parts(new_store: NewStore) -> list[Store]:
    """Two stores that share the run b."""
    return [filled(new_store(), ["a", "b"], "s1"), filled(new_store(), ["b", "c"], "s2")]


def together(stores: list[Store]) -> dict[str, list[dict[str, Any]]]:
    """Every row that any of the stores holds, once; of a run the first store's."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table, keys in KEYS.items():
        once: dict[tuple[Any, ...], dict[str, Any]] = {}
        for store in stores:
            for row in held(store)[table]:
                once.setdefault(tuple(row[key] for key in keys), row)
        found[table] = [once[key] for key in sorted(once)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("made", [False, True])
def test_every_row_is_there_once_and_sources_stay(parts: list[Store], new_store: NewStore, made: bool) -> None:
    target = new_store() if made else Store(parts[0].path.with_name("all.duckdb"))
    before = [store.path.read_bytes() for store in parts]
    merged = merge(target, parts)
    assert [(each.added, each.known, each.sweeps, each.apart) for each in merged] == [(2, 0, 1, 0), (1, 1, 1, 0)]
    assert {name: sorted(found, key=str) for name, found in held(target).items()} == {
        name: sorted(found, key=str) for name, found in together(parts).items()
    }
    checked = check(target)
    assert (checked.whole, checked.without_checksum) == (True, 0)
    assert [store.path.read_bytes() for store in parts] == before
    again = merge(target, parts)
    assert [(each.added, each.known, each.sweeps) for each in again] == [(0, 2, 0), (0, 2, 0)]


CASES = {
    ("converged", "failed"): "ours",
    ("failed", "converged"): "theirs",
    ("failed", "stopped"): "theirs",
    ("failed", "failed"): "ours",
    ("stopped", "converged"): "ours",
    ("converged", "converged"): "ours",
}
"""Which row stays, by the statuses in target and source."""


def test_a_result_stands_before_a_failure(new_store: NewStore) -> None:
    target, source = new_store(), new_store()
    for store, place, sweep in ((target, 0, "ours"), (source, 1, "theirs")):
        for status in {case[place] for case in CASES}:
            ids = [" ".join(case) for case in CASES if case[place] == status]
            store.commit(rows.whole(ids, sweep_id=sweep, status=status))
    (merged,) = merge(target, [source])
    found = target.query("SELECT run_id, sweep_id FROM runs").to_pylist()
    assert {tuple(row["run_id"].split()): row["sweep_id"] for row in found} == CASES
    assert (merged.added, merged.replaced, merged.known, merged.apart) == (0, 2, 4, 1)
    assert [(row["status"], row["other"]) for row in merged.worst] == [("stopped", "converged")]
    assert check(target).whole


@pytest.mark.slow
def test_ends_that_differ_are_told_and_the_targets_stay(new_store: NewStore) -> None:
    """Within 100 rtol = 1e-5, relative to the larger end, they are the same."""
    target = filled(new_store(), ["far", "near"], "s1", beta=[3.0, 4.0])
    source = new_store()
    filled(source, ["near"], "s2", beta=[3.0, 4.0 + 4e-5])
    filled(source, ["far"], "s3", beta=[3.0, 4.0 + 6e-5])
    (merged,) = merge(target, [source])
    assert (merged.apart, [row["run_id"] for row in merged.worst]) == (1, ["far"])
    assert merged.worst[0]["distance"] == pytest.approx(6e-5 / 5, rel=1e-4)
    assert target.query("SELECT DISTINCT beta FROM runs")["beta"].to_pylist() == [[3.0, 4.0]]


@pytest.mark.slow
@pytest.mark.parametrize("made", [True, False])
def test_strict_merges_nothing_where_ends_differ(new_store: NewStore, made: bool) -> None:
    first, second = filled(new_store(), ["a"], "s1"), filled(new_store(), ["a", "b"], "s2", beta=[1.0, 1.0])
    target = filled(new_store(), ["z"], "s0") if made else Store(first.path.with_name("all.duckdb"))
    before = held(target) if made else {}
    with pytest.raises(EndsDiffer, match="1 runs ended apart; nothing was merged") as caught:
        merge(target, [first, second], strict=True)
    assert [each.apart for each in caught.value.merged] == [0, 1]
    assert (held(target) == before) if made else not target.path.exists()


@pytest.mark.slow
def test_the_targets_words_about_a_sweep_stay(new_store: NewStore) -> None:
    target = new_store()
    target.commit(rows.sweep("s1", ["a"], tags=["mine"], note="n"))
    source = new_store()
    source.commit(rows.sweep("s1", ["a", "b"], tags=["theirs"]))
    merge(target, [source])
    assert target.query("SELECT tags, note FROM sweeps").to_pylist() == [{"tags": ["mine"], "note": "n"}]
    assert target.query("SELECT count(*) AS n FROM sweep_runs")["n"].to_pylist() == [2]


@pytest.mark.slow
def test_sources_that_are_no_whole_stores_are_refused(parts: list[Store], new_store: NewStore, tmp_path: Path) -> None:
    target, good = parts
    before = held(target)
    older = of_revision(tmp_path / "older.duckdb", "0005")
    foreign, damaged = tmp_path / "foreign.duckdb", new_store()
    with duckdb.connect(str(foreign)) as connection:
        connection.execute("CREATE TABLE runs (run_id VARCHAR)")
    damaged.commit(rows.whole(["d"]))
    with duckdb.connect(str(damaged.path)) as connection:
        connection.execute("DELETE FROM predictions")
    refusals: list[tuple[Store, type[StoreError], str]] = [
        (Store(older), OlderSchema, f"run: sweep db upgrade --store {older}"),
        (Store(foreign), NotAStore, "not of this program"),
        (damaged, Damaged, "sweep check --salvage NEW"),
        (Store(tmp_path / "none.duckdb"), NoStore, "does not exist"),
        (Store(target.path), StoreError, "are one store; name each once"),
    ]
    for source, error, words in refusals:
        with pytest.raises(error, match=words):
            merge(target, [good, source])
        assert held(target) == before
    with pytest.raises(NotAStore, match="not of this program"):
        merge(Store(foreign), [good])


@pytest.mark.parametrize("made", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_error_on_the_way_leaves_the_target(
    parts: list[Store], new_store: NewStore, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    target = filled(new_store(), ["z"], "s0") if made else Store(parts[0].path.with_name("all.duckdb"))
    before = held(target) if made else {}

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(merging, "insert_new", fail)
    with pytest.raises(ZeroDivisionError):
        merge(target, parts)
    assert (held(target) == before) if made else not target.path.exists()


KILLED = """
import os, sys
from db import merge
from db.store import Store
merge.insert_new = lambda *_: os._exit(9)
merge.merge(Store(sys.argv[1]), [Store(sys.argv[2])])
"""


@pytest.mark.slow
@pytest.mark.parametrize("made", [False, True])
def test_a_kill_on_the_way_leaves_the_target(parts: list[Store], made: bool) -> None:
    target = parts[1] if made else Store(parts[0].path.with_name("all.duckdb"))
    before = held(target) if made else {}
    done = subprocess.run([sys.executable, "-c", KILLED, str(target.path), str(parts[0].path)], check=False)
    assert done.returncode == 9
    assert (held(target) == before) if made else not target.path.exists()
    merge(target, parts[:1])
    assert check(target).whole


def test_a_target_that_is_a_link_to_nothing_is_not_said_to_be_merged(new_store: NewStore, tmp_path: Path) -> None:
    source = new_store()
    source.commit(rows.results(["a"]))
    target = tmp_path / "target.duckdb"
    target.symlink_to(tmp_path / "nothing.duckdb")
    with pytest.raises(StoreError, match="was not made"):
        merge(Store(target), [source])
    assert not (tmp_path / "nothing.duckdb").exists()
