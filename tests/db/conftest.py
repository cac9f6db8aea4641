"""A new store for every test, copied from one that was made once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from db.store import Store


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "empty.duckdb"
    Store(path).create()
    return path


@pytest.fixture
def new_store(empty: Path, tmp_path: Path) -> Callable[[], Store]:
    """A function that makes a new, empty store."""
    made: list[Store] = []

    def make() -> Store:
        path = tmp_path / f"results{len(made)}.duckdb"
        shutil.copy(empty, path)
        made.append(Store(path, timeout=10))
        return made[-1]

    return make


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()
