"""Damage is found or does no harm, and what is saved of a damaged store are undamaged rows."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest

from db.check import Checked, check
from db.checksum import summed
from db.errors import Damaged, StoreError
from db.insert import KEYS, OF_A_RUN
from db.schema import HEADERS
from db.store import Store, StoreDenied
from tests.db import store_rows as rows

BLOCK = 262_144
RUNS = 3_000
ROWS = dict.fromkeys(KEYS, RUNS) | {"sweeps": 1}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of several blocks in which every table has rows and every run its checksum."""
    store = Store(tmp_path_factory.mktemp("whole") / "results.duckdb")
    store.create()
    rng = np.random.default_rng(0)
    ids = [f"run {index}" for index in range(RUNS)]
    sweep = {"sweep_id": "s", "name": "n", "created_at": datetime(2026, 1, 1), "grid": "text " * 1000}
    asked = rows.table("sweep_runs", {"sweep_id": "s"}, [{"run_id": each} for each in ids])
    tries = rows.attempts({"attempt_id": each, "run_id": each} for each in ids)
    store.commit({"sweeps": rows.table("sweeps", {}, [sweep]), "sweep_runs": asked, "attempts": tries})
    for part in (ids[: RUNS // 2], ids[RUNS // 2 :]):
        orbits = [
            {"run_id": each, **{name: rng.standard_normal(2).tolist() for name in ("log_time", "residual", "norm")},
             "beta": rng.standard_normal((2, 2)).tolist()}
            for each in part
        ]  # fmt: skip
        results = rows.results(part)
        results["trajectories"] = rows.table("trajectories", rows.TRAJECTORY, orbits)
        results["runs"] = summed(results)
        store.commit(results)
    return store.path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "copy.duckdb"))


def flipped(whole: Path, at: int, path: Path) -> Path:
    """A copy with one bit of the byte at a place turned over."""
    content = bytearray(whole.read_bytes())
    content[at] ^= 1 << at % 8
    path.write_bytes(content)
    return path


