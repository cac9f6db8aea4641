"""A frame is one SQL query against the store and the meaning of its columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl
import pyarrow as pa

from analysis.errors import BadFilter
from db.errors import QueryError, TooMuch
from db.statements import check_condition

EVERY_RUN = "true"


class Source(Protocol):
    """Whatever answers SQL with an Arrow table: `db.store.Store`."""

    def query(self, sql: str, /) -> pa.Table: ...


def unchanged(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


@dataclass(frozen=True)
class Frame:
    """A tidy table for one chart or table.

    Attributes:
        sql: the query, as a user may run it too; it reads the tables runs, predictions, trajectories, sweeps.
        columns: every column of the frame, in order, and what it means.
        then: what SQL cannot say, applied to the answer (most frames need nothing).
    """

    sql: str
    columns: Mapping[str, str]
    then: Callable[[pl.DataFrame], pl.DataFrame] = unchanged

    def read(self, store: Source, where: str = EVERY_RUN) -> pl.DataFrame:
        """The frame of the runs that satisfy `where`, a condition in SQL on the columns of `runs`."""
        frame = pl.DataFrame(_answer(store, restricted(self.sql, where), where))
        return self.then(frame)


def restricted(sql: str, where: str) -> str:
    """The same query on part of the runs: a common table expression of the name `runs` hides the table.

    Raises BadFilter unless the condition is one expression and nothing else.
    """
    if where == EVERY_RUN:
        return sql
    try:
        check_condition(where)
    except QueryError as error:
        raise BadFilter(where, str(error)) from error
    part = f"runs AS (SELECT * FROM main.runs WHERE ({where}))"
    body = sql.lstrip()
    return f"WITH {part}, {body[5:]}" if body.startswith("WITH ") else f"WITH {part}\n{body}"


def _answer(store: Source, sql: str, where: str) -> pa.Table:
    try:
        return store.query(sql)
    except QueryError as error:
        if where == EVERY_RUN or isinstance(error, TooMuch):
            raise
        columns = store.query("SELECT * FROM runs LIMIT 0").column_names
        raise BadFilter(where, str(error).splitlines()[0], columns) from error
