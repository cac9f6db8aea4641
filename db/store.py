"""The store: results go in as Arrow tables, a commit at a time, and come out by SQL."""

import contextlib
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlalchemy import Connection

from db import schema
from db.answers import answer
from db.arrow import TABLES
from db.connection import File, Stamp, raw
from db.errors import (
    Damaged,
    NewerSchema,
    NoStore,
    NotAStore,
    OlderSchema,
    QueryError,
    StoreDenied,
    StoreError,
    StoreLocked,
)
from db.insert import KEYS, OF_A_RUN, check_together, insert_new, insert_runs, unique
from db.limits import Limits
from db.statements import one_query

Parameters = Mapping[str, Any] | Sequence[Any]

__all__ = [
    "Damaged",
    "Limits",
    "NewerSchema",
    "NoStore",
    "NotAStore",
    "OlderSchema",
    "QueryError",
    "Store",
    "StoreDenied",
    "StoreError",
    "StoreLocked",
]

FINAL = """
    SELECT run_id FROM runs WHERE status <> 'failed'
    UNION ALL
    SELECT f.run_id
    FROM runs f
    LEFT JOIN (
        SELECT run_id, arg_max(retryable, coalesce(started_at, '-infinity'::TIMESTAMP)) AS retryable
        FROM attempts WHERE run_id IS NOT NULL GROUP BY run_id
    ) a USING (run_id)
    WHERE f.status = 'failed' AND NOT $retry_failed AND NOT coalesce(a.retryable, false)
"""
"""Runs that need not be run: those with a result, and those whose last attempt failed for good."""


_checked: dict[Path, Stamp] = {}
"""Files of which this process knows that they are ours to the letter, as they were then."""


