"""Rows on their way into the store: the driver is the only writer, a commit is one transaction."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping

import pyarrow as pa

from db.store import Store, StoreError, StoreLocked
from sweep.execution.spill import spill

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
"""How long it waits before it writes them elsewhere."""

AGAIN_SECONDS = 1.0
"""Between two tries where rows could not be written anywhere."""


class Unstored(Exception):  # noqa: N818 - it says what is the matter
    """The store took no rows; the message says why and where they are."""


class Ledger:
    """Collects tables and commits them.

    Args:
        store: opened with a short timeout, so that a reader who holds it does not stop the sweep.
        notice: told once when the store is held by others.
        sweep_id: whose rows they are.
    """

    def __init__(self, store: Store, notice: Callable[[str], None], sweep_id: str):
        self._store, self._notice, self._sweep_id = store, notice, sweep_id
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
        """Commit now and then, and early if rows are many; a store that others hold is tried later. Raises Unstored."""
        if self._bytes > MAX_BYTES:
            self.flush()
        elif self._tables and (time.monotonic() >= self._due or (self._bytes > ENOUGH_BYTES and not self._waiting)):
            self.commit()

    def flush(self) -> None:
        """Commit all rows, or write them elsewhere: at once on an interrupt. Raises Unstored if they are elsewhere."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            while self._tables and not self.commit():
                if time.monotonic() > deadline:
                    self._spill(f"{self._store.path} is still held by others")
                    raise Unstored(
                        f"{self._store.path} took no rows and there was no room elsewhere: the last are lost"
                    )
                time.sleep(AGAIN_SECONDS)
        except KeyboardInterrupt:
            if self._tables:
                self._spill("interrupted")
            raise

    def commit(self) -> bool:
        """Commit all rows; false if that has to be tried again. Raises Unstored if they had to be written elsewhere."""
        begin = time.monotonic()
        try:
            self._store.commit(self._rows())
        except StoreLocked as error:
            self._wait(f"{error}; results are kept and the sweep goes on")
            return False
        except (StoreError, OSError) as error:
            self._spill(str(error))
            return False
        end = time.monotonic()
        self._due = end + min(max(EVERY_SECONDS, (end - begin) / SHARE), LONGEST_SECONDS)
        self._tables.clear()
        self._bytes = 0
        self._waiting = False
        return True

    def _rows(self) -> dict[str, pa.Table]:
        return {name: pa.concat_tables(tables) for name, tables in self._tables.items()}

    def _spill(self, why: str) -> None:
        """Write all rows beside the store or in the temporary folder and raise Unstored; without room, wait."""
        rows = self._rows()
        try:
            folder = spill(self._store.path, self._sweep_id, rows)
        except OSError as error:
            self._wait(f"{why}; nor is there room elsewhere ({error}): results are kept in memory; make room")
            return
        self._tables.clear()
        self._bytes = 0
        runs = rows["runs"].num_rows if "runs" in rows else 0
        raise Unstored(
            f"{why}; the last {runs} runs are kept in {folder}, and the next launch into this store takes them"
        )

    def _wait(self, why: str) -> None:
        if not self._waiting:
            self._notice(why)
        self._waiting = True
        self._due = time.monotonic() + AGAIN_SECONDS
