"""Numbers from files of tables, with the line and the column of whatever is not a number. Imports no JAX."""

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.data import cells, delimited, parquet
from kernels.spec import InputError

SUFFIXES = (".csv", ".tsv", ".parquet")
MOST_BYTES = 1 << 30

ROW_NAMES = re.compile(r"\s*|Unnamed: \d+|__index_level_\d+__|\.\.\.\d+|row[._ ]?names", re.IGNORECASE)
"""Names that R, pandas and readr give a column of row numbers or row names that they write into a table."""


def digest(path: Path) -> str:
    """SHA-256 of the content, so that moving a file changes no identity. Raises InputError if it cannot be read."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"data: file {path} is neither {', '.join(SUFFIXES[:-1])} nor {SUFFIXES[-1]}; convert it")
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
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(f"data: file {path} cannot be read ({getattr(error, 'strerror', error)})") from error


def columns(path: Path) -> list[str]:
    """Names of the columns, without reading the rows. Raises InputError for a repeated or an unreadable header."""
    with _of(path):
        names = parquet.header(path) if _is_parquet(path) else delimited.header(path)
        if not any(names):
            raise InputError("it is empty, or its first line is; that line names the columns")
        repeated = [name for name, count in Counter(names).items() if count > 1 and not ROW_NAMES.fullmatch(name)]
        if repeated:
            raise InputError(f"line 1: two columns are named {repeated[0]!r}; give each its own name")
    return names


def check_columns(path: Path, names: Sequence[str], known: Collection[str], key: str) -> None:
    """Raise InputError for the first of these columns that the file does not have."""
    having = frozenset(known)
    missing = next((name for name in names if name not in having), None)
    if missing is not None:
        folded = {column.casefold(): column for column in known}
        near = difflib.get_close_matches(str(missing).casefold(), folded, n=1)
        hint = f"did you mean {folded[near[0]]!r}?" if near else f"it has {', '.join(list(known)[:20])}"
        if len(having) == 1:
            hint += " alone: a comma, a semicolon or a tab parts columns"
        raise InputError(f"data: file {path} has no column {missing!r} ({key}); {hint}")


def features_of(path: Path, known: Sequence[str], target: str, out: Collection[str] = ()) -> list[str]:
    """Every column but the target and those in `out`.

    Raises InputError where one is named as a column of row numbers is (ROW_NAMES), because that is no feature.
    """
    found = [name for name in known if name != target and name not in out]
    odd = next((n for n, name in enumerate(known) if ROW_NAMES.fullmatch(name) and name in found), None)
    if odd is not None:
        named = f"is named {known[odd]!r}" if known[odd].strip() else "has no name"
        raise InputError(
            f"data: file {path}: column {odd + 1} {named}, as R and pandas write the numbers or names of rows, which "
            "are no feature; write the file without it (R: write.csv(..., row.names = FALSE), pandas: "
            "to_csv(..., index=False)), or name the columns to use: features: [a, b]"
        )
    return found


def read(
    path: Path, features: Sequence[str], target: str, two_values: bool
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Features, shape (n, d), and target, shape (n,), as float64.

    With `two_values` the target's two values, sorted as numbers if all are numbers, else as text, become -1 and +1.
    Raises InputError with file, line, column and value.
    """
    of_target = cells.labels if two_values else cells.targets
    with _of(path):
        x, column, where = _samples(path, features, target)
        if not len(x):
            raise InputError("it has no samples; write one a line below the names of the columns")
        return x, of_target(target, column, where)


def classes(path: Path, target: str) -> tuple[Any, Any]:
    """The two values of a target that become -1 and +1, in this order. Raises InputError as `read` does."""
    with _of(path):
        _, column, where = _samples(path, [], target)
        return cells.classes(target, column, where)[1]


def _samples(
    path: Path, features: Sequence[str], target: str
) -> tuple[Float[np.ndarray, "n d"], Sequence[Any], cells.Where]:
    """Features, the target's cells, and a function from a row to where it stands in the file."""
    try:
        if _is_parquet(path):
            return *parquet.samples(path, features, target), parquet.row
        x, column, lines = delimited.samples(path, features, target)
    except cells.NotANumberError as error:
        cells.check_no_identifiers(error.column, _samples(path, [], error.column)[1])
        raise
    return x, column, lambda row: f"line {lines[row]}"


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


@contextmanager
def _of(path: Path) -> Iterator[None]:
    """Put the file's name in front of errors that the body raises."""
    try:
        yield
    except InputError as error:
        raise InputError(f"data: file {path}, {error}") from error
    except OSError as error:
        raise InputError(f"data: file {path} cannot be read ({error.strerror})") from error
