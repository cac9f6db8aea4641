"""Running one query within its limits, and what is said of its errors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from db.errors import QueryError, TooMuch
from db.limits import Limits, ceiling, watched
from db.statements import NO_FILES

ROWS = 20_000
"""Of a result that are taken at once: between two such pieces its size is looked at."""


T = TypeVar("T")


def answer(duck: Any, statement: Any, parameters: Mapping[str, Any] | Sequence[Any] | None, limits: Limits) -> pa.Table:
    """The rows of a statement. Raises QueryError."""
    return limited(lambda: _fetch(duck.execute(statement, parameters), limits), duck, limits)


def limited(work: Callable[[], T], duck: Any, limits: Limits) -> T:
    """What work on a connection returns, within limits of time and memory. Raises QueryError."""
    try:
        with ceiling(limits.memory):
            return watched(work, duck, limits)
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise TooMuch(limits.too_large) from error
    except duckdb.PermissionException as error:
        raise QueryError(NO_FILES) from error
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        raise QueryError(str(error)) from error
    except OSError as error:  # what Arrow makes of DuckDB's errors between two pieces of a result
        raise _late(str(error), limits) from error


def _fetch(result: Any, limits: Limits) -> pa.Table:
    pieces, size = [], 0
    with result.to_arrow_reader(ROWS) as reader:  # an open one keeps the store open, and the next query waits for it
        for piece in reader:
            size += piece.nbytes
            if size > limits.memory:
                raise TooMuch(limits.too_large)
            pieces.append(piece)
        return pa.Table.from_batches(pieces, reader.schema)


def _late(said: str, limits: Limits) -> QueryError:
    """The error of which only the text is left."""
    if "Out of Memory" in said or "bad allocation" in said or "Allocation failure" in said:
        return TooMuch(limits.too_large)
    return QueryError(NO_FILES if said.startswith("Permission Error") else said)
