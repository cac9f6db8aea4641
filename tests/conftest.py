"""Shapes and types of kernels are checked at run time in tests; JAX is strict about them and runs on the CPU.

Programs that one process has compiled are read by the others, in this run of the tests only.
"""

import os
import secrets
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.needs import PREFIX

os.environ.setdefault("JAX_PLATFORMS", "cpu")
MADE = "" if "JAX_COMPILATION_CACHE_DIR" in os.environ else tempfile.mkdtemp(prefix="compiled-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", MADE)  # workers inherit it
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("EQX_ON_ERROR", "nan")  # programs with error callbacks are not cached

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background jobs; what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)

from jaxtyping import install_import_hook  # noqa: E402

ROOMS = ["kernels.networks", "kernels.data", "kernels.flows", "kernels.integrator"]
"""Checking those of the theory as well takes a quarter of the suite's time; CI does, by SWEEP_SHAPES=all."""

install_import_hook("kernels" if os.environ.get("SWEEP_SHAPES") == "all" else ROOMS, "beartype.beartype")

from kernels.x64 import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture(autouse=True)
def pilots(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of times that pilots keep: of each test its own, not that of the user."""
    folder = tmp_path_factory.getbasetemp() / f"pilots-{secrets.token_hex(8)}"
    monkeypatch.setattr("sweep.execution.timing.cache", lambda name: folder)
    return folder


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """What no test of this run could show here, in one place."""
    skipped = (report.longrepr for report in terminalreporter.getreports("skipped"))
    reasons = [str(found[2]) for found in skipped if isinstance(found, tuple)]
    lacking = Counter(reason.partition(PREFIX)[2] for reason in reasons if PREFIX in reason)
    if lacking:
        terminalreporter.section("not tested on this machine")
        for what, tests in sorted(lacking.items()):
            terminalreporter.write_line(f"{what}: {tests} tests")


def pytest_sessionfinish() -> None:
    if MADE:
        shutil.rmtree(MADE, ignore_errors=True)
