"""Two hosts as network namespaces with a cable between them: cut, cut for good, a host killed, a host that comes late.
The head killed, with the driver on its machine and on the other one.

On one of them an autoscaler starts machines for a sweep and ends them after it (Ray's fake provider: a raylet each).

The addresses exist inside the two namespaces only; nothing leads outside. Slow, and of root on Linux.
"""

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from tests.needs import lack
from tests.sweep.conftest import SMALL, Write

pytestmark = pytest.mark.slow

HEAD, WORKER, PORT, BOARD = "10.231.7.1", "10.231.7.2", 6379, 8265
RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats", "--block"]
JOB = [sys.executable, "-m", "ray.scripts.scripts", "job"]
SWEEP = [sys.executable, "-uc", "from sweep.cli import app; app()"]
GRID = SMALL.replace("architecture: diagonal", "architecture: 'fragile:Slow'").replace("[0, 4]", "[0, 3000]")
RUNS = 6_000
COMMANDS = (
    "initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands",
    "head_start_ray_commands", "worker_start_ray_commands",
)  # fmt: skip
"""What the autoscaler reads of a cluster file, though raylets as machines need none of it."""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Hosts:
    """A head and a worker host; what runs on them is started and killed here, by process id."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.head, self.worker = (f"sweep{os.getpid()}{side}" for side in "hw")
        self.started: list[subprocess.Popen[bytes]] = []
        self.temp = tempfile.mkdtemp(prefix="ray-hosts-", dir="/tmp")  # Ray's sockets need a short path
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "RAY_AUTH_MODE": "disabled",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        }

    def wire(self) -> None:
        for name in (self.head, self.worker):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.head, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", self.worker)
        for name, address in ((self.head, HEAD), (self.worker, WORKER)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")

    def start(self, host: str, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", host, *command], cwd=self.folder, env=self.environment,
                stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.started.append(process)
        return process

    def start_ray(self, host: str, *arguments: str, log: str) -> None:
        """Ray itself gives up after 30 s, which on a busy machine is no fault of the test's: three tries."""
        for _ in range(3):
            process = self.start(host, *RAY, *arguments, log=log)
            self.until(lambda: "Ray runtime started" in self.said(log) or process.poll() is not None, 300)  # noqa: B023 - called at once
            if process.poll() is None:
                return
        pytest.fail(self.said(log))

    def start_head(self, cpus: int) -> None:
        own = (f"--node-ip-address={HEAD}", f"--port={PORT}", f"--temp-dir={self.temp}", "--include-dashboard=false")
        self.start_ray(self.head, "--head", f"--num-cpus={cpus}", *own, log="head.log")

    def start_autoscaler(self) -> None:
        """A head without CPUs, on loopback, whose autoscaler starts at most two machines of one CPU."""
        config = {
            "cluster_name": "fake",
            # idle times are kept by address, which the provider says is a node's id: else no machine is ever idle
            "provider": {"type": "fake_multinode", "launch_multiple": True, "use_node_id_as_ip": True},
            "available_node_types": {
                "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
                "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
            },
            "head_node_type": "ray.head.default",
            "max_workers": 2,
            "idle_timeout_minutes": 0.2,
            "upscaling_speed": 1.0,
            "file_mounts": {},
            "cluster_synced_files": [],
            "auth": {},
            **{key: [] for key in COMMANDS},
        }
        (self.folder / "autoscaler.json").write_text(json.dumps(config))
        self.environment |= {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": "fffffffffffffffffffffffffffffffffffffffffffffffffff00000",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
        own = ("--node-ip-address=127.0.0.1", f"--port={PORT}", f"--temp-dir={self.temp}", "--include-dashboard=false")
        scaling = "--autoscaling-config=autoscaler.json"
        self.start_ray(self.head, "--head", "--num-cpus=0", scaling, *own, log="head.log")
        del self.environment["RAY_OVERRIDE_NODE_ID_FOR_TESTING"]

    def machines(self) -> int:
        """Raylets on the head's host, but for its own."""
        pids = subprocess.run(["ip", "netns", "pids", self.head], capture_output=True, text=True).stdout.split()
        names = [Path(f"/proc/{pid}/comm") for pid in pids]
        return sum(name.exists() and name.read_text().strip() == "raylet" for name in names) - 1

    def start_worker(self) -> None:
        own = (f"--address={HEAD}:{PORT}", f"--node-ip-address={WORKER}", "--num-cpus=1")
        self.start_ray(self.worker, *own, log="worker.log")

    def start_head_for_jobs(self) -> None:
        """A head on loopback that takes jobs."""
        own = ("--node-ip-address=127.0.0.1", f"--port={PORT}", f"--temp-dir={self.temp}")
        board = ("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={BOARD}")
        self.start_ray(self.head, "--head", "--num-cpus=1", *own, *board, log="head.log")

    def launch(self, address: str = HEAD, host: str | None = None) -> subprocess.Popen[bytes]:
        return self.start(
            host or self.head, *SWEEP, "launch", "grid.yaml", "--address", f"{address}:{PORT}",
            "--store", "results.duckdb", log="sweep.log",
        )  # fmt: skip

    def cable(self, state: str) -> None:
        ip("-n", self.worker, "link", "set", "cable", state)

    def kill(self, host: str, *names: str) -> None:
        """End every process of a host, as a power cut does, or those of some names."""
        found = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True).stdout.split()
        for pid in found:
            with contextlib.suppress(OSError):
                if not names or Path(f"/proc/{pid}/comm").read_text().strip() in names:
                    os.kill(int(pid), signal.SIGKILL)

    def end(self) -> None:
        for name in (self.head, self.worker):
            self.kill(name)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        for process in self.started:
            process.wait()
        shutil.rmtree(self.temp, ignore_errors=True)

    def said(self, log: str) -> str:
        return (self.folder / log).read_text(errors="replace")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        path = self.folder / "results.duckdb"
        found: list[dict[str, Any]] = Store(path).query(sql).to_pylist() if path.exists() else []
        return found

    def workers(self) -> int:
        return sum(row["n"] for row in self.rows("SELECT count(DISTINCT worker) AS n FROM attempts"))

    def until(self, holds: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                texts = "\n".join(f"{log.name}: {log.read_text(errors='replace')}" for log in self.folder.glob("*.log"))
                pytest.fail(f"not within {seconds:.0f} s\n{texts}")
            time.sleep(0.2)

    def all_is_stored_once(self, sweep: subprocess.Popen[bytes]) -> None:
        self.until(lambda: sweep.poll() is not None, 480)
        assert sweep.returncode == 0, self.said("sweep.log")
        assert self.rows("SELECT count(*) AS n, count(DISTINCT run_id) AS d, mode(status) AS s FROM runs") == [
            {"n": RUNS, "d": RUNS, "s": "converged"}
        ]


@pytest.fixture
def hosts(tmp_path: Path, write: Write) -> Iterator[Hosts]:
    write(GRID)
    made = Hosts(tmp_path)
    try:
        try:
            made.wire()
        except (OSError, subprocess.CalledProcessError) as error:
            lack("namespaces", getattr(error, "stderr", None) or error)
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("what", ["cut for a minute", "cut for good", "killed"])
def test_a_host_that_is_lost_costs_no_run(hosts: Hosts, what: str) -> None:
    hosts.start_head(cpus=1)
    hosts.start_worker()
    sweep = hosts.launch()
    hosts.until(lambda: hosts.workers() >= 2, 240)
    if what == "killed":
        hosts.kill(hosts.worker)
    else:
        hosts.cable("down")
    if what == "cut for a minute":
        time.sleep(60)
        hosts.cable("up")
    hosts.all_is_stored_once(sweep)
    assert hosts.rows("SELECT DISTINCT outcome FROM attempts ORDER BY outcome") == [
        {"outcome": "finished"},
        {"outcome": "lost"},
    ]


@pytest.mark.parametrize("what", ["its machine", "its cable", "its processes", "gcs_server"])
def test_a_head_that_is_lost_is_said_within_30_seconds(hosts: Hosts, what: str) -> None:
    """The sweep keeps what it has and stops; with a head again the command that it printed goes on."""
    apart = what in ("its machine", "its cable")
    hosts.start_head(cpus=1)
    hosts.start_worker()
    sweep = hosts.launch(host=hosts.worker if apart else hosts.head)
    hosts.until(lambda: hosts.workers() >= 1, 240)
    match what:
        case "its machine":
            hosts.kill(hosts.head)
        case "its cable":
            hosts.cable("down")
        case "its processes":
            hosts.kill(hosts.head, "raylet", "gcs_server")
        case _:
            hosts.kill(hosts.head, "gcs_server")
    hosts.until(lambda: "the Ray cluster is gone" in hosts.said("sweep.log"), 30)
    hosts.until(lambda: sweep.poll() is not None, 60)
    lines = hosts.said("sweep.log").splitlines()
    assert sweep.returncode == 3, lines
    assert lines[-2].startswith("to go on: ")
    assert f"--address {HEAD}:{PORT}" in lines[-2]
    assert ", 0 failed, " in lines[-1]
    assert 0 < hosts.rows("SELECT count(*) AS n FROM runs")[0]["n"] < RUNS
    assert hosts.rows("FROM attempts WHERE outcome <> 'finished'") == []
    hosts.cable("up")
    hosts.kill(hosts.head)
    hosts.kill(hosts.worker)
    hosts.start_head(cpus=2)
    hosts.all_is_stored_once(hosts.launch())


def test_a_host_that_comes_late_does_the_work(hosts: Hosts) -> None:
    hosts.start_head(cpus=0)
    sweep = hosts.launch()
    hosts.until(lambda: "waiting: the cluster has no CPUs" in hosts.said("sweep.log"), 180)
    hosts.start_worker()
    hosts.all_is_stored_once(sweep)
    assert hosts.workers() == 1


def test_an_autoscaler_starts_machines_for_a_sweep_and_ends_them(hosts: Hosts) -> None:
    hosts.start_autoscaler()
    assert hosts.machines() == 0
    sweep = hosts.launch("127.0.0.1")
    hosts.until(lambda: hosts.machines() == 2, 180)
    hosts.all_is_stored_once(sweep)
    assert "waiting: the cluster has no CPUs" in hosts.said("sweep.log")
    assert hosts.workers() == 2
    hosts.until(lambda: hosts.machines() == 0, 180)


def test_a_sweep_runs_as_a_job_of_ray(hosts: Hosts) -> None:
    """The driver is a process of the cluster's, and the store lies on the head."""
    if importlib.util.find_spec("aiohttp") is None:
        lack("ray[default]", "without it no head takes jobs: uv sync --extra cluster")
    hosts.start_head_for_jobs()
    address = f"http://127.0.0.1:{BOARD}"
    command = shlex.join([*SWEEP, "launch", str(hosts.folder / "grid.yaml"), "--address", "auto", "--store"])
    store = hosts.folder / "results.duckdb"
    job = [*JOB, "submit", "--address", address, "--", "bash", "-c", f"{command} {store}"]
    hosts.until(lambda: hosts.start(hosts.head, *JOB, "list", "--address", address, log="list.log").wait() == 0, 240)
    hosts.all_is_stored_once(hosts.start(hosts.head, *job, log="sweep.log"))
    assert "on the Ray cluster at auto with 1 CPUs" in hosts.said("sweep.log")
