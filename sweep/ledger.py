"""Rows on their way into the store: the driver is the only writer, a commit is one transaction."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping

import pyarrow as pa

from db.store import Store, StoreLocked

EVERY_SECONDS = 1.0
"""Between two commits, at least: how often readers have to wait a moment."""

LONGEST_SECONDS = 10.0
"""Between two commits, at most: what a kill can lose."""

SHARE = 0.05
"""Of the driver's time that commits should take: workers may need its core."""

ENOUGH_BYTES = 128 << 20
"""Uncommitted rows that are committed before their time: a commit takes several times their memory."""

MAX_BYTES = 512 << 20
"""Uncommitted rows that are kept while others hold the store; beyond, the driver waits."""

PATIENCE_SECONDS = 600.0
"""How long it waits before it gives up."""


class Ledger:
    """Collects tables and commits them.

    Args:
        store: opened with a short timeout, so that a reader who holds it does not stop the sweep.
        notice: told once when the store is held by others.
    """

    def __init__(self, store: Store, notice: Callable[[str], None]):
        self._store, self._notice = store, notice
        self._tables: defaultdict[str, list[pa.Table]] = defaultdict(list)
        self._bytes = 0  # of all tables: to add them up at every batch would take longer the more there are
        self._due = time.monotonic() + EVERY_SECONDS
        self._waiting = False

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Rows for the next commit."""
        for name, rows in tables.items():
            if rows.num_rows:
                self._tables[name].append(rows)
                self._bytes += rows.nbytes

    def commit_if_due(self) -> None:
        """Commit now and then, and where there are many rows; a store that is held by others is tried again later."""
        if self._bytes > MAX_BYTES:
            self.flush()
        elif self._tables and (time.monotonic() >= self._due or (self._bytes > ENOUGH_BYTES and not self._waiting)):
            self._try()

    def flush(self) -> None:
        """Commit all rows. Raises StoreLocked if others hold the store for longer than PATIENCE_SECONDS."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._tables and not self._try():
            if time.monotonic() > deadline:
                raise StoreLocked(f"{self._store.path} is still held by others; the last results are lost")

    def _try(self) -> bool:
        begin = time.monotonic()
        try:
            self._store.commit({name: pa.concat_tables(tables) for name, tables in self._tables.items()})
        except StoreLocked as error:
            if not self._waiting:
                self._notice(f"{error}; results are kept and the sweep goes on")
            self._waiting = True
            self._due = time.monotonic() + EVERY_SECONDS
            return False
        end = time.monotonic()
        self._due = end + min(max(EVERY_SECONDS, (end - begin) / SHARE), LONGEST_SECONDS)
        self._tables.clear()
        self._bytes = 0
        self._waiting = False
        return True
