"""Removing runs and sweeps: what would go is said first, and no more than that goes.

A run goes with its rows in every table. A sweep goes with the runs that no other sweep asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from db.connection import raw
from db.errors import QueryError
from db.insert import OF_A_RUN, select
from db.statements import check_condition
from db.store import Store

ALONE = """
    SELECT r.run_id, r.created_at, r.status FROM runs r
    SEMI JOIN (FROM sweep_runs SEMI JOIN forgotten USING (sweep_id)) USING (run_id)
    ANTI JOIN (FROM sweep_runs ANTI JOIN forgotten USING (sweep_id)) USING (run_id)
"""
"""Runs that the sweeps of `forgotten` asked for, and no other sweep."""

SHARED = """
    SELECT count(*) AS runs, count(*) FILTER (sweep_id IN (SELECT sweep_id FROM forgotten)) AS unsourced FROM runs
    SEMI JOIN (FROM sweep_runs SEMI JOIN forgotten USING (sweep_id)) USING (run_id)
    SEMI JOIN (FROM sweep_runs ANTI JOIN forgotten USING (sweep_id)) USING (run_id)
"""
"""Runs of these that stay."""

UNFINISHED = """
    SELECT count(*) AS runs FROM sweep_runs SEMI JOIN forgotten USING (sweep_id) ANTI JOIN runs USING (run_id)
"""


@dataclass(frozen=True)
class Doomed:
    """What is to be forgotten, as it was when it was looked up.

    Attributes:
        runs: columns run_id, created_at and status, a row for each.
        sweeps: ids of the sweeps that go.
        staying: runs of these that stay, since other sweeps asked for them.
        unsourced: those of the staying whose code and packages are recorded with a sweep that goes.
        unfinished: runs that these sweeps asked for and that have no row yet: a launch may be computing them.
    """

    runs: pa.Table
    sweeps: tuple[str, ...] = ()
    staying: int = 0
    unsourced: int = 0
    unfinished: int = 0
    statuses: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        counted = self.runs["status"].value_counts().to_pylist()
        object.__setattr__(self, "statuses", {each["values"]: each["counts"] for each in counted})


def of_sweeps(store: Store, sweep_ids: Sequence[str]) -> Doomed:
    """What forgetting sweeps would remove; changes nothing."""
    tables = {"forgotten": _ids(sweep_ids)}
    (shared,) = store.query(SHARED, tables=tables).to_pylist()
    (unfinished,) = store.query(UNFINISHED, tables=tables)["runs"].to_pylist()
    runs = store.query(ALONE, tables=tables)
    return Doomed(runs, tuple(sweep_ids), shared["runs"], shared["unsourced"], unfinished)


def where(store: Store, condition: str) -> Doomed:
    """What forgetting the runs that meet a SQL condition on the columns of `runs` would remove; changes nothing."""
    try:
        check_condition(condition)
        return Doomed(store.query(f"SELECT run_id, created_at, status FROM runs WHERE ({condition})"))
    except QueryError as error:
        raise QueryError(f"--where {condition}: {error}") from error


def forget(store: Store, doomed: Doomed) -> int:
    """Remove in one transaction what was looked up; returns how many runs went.

    Stays what has changed since: a run that a later result replaced, and one that a later sweep asked for, where
    sweeps are forgotten.
    """
    with store.writing() as connection:
        duck = raw(connection)
        duck.register("doomed", doomed.runs)
        duck.register("forgotten", _ids(doomed.sweeps))
        among = f"({ALONE})" if doomed.sweeps else "runs"
        gone = select(duck, f"SELECT run_id FROM {among} SEMI JOIN doomed USING (run_id, created_at)")
        duck.register("gone", gone)
        _delete(duck)
    return int(gone.num_rows)


def _delete(duck: Any) -> None:
    """Every row of the runs in `gone` and of the sweeps in `forgotten`."""
    for name in ("runs", *OF_A_RUN):
        duck.execute(f"DELETE FROM {name} WHERE run_id IN (FROM gone)")
    duck.execute("DELETE FROM sweep_runs WHERE run_id IN (FROM gone) OR sweep_id IN (FROM forgotten)")
    duck.execute(
        "DELETE FROM attempts WHERE run_id IN (FROM gone) "
        "OR (sweep_id IN (FROM forgotten) AND (run_id IS NULL OR run_id NOT IN (SELECT run_id FROM runs)))"
    )
    duck.execute("DELETE FROM sweeps WHERE sweep_id IN (FROM forgotten)")


def _ids(sweep_ids: Sequence[str]) -> pa.Table:
    return pa.table({"sweep_id": pa.array(sweep_ids, pa.string())})
