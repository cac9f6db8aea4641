"""Tables in Parquet. Imports no JAX."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from kernels.data import cells
from kernels.data.checks import MOST_NUMBERS
from kernels.spec import InputError

if TYPE_CHECKING:
    import polars as pl


def header(path: Path) -> list[str]:
    """Names of the columns, without reading the rows. Raises InputError, OSError."""
    import polars as pl

    with _readable():
        return list(pl.read_parquet_schema(path))


def samples(path: Path, features: Sequence[str], target: str) -> tuple[Float[np.ndarray, "n d"], list[Any]]:
    """Features as numbers, shape (n, d), and the target's cells. Raises InputError for other types, and OSError."""
    import polars as pl

    names = [*features, target]
    with _readable():
        rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        if rows * len(names) > MOST_NUMBERS:  # because a small file may unfold to any size
            raise InputError(f"it holds {rows:,} rows of {len(names)} columns; write at most {MOST_NUMBERS:,} numbers")
        frame = pl.read_parquet(path, columns=list(dict.fromkeys(names)))
    x = np.empty((rows, len(features)))
    for n, name in enumerate(features):
        x[:, n] = _numbers(frame[name])
    column = frame[target]
    if not (_is_plain(column.dtype) or column.dtype in (pl.Categorical, pl.Enum)):
        raise InputError(f"column {target!r} holds {_name(column.dtype)}; a target needs numbers, or texts for classes")
    return x, column.cast(pl.String).to_list() if column.dtype in (pl.Categorical, pl.Enum) else column.to_list()


def row(index: int) -> str:
    """How a message names a row."""
    return f"row {index + 1}"


def _numbers(column: "pl.Series") -> Float[np.ndarray, " n"]:
    import polars as pl

    if not _is_plain(column.dtype):
        raise InputError(f"column {column.name!r} holds {_name(column.dtype)}; it needs numbers: write it as numbers, "
                         "or leave it out: "
                         f"exclude: [{column.name}]")  # fmt: skip
    found = column.cast(pl.Float64, strict=False).to_numpy()
    if not np.isfinite(found).all():
        cells.check_finite(column.name, found, column.to_list(), row)
    return np.asarray(found, dtype=np.float64)


def _is_plain(kind: "pl.DataType") -> bool:
    import polars as pl

    return kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Null)


def _name(kind: "pl.DataType") -> str:
    """A type's name without its parameters: an Enum would list its thousands of categories."""
    return type(kind).__name__


@contextmanager
def _readable() -> Iterator[None]:
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"it cannot be read ({str(error).partition(chr(10))[0]})") from error
