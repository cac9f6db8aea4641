"""Launches on Ray: one cluster for the session; dying workers, foreign addresses, and (slow) nodes that go away."""

import itertools
import multiprocessing
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from db.store import Store
from kernels.own_code import OwnCode
from sweep.execution import apart
from sweep.execution.executors import ClusterLost, ExecutorError
from sweep.execution.ray_tasks import Tasks, check_address
from sweep.execution.worker import Payload
from tests.sweep.conftest import FRAGILE, SMALL, Launch, Write, counts_of

COMMAND = [sys.executable, "-m", "sweep"]


def rows(path: Path, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Store(path).query(sql).to_pylist()
    return found


@pytest.mark.slow
def test_ray_computes_what_this_process_computes(cluster: Any, launch: Launch, tmp_path: Path) -> None:
    ended = launch(SMALL, local=False, store=tmp_path / "ray.duckdb")
    launch(SMALL)
    assert ended.counts == counts_of(converged=8)
    sql = "SELECT run_id, beta FROM runs ORDER BY run_id"
    one, other = rows(tmp_path / "ray.duckdb", sql), rows(tmp_path / "results.duckdb", sql)
    assert [row["run_id"] for row in one] == [row["run_id"] for row in other]
    for a, b in zip(one, other, strict=True):
        assert a["beta"] == pytest.approx(b["beta"], rel=1e-12)


@pytest.mark.slow
def test_a_worker_goes_on_with_the_program_that_it_has_compiled(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks last longer than the half second for which Ray leases a worker otherwise."""

    def computed(payload: Payload, noted: object) -> tuple[str, int]:
        time.sleep(0.7)
        return payload.program, os.getpid()

    monkeypatch.setattr("sweep.execution.ray_tasks.run_batch", computed)
    tasks = Tasks(own=False)
    for number, program in enumerate("ABBAABBA"):
        tasks.submit(number, Payload((), "", OwnCode(), program=program))
    did: dict[int, str] = {}
    while sum(map(len, did.values())) < 8:
        for _, outcome in tasks.poll(5):
            program, worker = cast(Any, outcome)
            did[worker] = did.get(worker, "") + program
    tasks.close()
    changes = sum(one != other for programs in did.values() for one, other in itertools.pairwise(programs))
    assert changes <= 1  # one program may end before the other


@pytest.mark.slow
def test_a_run_that_kills_its_worker_is_isolated(
    cluster: Any, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.execution.driver.WORKER_DEATHS", 1)
    chosen = ("grid.alpha=1", "grid.seed=5,7,9")
    ended = launch(FRAGILE, *chosen, local=False)
    assert ended.counts == counts_of(converged=1, failed=2)
    failed = rows(tmp_path / "results.duckdb", "SELECT seed FROM runs WHERE status = 'failed' ORDER BY seed")
    assert [row["seed"] for row in failed] == [7, 9]
    sql = "SELECT outcome, retryable FROM attempts WHERE run_id IS NOT NULL ORDER BY outcome"
    assert rows(tmp_path / "results.duckdb", sql) == [
        {"outcome": "failed", "retryable": False},
        {"outcome": "lost", "retryable": True},
    ]
    again = launch(FRAGILE, *chosen, "when=seed < 9", local=False)
    assert (again.plan["pending"], again.counts["failed"]) == (0, 1)


@pytest.mark.slow
def test_our_own_cluster_listens_on_loopback_only(cluster: Any) -> None:
    listening = {}
    for table, width in (("tcp", 8), ("tcp6", 32)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening[fields[9]] = fields[1].split(":")[0][-width:]
    pids = _descendants(os.getpid()) | {os.getpid()}
    ours = {address for pid in pids for inode in _sockets(pid) if (address := listening.get(inode))}
    assert ours
    assert all(address.endswith(("0100007F", "01000000")) for address in ours)


def _descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = set(), [pid]
    while waiting:
        new = children.get(waiting.pop(), [])
        found |= set(new)
        waiting += new
    return found


def _sockets(pid: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.append(target[8:-1])
    return found


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "host.invalid:6379", "127.0.0.1:port"])
def test_an_address_where_nothing_answers_is_refused(address: str) -> None:
    with pytest.raises(ExecutorError) as caught:
        check_address(address)
    assert f"--address {address}: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_unreachable_address_leaves_no_store(write: Write, tmp_path: Path) -> None:
    command = ["launch", str(write(SMALL)), "--address", "127.0.0.1:1", "--store", str(tmp_path / "new.duckdb")]
    done = subprocess.run([*COMMAND, *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --address 127.0.0.1:1: nothing answers there")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "new.duckdb").exists()


@pytest.mark.slow
def test_an_address_of_something_else_is_refused_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "JOIN_SECONDS", (5,))
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ExecutorError) as caught:
        apart.Apart(f"127.0.0.1:{server.getsockname()[1]}", None)
    assert "no answer as a Ray cluster" in str(caught.value)


def test_what_cannot_be_unpickled_is_not_taken_for_the_end_of_the_driver(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    commands: queue.Queue[Any] = queue.Queue()
    ours.send_bytes(b"no pickle")
    apart._listen(theirs, commands, tmp_path)
    with pytest.raises(ClusterLost, match="a batch cannot be read there: UnpicklingError"):
        apart._pass_on(cast(Tasks, SimpleNamespace(size=None, ended={})), apart.Tell(theirs), commands)


NODES = """
import os, sys, threading, time
os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")
from pathlib import Path
from ray.cluster_utils import Cluster
from sweep.execution.session import Options, run

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
store = Path("results.duckdb")

def take_away():
    from db.store import Store
    sql = "SELECT count(DISTINCT worker) AS n FROM attempts"
    while not (store.exists() and Store(store).query(sql)["n"].to_pylist()[0] >= len(nodes)):
        time.sleep(0.2)  # until both are at work
    cluster.remove_node(nodes[0], allow_graceful=False)
    print("stored:", Store(store).query("SELECT count(*) AS n FROM runs")["n"].to_pylist()[0], flush=True)

threading.Thread(target=take_away, daemon=True).start()
ended = run(Path("grid.yaml"), Options(store=store, address=cluster.address))
print("ended:", sum(ended.counts.values()), "failed:", ended.counts["failed"], ended.computed, flush=True)
import ray
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_node_that_goes_away_costs_no_run(write: Write, tmp_path: Path) -> None:
    slow = SMALL.replace("architecture: diagonal", "architecture: 'fragile:Slow'").replace("[0, 4]", "[0, 6000]")
    write(slow)
    done = subprocess.run([sys.executable, "-c", NODES], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert "ended: 12000 failed: 0 " in done.stdout, done.stderr
    (stored,) = (line for line in done.stdout.splitlines() if line.startswith("stored: "))
    assert int(stored.removeprefix("stored: ")) < 12_000
    twice = rows(tmp_path / "results.duckdb", "SELECT run_id FROM runs GROUP BY ALL HAVING count(*) > 1")
    assert twice == []


@pytest.mark.slow
def test_a_killed_sweep_on_ray_goes_on_where_it_was(write: Write, launch: Launch, tmp_path: Path) -> None:
    slow = SMALL.replace("architecture: diagonal", "architecture: 'fragile:Slow'").replace("[0, 4]", "[0, 300]")
    store = tmp_path / "results.duckdb"
    command = [*COMMAND, "launch", str(write(slow)), "--store", str(store), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stored = 0
    deadline = time.monotonic() + 120
    while not stored and time.monotonic() < deadline:
        time.sleep(0.2)
        if store.exists():
            stored = rows(store, "SELECT count(*) AS n FROM runs")[0]["n"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = rows(store, "SELECT count(*) AS n FROM runs")[0]["n"]
    assert 0 < stored < 600
    ended = launch(slow)
    assert sum(ended.computed.values()) == 600 - stored
    assert ended.counts["converged"] == 600
    assert rows(store, "SELECT count(*) AS n, count(DISTINCT run_id) AS d FROM runs") == [{"n": 600, "d": 600}]