class Store:
    """A DuckDB file of sweeps, runs, predictions, trajectories and attempts.

    Any number of processes may use one file at once: each commit and each query opens it, retries for up to
    `timeout` seconds while another process holds it, and closes it. Every error is a StoreError and leaves the file
    as it was. A query takes no more than the limits.
    """

    def __init__(self, path: str | Path, timeout: float = 60.0, limits: Limits | None = None):
        self.limits = limits or Limits()
        self._file = File(Path(os.path.abspath(path)), timeout, self.limits.memory)

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def timeout(self) -> float:
        """Seconds to wait for other processes before StoreLocked."""
        return self._file.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._file.timeout = seconds

    def create(self) -> None:
        """Make the store if there is none; else check that it is one of this version, and bring its views up to date.

        A new store appears whole (made beside its place, then linked), so a kill leaves no half-made one.
        """
        if not self.path.exists():
            make(self.path)
        with self._file.open() as connection:
            self._check(raw(connection))
            schema.check_whole(raw(connection), self.path)
            current = schema.views_current(raw(connection))
        if not current:
            with self._file.open(write=True) as connection, connection.begin():
                schema.check(raw(connection), self.path)
                schema.make_views(connection)

    def upgrade(self) -> tuple[str, str]:
        """Bring the schema up to date in one transaction; returns the revisions before and after."""
        self.must_exist()
        with self._file.open() as connection:
            before = schema.version(raw(connection), self.path)
            if before not in schema.revisions()[:-1]:
                schema.check(raw(connection), self.path)
                return before, before
        with self._file.open(write=True) as connection, connection.begin():
            schema.check_strangers(raw(connection), self.path)
            schema.migrate(connection)
            schema.check_letter(raw(connection), self.path)
            return before, schema.version(raw(connection), self.path)

    def commit(self, tables: Mapping[str, pa.Table]) -> int:
        """Write rows of any tables in one transaction; returns how many runs were written. What is there already stays.

        Committing the same twice changes nothing. A failed run is replaced by what comes later; any other run is
        final. Rows of a run (OF_A_RUN) go in if their run does, which must be in the same commit.
        On StoreLocked nothing was written and the same call may be made again.
        """
        rows = {name: unique(name, tables[name]) for name in KEYS if name in tables and tables[name].num_rows}
        unknown = sorted(set(tables) - set(TABLES))
        if unknown:
            raise ValueError(f"no table is named {unknown[0]!r}; there are {', '.join(TABLES)}")
        check_together(rows)
        if not rows:
            return 0
        with self.writing() as connection:
            duck = raw(connection)
            for name, table in rows.items():
                duck.register(f"incoming_{name}", table)
            new = insert_runs(duck) if "runs" in rows else 0
            for name in rows:
                if name in OF_A_RUN:
                    duck.execute(f"INSERT INTO {name} BY NAME FROM incoming_{name} SEMI JOIN fresh USING (run_id)")
                elif name != "runs":
                    insert_new(duck, name)
        return new

    def missing(self, run_ids: pa.Table | pa.Array | pa.ChunkedArray, retry_failed: bool = False) -> pa.Array:
        """Those of the runs (a column `run_id`, or the ids) that have no result, in the order given.

        Runs that failed count as missing if their last attempt was retryable, all of them with `retry_failed`.
        A store that does not exist has no results.
        """
        ids = run_ids["run_id"] if isinstance(run_ids, pa.Table) else run_ids
        table = pa.table({"run_id": ids})
        if not self.path.exists():
            found = table
        else:
            found = self.query(
                f"""
                SELECT run_id FROM (SELECT run_id, row_number() OVER () AS place FROM wanted) w
                ANTI JOIN ({FINAL}) USING (run_id) ORDER BY place
                """,
                {"retry_failed": retry_failed},
                {"wanted": table},
            )
        return pa.concat_arrays(
            [chunk.cast(pa.string()) for chunk in found["run_id"].chunks] or [pa.array([], pa.string())]
        )

    def query(
        self, sql: str, parameters: Parameters | None = None, tables: Mapping[str, pa.Table] | None = None
    ) -> pa.Table:
        """The result of one query; `tables` stand in the SQL under their names.

        SQL sees the store and nothing else, and changes nothing. The views are those of this version, whatever the
        store holds. Raises QueryError for wrong SQL, for what is no query, and for more than the limits allow.
        """
        self.must_exist()
        with self._file.open() as connection:
            duck = raw(connection)
            self._check(duck)
            schema.make_temporary_views(duck)
            for name, table in (tables or {}).items():
                duck.register(name, table)
            return answer(duck, one_query(duck, sql), parameters, self.limits)

    def _check(self, duck: Any) -> None:
        """Compare the open file with the models, unless it is as it was when this process last did so, or wrote it."""
        schema.check_version(duck, self.path)
        found = self._file.stamp()
        if found != _checked.get(self.path):
            schema.check_letter(duck, self.path)
            _checked[self.path] = found

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """DuckDB's connection to a store of this version as it stands now: who would write waits."""
        self.must_exist()
        with self._file.open() as connection:
            self._check(raw(connection))
            yield raw(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction on a store of this version; an exception in it leaves the store as it was."""
        self.must_exist()
        with self._file.open(write=True) as connection:
            self._check(raw(connection))
            with connection.begin():
                yield connection
            with contextlib.suppress(duckdb.Error):  # what was committed stands in the log, closing tries again
                raw(connection).execute("CHECKPOINT")  # as closing does; then the file stays as it is now
                _checked[self.path] = self._file.stamp()

    def must_exist(self) -> None:
        """Raise NoStore if there is no file."""
        if not self.path.exists():
            raise NoStore(f"{self.path} does not exist; sweep launch makes it, --store names another")


def make(path: Path, fill: Callable[[Connection], None] | None = None) -> None:
    """Make a new store beside its place, filled by a function in one transaction, and link it there.

    A file that stands there already stays as it is. A kill or an error leaves none.
    """
    folder, wal = path.parent, Path(f"{path}.wal")
    if not folder.is_dir():
        raise NoStore(f"{folder} is not a folder; make it, or name another file with --store")
    if wal.exists():
        raise StoreError(f"{wal} is left of a store that is gone; remove it, or bring the store back")
    try:
        with tempfile.TemporaryDirectory(prefix=f"{making(path)}{os.getpid()}-", dir=folder) as place:
            new = Path(place) / path.name
            with File(new, timeout=0).open(write=True) as connection, connection.begin():
                schema.migrate(connection)
                if fill is not None:
                    fill(connection)
            placed = _place(new, path)
    except OSError as error:
        raise StoreDenied(f"{path} cannot be made ({error.strerror}); name another file with --store") from error
    if fill is not None and not placed:
        raise StoreError(f"{path} was not made: there is a file or a link of that name by now; name another file")


def making(path: Path) -> str:
    """How a folder is called in which a process of this machine makes that store; its number follows.

    Digests, because names of files have at most 255 bytes, which a store's name alone may have.
    """
    names = (hashlib.sha256(os.fsencode(name)).hexdigest()[:12] for name in (path.name, socket.gethostname()))
    return f".sweep-{'-'.join(names)}-"


def _place(new: Path, path: Path) -> bool:
    """Give a finished file its name; a file that has it already stays, and False says so."""
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        os.rename(new, path)
    return True
