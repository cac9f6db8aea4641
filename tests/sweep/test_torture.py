"""Nothing that a sweep computed is lost: kills at random, full disks, stores that go away.

SWEEP_TORTURE_MINUTES sets for how long kills go on, SWEEP_TORTURE_SEED which.
"""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.store import Store
from sweep.execution.leftovers import left_behind
from tests.needs import lack
from tests.sweep.conftest import SMALL, Write
from tests.sweep.torture import Launched, launched, none_left

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("proc")]

SLOW = SMALL.replace("architecture: diagonal", "architecture: 'fragile:Slow'").replace("[0, 4]", "[0, 600]")
RECORDED = SLOW.replace("record: false", "record: true")
STEADY = RECORDED.replace("fragile:Slow", "steady:Steady")
MINUTES = float(os.environ.get("SWEEP_TORTURE_MINUTES", "2"))
TIMES = {"wall_seconds", "created_at", "sweep_id", "device", "checksum"}
"""Columns that are not of the mathematics."""


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    keys = {"runs": "run_id", "predictions": "run_id, prediction", "trajectories": "run_id"}[table]
    found: list[dict[str, Any]] = Store(path).query(f"FROM {table} ORDER BY {keys}").to_pylist()
    return [{name: value for name, value in row.items() if name not in TIMES} for row in found]


def check_same(one: Path, other: Path) -> None:
    """Row for row the same; numbers to rounding."""
    for table in ("runs", "predictions", "trajectories"):
        first, second = rows(one, table), rows(other, table)
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            for name, value in a.items():
                assert same(value, b[name]), f"{table}.{name} of {a['run_id']}: {value} and {b[name]}"


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) or (isinstance(one, list) and one):
        first, second = np.array(one, float), np.array(other, float)
        return first.shape == second.shape and np.allclose(first, second, rtol=1e-6, atol=1e-9, equal_nan=True)
    if isinstance(one, str) and one.startswith("{"):
        first, second = json.loads(one), json.loads(other)
        return first.keys() == second.keys() and all(same(value, second[name]) for name, value in first.items())
    return bool(one == other)


def stored(path: Path) -> int:
    count: int = Store(path).query("SELECT count(*) AS n FROM runs")["n"][0].as_py() if path.exists() else 0
    return count


def in_a_commit(running: Launched) -> bool:
    """SIGKILL the driver while DuckDB's log of the store is there, which is for the length of a commit."""
    log = running.log.parent / "results.duckdb.wal"
    deadline = time.monotonic() + 20
    while not log.exists():
        if not running.running or time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return running.send(signal.SIGKILL)


HARM: dict[str, Callable[[Launched], bool]] = {
    "driver": lambda running: running.send(signal.SIGKILL),
    "driver in a commit": in_a_commit,
    "worker": lambda running: running.kill("ray::run_batch"),
    "raylet": lambda running: running.kill("raylet"),
    "gcs_server": lambda running: running.kill("gcs_server"),
    "SIGINT": lambda running: running.send(signal.SIGINT),
    "SIGTERM": lambda running: running.send(signal.SIGTERM),
}
"""Each says whether there was something to harm."""

WORKERS = ("worker",) * 4
ORDER = (
    *WORKERS, "raylet", *WORKERS, "driver", "SIGINT", "driver", "SIGTERM",
    *WORKERS, "gcs_server", *WORKERS, "driver in a commit", "SIGTERM", "driver", "SIGINT",
    *WORKERS, "SIGINT", "driver", *WORKERS, "SIGTERM", "SIGINT", "SIGTERM",
)  # fmt: skip
"""Many harms of one launch in a row, what ends it comes last; then launches that mostly end before Ray has started.

Never nine workers in one launch: a run whose workers all died is a failed one, and would be one here.
"""

PATIENCE = 600
"""Seconds that a launch under harm may take."""


