"""Signals: what has arrived is stored, the way to go on is printed, and going on computes only the rest."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from db.store import Store
from tests.sweep.conftest import SMALL, Launch, Write
from tests.sweep.test_ray import COMMAND

SLOW = SMALL.replace("architecture: diagonal", "architecture: 'fragile:Slow'").replace("[0, 4]", "[0, 600]")
"""1200 runs; the first batches take about a second."""


def start(path: Path, store: Path) -> "subprocess.Popen[str]":
    """Launch in a process of its own and wait until something is stored."""
    command = [*COMMAND, "launch", str(path), "--store", str(store), "--executor", "local"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not (store.exists() and stored(store)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return process


def stored(store: Path) -> int:
    count: int = Store(store).query("SELECT count(*) AS n FROM runs")["n"].to_pylist()[0]
    return count


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_stores_what_arrived_and_says_how_to_go_on(
    number: int, write: Write, launch: Launch, tmp_path: Path
) -> None:
    store = tmp_path / "results.duckdb"
    process = start(write(SLOW), store)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    done = stored(store)
    assert 0 < done < 1200
    lines = out.splitlines()
    assert lines[-1] == f"1200 runs: {done} converged, 0 stopped, 0 diverged, 0 failed, {1200 - done} pending"
    assert lines[-2].startswith("to go on: ")
    assert str(store) in lines[-2]
    ended = launch(SLOW, "grid.seed={range: [0, 170]}")
    assert sum(ended.computed.values()) == ended.plan["pending"] == 340 - ended.plan["cached"]
    assert ended.counts["converged"] == 340
    assert stored(store) == done + ended.plan["pending"]


@pytest.mark.slow
def test_a_second_interrupt_ends_what_is_running(write: Write, tmp_path: Path) -> None:
    store = tmp_path / "results.duckdb"
    process = start(write(SLOW), store)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert 0 < stored(store) < 1200


@pytest.mark.slow
def test_a_kill_loses_nothing_that_was_stored_and_repeats_nothing(write: Write, launch: Launch, tmp_path: Path) -> None:
    store = tmp_path / "results.duckdb"
    process = start(write(SLOW), store)
    process.kill()
    process.communicate()
    done = stored(store)
    assert 0 < done < 1200
    ended = launch(SLOW)
    assert sum(ended.computed.values()) == 1200 - done
    assert ended.counts["converged"] == stored(store) == 1200
