"""Tables for people and programs: text, CSV, JSON, Parquet. Columns go by position: several may have one name."""

import csv
import io
import json
import math
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.shown import shown
from sweep.streams import check_encoding

if TYPE_CHECKING:
    import pyarrow as pa

WIDEST = 60
"""Characters of a cell of a text table."""

FORMULA = re.compile(r"[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")
"""How a cell starts that a spreadsheet would run."""

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


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
    if output is None and kind is Format.table and sys.stdout.isatty():
        content = fitting(table, shutil.get_terminal_size().columns)
    if output is None:
        if kind is Format.csv and isinstance(content, str):
            check_encoding(content)
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
    rows = [[shown(name) for name in table.column_names]]
    rows += [[_cell(value) for value in row] for row in _rows(table)]
    widths = [max(len(row[n]) for row in rows) for n in range(table.num_columns)]
    lines = [
        "  ".join(
            cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, widths, numeric, strict=True)
        )
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def fitting(table: "pa.Table", width: int) -> str:
    """The table as text, or, where its lines are wider than that, one line a column under a heading for each row."""
    lines = text(table)
    if table.num_rows == 0 or max(map(len, lines.splitlines())) <= width:
        return lines
    names = [shown(name) for name in table.column_names]
    longest = max(map(len, names))
    records = []
    for place, row in enumerate(_rows(table), 1):
        records.append(f"-- row {place} {'-' * longest}")
        records += [f"{name.ljust(longest)}  {_cell(value)}".rstrip() for name, value in zip(names, row, strict=True)]
    return "\n".join(records) + "\n"


def _rows(table: "pa.Table") -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    written = shown(json_text(value) if isinstance(value, list | dict) else value)
    return written if len(written) <= WIDEST else written[: WIDEST - 3] + "..."


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _csv(table: "pa.Table") -> str:
    """RFC 4180 with line feeds; lists as JSON. Text holds no control character, and none that a spreadsheet runs."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_tame(name) for name in table.column_names)
    for row in _rows(table):
        writer.writerow(json_text(v) if isinstance(v, list | dict) else _tame(v) for v in row)
    return stream.getvalue()


def _tame(value: Any) -> Any:
    """A cell of CSV; text that would be a formula starts with an apostrophe. Numbers stay numbers."""
    if value is None or isinstance(value, bool | int | float | Decimal | date):
        return value
    written = str(value)
    mark = "'" if FORMULA.match(written) and not NUMBER.fullmatch(written) else ""
    return mark + shown(written, keep="\n\t")


def _json(table: "pa.Table") -> str:
    """A list of objects; NaN and infinities are null, for JSON has none. Raises StoreError for equal names."""
    _check_names(table, Format.json)
    return json_text(table.to_pylist()) + "\n"


def _parquet(table: "pa.Table") -> bytes:
    """Raises StoreError for equal names."""
    import pyarrow.parquet as pq

    _check_names(table, Format.parquet)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _check_names(table: "pa.Table", kind: Format) -> None:
    from db.errors import QueryError

    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise QueryError(
            f"{kind} needs a name of its own for every column, and {twice[0]!r} stands there more than once; "
            f'rename one, as in SELECT ... AS "{twice[0]}_2", or write --format csv'
        )


def json_text(value: Any) -> str:
    """JSON in ASCII, on one line."""
    return json.dumps(jsonable(value), allow_nan=False).replace("\x7f", "\\u007f")


def jsonable(value: Any) -> Any:
    """JSON's types only; DuckDB's sums of integers, which are decimals, are numbers."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
