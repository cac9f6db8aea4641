"""Opening the file: one connection a use, retried while other processes hold it, errors turned into StoreErrors.

DuckDB locks the file for one writer or many readers (of other processes), so nobody keeps it open: a connection lives
for one commit or one query, some 10 ms. Within a process only one connection is open at a time, because DuckDB refuses
a second one of another mode.
"""

import os
import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from db.errors import Damaged, NewerSchema, NoStore, NotAStore, StoreDenied, StoreError, StoreLocked
from db.names import check_name
from db.statements import SEALED

PAUSE = 0.005
"""Seconds between two tries at a locked file, drawn from half to one and a half of it."""

LOCK = "SET lock_configuration = true"
"""What a writer's connection runs first."""

NO_BAR = "SET enable_progress_bar = false"
"""It would go to stdout where Python has no file as its program. In a notebook without widgets DuckDB has none, and
refuses the setting."""

SEAL = f"SET disabled_filesystems = 'LocalFileSystem'; {LOCK}"
"""What a reader's connection runs first: from then on not even the store's own file can be named in SQL."""

UNREADABLE = (duckdb.IOException, duckdb.SerializationException, duckdb.FatalException, duckdb.PermissionException)
"""What DuckDB raises for a file of another kind; the last for one that it would open by an extension."""

