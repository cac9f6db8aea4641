"""Opening the store for a command."""

from pathlib import Path

from db.store import Store


def opened(path: Path, wait: float) -> Store:
    """The store at a path, which is opened at each use for as long as that takes."""
    return Store(path, timeout=wait)
