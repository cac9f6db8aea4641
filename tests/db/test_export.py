"""Exports: what other programs read is what the store holds; a folder is never left half written."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.dataset as ds
import pytest

from db import arrow, export
from db.store import Store, StoreDenied
from tests.db import store_rows as rows
from tests.docs.test_pages import ROOT, blocks

NAMES = ("diagonal", "my_module:My Network", "a/b=c%")
"""Architectures; the last two are no names of folders as they stand."""


@pytest.fixture
def filled(store: Store) -> Store:
    for place, name in enumerate(NAMES):
        task = "classification" if place else "regression"
        store.commit(rows.whole([f"r{place}", f"q{place}"], architecture=name, task=task))
    store.commit(rows.sweep("s1", ["r0", "q0"], tags=["x", "y"]))
    return store


def exported(folder: Path, table: str) -> list[dict[str, Any]]:
    """Rows of an exported table, with the columns of the store in their order."""
    found = ds.dataset(folder / table, partitioning=ds.partitioning(export.PARTS, flavor="hive")).to_table()
    columns = arrow.schema(table).names
    return sorted(found.select(columns).to_pylist(), key=lambda row: str(list(row.values())[:2]))


def test_an_export_holds_what_the_store_holds(filled: Store, tmp_path: Path) -> None:
    counted = export.export(filled, tmp_path / "out")
    assert {folder.name for folder in (tmp_path / "out").iterdir()} == set(arrow.TABLES) == set(counted)
    assert (tmp_path / "out/trajectories/task=regression/architecture=diagonal/part-0.parquet").exists()
    for table in arrow.TABLES:
        stored = filled.query(f"FROM {table}").to_pylist()
        assert str(exported(tmp_path / "out", table)) == str(
            sorted(stored, key=lambda row: str(list(row.values())[:2]))
        ), table
        assert counted[table] == len(stored)


def test_polars_reads_the_names_of_networks(filled: Store, tmp_path: Path) -> None:
    export.export(filled, tmp_path / "out")
    for table in ("runs", "trajectories"):
        found = pl.read_parquet(tmp_path / "out" / table / "**/*.parquet", hive_partitioning=True)
        assert set(found["architecture"]) == set(NAMES)


@pytest.mark.slow
def test_the_pages_own_lines_read_an_export(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export.export(filled, tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs" / "stores.md", "python")
    found: dict[str, Any] = {}
    exec(code, found)
    assert set(found["worst"]["architecture"]) == set(NAMES)
    assert set(found["worst"]["distance"]) == {0.5}
    assert found["points"].fetchall() == [(name, 2, 2, 2.0) for name in sorted(NAMES)]


def test_tables_without_rows_have_columns(store: Store, tmp_path: Path) -> None:
    assert set(export.export(store, tmp_path / "out").values()) == {0}
    for table in arrow.TABLES:
        assert exported(tmp_path / "out", table) == []


@pytest.mark.slow
def test_what_is_there_is_replaced_only_where_it_is_an_export_and_that_is_asked(filled: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export.export(filled, folder)
    with pytest.raises(StoreDenied, match="is not empty; name a new folder, or replace an earlier export with --force"):
        export.export(filled, folder)
    filled.commit(rows.whole(["new"]))
    assert export.export(filled, folder, replace=True)["runs"] == 7
    assert len(exported(folder, "runs")) == 7
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(StoreDenied, match=r"holds mine\.txt, which is of no export, and would be lost"):
        export.export(filled, folder, replace=True)
    with pytest.raises(StoreDenied, match="is a file; name a folder"):
        export.export(filled, folder / "mine.txt")
    with pytest.raises(StoreDenied, match="none is not a folder; make it"):
        export.export(filled, tmp_path / "none" / "out")
    assert len(exported(folder, "runs")) == 7


@pytest.mark.parametrize("there", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_error_on_the_way_leaves_no_half(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    folder = tmp_path / "place" / "out"
    folder.parent.mkdir()
    if there:
        export.export(filled, folder)
    written = export._write

    def fail(duck: Any, name: str, path: Path) -> int:
        if name == "trajectories":
            raise OSError(28, "No space left on device")
        return written(duck, name, path)

    monkeypatch.setattr(export, "_write", fail)
    with pytest.raises(StoreDenied, match="cannot be written: No space left on device"):
        export.export(filled, folder, replace=True)
    assert [path.name for path in folder.parent.iterdir()] == ["out"] * there
    assert not there or len(exported(folder, "runs")) == 6


@pytest.mark.parametrize("held", ["runs/events.out", "runs/task=regression/notes.txt"])
def test_what_only_looks_like_an_export_stays(store: Store, tmp_path: Path, held: str) -> None:
    folder = tmp_path / "out"
    if "notes" in held:
        export.export(store, folder)
    (folder / held).parent.mkdir(parents=True, exist_ok=True)
    (folder / held).write_text("mine")
    with pytest.raises(StoreDenied, match="would be lost"):
        export.export(store, folder, replace=True)
    assert (folder / held).read_text() == "mine"


def test_what_came_meanwhile_stays(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, write = tmp_path / "out", export._write

    def meanwhile(*given: Any) -> int:
        folder.mkdir(exist_ok=True)
        (folder / "mine").write_text("mine")
        return write(*given)

    monkeypatch.setattr(export, "_write", meanwhile)
    with pytest.raises(StoreDenied, match="cannot be written"):
        export.export(store, folder)
    assert (folder / "mine").read_text() == "mine"


def test_an_interrupt_between_both_names_brings_the_old_one_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    export.export(store, folder)
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.export(store, folder, replace=True)
    assert {each.name for each in folder.iterdir()} == set(arrow.TABLES)
