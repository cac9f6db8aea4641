"""Tables for people and programs: text, CSV, JSON, Parquet."""

import csv
import io
import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

WIDEST = 60
"""Characters of a cell of a text table."""


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def write(table: "pa.Table", kind: Format, output: Path | None) -> None:
    """Print a table, or write it into a file. Raises StoreError where that is not possible."""
    from db.errors import StoreError

    if kind is Format.parquet and output is None and sys.stdout.isatty():
        raise StoreError("parquet is binary; name a file with -o")
    content = render(table, kind)
    if output is None:
        stream = sys.stdout.buffer if isinstance(content, bytes) else sys.stdout
        stream.write(content)  # type: ignore[arg-type]
        stream.flush()
        return
    try:
        output.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}") from error


def render(table: "pa.Table", kind: Format) -> str | bytes:
    """The table in one of the formats."""
    kinds: dict[Format, Callable[[pa.Table], str | bytes]] = {
        Format.table: text,
        Format.csv: _csv,
        Format.json: _json,
        Format.parquet: _parquet,
    }
    return kinds[kind](table)


def text(table: "pa.Table") -> str:
    """Aligned columns under their names, numbers to the right."""
    numeric = [_is_number(field.type) for field in table.schema]
    rows = [table.column_names, *([_cell(value) for value in row.values()] for row in table.to_pylist())]
    widths = [max(len(row[n]) for row in rows) for n in range(table.num_columns)]
    lines = [
        "  ".join(
            cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, widths, numeric, strict=True)
        )
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    shown = json.dumps(jsonable(value)) if isinstance(value, list | dict) else str(value).replace("\n", " ")
    return shown if len(shown) <= WIDEST else shown[: WIDEST - 3] + "..."


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _csv(table: "pa.Table") -> str:
    """RFC 4180 with line feeds; lists as JSON."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            writer.writerow(
                json.dumps(jsonable(value)) if isinstance(value, list | dict) else value for value in row.values()
            )
    return stream.getvalue()


def _json(table: "pa.Table") -> str:
    """A list of objects; NaN and infinities are null, for JSON has none."""
    return json.dumps(jsonable(table.to_pylist()), allow_nan=False) + "\n"


def _parquet(table: "pa.Table") -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def jsonable(value: Any) -> Any:
    """JSON's types only."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
