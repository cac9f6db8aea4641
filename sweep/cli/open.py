"""Opening the store for a command."""

from pathlib import Path

from db.limits import Limits, parse_memory, parse_seconds
from db.store import Store
from sweep.cli.common import WAIT, last_resort


def opened(path: Path, wait: float = WAIT, seconds: str | None = None, memory: str | None = None) -> Store:
    """The store at a path, which is opened at each use for as long as that takes. Raises QueryError for bad limits."""
    given: dict[str, float | int] = {}
    if seconds is not None:
        given["seconds"] = parse_seconds(seconds)
    if memory is not None:
        given["memory"] = parse_memory(memory)
    return Store(path, timeout=wait, limits=Limits(**given, last_resort=last_resort))  # type: ignore[arg-type]
