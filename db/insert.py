"""Rows into an open store: what a commit and a merge have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

KEYS = {
    "runs": ("run_id",),
    "predictions": ("run_id", "prediction"),
    "trajectories": ("run_id",),
    "path_predictions": ("run_id", "prediction", "point"),
    "saddles": ("run_id", "number"),
    "sweeps": ("sweep_id",),
    "sweep_runs": ("sweep_id", "run_id"),
    "attempts": ("attempt_id",),
}
"""What is unique in each table."""

OF_A_RUN = ("predictions", "trajectories", "path_predictions", "saddles")
"""Tables whose rows go in with their run, or not at all."""


def insert_runs(duck: Any) -> int:
    """Insert the runs that have no result yet; the table `fresh` then holds their ids."""
    known = select(duck, "SELECT run_id, status = 'failed' AS failed FROM runs SEMI JOIN incoming_runs USING (run_id)")
    duck.register("known", known)
    if pc.any(known["failed"]).as_py():
        # one that fails again replaces its row, but not a result that fails when it is repeated
        for name in ("runs", *OF_A_RUN):
            duck.execute(f"DELETE FROM {name} WHERE run_id IN (SELECT run_id FROM known WHERE failed)")
    fresh = select(duck, "SELECT run_id FROM incoming_runs ANTI JOIN (FROM known WHERE NOT failed) USING (run_id)")
    duck.register("fresh", fresh)
    duck.execute("INSERT INTO runs BY NAME FROM incoming_runs SEMI JOIN fresh USING (run_id)")
    return int(fresh.num_rows)


def insert_new(duck: Any, name: str) -> None:
    """Insert the rows whose keys are not there: first the few stored ones among them, so as not to hash all."""
    keys = ", ".join(KEYS[name])
    duck.register("known", select(duck, f"SELECT {keys} FROM {name} SEMI JOIN incoming_{name} USING ({keys})"))
    duck.execute(f"INSERT INTO {name} BY NAME FROM incoming_{name} ANTI JOIN known USING ({keys})")


def select(duck: Any, sql: str, parameters: Sequence[Any] | None = None) -> pa.Table:
    return duck.execute(sql, parameters).to_arrow_table()


def unique(name: str, table: pa.Table) -> pa.Table:
    """The table without repeated keys; of a run that is there twice, one that did not fail."""
    keys, count = list(KEYS[name]), table.num_rows
    place = np.arange(count)
    if name == "runs":
        place = place + count * pc.equal(table["status"], "failed").to_numpy()
    first = table.select(keys).append_column("place", pa.array(place)).group_by(keys).aggregate([("place", "min")])
    if first.num_rows == count:
        return table
    return table.take(pa.array(np.sort(first["place_min"].to_numpy() % count)))


def check_together(rows: Mapping[str, pa.Table]) -> None:
    """Raise ValueError for rows of a run that is not there."""
    for name in OF_A_RUN:
        if name in rows:
            runs = rows["runs"]["run_id"].combine_chunks() if "runs" in rows else pa.array([], pa.string())
            alone = pc.invert(pc.is_in(rows[name]["run_id"], value_set=runs))
            if pc.any(alone).as_py():
                raise ValueError(f"{name} of a run that is not in the same commit")
