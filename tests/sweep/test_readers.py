"""Whoever looks at a store while a sweep runs gets an answer: before it is made, during commits, and at the end."""

import json
import resource
import subprocess
import time
from pathlib import Path

import pytest

from tests.sweep.conftest import Write
from tests.sweep.test_ray import COMMAND
from tests.sweep.test_torture import RECORDED
from tests.sweep.torture import launched

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("proc")]

NOTHING_YET = ("there is no store yet", "does not exist; sweep launch makes it", "the store holds no runs")


def seconds_of(command: list[str], folder: Path) -> tuple[str, "subprocess.CompletedProcess[str]"]:
    """What a command cost, on the wall and of the CPU: the machine may be shared."""
    begin, cpu = time.monotonic(), cpu_seconds()
    done = subprocess.run([*COMMAND, *command], cwd=folder, capture_output=True, text=True, timeout=240)
    return f"{command[0]} {time.monotonic() - begin:.1f} s ({cpu_seconds() - cpu:.1f} s of CPU)", done


def cpu_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_every_look_at_a_running_sweep_is_answered(executor: str, write: Write, tmp_path: Path) -> None:
    """Counts never fall; none waits for the sweep, and the sweep waits for none of them."""
    running = launched(tmp_path, "read", write(RECORDED), "--store", "results.duckdb", "--executor", executor)
    seen: list[int] = []
    while running.running:
        took, done = seconds_of(["status", "--json"], tmp_path)
        assert done.returncode == 0, done.stderr
        seen.append(sum(json.loads(done.stdout)["runs"].values()))
        asked, done = seconds_of(["query", "SELECT count(*) AS n FROM runs", "--format", "json"], tmp_path)
        assert done.returncode == 0, done.stderr
        seen.append(json.loads(done.stdout)[0]["n"])
        drawn, done = seconds_of(["report"], tmp_path)
        assert done.returncode == 0 or any(words in done.stderr for words in NOTHING_YET), done.stderr
        print(f"{took}, {asked}, {drawn}, code {done.returncode}", flush=True)
        time.sleep(1)
    assert running.end() == 0, running.said()
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert "Traceback" not in running.said()
