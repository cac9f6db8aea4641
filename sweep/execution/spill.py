"""Rows that a store did not take: Arrow IPC files beside it, or else in the temporary folder, for the next launch.

One folder holds what belongs into one transaction, a file a table. It gets its name when it is whole.
"""

import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from db.errors import StoreError
from db.store import Store
from sweep.execution.records import table


def spill(store: Path, sweep_id: str, tables: Mapping[str, pa.Table]) -> Path:
    """Write rows where there is room; returns the folder. Raises OSError if there is none anywhere."""
    beside, temporary = _places(store)
    try:
        return _write(*beside, sweep_id, tables)
    except OSError:
        return _write(*temporary, sweep_id, tables)


def take_up(store: Store) -> int:
    """Commit what was spilled for this store, and remove it; returns how many runs it held. Raises StoreError."""
    runs = 0
    for folder in _found(store.path):
        if not runs:
            store.create()
        tables = _read(folder)
        store.commit(tables)
        shutil.rmtree(folder, ignore_errors=True)
        runs += tables["runs"].num_rows if "runs" in tables else 0
    return runs


def _places(store: Path) -> list[tuple[Path, str]]:
    """Folders, and how names there begin."""
    digest = hashlib.sha256(os.fsencode(store)).hexdigest()[:16]
    return [(store.parent, f"{store.name}.spill-"), (Path(tempfile.gettempdir()), f"sweep-spill-{digest}-")]


def _found(store: Path) -> Iterator[Path]:
    """Folders with rows of this store, of this user; another's could say anything."""
    for base, start in _places(store):
        for folder in sorted(base.iterdir()) if base.is_dir() else []:
            if folder.name.startswith(start) and not folder.is_symlink() and folder.stat().st_uid == os.geteuid():
                yield folder


def _write(base: Path, start: str, sweep_id: str, tables: Mapping[str, pa.Table]) -> Path:
    name = f"{start}{sweep_id}"
    new = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=base))
    try:
        for what, rows in tables.items():
            with (new / f"{what}.arrow").open("wb") as file:
                with pa.ipc.new_file(file, rows.schema) as writer:
                    writer.write_table(rows)
                file.flush()
                os.fsync(file.fileno())
        number = next(number for number in itertools.count(1) if not (base / f"{name}-{number}").exists())
        return new.rename(base / f"{name}-{number}")
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _read(folder: Path) -> dict[str, pa.Table]:
    """The tables of a folder, in the columns of this version; columns that it does not have are NULL."""
    found = {}
    try:
        for file in sorted(folder.glob("*.arrow")):
            rows = pa.ipc.open_file(pa.BufferReader(file.read_bytes())).read_all()
            found[file.stem] = table(file.stem, {name: rows[name].combine_chunks() for name in rows.column_names})
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise StoreError(
            f"{folder} holds rows that the store did not take, and cannot be read ({error}); move it away to go on "
            "without them"
        ) from error
    return found
