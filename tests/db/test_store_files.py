"""What is not a store is refused with a clear message and left as it was."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from db.store import NoStore, NotAStore, Store, StoreDenied, StoreError
from tests.db import store_rows as rows

NOBODY = 65534
"""The user without rights, on Linux."""


def text(path: Path) -> None:
    path.write_text("run_id,status\n" * 1000)


def nothing(path: Path) -> None:
    path.touch()


def sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (run_id TEXT)")
    connection.close()


def other_duckdb(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE runs (x INTEGER)")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (text, "not a DuckDB database"),
        (nothing, "an empty file"),
        (sqlite, "an SQLite database"),
        (other_duckdb, "not of this program"),
    ],
)
def test_other_files_are_refused(make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "results.duckdb"
    make(path)
    before = path.read_bytes()
    store = Store(path, timeout=1)
    for use in (
        store.create,
        store.upgrade,
        lambda: store.query("SELECT 1"),
        lambda: store.commit(rows.results(["a"])),
    ):
        with pytest.raises(NotAStore, match=message) as caught:
            use()
        assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["results.duckdb"]


def test_a_truncated_store_is_refused(store: Store, tmp_path: Path) -> None:
    for batch in range(2):
        store.commit(rows.results(f"{batch}-{run}" for run in range(500)))
    whole = store.path.read_bytes()
    path = tmp_path / "cut.duckdb"
    for share in (0.001, 0.1, 0.3, 0.5, 0.7, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(NotAStore, match="damaged"):
            Store(path, timeout=1).create()
        assert path.read_bytes() == whole[: int(share * len(whole))]


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="directory"):
        Store(tmp_path, timeout=1).create()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoStore, match="is not a folder"):
        Store(tmp_path / "none" / "results.duckdb").create()
    (tmp_path / "file").touch()
    with pytest.raises(NoStore, match="is not a folder"):
        Store(tmp_path / "file" / "results.duckdb").create()


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to write everywhere, if this process has it."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    Store(tmp_path / "results.duckdb").create()  # imports what nobody may not read
    with tempfile.TemporaryDirectory() as folder:  # nobody may not enter tmp_path
        os.chmod(folder, 0o555)
        with as_nobody(), pytest.raises(StoreDenied, match="cannot be made"):
            Store(Path(folder) / "results.duckdb").create()
        assert os.listdir(folder) == []
        os.chmod(folder, 0o755)
        Store(Path(folder) / "results.duckdb").create()  # nobody may not read this project everywhere


def test_a_folder_that_takes_no_files_is_told() -> None:
    with pytest.raises(StoreDenied, match="cannot be made"):
        Store("/proc/results.duckdb").create()


def test_the_log_of_a_lost_store_is_not_replayed(tmp_path: Path) -> None:
    (tmp_path / "results.duckdb.wal").write_bytes(b"x")
    with pytest.raises(StoreError, match="left of a store that is gone"):
        Store(tmp_path / "results.duckdb").create()
    assert os.listdir(tmp_path) == ["results.duckdb.wal"]


def test_a_new_store_leaves_nothing_beside_it(tmp_path: Path) -> None:
    Store(tmp_path / "é 100%.duckdb").create()
    assert os.listdir(tmp_path) == ["é 100%.duckdb"]


def test_a_relative_path_survives_a_change_of_directory(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty, tmp_path / "results.duckdb")
    monkeypatch.chdir(tmp_path)
    store = Store("results.duckdb")
    monkeypatch.chdir("/")
    assert store.query("FROM runs").num_rows == 0