BROKEN = (duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
"""What DuckDB raises for a database of which it can make no sense."""

IDENTIFIED = "v1.4.0"
"""The least version of DuckDB that reads a new store: from it on a file and its log say that they belong together."""

ROW_GROUP = 2048
"""Rows that DuckDB stores together. A commit writes the last group of a table again, unless it is full: with DuckDB's
own 122,880 rows commits cost the more the larger the store (benchmarks/scale.py)."""

WRITER = {"threads": "1"}
"""Settings of a writer: more threads take more CPU for the same rows (three times that of lists), which workers may
need."""

Stamp = tuple[tuple[int, int, int, int, int], ...]
"""Device, inode, size and both times of a file and of its log; whoever copies a file chooses mtime, nobody ctime."""

_in_process: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class File:
    """A DuckDB file that is opened for each use and closed again; its SQL sees this file and nothing else.

    Args:
        timeout: seconds to wait for other processes.
        memory: bytes that a reader's queries may take; they then write no temporary files. None: DuckDB's default.

    Raises StoreError for a path that DuckDB would not read as this file.
    """

    def __init__(self, path: Path, timeout: float, memory: int | None = None):
        check_name(path)
        self.path, self.timeout, self._memory = path, timeout, memory
        self._engines: dict[bool, Engine] = {}

    @contextmanager
    def open(self, write: bool = False) -> Iterator[Connection]:
        """An open connection, in no transaction; DuckDB's errors leave as StoreErrors, an interrupt as one."""
        deadline = time.monotonic() + self.timeout
        lock = _in_process[str(self.path)]
        if not lock.acquire(timeout=self.timeout):
            raise StoreLocked(f"{self.path} is in use by another thread of this process", os.getpid())
        try:
            connection = self._connect(write, deadline)
            try:
                yield connection
            except (duckdb.Error, DBAPIError) as error:
                raise translate(error, self.path) from error
            except RuntimeError as error:  # what DuckDB makes of an interrupt
                if isinstance(error.__cause__, KeyboardInterrupt):
                    raw(connection).interrupt()  # else its threads may go on, and closing waits for them
                    raise KeyboardInterrupt from error
                raise
            finally:
                connection.close()
        finally:
            lock.release()

    def stamp(self) -> Stamp:
        """Which file this is, and when it was written last, its log too; while it is open nobody else writes it."""
        found = []
        for path in (self.path, self.path.with_name(self.path.name + ".wal")):
            with suppress(FileNotFoundError):
                state = path.stat()
                found.append((state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
        return tuple(found)

    def _connect(self, write: bool, deadline: float) -> Connection:
        while True:
            try:
                connection = self._engine(write).connect()
                with suppress(duckdb.InvalidInputException):
                    raw(connection).execute(NO_BAR)
                try:
                    self._seal(raw(connection), write)
                except BaseException:
                    connection.close()
                    raise
                return connection
            except (duckdb.Error, DBAPIError) as error:
                found = translate(error, self.path)
                if not isinstance(found, StoreLocked) or time.monotonic() > deadline:
                    raise found from error
            time.sleep(PAUSE * random.uniform(0.5, 1.5))

    def _seal(self, duck: Any, write: bool) -> None:
        """From here on SQL sees the store's file and nothing else; a writer attaches it, for its settings' sake."""
        if write:
            name = str(self.path).replace("'", "''")
            duck.execute(f"ATTACH '{name}' AS store (STORAGE_VERSION '{IDENTIFIED}', ROW_GROUP_SIZE {ROW_GROUP})")
            duck.execute("USE store")
            duck.execute(f"SET enable_external_access = false; {LOCK}")
        else:
            duck.execute(SEAL)

    def _engine(self, write: bool) -> Engine:
        """Of a reader the file is its database; a writer's is in memory, and the file beside it."""
        if write not in self._engines:
            config: dict[str, str] = dict(SEALED)
            if write:
                config |= {**WRITER, "temp_directory": f"{self.path}.tmp", "enable_external_access": "true"}
            elif self._memory is not None:
                config |= {"memory_limit": f"{self._memory}B", "temp_directory": ""}
            self._engines[write] = create_engine(
                URL.create("duckdb", database=":memory:" if write else str(self.path)),
                poolclass=NullPool,
                connect_args={"read_only": not write, "config": config},
            )
        return self._engines[write]


@contextmanager
def in_memory(folder: Path, memory: int) -> Iterator[Any]:
    """DuckDB's connection to an empty database in memory; what that many bytes do not hold lies in the folder."""
    room = {"temp_directory": str(folder), "memory_limit": f"{memory}B"}
    config: dict[str, str | bool | int | float | list[str]]
    config = {**SEALED, **WRITER, **room, "enable_external_access": "true"}
    with duckdb.connect(":memory:", config=config) as connection:
        with suppress(duckdb.InvalidInputException):
            connection.execute(NO_BAR)
        connection.execute(f"SET enable_external_access = false; {LOCK}")
        yield connection


def raw(connection: Connection) -> Any:
    """The duckdb connection below a SQLAlchemy connection: the way for Arrow tables."""
    driver = connection.connection.driver_connection
    assert driver is not None
    return driver


def translate(error: Exception, path: Path) -> StoreError:
    """The StoreError for what DuckDB said."""
    cause = getattr(error, "orig", None) or error
    said = str(cause)
    if "Could not set lock on file" in said:
        found = re.search(r"\(PID (\d+)\)", said)
        pid = int(found[1]) if found else None
        holder = f"process {pid}" if pid else "another process"
        return StoreLocked(f"{path} is locked by {holder}; end what holds it open, or try again later", pid)
    if "with a different configuration than existing connections" in said or "Unique file handle conflict" in said:
        return StoreLocked(f"{path} is open in this process through another connection; close that", os.getpid())
    if "we can only read versions" in said or "newer version of DuckDB" in said:
        return NewerSchema(f"{path} was written by a newer DuckDB; install a newer duckdb ({_first_line(said)})")
    if not path.exists():
        return NoStore(f"{path} does not exist; sweep launch makes it, --store names another")
    if "Permission denied" in said or "Read-only file system" in said:
        return StoreDenied(f"{path} cannot be opened: {_first_line(said)}")
    if isinstance(cause, (*UNREADABLE, duckdb.CatalogException)) and _foreign(path):
        return NotAStore(f"{path} is {_foreign(path)}, not a store; name another file with --store")
    if "WAL does not match" in said or "WAL checkpoint iteration does not match" in said:
        return Damaged(f"{path}.wal belongs to another store, or to another time of this one; move it away")
    if isinstance(cause, BROKEN) or re.search(r"read enough bytes|orrupt|checksum", said):
        return Damaged(f"{path} is damaged: {_first_line(said)}; restore it from a copy, or name another file")
    return StoreError(f"{path}: {_first_line(said)}")


def _foreign(path: Path) -> str:
    """What a file that DuckDB refuses is, in words; empty if it starts like a DuckDB database."""
    if path.is_dir():
        return "a directory"
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return ""
    if not start:
        return "an empty file"
    if start.startswith(b"SQLite format 3"):
        return "an SQLite database"
    return "" if start[8:12] == b"DUCK" else "not a DuckDB database"


def _first_line(said: str) -> str:
    return said.strip().partition("\n")[0]
