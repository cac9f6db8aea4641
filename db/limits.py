"""What one query may take: seconds and memory. It ends at both with a QueryError, whatever its SQL asks for.

DuckDB counts only its own buffers: strings, lists and results that a query builds besides could fill the machine. On
Linux the process may therefore not grow by more than twice the limit while a query runs; elsewhere there is only
DuckDB's own limit. DuckDB heeds an interrupt between two chunks of rows, so a single function call may outlast the
time; for that a command names its last resort.
"""

import contextlib
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from db.errors import QueryError, TooMuch

T = TypeVar("T")

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
LEAST = 10 * 10**6
"""Bytes below which DuckDB cannot even open a store."""

GRACE = 10.0
"""Seconds after the interrupt at which the last resort is called."""

ROOM = 256 << 20
"""Bytes that a process may grow by besides its queries' memory."""


@dataclass(frozen=True)
class Limits:
    """What one query may take.

    Attributes:
        seconds: after these it is interrupted; 0 for no limit. $SWEEP_MAX_SECONDS, or 300.
        memory: bytes of DuckDB's buffers, and again as many of the result. $SWEEP_MAX_MEMORY, or 4GB.
        last_resort: called with a message where a query does not heed its interrupt; it may end the process.
    """

    seconds: float = field(default_factory=lambda: parse_seconds(os.environ.get("SWEEP_MAX_SECONDS") or "300"))
    memory: int = field(default_factory=lambda: parse_memory(os.environ.get("SWEEP_MAX_MEMORY") or "4GB"))
    last_resort: Callable[[str], None] | None = None

    @property
    def too_long(self) -> str:
        """What is said of a query that is out of time."""
        return (
            f"the query took longer than {self.seconds:g} s; ask for less (WHERE, LIMIT, fewer joins), "
            "or raise --max-seconds ($SWEEP_MAX_SECONDS)"
        )

    @property
    def too_large(self) -> str:
        """What is said of a query that is out of memory."""
        return (
            f"the query or its result needs more than {self.memory / 1e9:g} GB of memory; ask for less (WHERE, LIMIT, "
            "fewer columns), or raise --max-memory ($SWEEP_MAX_MEMORY)"
        )


def parse_memory(text: str) -> int:
    """Bytes of "4GB" or "512MiB". Raises QueryError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]I?B)\s*", text, re.IGNORECASE)
    size = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if size < LEAST:
        raise QueryError(f"--max-memory {text}: write a number and a unit, at least 10MB, for example 4GB or 512MiB")
    return size


def parse_seconds(text: str) -> float:
    """Seconds of "30" or "0.5". Raises QueryError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise QueryError(f"--max-seconds {text}: write a number of seconds, for example 30, or 0 for no limit")
    return seconds


def watched(work: Callable[[], T], duck: Any, limits: Limits) -> T:
    """What a function returns that runs one query. Raises TooMuch where it takes longer than the limits allow.

    It runs in a thread, for a deadline and Ctrl-C to be seen at once: C code that fetches rows lets no signal through.
    """
    done: list[T] = []
    errors: list[BaseException] = []
    ended = threading.Event()  # a join that Ctrl-C cuts short takes the thread for ended

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="query", daemon=True).start()
    try:
        in_time = ended.wait(limits.seconds or None)
    except BaseException:  # Ctrl-C
        _end(ended, duck)
        raise
    if not in_time:
        _end(ended, duck, limits)
    if done:
        return done[0]
    raise errors[0] if in_time else TooMuch(limits.too_long)


def _end(ended: threading.Event, duck: Any, limits: Limits | None = None) -> None:
    """Interrupt a query until it ends: an interrupt before a query has begun is lost."""
    begin = time.monotonic()
    while not ended.wait(0.02):
        duck.interrupt()
        if limits is not None and limits.last_resort is not None and time.monotonic() - begin > GRACE:
            limits.last_resort(f"{limits.too_long}; DuckDB did not heed an interrupt")


_ceilings = threading.Lock()
_under = 0
_before = 0


@contextlib.contextmanager
def ceiling(memory: int) -> Iterator[None]:
    """The process may not grow by more than twice this memory meanwhile; of several at once the first one's counts."""
    global _under, _before
    try:
        import resource
    except ImportError:  # not of this operating system
        yield
        return
    with _ceilings:
        used = _data()
        if not _under and used is not None:
            _before, hard = resource.getrlimit(resource.RLIMIT_DATA)
            limits = [used + 2 * memory + ROOM, *(each for each in (_before, hard) if each != resource.RLIM_INFINITY)]
            resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
        _under += used is not None
    try:
        yield
    finally:
        with _ceilings:
            _under -= used is not None
            if not _under and used is not None:
                resource.setrlimit(resource.RLIMIT_DATA, (_before, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _data() -> int | None:
    """Bytes of data of this process, as Linux counts them against RLIMIT_DATA; None elsewhere."""
    try:
        found = re.search(r"^VmData:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None
