"""Signals: what has arrived is stored, the way to go on is printed, and going on computes only the rest."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from db.store import Store
from sweep.cli import app
from sweep.execution.executors import LocalExecutor
from sweep.execution.signals import held
from tests.sweep.conftest import SMALL, Launch, Write
from tests.sweep.test_ray import COMMAND

SLOW = SMALL.replace("architecture: diagonal", "architecture: 'fragile:Slow'").replace("[0, 4]", "[0, 600]")
"""1200 runs; the first batches take about a second."""

LONG = """
name: long
task: regression
data: {gaussian: {samples: 30, dim: 60, seed: 0}}
grid: {architecture: diagonal, depth: 6, init: gaussian, alpha: 1e-4, seed: {range: [0, 64]}}
"""


def start(path: Path, store: Path, executor: str = "local") -> "subprocess.Popen[str]":
    """Launch in a process of its own and wait until something is stored."""
    command = [*COMMAND, "launch", str(path), "--store", str(store), "--executor", executor]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not (store.exists() and stored(store)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return process


def stored(store: Path) -> int:
    count: int = Store(store).query("SELECT count(*) AS n FROM runs")["n"].to_pylist()[0]
    return count


def interrupt_when_stored(store: Path) -> None:
    """Send this process SIGINT, as Ctrl-C does, once a batch is stored."""
    deadline = time.monotonic() + 150
    while not (store.exists() and stored(store)) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_an_interrupt_stores_what_arrived_and_goes_on_later(write: Write, launch: Launch, tmp_path: Path) -> None:
    store = tmp_path / "results.duckdb"
    thread = threading.Thread(target=interrupt_when_stored, args=(store,))
    thread.start()
    arguments = ["launch", str(write(SLOW)), "--executor", "local", "--store", str(store)]
    ended = CliRunner().invoke(app, arguments)
    thread.join()
    check_interrupted(ended.exit_code, ended.stdout, store)
    done = stored(store)
    more = launch(SLOW, "grid.seed={range: [0, 170]}")
    assert sum(more.computed.values()) == more.plan["pending"] == 340 - more.plan["cached"]
    assert more.counts["converged"] == 340
    assert stored(store) == done + more.plan["pending"]


def check_interrupted(code: int, out: str, store: Path) -> None:
    """Exit code 130, part of the runs stored, the way to go on and the counts at the end."""
    done = stored(store)
    lines = out.splitlines()
    assert code == 130
    assert 0 < done < 1200
    assert lines[-1] == f"1200 runs: {done} converged, 0 stopped, 0 diverged, 0 failed, {1200 - done} pending"
    assert lines[-2].startswith("to go on: ")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_from_outside_does_the_same(number: int, write: Write, tmp_path: Path) -> None:
    store = tmp_path / "results.duckdb"
    process = start(write(SLOW), store)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    check_interrupted(process.returncode, out, store)
    assert str(store) in out.splitlines()[-2]


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "pause"), [("local", 0.3), ("ray", 0.15), ("ray", 0.3), ("ray", 0.45)])
def test_a_second_interrupt_ends_what_is_running(executor: str, pause: float, write: Write, tmp_path: Path) -> None:
    """On Ray it arrives while the cluster is being shut down."""
    store = tmp_path / "results.duckdb"
    process = start(write(SLOW), store, executor)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert 0 < stored(store) < 1200


def test_an_interrupt_within_a_batch_keeps_what_it_has_finished(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is of 300 runs, 64 at a time; the signal comes when the first have ended, and it is not waited for."""
    noted = LocalExecutor._watch

    def watch(self: LocalExecutor, ended: int) -> bool:
        if ended and not self._stopping.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            self._stopping.wait(20)
        return noted(self, ended)

    monkeypatch.setattr(LocalExecutor, "_watch", watch)
    monkeypatch.setattr(LocalExecutor, "first", lambda self, device: 300)
    ended = launch(SMALL, "grid.seed={range: [0, 150]}")
    done = stored(tmp_path / "results.duckdb")
    assert ended.interrupted
    assert 0 < done == sum(ended.computed.values()) < 300
    sql = "SELECT outcome, runs FROM attempts"
    assert Store(tmp_path / "results.duckdb").query(sql).to_pylist() == [{"outcome": "interrupted", "runs": done}]


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--executor", "local"), ("--workers", "1")])
def test_an_interrupt_within_a_long_batch_is_answered_in_seconds(
    options: tuple[str, ...], write: Write, tmp_path: Path
) -> None:
    """64 runs of a second each in one batch; some have ended by then, as the progress says."""
    store = tmp_path / "results.duckdb"
    command = [*COMMAND, "launch", str(write(LONG)), "--store", str(store), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ended = (re.match(r"(\d+)/64 runs", line) for line in process.stdout)
    assert any(found and int(found[1]) > 3 for found in ended)  # by then the program is compiled well
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert time.monotonic() - begin < 15  # three on a machine that has nothing else to do
    assert process.returncode == 130
    assert "to go on: " in out
    assert 0 < stored(store) < 64


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ray_shuts_down_is_answered_after_it(number: int) -> None:
    done: list[str] = []

    def shut_down() -> None:
        with held(lambda: done.append("undone")):
            signal.raise_signal(number)
            done.append("shut down")

    with pytest.raises(KeyboardInterrupt):
        shut_down()
    assert done == ["shut down", "undone"]


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


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.3, 1.0, 2.0, 4.0])
def test_an_interrupt_while_ray_starts_ends_the_process_in_order(delay: float, write: Write, tmp_path: Path) -> None:
    """The last line of the plan is the last that is printed before Ray starts."""
    command = [*COMMAND, "launch", str(write(SLOW)), "--store", str(tmp_path / "results.duckdb")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any(line.startswith("estimated time") for line in process.stdout)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130, err


def test_an_interrupt_in_the_summary_still_says_how_to_go_on(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.execution.summary.endings", lambda store, sweep_id: signal.raise_signal(signal.SIGINT))
    ended = launch(SMALL)
    lines = list(ended.lines())
    assert ended.interrupted
    assert stored(tmp_path / "results.duckdb") == sum(ended.computed.values()) == 8
    assert lines[-2].startswith("to go on: ")
    assert lines[-1] == "0 of 8 runs were stored before; how many are: sweep status"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_line_changes_no_exit_code(number: int) -> None:
    """Python gives up its handlers before it has ended."""
    script = (
        "import atexit, os, sys, sweep.__main__ as main\n"
        "class Last:\n"
        f"    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, {int(number)})\n"
        "sys.last = Last(); atexit.register(Last().__del__)\n"
        "main.signals.answer(); main._end(0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
