"""Some runs of a store in memory: for many queries about few runs, which would each look for them in the whole file."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from db.answers import answer, limited
from db.arrow import rows_at_once
from db.connection import in_memory
from db.insert import OF_A_RUN
from db.limits import Limits
from db.schema import VIEWS, expected
from db.statements import one_query
from db.store import Store

MEMORY = 512 << 20
"""Bytes that DuckDB keeps in memory, of the file while it is read, and of the part; the rest of that it writes."""


class Part:
    """Tables and views as in a store, with some of its runs and all rows of these, as they stood at one moment."""

    def __init__(self, duck: Any, limits: Limits):
        self._duck, self._limits = duck, limits

    def query(self, sql: str) -> pa.Table:
        """The result of one query, as `Store.query` gives it."""
        return answer(self._duck, one_query(self._duck, sql), None, self._limits)


@contextlib.contextmanager
def part(store: Store, condition: str) -> Iterator[Part]:
    """The runs of a store that meet a condition of ours on run_id alone. Raises StoreError."""
    memory = min(MEMORY, store.limits.memory)
    source = Store(store.path, store.timeout, replace(store.limits, memory=memory))
    with tempfile.TemporaryDirectory(prefix="sweep-part-") as folder, in_memory(Path(folder), memory) as duck:
        for table, columns in expected().items():
            duck.execute(f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, (kind, _) in columns.items())})")
        with source.reading() as reader:
            limited(partial(_copy, reader, duck, condition), reader, store.limits)
        duck.execute(VIEWS.read_text(encoding="utf-8"))
        yield Part(duck, store.limits)


def _copy(reader: Any, duck: Any, condition: str) -> None:
    """Insert the runs of one connection that meet the condition, and all rows of these, into the tables of another."""
    for table in ("runs", *OF_A_RUN):
        with reader.execute(f"FROM {table} WHERE {condition}").to_arrow_reader(rows_at_once(table)) as pieces:
            for piece in pieces:
                duck.register("piece", piece)
                duck.execute(f"INSERT INTO {table} BY NAME FROM piece")
    duck.unregister("piece")
