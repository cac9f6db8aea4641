"""One store out of several: every run, sweep and attempt of the sources, each once.

Of a run in both, a result stands before a failure; of two results the target's stays. Where two computations of a run
ended apart, that is counted. Sources are opened read-only, one after another, and must be whole. All goes in with one
transaction, so that a kill leaves the target as it was.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from db.arrow import rows_at_once
from db.check import check
from db.connection import raw, translate
from db.ends import TOLERANCE, apart
from db.errors import Damaged, StoreError
from db.insert import OF_A_RUN, insert_new, insert_runs, select
from db.store import Store, make

OTHERS = ("sweeps", "sweep_runs", "attempts")
"""Tables whose rows go in by their keys."""

WORST = 20
"""Runs that ended apart which are kept to be named, for each source."""

BOTH = f"""
    SELECT *, coalesce(distance > tolerance, status <> other AND status <> 'failed' AND other <> 'failed') AS apart
    FROM (
        SELECT t.run_id, t.status, i.status AS other, {TOLERANCE} * t.rtol AS tolerance,
            CASE WHEN t.status = 'converged' AND i.status = 'converged' THEN {apart("t", "i")} END AS distance
        FROM runs t JOIN incoming i USING (run_id)
    )
"""
"""Runs that are in the target already; `apart` where both have a result, and not the same one."""


@dataclass
class Merged:
    """What one source brought.

    Attributes:
        source: its path.
        added: runs that the target did not have.
        replaced: runs that had failed in the target, and not in the source.
        known: runs of which the target's row stayed.
        sweeps: that the target did not have.
        apart: of the known, results that ended elsewhere, or with another status, than the target's.
        worst: the farthest of these: run_id, status, other, tolerance, distance.
    """

    source: Path
    added: int = 0
    replaced: int = 0
    known: int = 0
    sweeps: int = 0
    apart: int = 0
    worst: list[dict[str, Any]] = field(default_factory=list)


class EndsDiffer(StoreError):  # noqa: N818 - it says what is the matter
    """Results of one run differ, where that was not to be; `merged` says which. Nothing was written."""

    def __init__(self, merged: list[Merged]):
        super().__init__(f"{sum(each.apart for each in merged)} runs ended apart; nothing was merged")
        self.merged = merged


def merge(target: Store, sources: Sequence[Store], strict: bool = False) -> list[Merged]:
    """Put the sources into the target, which is made if there is none.

    Raises EndsDiffer with `strict` where results of one run differ, and StoreErrors of source and target as other
    uses of a store do; the target then is as it was.
    """
    _check_distinct([target, *sources])
    for source in sources:
        _check_whole(source)
    merged: list[Merged] = []

    def fill(connection: Connection) -> None:
        merged.extend(_take(raw(connection), target.path, source) for source in sources)
        if strict and any(each.apart for each in merged):
            raise EndsDiffer(merged)

    if target.path.exists():
        target.create()  # refuses what is no store, and brings its views up to date
        with target.writing() as connection:
            fill(connection)
    else:
        make(target.path, fill)
    return merged


def _check_distinct(stores: Sequence[Store]) -> None:
    """Raise StoreError where a store is named twice: it cannot be read while it is written."""
    seen: dict[Path, Path] = {}
    for store in stores:
        real = store.path.resolve()
        if real in seen:
            raise StoreError(f"{store.path} and {seen[real]} are one store; name each once")
        seen[real] = store.path


def _check_whole(source: Store) -> None:
    found = check(source)
    if not found.whole:
        raise Damaged(
            f"{source.path} is damaged ({found.damages[0]}); write what is whole of it into a new store, and merge "
            "that: sweep check --salvage NEW"
        )


def _take(duck: Any, path: Path, source: Store) -> Merged:
    """All of one source, in the target's transaction."""
    merged = Merged(source.path)
    with source.reading() as reader:
        taken = [_take_runs(duck, path, rows, merged) for rows in _rows(reader, "runs")]
        reader.register("taken", pa.concat_tables(taken) if taken else pa.table({"run_id": pa.array([], pa.string())}))
        for name in OF_A_RUN:
            for rows in _rows(reader, name, "SEMI JOIN taken USING (run_id)"):
                with _registered(duck, path, "incoming", rows):
                    duck.execute(f"INSERT INTO {name} BY NAME FROM incoming")
        before = _count(duck, "sweeps")
        for name in OTHERS:
            for rows in _rows(reader, name):
                with _registered(duck, path, f"incoming_{name}", rows):
                    insert_new(duck, name)
        merged.sweeps = _count(duck, "sweeps") - before
    return merged


def _take_runs(duck: Any, path: Path, rows: pa.Table, merged: Merged) -> pa.Table:
    """Insert those of some runs that the target has not, or has as failed; returns their ids."""
    with _registered(duck, path, "incoming", rows):
        both = select(duck, BOTH)
    failed = both.filter(pc.equal(both["other"], "failed"))["run_id"]
    rows = rows.filter(pc.invert(pc.is_in(rows["run_id"], value_set=failed.combine_chunks())))
    with _registered(duck, path, "incoming_runs", rows):
        inserted = insert_runs(duck)
        taken = select(duck, "SELECT run_id FROM fresh")
    replaced = pc.sum(pc.and_(pc.equal(both["status"], "failed"), pc.not_equal(both["other"], "failed"))).as_py() or 0
    merged.added += inserted - replaced
    merged.replaced += replaced
    merged.known += both.num_rows - replaced
    differ = both.filter(both["apart"]).drop_columns("apart")
    merged.apart += differ.num_rows
    merged.worst = sorted([*merged.worst, *differ.to_pylist()], key=_farthest)[:WORST]
    return taken


def _farthest(row: dict[str, Any]) -> tuple[float, str]:
    distance = row["distance"]
    return (-float("inf") if distance is None else -distance, row["run_id"])


def _rows(reader: Any, table: str, which: str = "") -> Iterator[pa.Table]:
    with reader.execute(f"FROM {table} {which}").to_arrow_reader(rows_at_once(table)) as pieces:
        for piece in pieces:
            yield pa.Table.from_batches([piece])


@contextlib.contextmanager
def _registered(duck: Any, path: Path, name: str, rows: pa.Table) -> Iterator[None]:
    """Rows of a source under a name in the target at `path`, of which errors of the body speak."""
    duck.register(name, rows)
    try:
        yield
    except duckdb.Error as error:
        raise translate(error, path) from error
    finally:
        duck.unregister(name)


def _count(duck: Any, table: str) -> int:
    return int(duck.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
