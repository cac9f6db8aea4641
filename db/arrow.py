"""Arrow schemas of the tables, derived from the models."""

import functools
from typing import Any

import pyarrow as pa
from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Double, Integer, String
from sqlalchemy.types import ARRAY, TypeEngine

from db.models import Base

SCALARS: dict[type[TypeEngine[Any]], pa.DataType] = {
    String: pa.string(),
    JSON: pa.string(),
    Integer: pa.int32(),
    BigInteger: pa.int64(),
    Double: pa.float64(),
    Boolean: pa.bool_(),
    DateTime: pa.timestamp("us"),
}

TABLES = tuple(Base.metadata.tables)
"""Names of the tables."""


def rows_at_once(table: str) -> int:
    """How many rows of a table are in memory at once where all of it is read: a path is hundreds of numbers."""
    return 4_096 if table == "trajectories" else 20_480


@functools.cache
def schema(table: str) -> pa.Schema:
    """Columns of a table in order, with types and nullability; JSON is text. Raises KeyError for no such table."""
    columns = Base.metadata.tables[table].columns
    return pa.schema([pa.field(column.name, _type(column.type), bool(column.nullable)) for column in columns])


def _type(sql: TypeEngine[Any]) -> pa.DataType:
    if isinstance(sql, ARRAY):
        inner = _type(sql.item_type)
        return functools.reduce(lambda of, _: pa.list_(of), range(sql.dimensions or 1), inner)
    return SCALARS[type(sql)]