class Torturer:
    """Harms launches of one grid into one store, one harm after the other, until the time is over.

    Attributes:
        harms: how often what was harmed, and before or after the first batch was handed out.
        codes: exit codes of launches.
        compared: sweeps that were finished and found equal to the undisturbed one.
    """

    def __init__(self, grid: Path, folder: Path, seconds: float, seed: int):
        self.grid, self.folder, self.store = grid, folder, folder / "results.duckdb"
        self.mark = f"torture-{os.getpid()}"
        self.harms, self.codes, self.compared = Counter[tuple[str, str]](), Counter[int](), 0
        self._chosen, self._order = random.Random(seed), itertools.cycle(ORDER)
        self._begin, self._seconds = time.monotonic(), seconds
        self._next = next(self._order)

    @property
    def time_is_left(self) -> bool:
        return time.monotonic() - self._begin < self._seconds

    def launched(self) -> Launched:
        return launched(self.folder, self.mark, self.grid, "--store", self.store, "--workers", "2")

    def torture(self) -> None:
        done = 0
        while self.time_is_left:
            running = self.launched()
            end = time.monotonic() + PATIENCE
            while running.running and self.time_is_left:
                assert time.monotonic() < end, running.said()
                self.harm(running)
            self.codes[running.end(PATIENCE)] += 1
            assert not set(self.codes) - {0, 3, 130, -signal.SIGKILL}, running.said()
            assert stored(self.store) >= done, running.said()
            done = stored(self.store)
            if done == 1200:  # once more from the start
                self.compare()
                for file in (self.store, self.store.with_name(f"{self.store.name}.wal")):
                    file.unlink(missing_ok=True)  # a driver that was killed in the last commit leaves the log
                done = 0

    def harm(self, running: Launched) -> None:
        """Wait for a moment that is drawn, then do the next harm."""
        what = self._next
        if what not in ("driver", "SIGINT", "SIGTERM") or self._chosen.random() < 0.3:
            running.wait_for(self._chosen.choice(("running ", "/1200")))
        time.sleep(self._chosen.uniform(0, 3 if "running " in running.said() else 10))
        phase = "running" if "running " in running.said() else "starting"
        if running.running and HARM[what](running):
            self.harms[what, phase] += 1
            self._next = next(self._order)
            self.say(f"{what} ({phase})")

    def compare(self) -> None:
        check_same(self.folder / "undisturbed.duckdb", self.store)
        self.compared += 1
        self.say(f"a sweep is finished and equal to the undisturbed one; exit codes {dict(self.codes)}")

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self._begin:7.1f} s  {sum(self.harms.values()):4}  {what}", flush=True)


def test_kills_at_random_lose_nothing(write: Write, tmp_path: Path) -> None:
    grid, mark = write(STEADY), f"undisturbed-{os.getpid()}"
    undisturbed = launched(tmp_path, mark, grid, "--store", tmp_path / "undisturbed.duckdb", "--executor", "local")
    assert undisturbed.end() == 0, undisturbed.said()
    seed = int(os.environ.get("SWEEP_TORTURE_SEED", time.time_ns()))
    torturer = Torturer(grid, tmp_path, 60 * MINUTES, seed)
    torturer.torture()
    ended = torturer.launched()
    assert ended.end() == 0, ended.said()
    none_left(torturer.mark)
    torturer.compare()
    print(f"{sum(torturer.harms.values())} times harmed: {dict(torturer.harms)}; {torturer.compared} sweeps compared")
    subprocess.run([sys.executable, "-m", "sweep", "gc", "--store", str(torturer.store)], check=True)
    assert not list(left_behind(torturer.store))


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_cluster_that_goes_away_fails_no_run(name: str, write: Write, tmp_path: Path) -> None:
    """Of our own it is started again once; the second time the launch stops with exit code 3."""
    store, mark = tmp_path / "results.duckdb", f"gone-{name}-{os.getpid()}"
    running = launched(tmp_path, mark, write(SLOW), "--store", store, "--workers", "2")
    running.wait_for("/1200")
    assert running.kill(name)
    running.wait_for("started again")
    assert running.kill(name)
    assert running.end() == 3, running.said()
    lines = running.said().splitlines()
    assert "Ray cluster is gone" in running.said()
    assert lines[-2].startswith("to go on: ")
    assert ", 0 failed, " in lines[-1]
    none_left(mark)
    assert Store(store).query("FROM attempts WHERE outcome = 'lost'").num_rows == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_of_the_start_is_an_interrupt(
    number: signal.Signals, write: Write, tmp_path: Path
) -> None:
    grid, mark = write(SLOW), f"start-{os.getpid()}"
    for step in range(8):
        running = launched(tmp_path, mark, grid, "--store", tmp_path / f"{step}.duckdb", "--workers", "1")
        time.sleep(0.15 + 0.4 * step)
        running.process.send_signal(number)
        assert running.end(90) == 130, running.said()
        assert "Traceback" not in running.said()
    none_left(mark)


