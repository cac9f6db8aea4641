"""A cluster that cannot start a batch says so at once and again (slow: a real cluster of several raylets)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweep.conftest import SMALL, Write

pytestmark = pytest.mark.slow

NODES = """
import os, subprocess, sys, threading, time
os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled",
                  RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")
import ray
from ray.cluster_utils import Cluster

CODE = "import sweep.execution.waiting; sweep.execution.waiting.EVERY_SECONDS = 3.0; import sweep.cli; sweep.cli.app()"
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})

def launch(store, then):
    command = [sys.executable, "-uc", CODE, "launch", "grid.yaml", "--store", store, "--address", cluster.address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = 0
    for line in process.stdout:
        print(line, end="", flush=True)
        said += "no batch has ended" in line
        if said == 2 and then:
            then()
            then = None
    print("rc", process.wait(), flush=True)

launch("none.duckdb", lambda: cluster.add_node(num_cpus=1))
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")

@ray.remote(num_cpus=1)
class Busy:
    def ping(self):
        return 1

busy = Busy.remote()
ray.get(busy.ping.remote())
print("busy", flush=True)
launch("busy.duckdb", lambda: ray.kill(busy))
ray.shutdown()
cluster.shutdown()
"""


def test_no_cpus_and_none_free_are_said_at_once_and_again(write: Write, tmp_path: Path) -> None:
    write(SMALL)
    done = subprocess.run([sys.executable, "-c", NODES], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    empty, _, busy = done.stdout.partition("busy\n")
    for said, first, again in (
        (empty, "waiting: the cluster has no CPUs; batches start when", "the cluster has no CPUs"),
        (busy, "waiting: none of the cluster's 1 CPUs is free; batches start", "has 1 CPUs; free are 0 CPUs"),
    ):
        lines = said.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith(first))
        assert "running 8 runs on the Ray cluster" in lines[at - 1]  # nothing else before it
        repeats = [line for line in lines if line.startswith("no batch has ended for ")]
        assert len(repeats) >= 2
        assert all(again in line for line in repeats[:2])
        assert lines[-2:] == ["8 runs: 8 converged, 0 stopped, 0 diverged, 0 failed", "rc 0"]
