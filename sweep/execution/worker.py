"""The body of a task: one batch of runs, to Arrow tables. Runs in a worker's process; never opens the store.

JAX is imported here and nowhere else in the sweep, after its environment is set.
"""

import functools
import gc
import importlib.util
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from kernels.data.kinds import Dataset
from kernels.own_code import OwnCode
from kernels.results import RunResult
from kernels.room import Room
from kernels.spec import RunSpec
from sweep.execution.cache import cache
from sweep.execution.versions import differences, versions

READ = (
    "JAX_PLATFORMS", "XLA_PYTHON_CLIENT_PREALLOCATE", "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "EQX_ON_ERROR", "NPROC", "XLA_FLAGS",
)  # fmt: skip
"""Variables that `prepare` or `kernels/x64.py` set, for JAX to read once."""

Watch = Callable[[int], bool]
"""Told how many runs of a batch have ended, from its start on; true ends it there (`kernels.integrator.ensemble`)."""


class Simulate(Protocol):
    """`kernels.simulate.simulate`."""

    def __call__(
        self, runs: Sequence[tuple[RunSpec, Dataset]], room: Room | None = None, watch: Watch = ...
    ) -> list[RunResult]: ...


@dataclass(frozen=True)
class Payload:
    """What a worker needs for one batch.

    Attributes:
        runs: of one program.
        room: the size of the program, where shapes share it.
        program: key of the program: Ray tasks of one go to workers that have compiled it.
        sweep_id: written into the rows.
        code: the user's own networks and data.
        gpu: whether the task holds a GPU.
        one_core: whether it runs in a worker's own process, and other tasks use the other cores.
        versions: of the driver; a worker that has others refuses.
    """

    runs: Sequence[tuple[RunSpec, Dataset]]
    sweep_id: str
    code: OwnCode
    gpu: bool = False
    one_core: bool = False
    room: Room | None = None
    program: str = ""
    versions: Mapping[str, str] = field(default_factory=versions)


@dataclass(frozen=True)
class Finished:
    """A batch with results, of fewer runs where it was ended early.

    Attributes:
        tables: as `records.tables`.
        seconds: wall time in all.
        worker: host and process.
        versions: found there; a worker from before versions were compared answers without any.
        compile_seconds: of those for importing JAX and compiling, which the worker need not spend again.
        cpu_seconds: of the process, which other processes on the machine do not lengthen.
    """

    tables: dict[str, pa.Table]
    seconds: float
    worker: str
    versions: Mapping[str, str] | None = None
    compile_seconds: float = 0.0
    cpu_seconds: float | None = None

    def __len__(self) -> int:
        return int(self.tables["runs"].num_rows)


@dataclass(frozen=True)
class Raised:
    """A batch that ended in a Python exception, `out_of_memory` or another one."""

    error: str
    traceback: str
    worker: str
    out_of_memory: bool = False
    versions: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Refused:
    """A batch that a worker did not take: its code or its packages are not the driver's. No run of it has failed.

    Attributes:
        reasons: what differs, or what is missing there.
        worker: host and process.
        versions: found there; None where the worker could not even say.
    """

    reasons: tuple[str, ...]
    worker: str
    versions: Mapping[str, str] | None = None

    @property
    def error(self) -> str:
        return "; ".join(self.reasons)


def unwatched(ended: int) -> bool:
    """Nobody looks on, and nobody ends the batch."""
    return False


def run_batch(payload: Payload, watch: Watch = unwatched) -> Finished | Raised | Refused:
    """Simulate a batch; exceptions come back as data, so that they look alike on every executor."""
    begin, cpu = time.perf_counter(), time.process_time()
    found = versions()
    if reasons := differences(payload.versions, found):
        return Refused(reasons, whoami(), found)
    try:
        if payload.one_core:
            prepare(payload.gpu, one_core=True)
            simulate = simulator()
            _keep_imports()
        else:  # the process is a user's
            with unchanged():
                prepare()
                simulate = simulator()
        from kernels.compilation import since
        from sweep.execution.records import tables
    except ImportError as error:  # of a package; the user's own modules are imported later
        return Refused((missing(error.name or str(error)),), whoami(), found)
    except Exception as error:
        return _raised(error, payload.code)
    loaded = time.perf_counter()
    try:
        with payload.code.found():
            rows = tables(simulate(payload.runs, payload.room, watch), payload.sweep_id)
        compiling = loaded - begin + since(loaded)
        seconds, used = time.perf_counter() - begin, time.process_time() - cpu
        return Finished(rows, seconds, whoami(), found, compiling, used)
    except Exception as error:
        return _raised(error, payload.code)


def _raised(error: Exception, code: OwnCode) -> Raised:
    text = f"{type(error).__name__}: {error}{_blame(error, code)}"
    memory = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text
    return Raised(text, traceback.format_exc(), whoami(), memory, versions())


def missing(package: str) -> str:
    """The reason of a refusal where a package is not installed."""
    return f"the Python package {package} is missing there"


@functools.cache
def _keep_imports() -> None:
    """Leave what has been imported out of every later garbage collection: a tenth of a second each."""
    gc.collect()
    gc.freeze()


def _blame(error: Exception, code: OwnCode) -> str:
    """Where in the user's own modules an exception was raised, if it was."""
    files = {f"{name}.py" for name in code.sources}
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).name in files and not frame.name.startswith("<")]
    if not own:
        return ""
    where = f"raised in {own[-1].name} of {Path(own[-1].filename).name}, line {own[-1].lineno}"
    traced = type(error).__module__.startswith("jax")
    return f" ({where}{'; write it with what numpy and JAX arrays share, such as @, * and .sum()' if traced else ''})"


def simulator() -> Simulate:
    """`kernels.simulate.simulate`, when JAX has read its environment: some of it only where it first looks for devices.

    Raises ImportError.
    """
    from kernels.simulate import simulate
    from kernels.x64 import jax

    jax.devices()
    return simulate


@contextmanager
def unchanged() -> Iterator[None]:
    """What JAX reads of the environment is, after the body, what it was before."""
    before = {name: os.environ.get(name) for name in READ}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def prepare(gpu: bool = False, one_core: bool = False) -> None:
    """Environment that JAX reads when it is imported; what the user has set stays."""
    if "jax" in sys.modules:
        return
    cuda = gpu and importlib.util.find_spec("jax_plugins") is not None
    defaults = {
        "JAX_PLATFORMS": "cuda" if cuda else "cpu",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str(cache("jax")),  # another kind of CPU rejects the code
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "EQX_ON_ERROR": "nan",  # programs with error callbacks are not cached; a NaN becomes a status
    }
    if one_core:
        defaults |= {
            "OMP_NUM_THREADS": "1",
            "NPROC": "1",  # XLA's thread pool
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
        }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def whoami() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
