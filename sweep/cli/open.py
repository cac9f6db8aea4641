"""Opening the store for a command."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from db.limits import Limits, parse_memory, parse_seconds
from db.names import check_name
from db.store import Store
from sweep.cli.common import WAIT, echo, last_resort

NOT_YET = "there is no store yet; sweep launch makes it, --store names another"


def opened(path: Path, wait: float = WAIT, seconds: str | None = None, memory: str | None = None) -> Store:
    """The store at a path, which is opened at each use for as long as that takes. Raises QueryError for bad limits."""
    given: dict[str, float | int] = {}
    if seconds is not None:
        given["seconds"] = parse_seconds(seconds)
    if memory is not None:
        given["memory"] = parse_memory(memory)
    return Store(path, timeout=wait, limits=Limits(**given, last_resort=last_resort))  # type: ignore[arg-type]


def not_made_yet(path: Path) -> bool:
    """Whether a launch could make the store there: a sweep that starts has none for a while. Raises StoreError."""
    check_name(path)
    return not path.exists() and not path.is_symlink() and path.absolute().parent.is_dir()


def status_of(path: Path, wait: float) -> dict[str, Any]:
    """Runs and sweeps of the store at a path; none of one that is not made yet."""
    from sweep.execution import summary

    if not_made_yet(path):
        return {"store": str(path.absolute()), "runs": {}, "sweeps": []}
    return summary.status(opened(path, wait))


@contextmanager
def opened_or_empty(
    path: Path, wait: float = WAIT, seconds: str | None = None, memory: str | None = None
) -> Iterator[Store]:
    """The store at a path; in the place of one that is not made yet an empty one, which is said on stderr."""
    if not not_made_yet(path):
        yield opened(path, wait, seconds, memory)
        return
    with tempfile.TemporaryDirectory(prefix="sweep-empty-") as folder:
        empty = opened(Path(folder) / "empty.duckdb", wait, seconds, memory)
        empty.create()
        yield empty
    echo(f"{path}: {NOT_YET}", err=True)
