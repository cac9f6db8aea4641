"""Numbers from CSV and Parquet files, with the line and the column of whatever is not a number. Imports no JAX."""

import csv
import difflib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from kernels.data.checks import MOST_NUMBERS
from kernels.spec import InputError

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".csv", ".parquet")
MOST_BYTES = 1 << 30
FEWER = f"write at most {MOST_NUMBERS:,} numbers"


def digest(path: Path) -> str:
    """SHA-256 of the content, so that moving a file changes no identity. Raises InputError if it cannot be read."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"data: file {path} is neither {' nor '.join(SUFFIXES)}; convert it to one of them")
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"data: {path} is not a file; write the path of one")
        if size > MOST_BYTES:
            raise InputError(f"data: file {path} is larger than {MOST_BYTES >> 30} GiB; write a part of it")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputError(f"data: file {path} does not exist; a relative path starts at the grid's folder") from error
    except OSError as error:
        raise InputError(f"data: file {path} cannot be read ({error.strerror})") from error


def columns(path: Path) -> list[str]:
    """Names of the columns, without reading the rows. Raises InputError for a repeated or an unreadable header."""
    import polars as pl

    try:
        if path.suffix.lower() == ".parquet":
            return list(pl.read_parquet_schema(path))
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = next(csv.reader(file), [])
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"data: file {path} cannot be read ({_first_line(error)})") from error
    if not names:
        raise InputError(f"data: file {path} is empty; its first line names the columns")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"data: file {path}, line 1: two columns are named {repeated[0]!r}; give each its own name")
    return names


def check_column(path: Path, name: str, known: Sequence[str], key: str) -> None:
    """Raise InputError unless the file has this column."""
    if name not in known:
        folded = {column.casefold(): column for column in known}
        near = difflib.get_close_matches(str(name).casefold(), folded, n=1)
        hint = f"did you mean {folded[near[0]]!r}?" if near else f"it has {', '.join(known[:20])}"
        raise InputError(f"data: file {path} has no column {name!r} ({key}); {hint}")


def read(
    path: Path, features: Sequence[str], target: str, two_values: bool
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Features and target as float64; with `two_values` the target's values become -1 and +1 in sorted order.

    Sorted as numbers where all are numbers, else as text. Raises InputError with file, line, column and value.
    """
    frame, line = _frame(path, [*features, target])
    if frame.is_empty():
        raise InputError(f"data: file {path} has no samples; write one a line below the names of the columns")
    x = np.column_stack([_numbers(path, frame[name], line) for name in features])
    y = _labels(path, frame[target], line) if two_values else _numbers(path, frame[target], line)
    return x, y


def _frame(path: Path, names: list[str]) -> "tuple[pl.DataFrame, Callable[[int], str]]":
    """The columns and a function from the index of a row to where it stands in the file."""
    import polars as pl

    try:
        if path.suffix.lower() == ".parquet":
            rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
            if rows * len(names) > MOST_NUMBERS:  # a small file may unfold to any size
                raise InputError(f"data: file {path} holds {rows:,} rows of {len(names)} columns; {FEWER}")
            return pl.read_parquet(path, columns=names), lambda row: f"row {row + 1}"
        frame = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        where = _long_row(path)
        raise InputError(f"data: file {path}{where} cannot be read ({_first_line(error)})") from error
    frame = frame.with_columns(pl.all().str.strip_chars())
    blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
    kept = np.arange(frame.height)
    if blank.any():
        # polars reads a blank line as a row of nulls, and so it does ",,": only the first is to be passed over
        kept = np.flatnonzero(~(blank & ~np.array([bool(row) for _, row in _rows(path)][: frame.height])))
    return frame[kept].select(names), lambda row: f"line {_line(path, int(kept[row]))}"


def _numbers(path: Path, column: "pl.Series", line: Callable[[int], str]) -> Float[np.ndarray, " n"]:
    import polars as pl

    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean, pl.Null)):
        raise InputError(f"data: file {path}, column {column.name!r} holds {column.dtype}; it needs numbers")
    numbers = column.cast(pl.Float64, strict=False).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if wrong.size:
        row = int(wrong[0])
        what = _describe(column[row])
        raise InputError(
            f"data: file {path}, {line(row)}, column {column.name!r}: {what}; "
            "write a finite number, remove the line, or leave the column out with `features`"
        )
    return np.asarray(numbers, dtype=np.float64)


def _labels(path: Path, column: "pl.Series", line: Callable[[int], str]) -> Float[np.ndarray, " n"]:
    import polars as pl

    numbers = column.cast(pl.Float64, strict=False)
    values: pl.Series = column if numbers.null_count() else numbers
    missing = np.flatnonzero((values.is_null() | values.cast(pl.String).is_in(["NaN", ""])).to_numpy())
    if missing.size:
        row = int(missing[0])
        what = _describe(column[row])
        raise InputError(
            f"data: file {path}, {line(row)}, column {column.name!r}: {what}; "
            "write one of two values or remove the line"
        )
    distinct = values.unique().sort().to_list()
    if len(distinct) != 2:
        shown = ", ".join(repr(value) for value in distinct[:5]) + (", ..." if len(distinct) > 5 else "")
        raise InputError(
            f"data: file {path}, column {column.name!r} holds {shown}; "
            "classification needs two different values: keep the lines of two classes, or write task: regression"
        )
    return np.where((values == distinct[1]).to_numpy(), 1.0, -1.0)


def _describe(value: Any) -> str:
    return "the value is missing" if value is None or value == "" else f"{value!r} is not a finite number"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and fields of every row after the header; no fields for a blank line."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        next(reader, None)
        rows, start = [], reader.line_num + 1
        for row in reader:
            rows.append((start, row))
            start = reader.line_num + 1
        return rows


def _line(path: Path, row: int) -> int:
    return _rows(path)[row][0]


def _long_row(path: Path) -> str:
    """Where the first row with more fields than the header stands, as text; empty if there is none."""
    if path.suffix.lower() != ".csv":
        return ""
    width = len(columns(path))
    return next(
        (f", line {line} ({len(row)} fields, {width} columns)" for line, row in _rows(path) if len(row) > width), ""
    )
