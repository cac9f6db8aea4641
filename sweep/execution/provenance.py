"""What a launch was made with: code, packages, machine. Recorded beside the runs, no part of their identity."""

import io
import os
import platform
import secrets
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from kernels.spec import canonical_json
from sweep.execution.records import now, table
from sweep.execution.versions import OURS, PACKAGES, installed
from sweep.grid.grid import Grid

RECORDED = (OURS, *PACKAGES, "ray", "duckdb", "pyarrow")
"""Packages that move numbers, or that carry them."""

MAX_DIFF = 1 << 20


def new_sweep_id() -> str:
    """Sorts by time, unlike any other."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


def sweep_row(sweep_id: str, grid: Grid, counts: dict[str, Any], launched: str | None = None) -> pa.Table:
    """The `sweeps` row of a launch; `launched` is what launched it, where that is no command line."""
    sha, dirty, diff = git_state(Path(__file__).resolve().parent)
    row = {
        "sweep_id": sweep_id,
        "name": grid.name,
        "created_at": now(),
        "grid": grid_text(grid),
        "command": launched or command(),
        "git_sha": sha,
        "git_dirty": dirty,
        "git_diff": diff,
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "packages": canonical_json(installed(RECORDED)),
        "counts": canonical_json(counts),
        "shard": counts.get("shard"),
    }
    return table("sweeps", {name: [value] for name, value in row.items()})


def command() -> str:
    """The command line, ready to be pasted into a shell."""
    name = Path(sys.argv[0]).name
    return shlex.join([*(["python", "-m", "sweep"] if name == "__main__.py" else [name]), *sys.argv[1:]])


def grid_text(grid: Grid) -> str:
    """The grid as YAML, overrides applied."""
    from ruamel.yaml import YAML

    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(grid.source.tree, stream)
    return stream.getvalue()


def machine() -> str:
    """The processor and how many of its cores this process may use, for a page that names no host."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def git_state(folder: Path) -> tuple[str | None, bool | None, str | None]:
    """Commit of the code, whether its files differ from it, and how; None where the code is no git checkout.

    A file that git does not know counts if it is code: reports and figures lie beside it.
    """
    sha = _git(folder, "rev-parse", "HEAD")
    if sha is None or _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None, None
    diff = _git(folder, "diff", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no") or ""
    new = _git(folder, "ls-files", "--others", "--exclude-standard", ":/*.py") or ""
    return sha.strip(), bool(changed.strip() or new.strip()), (diff or "")[:MAX_DIFF] or None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
