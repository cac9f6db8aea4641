"""A real cluster of several raylets, one of which has other code, another package, or lacks one (slow)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from tests.sweep.conftest import SMALL, Write, counts_of

pytestmark = pytest.mark.slow

NODES = """
import os, json, shutil, subprocess, sys
os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled",
                  RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")
from pathlib import Path
from ray.cluster_utils import Cluster
from sweep.execution.versions import folder as folder_of

def altered(folder):
    for name in ("sweep", "kernels", "db", "analysis"):
        shutil.copytree(folder_of(name), Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
    rules = Path(folder) / "kernels" / "losses.py"
    rules.write_text(rules.read_text() + "\\n# altered\\n")

def other_numpy(folder):
    info = Path(folder) / "numpy-0.0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: numpy\\nVersion: 0.0.1\\n")

def no_package(folder, name):
    Path(folder).mkdir()
    text = f'raise ModuleNotFoundError("No module named {name!r}", name={name!r})'
    (Path(folder) / f"{name}.py").write_text(text)

altered("altered"), other_numpy("numpy"), no_package("bare", "pyarrow"), no_package("half", "sqlalchemy")
JOINED = '''
import sys, ray, sweep.cli
ray.init(address=sys.argv.pop(1), log_to_driver=False)  # a cluster of the caller's: no code travels
sweep.cli.app()
'''
PLAIN = "import sys, sweep.cli; sys.argv.pop(1); sweep.cli.app()"
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})

def attempt(name, folder, *, travels):
    node = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": os.path.abspath(folder)})
    command = [sys.executable, "-c", PLAIN if travels else JOINED, cluster.address, "launch", "grid.yaml"]
    done = subprocess.run([*command, "--store", f"{name}.duckdb", *(["--address", cluster.address] if travels else [])],
                          capture_output=True, text=True)
    print(json.dumps({"name": name, "rc": done.returncode, "out": done.stdout, "err": done.stderr}), flush=True)
    cluster.remove_node(node)

attempt("altered", "altered", travels=False)
attempt("travels", "altered", travels=True)
attempt("numpy", "numpy", travels=True)
attempt("bare", "bare", travels=True)
attempt("half", "half", travels=True)
cluster.shutdown()
"""


def test_a_worker_of_another_version_computes_nothing(write: Write, tmp_path: Path) -> None:
    write(SMALL)
    done = subprocess.run([sys.executable, "-c", NODES], cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    ended = {answer["name"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    reasons = {
        "altered": ": code ",
        "numpy": "0.0.1 there",
        "bare": "the Python package pyarrow is missing there",
        "half": "the Python package sqlalchemy is missing there",
    }
    for name, reason in reasons.items():
        answer = ended[name]
        assert answer["rc"] == 2, answer
        assert "error: another version on " in answer["err"], answer
        assert reason in answer["err"]
        assert "no run was marked failed" in answer["err"]
        assert rows(tmp_path / f"{name}.duckdb", "SELECT count(*) AS n FROM runs") == [{"n": 0}]
        assert rows(tmp_path / f"{name}.duckdb", "SELECT DISTINCT outcome FROM attempts") == [{"outcome": "refused"}]
    assert ended["travels"]["rc"] == 0, ended["travels"]
    found = rows(tmp_path / "travels.duckdb", "SELECT status, count(*)::INT AS n FROM runs GROUP BY ALL")
    assert counts_of(**{row["status"]: row["n"] for row in found}) == counts_of(converged=8)


def rows(path: Path, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Store(path).query(sql).to_pylist()
    return found