def used_blocks(path: Path) -> dict[int, str]:
    """The blocks in which a table's values stand, and one such table."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            block: name
            for name in KEYS
            for (block,) in connection.execute(
                f"SELECT DISTINCT block_id FROM pragma_storage_info('{name}') WHERE persistent AND block_id >= 0"
            ).fetchall()
        }


def assert_saved_are_undamaged(whole: Path, new: Path, found: Checked) -> None:
    """Every saved row stands in the undamaged store too, with all that belongs to its run; the new store is whole."""
    again = check(Store(new))
    assert again.whole
    assert again.rows == found.saved
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{whole}' AS old (READ_ONLY); ATTACH '{new}' AS new (READ_ONLY)")
        for name in KEYS:
            assert connection.execute(f"FROM new.{name} EXCEPT ALL FROM old.{name}").fetchall() == [], name
        for name in OF_A_RUN:
            missing = f"FROM old.{name} SEMI JOIN new.runs USING (run_id) EXCEPT ALL FROM new.{name}"
            assert connection.execute(missing).fetchall() == [], name


def judge(whole: Path, path: Path) -> Checked | None:
    """Check a damaged copy and save what is whole; None where it could not be opened, which was said."""
    new = path.with_name("new.duckdb")
    new.unlink(missing_ok=True)
    try:
        found = check(Store(path, timeout=1), new)
    except StoreError:
        assert not new.exists()
        return None
    assert_saved_are_undamaged(whole, new, found)
    if found.whole:
        assert found.rows == found.saved == ROWS
    return found


@pytest.mark.slow
def test_a_whole_store_is_whole(whole: Path, tmp_path: Path) -> None:
    found = check(Store(whole), tmp_path / "new.duckdb")
    assert found.whole
    assert found.without_checksum == 0
    assert found.rows == found.saved == ROWS
    assert_saved_are_undamaged(whole, tmp_path / "new.duckdb", found)


def assert_flips_are_found(whole: Path, path: Path, blocks: dict[int, str]) -> None:
    for block, name in blocks.items():
        found = judge(whole, flipped(whole, HEADERS + block * BLOCK + 5_003, path))
        assert found is not None
        assert any(each.table == name and "cannot be read" in each.what for each in found.damages), block


@pytest.mark.slow
def test_a_flip_in_a_used_block_is_found(whole: Path, tmp_path: Path) -> None:
    blocks = {name: block for block, name in used_blocks(whole).items()}
    chosen = {blocks[name]: name for name in ("runs", "trajectories")}
    assert_flips_are_found(whole, tmp_path / "copy.duckdb", chosen)


@pytest.mark.slow
def test_a_flip_in_any_used_block_is_found(whole: Path, tmp_path: Path) -> None:
    assert_flips_are_found(whole, tmp_path / "copy.duckdb", used_blocks(whole))


def regions(path: Path) -> Iterator[int]:
    """A byte of each header, and one early, one late in every block, used or not."""
    yield from (9, 13, 70, 4_096, 4_105, 8_192, 8_203)
    for block in range((path.stat().st_size - HEADERS) // BLOCK):
        yield HEADERS + block * BLOCK + 3
        yield HEADERS + (block + 1) * BLOCK - 100


def test_a_flip_in_the_headers_is_found_or_harmless(whole: Path, tmp_path: Path) -> None:
    for at in list(regions(whole))[:7]:
        judge(whole, flipped(whole, at, tmp_path / "copy.duckdb"))


@pytest.mark.slow
def test_many_flips_are_found_or_harmless(whole: Path, tmp_path: Path) -> None:
    rng, size = np.random.default_rng(1), whole.stat().st_size
    places = [*regions(whole), *rng.integers(0, HEADERS, 40).tolist(), *rng.integers(0, size, 200).tolist()]
    for at in places:
        judge(whole, flipped(whole, at, tmp_path / "copy.duckdb"))


def test_a_cut_is_found(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    path = tmp_path / "copy.duckdb"
    for share in (0.001, 0.7, 0.98):
        path.write_bytes(content[: int(share * len(content))])
        found = judge(whole, path)
        assert found is None or not found.whole


def log_of(path: Path, sql: str) -> bytes:
    """The log of a store that was killed after a commit."""
    with duckdb.connect(str(path), config={"storage_compatibility_version": "v1.4.0"}) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute(sql)
        return Path(f"{path}.wal").read_bytes()


def test_a_log_of_another_store_is_not_replayed(copy: Path, empty: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(empty, tmp_path / "other.duckdb"))
    Path(f"{copy}.wal").write_bytes(log_of(other, "INSERT INTO sweep_runs VALUES ('t', 'u')"))
    before = copy.read_bytes()
    for use in (lambda: check(Store(copy)), lambda: Store(copy).query("FROM runs"), Store(copy).create):
        with pytest.raises(Damaged, match=r"copy\.duckdb\.wal belongs to another store"):
            use()
    assert copy.read_bytes() == before


def test_a_log_of_an_earlier_time_is_not_replayed(copy: Path, tmp_path: Path) -> None:
    earlier = Path(shutil.copy(copy, tmp_path / "earlier.duckdb"))
    for name in "ab":
        Store(copy).commit(rows.results([name]))
    Path(f"{copy}.wal").write_bytes(log_of(earlier, "INSERT INTO sweep_runs VALUES ('t', 'u')"))
    with pytest.raises(Damaged, match="another time of this one"):
        check(Store(copy))


def test_its_own_log_is_replayed(copy: Path, tmp_path: Path) -> None:
    killed = Path(shutil.copy(copy, tmp_path / "killed.duckdb"))
    Path(f"{killed}.wal").write_bytes(log_of(copy, "INSERT INTO sweep_runs VALUES ('s', 'u')"))
    assert check(Store(killed)).rows["sweep_runs"] == RUNS + 1


NO_RUN, REPEATED, SUM = "rows have no run", "rows repeat a key", "runs do not add up to their checksum"
RUN_DIM = "runs have coefficients of another dimension than their data"
DIM, UNEVEN = "rows have coefficients of another dimension than their run", "rows have lists of several lengths"
LACKS = "runs lack their trajectory"

VIOLATIONS: dict[str, list[tuple[str, str]]] = {
    "DELETE FROM runs": [(name, NO_RUN) for name in OF_A_RUN],
    "UPDATE runs SET alpha = 0.1000001": [("runs", SUM)],
    "UPDATE runs SET status = 'stopped'": [("runs", SUM)],
    "UPDATE runs SET checksum = checksum + 1": [("runs", SUM)],
    "UPDATE runs SET beta = beta[:1]": [("runs", RUN_DIM), ("runs", SUM)],
    "UPDATE runs SET beta = list_reverse(beta)": [("runs", SUM)],
    "DELETE FROM predictions": [("runs", SUM)],
    "INSERT INTO predictions FROM predictions": [("predictions", REPEATED), ("runs", SUM)],
    "UPDATE predictions SET distance = NULL": [("runs", SUM)],
    "UPDATE predictions SET beta = beta[:1]": [("predictions", DIM), ("runs", SUM)],
    "UPDATE path_predictions SET beta = beta[:1]": [("path_predictions", DIM), ("runs", SUM)],
    "INSERT INTO saddles FROM saddles": [("saddles", REPEATED), ("runs", SUM)],
    "UPDATE saddles SET predicted = predicted[:1]": [("saddles", DIM), ("runs", SUM)],
    "UPDATE saddles SET log_time = 3": [("runs", SUM)],
    "DELETE FROM trajectories": [("runs", LACKS), ("runs", SUM)],
    "INSERT INTO trajectories FROM trajectories": [("trajectories", REPEATED), ("runs", SUM)],
    "UPDATE trajectories SET norm = norm[:1]": [("trajectories", UNEVEN), ("runs", SUM)],
    "UPDATE trajectories SET norm = list_reverse(norm)": [("runs", SUM)],
    "UPDATE trajectories SET beta = [beta[1], beta[2][:1]]": [("trajectories", DIM), ("runs", SUM)],
    "UPDATE trajectories SET beta = list_transform(beta, lambda b: b[:1])": [("trajectories", DIM), ("runs", SUM)],
}
"""What is done to one run, and every damage that it is."""


def test_every_broken_promise_is_found_and_the_rest_saved(whole: Path, copy: Path, tmp_path: Path) -> None:
    expected: dict[tuple[str, str], list[str]] = {("runs", REPEATED): ["run 2000"]}
    with duckdb.connect(str(copy)) as connection:
        for number, (sql, damages) in enumerate(VIOLATIONS.items()):
            connection.execute(f"{sql} WHERE run_id = 'run {number}'")
            for each in damages:
                expected.setdefault(each, []).append(f"run {number}")
        connection.execute("INSERT INTO runs FROM runs WHERE run_id = 'run 2000'")
    new = tmp_path / "new.duckdb"
    found = check(Store(copy), new)
    assert {(each.table, each.what): each.rows for each in found.damages} == {
        damage: len(runs) for damage, runs in expected.items()
    }
    for each in found.damages:
        known = expected[each.table, each.what]
        assert set(each.run_ids) <= set(known)
        assert len(each.run_ids) == min(3, len(known))
    assert_saved_are_undamaged(whole, new, found)
    asked = Store(whole).query("SELECT run_id FROM runs")["run_id"]
    assert Store(new).missing(asked).to_pylist() == [f"run {number}" for number in range(len(VIOLATIONS))]


@pytest.mark.slow
def test_repeated_rows_are_found_and_saved_once(whole: Path, copy: Path, tmp_path: Path) -> None:
    tables = ["sweeps", "sweep_runs", "attempts"]
    with duckdb.connect(str(copy)) as connection:
        for table in tables:
            connection.execute(f"INSERT INTO {table} FROM {table} LIMIT 1")
    found = check(Store(copy), tmp_path / "new.duckdb")
    assert [(each.table, each.what, each.rows) for each in found.damages] == [(name, REPEATED, 1) for name in tables]
    assert_saved_are_undamaged(whole, tmp_path / "new.duckdb", found)
    assert found.saved == ROWS


@pytest.mark.slow
def test_runs_of_a_lost_sweep_are_found_and_kept(whole: Path, copy: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(copy)) as connection:
        connection.execute("DELETE FROM sweeps")
    found = check(Store(copy), tmp_path / "new.duckdb")
    assert [(each.table, each.what, each.rows) for each in found.damages] == [
        ("sweep_runs", "rows have no sweep", RUNS)
    ]
    assert found.saved is not None
    assert (found.saved["runs"], found.saved["sweep_runs"]) == (RUNS, 0)
    assert_saved_are_undamaged(whole, tmp_path / "new.duckdb", found)


def test_a_file_that_is_there_is_never_replaced(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(StoreDenied, match="that file exists"):
        check(Store(copy), tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


def test_runs_of_older_versions_have_no_checksum(store: Store) -> None:
    store.commit(rows.results(["a"]))
    found = check(store)
    assert found.whole
    assert found.without_checksum == 1
