"""Several processes on one file: readers get through, writers take turns, a kill loses nothing that was committed."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from db.store import Store, StoreLocked
from tests.db import store_rows as rows
from tests.db.committer import RUNS, batch

ROOT = Path(__file__).parents[2]


def committer(path: Path, tag: str, first: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.db.committer", str(path), tag, str(first)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str], number: int) -> list[int]:
    """Waits until so many commits are told."""
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(number)]


def end(process: subprocess.Popen[str]) -> list[int]:
    """Kills the process; what it had told and was not read yet."""
    process.kill()
    return [int(line) for line in process.communicate()[0].splitlines()]


def check_whole(store: Store, tag: str, committed: list[int]) -> int:
    """Every acknowledged batch is there, none in part, nothing twice; returns how many batches are there."""
    found = store.query(
        """SELECT count(*) AS runs, count(DISTINCT run_id) AS ids, (SELECT count(*) FROM predictions) AS predictions,
        (SELECT count(DISTINCT run_id) FROM trajectories) AS orbits, (SELECT count(*) FROM trajectories) AS rows
        FROM runs"""
    ).to_pylist()[0]
    assert len(set(found.values())) == 1
    assert found["runs"] % RUNS == 0
    expected = pa.array([run for number in committed for run in batch(tag, number)], pa.string())
    assert store.missing(expected).to_pylist() == []
    return int(found["runs"]) // RUNS


def kill_at_random(store: Store, trials: int) -> None:
    committed: list[int] = []
    for _ in range(trials):
        process = committer(store.path, "k", first=max(committed, default=0))
        committed += told(process, 2)
        time.sleep(random.uniform(0, 0.1))
        committed += end(process)
        there = check_whole(store, "k", committed)
        # at most the commit that was under way when the kill came is there without having been told
        assert there - len(set(committed)) in (0, 1)


@pytest.mark.slow
def test_kill_loses_nothing_and_doubles_nothing(store: Store) -> None:
    kill_at_random(store, trials=2)


@pytest.mark.slow
def test_many_kills_lose_nothing_and_double_nothing(store: Store) -> None:
    kill_at_random(store, trials=25)


@pytest.mark.slow
def test_two_writers_and_a_reader_get_through(store: Store) -> None:
    """Both write the same runs, as two sweeps that overlap do, as fast as they can."""
    writers = [committer(store.path, "w") for _ in range(2)]
    committed, seen = [], [0]
    for writer in writers:
        committed += told(writer, 1)
    seen += [store.query("SELECT count(*) AS n FROM runs")["n"][0].as_py() for _ in range(8)]
    for writer in writers:
        committed += told(writer, 3)
    for writer in writers:
        committed += end(writer)
    assert seen == sorted(seen)
    check_whole(store, "w", committed)


HOLD = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'r'); print(1, flush=True); input()"
)


@pytest.mark.parametrize("mode", ["r", "w"])
def test_a_locked_store_is_told_with_the_process(store: Store, mode: str) -> None:
    store.timeout = 0.2
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(StoreLocked, match=f"process {holder.pid}") as caught:
            store.commit(rows.results(["a"]))
        assert caught.value.pid == holder.pid
        if mode == "r":
            assert store.query("FROM runs").num_rows == 0
        else:
            with pytest.raises(StoreLocked):
                store.query("FROM runs")
    finally:
        holder.communicate(b"\n")
    assert store.commit(rows.results(["a"])) == 1


def test_another_connection_of_this_process_is_told(store: Store) -> None:
    store.timeout = 0.1
    with duckdb.connect(str(store.path), read_only=True), pytest.raises(StoreLocked, match="this process") as caught:
        store.commit(rows.results(["a"]))
    assert caught.value.pid == os.getpid()


@pytest.mark.slow
def test_threads_of_one_process_take_turns(store: Store) -> None:
    errors: list[Exception] = []

    def read() -> None:
        try:
            for _ in range(5):
                store.query("SELECT count(*) FROM runs")
        except Exception as error:
            errors.append(error)

    def write(tag: str) -> None:
        try:
            for number in range(5):
                Store(store.path).commit(rows.results(batch(tag, number)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=read), *(threading.Thread(target=write, args=("t",)) for _ in range(2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert check_whole(store, "t", list(range(5))) == 5


@pytest.mark.slow
def test_two_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    writers = [committer(path, tag) for tag in "ab"]
    committed = [told(writer, 1) for writer in writers]
    assert committed == [[0], [0]]
    for writer in writers:
        end(writer)
    assert Store(path).missing(pa.array(batch("a", 0) + batch("b", 0))).to_pylist() == []
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
