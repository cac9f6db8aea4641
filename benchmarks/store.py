"""How fast the store takes and finds rows.

    python benchmarks/store.py [--quick] [--runs N]

Measured: commits of Arrow tables with every column filled (a beta of 16, 64 recorded points, three predictions a run),
the question which runs are missing, and one aggregate of the kind a chart asks for; one call each, in a new file.
"""

import functools
import hashlib
import json
import resource
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.common import Report, options, timed
from db.arrow import schema
from db.store import Store

DIM, POINTS, PREDICTIONS = 16, 64, 3
TEXT = {
    "status": "converged",
    "message": "",
    "task": "regression",
    "loss": "squared",
    "data": '{"gaussian":{"samples":4,"dim":16,"sparsity":16,"noise":0.0,"seed":0}}',
    "dataset": "gaussian(dim=16,samples=4,seed=0)",
    "architecture": "diagonal",
    "init": "structured",
    "init_detail": '{"eta":"ones"}',
    "stop": '{"residual":1e-10,"max_steps":100000}',
    "solver": "extrapolation",
    "device": "cpu",
    "sweep_id": "benchmark",
    "prediction": "minimum_q_norm",
    "kind": "exact",
    "detail": '{"objective_reached":1.5}',
}
SPEC = json.dumps(
    {name: TEXT[name] for name in ("task", "data", "architecture", "init", "stop", "solver")} | {"alpha": 1}
)


def ids(number: int, tag: str) -> pa.Array:
    return pa.array([hashlib.sha256(f"{tag}{index}".encode()).hexdigest()[:32] for index in range(number)])


def lists(rng: np.random.Generator, rows: int, length: int, width: int = 0) -> pa.Array:
    """`rows` lists of `length` numbers, or of `length` lists of `width`."""
    values: pa.Array = pa.array(rng.standard_normal((rows * length * max(width, 1),)))
    if width:
        values = pa.ListArray.from_arrays(np.arange(rows * length + 1, dtype=np.int32) * width, values)
    return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * length, values)


def table(name: str, run_ids: pa.Array) -> pa.Table:
    """Every column of a table filled."""
    rng, rows = np.random.default_rng(0), len(run_ids)
    made: dict[str, Any] = {"run_id": run_ids}
    for field in schema(name):
        if field.name in made:
            continue
        if pa.types.is_list(field.type):
            nested = pa.types.is_list(field.type.value_type)
            length = POINTS if name == "trajectories" else DIM
            made[field.name] = lists(rng, rows, length, DIM if nested else 0).cast(field.type, safe=False)
        elif pa.types.is_string(field.type):
            made[field.name] = pa.repeat(SPEC if field.name == "spec" else TEXT[field.name], rows)
        elif pa.types.is_timestamp(field.type):
            made[field.name] = pa.repeat(pa.scalar(datetime(2026, 1, 1), field.type), rows)
        elif pa.types.is_boolean(field.type):
            made[field.name] = pa.repeat(True, rows)
        else:
            made[field.name] = pa.array(rng.integers(1, 100, rows)).cast(field.type)
    return pa.table(made, schema=schema(name))


def measure(store: Store, runs: int) -> list[dict[str, Any]]:
    """One record a measurement: what, rows, seconds."""
    found: list[dict[str, Any]] = []

    def note(what: str, rows: int, seconds: float) -> None:
        found.append(
            {"what": what, "rows": rows, "seconds": round(seconds, 4), "rows_per_second": round(rows / seconds)}
        )

    note("make the store", 1, timed(store.create)[0])
    keys = ids(runs, "run")
    rows = {"runs": table("runs", keys)}
    note(f"commit runs, {len(schema('runs'))} columns, beta of {DIM}", runs, timed(lambda: store.commit(rows))[0])
    note("commit the same runs again", runs, timed(lambda: store.commit(rows))[0])
    few = ids(runs // 5, "full")
    full = {
        "runs": table("runs", few),
        "predictions": pa.concat_tables([_named(table("predictions", few), str(k)) for k in range(PREDICTIONS)]),
        "trajectories": table("trajectories", few),
    }
    what = f"commit runs with {PREDICTIONS} predictions and {POINTS} recorded points each"
    note(what, len(few), timed(lambda: store.commit(full))[0])
    batches = [{"runs": table("runs", ids(1000, f"batch {number}-"))} for number in range(20)]
    seconds = sorted(timed(functools.partial(store.commit, batch))[0] for batch in batches)
    note("commit of 1,000 runs, median of 20", 1000, seconds[10])
    asked = pa.concat_arrays([keys, ids(10 * runs - len(keys), "new")])
    note("which of these runs are missing", len(asked), timed(lambda: store.missing(asked))[0])
    sql = "SELECT architecture, depth, prediction, median(distance), max(distance) FROM convergence GROUP BY ALL"
    note("table of the worst and median distance", PREDICTIONS * len(few), timed(lambda: store.query(sql))[0])
    return found


def _named(predictions: pa.Table, name: str) -> pa.Table:
    place = predictions.column_names.index("prediction")
    return predictions.set_column(place, predictions.schema.field(place), pa.repeat(name, len(predictions)))


def main() -> None:
    chosen = options(__doc__, lambda parser: parser.add_argument("--runs", type=int, default=100_000))
    report = Report("store", chosen.output, chosen.quick, __doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.duckdb"
        report.add("Rows", measure(Store(path), 2_000 if chosen.quick else chosen.runs))
        size = path.stat().st_size / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.conclude(file_mib=round(size, 1), peak_rss_mib=round(peak))


if __name__ == "__main__":
    main()
