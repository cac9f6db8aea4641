"""Grids as files, launches in this process, one Ray cluster for the whole session."""

import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernels.spec import STATUSES
from sweep.execution.session import Ended, Options, run
from tests.needs import lack

NETWORKS = Path(__file__).parent / "networks"
EXAMPLES = Path(__file__).parents[2] / "examples"

SMALL = """
name: small
task: regression
data: {points: {x: [[1, 2]], y: [1]}}
rtol: 1e-4
stop: {residual: 1e-4}
record: false
grid: {architecture: diagonal, depth: 2, init: gaussian, alpha: [0.5, 1], seed: {range: [0, 4]}}
"""
"""Eight runs of one shape, the shape of most launches here, so that little is compiled."""

FRAGILE = SMALL.replace("architecture: diagonal", "architecture: 'fragile:Fragile'")

Write = Callable[..., Path]
Launch = Callable[..., Ended]


def counts_of(**found: int) -> dict[str, int]:
    """The counts of a launch: zero where nothing is said."""
    return dict.fromkeys(STATUSES, 0) | found


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a grid file; user networks lie beside it."""

    def make(text: str, name: str = "grid.yaml") -> Path:
        for module in NETWORKS.glob("*.py"):
            shutil.copy(module, tmp_path)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def launch(tmp_path: Path, write: Write) -> Launch:
    """Launch a grid's text in this process, into the test's one store."""

    def start(text: str, *overrides: str, **options: Any) -> Ended:
        chosen = {"store": tmp_path / "results.duckdb", "local": True, **options}
        return run(write(text), Options(overrides=overrides, **chosen))

    return start


@pytest.fixture(scope="session")
def proc() -> None:
    """Processes are told by their environment, in /proc."""
    if not Path("/proc/self/environ").exists():
        lack("proc", "processes are told by their environment")


@pytest.fixture(scope="session")
def ray_settings() -> None:
    """What a launch sets before it imports Ray, which reads it at its first import only: for tests that import it."""
    from sweep.execution.ray_tasks import ALWAYS, OWN

    for name, value in (ALWAYS | OWN | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}).items():
        os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Ray on loopback with two CPUs, as a launch starts it; launches of this process then use it."""
    from sweep.execution.ray_tasks import start_here

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
        ray = start_here(workers=2)  # its processes are forked and at once replaced; here JAX runs already
    yield ray
    ray.shutdown()