def test_a_signal_in_a_long_batch_here_is_answered_in_seconds(write: Write, tmp_path: Path) -> None:
    long = SLOW.replace("fragile:Slow", "fragile:Endless")
    running = launched(tmp_path, f"long-{os.getpid()}", write(long), "--store", "s.duckdb", "--executor", "local")
    running.wait_for("running ")
    time.sleep(2)
    begin = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert running.end(90) == 130, running.said()
    assert time.monotonic() - begin < 30


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size, which needs root."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, text=True
    )
    if made.returncode:
        lack("small disks", made.stderr)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def relaunched(tmp_path: Path, grid: Path, store: Path, mark: str) -> int:
    """What the next launch found spilled; it must finish the sweep."""
    ended = launched(tmp_path, mark, grid, "--store", store, "--workers", "2")
    assert ended.end() == 0, ended.said()
    assert stored(store) == 1200
    line = next((line for line in ended.said().splitlines() if line.startswith("stored ")), "stored 0 ")
    none_left(mark)
    return int(line.split()[1])


def test_a_full_disk_loses_nothing(write: Write, tmp_path: Path) -> None:
    grid, mark = write(RECORDED), f"full-{os.getpid()}"
    with small_disk(tmp_path / "small", "6m") as disk:
        store = disk / "results.duckdb"
        running = launched(tmp_path, mark, grid, "--store", store, "--workers", "2", TMPDIR=str(tmp_path))
        running.wait_for("running ")
        fill = disk / "fill"
        with contextlib.suppress(OSError), fill.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        assert running.end() == 4, running.said()
        assert "are kept in " in running.said()
        assert running.said().splitlines()[-2].startswith("to go on: ")
        fill.unlink()
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        os.environ["TMPDIR"] = str(tmp_path)
        try:
            assert relaunched(tmp_path, grid, store, mark) > 0
        finally:
            del os.environ["TMPDIR"]
        assert not list(disk.glob("*spill*"))
        assert not list(tmp_path.glob("sweep-spill-*"))


def test_no_room_for_ray_is_exit_code_2(write: Write, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as short, small_disk(Path(short) / "s", "64k") as disk:
        running = launched(tmp_path, "noroom", write(SLOW), "--store", tmp_path / "s.duckdb", TMPDIR=str(disk))
        assert running.end(600) == 2, running.said()
        assert running.said().splitlines()[-1].startswith("error: Ray cannot be started"), running.said()
    none_left("noroom")


def moved(store: Path) -> Callable[[], None]:
    elsewhere = store.with_name("elsewhere.duckdb")
    store.rename(elsewhere)
    return lambda: shutil.move(elsewhere, store)


def deleted(store: Path) -> Callable[[], None]:
    store.unlink()
    return lambda: None


def read_only(store: Path) -> Callable[[], None]:
    done = subprocess.run(["chattr", "+i", store], capture_output=True, text=True)
    if done.returncode:
        lack("immutable files", done.stderr)
    return lambda: subprocess.run(["chattr", "-i", store], check=True) and None


@pytest.mark.parametrize("harm", [moved, deleted, read_only])
def test_a_store_that_goes_away_loses_nothing(
    harm: Callable[[Path], Callable[[], None]], write: Write, tmp_path: Path
) -> None:
    grid, store, mark = write(SLOW), tmp_path / "results.duckdb", f"away-{os.getpid()}"
    running = launched(tmp_path, mark, grid, "--store", store, "--executor", "local")
    running.wait_for("running ")
    deadline = time.monotonic() + 60
    while not stored(store) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        repair = harm(store)
    except BaseException:
        running.process.kill()
        running.end()
        raise
    assert running.end() == 4, running.said()
    repair()
    assert list(tmp_path.glob("results.duckdb.spill-*"))
    assert relaunched(tmp_path, grid, store, mark) > 0
    assert not list(tmp_path.glob("*spill*"))


HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"


def test_a_store_that_another_holds_for_a_while_is_waited_for(write: Write, tmp_path: Path) -> None:
    grid, store, mark = write(SLOW), tmp_path / "results.duckdb", f"held-{os.getpid()}"
    running = launched(tmp_path, mark, grid, "--store", store, "--executor", "local", HOME="/proc/nowhere")
    running.wait_for("running ")
    while True:
        holder = subprocess.Popen([sys.executable, "-c", HOLD, str(store)], stdin=-1, stdout=-1, stderr=-1)
        assert holder.stdout is not None
        if holder.stdout.readline():
            break
        holder.communicate()
    running.wait_for("is locked by")
    time.sleep(60 if MINUTES > 2 else 10)
    holder.communicate(b"\n")
    assert running.end() == 0, running.said()
    assert stored(store) == 1200
    none_left(mark)
