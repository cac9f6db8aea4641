"""Rows that the store did not take wait beside it, or in the temporary folder; dead processes leave what is found."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from db.store import NoStore, Store, StoreError, making
from sweep.execution.ledger import Ledger, Unstored
from sweep.execution.leftovers import PREFIX, left_behind, note_owners
from sweep.execution.spill import spill, take_up
from tests.db import store_rows
from tests.sweep.conftest import SMALL, Launch


def count(store: Store) -> int:
    return int(store.query("SELECT count(*) AS n FROM runs")["n"][0].as_py())


def test_a_store_that_is_gone_gets_its_rows_at_the_next_launch(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.duckdb")
    ledger = Ledger(store, lambda said: None, "s1")
    ledger.add(store_rows.results(["a", "b"]))
    with pytest.raises(Unstored, match=r"the last 2 runs are kept in .*results\.duckdb\.spill-s1-1"):
        ledger.flush()
    with pytest.raises(NoStore):
        count(store)
    spill(store.path, "s1", store_rows.results(["b", "c"]))
    assert take_up(store) == 4
    assert count(store) == 3
    assert os.listdir(tmp_path) == ["results.duckdb"]
    assert take_up(store) == 0


def test_without_a_folder_for_the_store_rows_go_into_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "gone" / "results.duckdb"
    folder = spill(path, "s1", store_rows.results(["a"]))
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0
    path.parent.mkdir()
    assert take_up(Store(path)) == 1
    assert not folder.exists()


def test_what_is_no_rows_of_ours_is_refused_and_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.duckdb")
    folder = spill(store.path, "s1", {"runs": pa.table({"run_id": ["a"], "stranger": [1]})})
    with pytest.raises(StoreError, match="holds rows that the store did not take, and cannot be read"):
        take_up(store)
    assert folder.exists()


def test_a_link_to_no_file_makes_the_file(launch: Launch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "target.duckdb")
    launch(SMALL, "grid.seed=0", "grid.alpha=1", store=tmp_path / "link.duckdb")
    assert "is a link to" in capsys.readouterr().out
    assert count(Store(tmp_path / "target.duckdb")) == 1
    assert (tmp_path / "link.duckdb").is_symlink()


def test_only_what_dead_processes_left_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    mine, dead, unknown = (tmp_path / f"{PREFIX}{name}" for name in ("mine", "dead", "unknown"))
    for folder in (mine, dead, unknown):
        folder.mkdir()
    note_owners(mine, os.getpid())
    note_owners(dead, ended.pid)
    ended.wait()
    start = making(tmp_path / "results.duckdb")
    made, being_made = tmp_path / f"{start}{ended.pid}-abc", tmp_path / f"{start}{os.getpid()}-abc"
    for folder in (made, being_made):
        folder.mkdir()
    found = [folder for folder in left_behind(tmp_path / "results.duckdb") if folder.parent == tmp_path]
    assert found == [dead, made]
    shutil.rmtree(dead)
