"""Two sets of runs: which are in one alone, in which axes they differ, and whether runs of both ended in one place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from db.ends import TOLERANCE, apart
from db.store import Store
from kernels.spec import AXES

WORST = 10
"""Runs that are named, the farthest apart first."""

DETAILED = "{name} || CASE WHEN {detail} IN ('{{}}', 'null') THEN '' ELSE coalesce(' ' || {detail}, '') END"
NETWORK = """json_extract(spec, '$.architecture."' || architecture || '"')::VARCHAR"""

VALUES: dict[str, str] = {
    **{name: f"{name}::VARCHAR" if axis.described else name for name, axis in AXES.items()},
    "data": "dataset || ' #' || left(md5(data::VARCHAR), 6)",
    "architecture": DETAILED.format(name="architecture", detail=NETWORK),
    "init": DETAILED.format(name="init", detail="init_detail::VARCHAR"),
    "kernel_version": "kernel_version",
}
"""SQL for the value of each axis; the name of a data set is followed by a digest of what it holds."""

DISTINCT = ", ".join(
    f"list_sort(list(DISTINCT {sql})) AS {name}, count(*) > count({sql}) AS no_{name}" for name, sql in VALUES.items()
)

ENDS = f"""
    WITH ends AS (
        SELECT a.run_id, a.architecture, a.depth, a.alpha, a.seed, a.status AS status_a, b.status AS status_b,
            CASE WHEN a.status = 'converged' AND b.status = 'converged' THEN {apart("a", "b")} END AS distance,
            {TOLERANCE} * a.rtol AS tolerance
        FROM runs a JOIN other b USING (run_id)
    )
    FROM ends ORDER BY status_a = status_b, distance DESC NULLS LAST, run_id
"""


@dataclass(frozen=True)
class Side:
    """The runs of one sweep, or of a whole store where `sweep_id` is None."""

    store: Store
    sweep_id: str | None
    label: str

    def run_ids(self) -> pa.ChunkedArray:
        if self.sweep_id is None:
            return self.store.query("SELECT run_id FROM runs")["run_id"]
        return self.store.query("SELECT run_id FROM sweep_runs WHERE sweep_id = ?", [self.sweep_id])["run_id"]


@dataclass(frozen=True)
class Ends:
    """How the ends of runs that two stores have agree.

    Attributes:
        compared: runs that converged in both.
        beyond: of these, ends farther apart than the tolerance, 100 rtol.
        statuses: runs whose status differs.
        worst: those that are not equal; other statuses first, then the farthest apart.
    """

    compared: int
    beyond: int
    statuses: int
    worst: pa.Table


@dataclass(frozen=True)
class Diff:
    """What differs between two sides.

    Attributes:
        only_a, only_b, both: ids of runs.
        axes: (axis, values in A alone, values in B alone), of axes that differ among the runs that have a row.
        ends: None where both sides are of one store, in which a run ended once.
    """

    only_a: pa.ChunkedArray
    only_b: pa.ChunkedArray
    both: pa.ChunkedArray
    axes: list[tuple[str, list[Any], list[Any]]]
    ends: Ends | None


def diff(a: Side, b: Side) -> Diff:
    """Compare two sides; changes nothing."""
    ids_a, ids_b = a.run_ids(), b.run_ids()
    in_b = pc.is_in(ids_a, value_set=ids_b.combine_chunks())
    in_a = pc.is_in(ids_b, value_set=ids_a.combine_chunks())
    both = ids_a.filter(in_b)
    ends = None if _same(a.store.path, b.store.path) else _ends(a.store, b.store, both)
    axes = _axes(_values(a.store, ids_a), _values(b.store, ids_b))
    return Diff(ids_a.filter(pc.invert(in_b)), ids_b.filter(pc.invert(in_a)), both, axes, ends)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _values(store: Store, run_ids: pa.ChunkedArray) -> dict[str, list[Any]]:
    """The values that each axis takes, None for those without it."""
    sql = f"SELECT {DISTINCT} FROM runs SEMI JOIN asked USING (run_id)"
    (row,) = store.query(sql, tables={"asked": pa.table({"run_id": run_ids})}).to_pylist()
    return {name: (row[name] or []) + [None] * bool(row[f"no_{name}"]) for name in VALUES}


def _axes(a: dict[str, list[Any]], b: dict[str, list[Any]]) -> list[tuple[str, list[Any], list[Any]]]:
    found = []
    for name in VALUES:
        in_a, in_b = set(a[name]), set(b[name])
        only_a, only_b = [v for v in a[name] if v not in in_b], [v for v in b[name] if v not in in_a]
        if only_a or only_b:
            found.append((name, only_a, only_b))
    return found


def _ends(a: Store, b: Store, both: pa.ChunkedArray) -> Ends:
    sql = "SELECT run_id, status, beta FROM runs SEMI JOIN asked USING (run_id)"
    other = b.query(sql, tables={"asked": pa.table({"run_id": both})})
    rows = a.query(ENDS, tables={"other": other})
    beyond = pc.greater(rows["distance"], rows["tolerance"])
    differ = pc.not_equal(rows["status_a"], rows["status_b"])
    unequal = pc.or_(differ, pc.fill_null(pc.greater(rows["distance"], 0), False))
    return Ends(
        compared=rows.num_rows - rows["distance"].null_count,
        beyond=pc.sum(beyond).as_py() or 0,
        statuses=pc.sum(differ).as_py() or 0,
        worst=rows.filter(unequal)[:WORST],
    )
