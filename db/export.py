"""A store as a folder of Parquet files, for programs that do not read DuckDB: a folder for each table.

`runs` and `trajectories` are partitioned by task and architecture, as Hive does: runs/task=regression/
architecture=diagonal/part-0.parquet. The folder appears whole or not at all.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from db import arrow
from db.errors import StoreDenied
from db.store import Store

PARTITIONED = {
    "runs": "FROM runs",
    "trajectories": "SELECT t.*, r.task, r.architecture FROM trajectories t LEFT JOIN runs r USING (run_id)",
}
"""Tables in parts, with the columns that name these."""

PARTS = pa.schema([("task", pa.string()), ("architecture", pa.string())])


def export(store: Store, folder: Path, replace: bool = False) -> dict[str, int]:
    """Write every table into a new folder, or in the place of an earlier export; returns its rows by table.

    All tables are of one moment: who would write to the store waits. Raises StoreDenied for a folder that holds
    anything, with `replace` for one that holds anything but an export.
    """
    folder = folder.resolve()
    _check_free(folder, replace)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
            new = Path(place) / "new"
            new.mkdir()
            with store.reading() as duck:
                rows = {name: _write(duck, name, new / name) for name in arrow.TABLES}
            _place(new, folder, Path(place) / "old", replace)
    except OSError as error:
        raise StoreDenied(f"{folder} cannot be written: {error.strerror or error}; name another folder") from error
    return rows


def _check_free(folder: Path, replace: bool) -> None:
    if not folder.parent.is_dir():
        raise StoreDenied(f"{folder.parent} is not a folder; make it, or name another")
    if folder.exists() and not folder.is_dir():
        raise StoreDenied(f"{folder} is a file; name a folder")
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if held and not replace:
        raise StoreDenied(f"{folder} is not empty; name a new folder, or replace an earlier export with --force")
    if held:
        _check_export(folder, held)


def _check_export(folder: Path, held: list[str]) -> None:
    """Raise StoreDenied unless a folder holds an export and nothing else: all tables, in files of their names."""
    files = (path for path in folder.rglob("*") if not path.is_dir() and not path.match("part-*.parquet"))
    strange = [name for name in held if name not in arrow.TABLES]
    strange += sorted(str(path.relative_to(folder)) for path in files)
    if strange:
        raise StoreDenied(f"{folder} holds {strange[0]}, which is of no export, and would be lost; name another folder")
    missing = [name for name in arrow.TABLES if name not in held]
    if missing:
        raise StoreDenied(f"{folder} is no export, for it has no {missing[0]}, and would be lost; name another folder")


def _place(new: Path, folder: Path, old: Path, replace: bool) -> None:
    """Give a finished folder its name; whatever stops that, what was there has its name again.

    Without `replace` only an empty folder gives way: something may have been put there since.
    """
    try:
        if folder.exists():
            folder.rename(old) if replace else folder.rmdir()  # the old one goes with the temporary folder
        new.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise


def _write(duck: Any, name: str, folder: Path) -> int:
    """One table; a table without rows is one file without rows, so that readers find its columns."""
    written: list[int] = []
    schema = _schema(name)
    batches = _counted(duck, name, PARTITIONED.get(name, f"FROM {name}"), schema, written)
    first = next(batches, None)
    if first is None:
        folder.mkdir()
        pq.write_table(schema.empty_table(), folder / "part-0.parquet")
        return 0
    ds.write_dataset(
        _from(first, batches),
        folder,
        schema=schema,
        format="parquet",
        basename_template="part-{i}.parquet",
        partitioning=ds.partitioning(PARTS, flavor="hive") if name in PARTITIONED else None,
    )
    return sum(written)


def _schema(name: str) -> pa.Schema:
    schema = arrow.schema(name)
    missing = [field for field in PARTS if name in PARTITIONED and field.name not in schema.names]
    return pa.schema([*schema, *missing])


def _counted(duck: Any, name: str, sql: str, schema: pa.Schema, written: list[int]) -> Iterator[pa.RecordBatch]:
    with duck.execute(sql).to_arrow_reader(arrow.rows_at_once(name)) as pieces:
        for piece in pieces:
            written.append(piece.num_rows)
            table = pa.Table.from_batches([piece]).select(schema.names).cast(schema)
            yield from table.combine_chunks().to_batches()


def _from(first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from others
