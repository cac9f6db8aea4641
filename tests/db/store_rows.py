"""Rows for the tests of the store: complete, and as small as they can be."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from db.arrow import schema
from db.checksum import summed

RUN: dict[str, Any] = {
    "status": "converged",
    "task": "regression",
    "loss": "squared",
    "data": '{"points":{"x":[[1.0,2.0]],"y":[1.0]}}',
    "dataset": "points-1",
    "architecture": "diagonal",
    "depth": 2,
    "init": "structured",
    "alpha": 0.1,
    "seed": 0,
    "rtol": 1e-7,
    "stop": '{"residual":1e-10}',
    "solver": "extrapolation",
    "record": True,
    "kernel_version": 1,
    "spec": "{}",
    "dim": 2,
    "samples": 1,
    "beta": [0.0, 0.5],
    "created_at": datetime(2026, 1, 2),
}
PREDICTION: dict[str, Any] = {"prediction": "minimum_q_norm", "kind": "exact", "distance": 0.5, "beta": [3.0, 0.0]}
TRAJECTORY: dict[str, Any] = {
    "step": [0, 7],
    "log_time": [float("-inf"), 1.0],
    "log_loss": [0.0, -9.0],
    "residual": [1.0, float("nan")],
    "min_margin": [float("nan"), float("nan")],
    "norm": [1.0, float("inf")],
    "alignment": [0.5, 0.0],
    "beta": [[0.0, 0.0], [3.0, 4.0]],
}
PATH_PREDICTION: dict[str, Any] = {"prediction": "lasso_path", "point": 2, "distance": 0.5, "beta": [1.0, 0.0]}
SADDLE: dict[str, Any] = {"number": 1, "predicted": [3.0, 0.0], "log_time": 2.0, "point": 2, "beta": [3.0, 4.0]}
SWEEP: dict[str, Any] = {"name": "grid", "created_at": datetime(2026, 1, 2)}
ATTEMPT: dict[str, Any] = {"outcome": "finished", "compile_key": "k", "seconds": 1.0, "runs": 1}


def table(name: str, defaults: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{**defaults, **row} for row in rows], schema=schema(name))


def runs(ids: Iterable[str], **columns: Any) -> pa.Table:
    return table("runs", RUN, ({"run_id": run_id, **columns} for run_id in ids))


def predictions(ids: Iterable[str], **columns: Any) -> pa.Table:
    return table("predictions", PREDICTION, ({"run_id": run_id, **columns} for run_id in ids))


def trajectories(ids: Iterable[str], **columns: Any) -> pa.Table:
    return table("trajectories", TRAJECTORY, ({"run_id": run_id, **columns} for run_id in ids))


def path_predictions(ids: Iterable[str], **columns: Any) -> pa.Table:
    return table("path_predictions", PATH_PREDICTION, ({"run_id": run_id, **columns} for run_id in ids))


def saddles(ids: Iterable[str], **columns: Any) -> pa.Table:
    return table("saddles", SADDLE, ({"run_id": run_id, **columns} for run_id in ids))


def attempts(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return table("attempts", ATTEMPT, rows)


def sweep(sweep_id: str, run_ids: Iterable[str], **columns: Any) -> dict[str, pa.Table]:
    """A sweep and the runs that it asked for."""
    asked = [{"sweep_id": sweep_id, "run_id": run_id} for run_id in run_ids]
    return {
        "sweeps": table("sweeps", SWEEP, [{"sweep_id": sweep_id, **columns}]),
        "sweep_runs": table("sweep_runs", {}, asked),
    }


def whole(ids: Iterable[str], **columns: Any) -> dict[str, pa.Table]:
    """The same as `results`, with checksums."""
    tables = results(ids, **columns)
    return {**tables, "runs": summed(tables)}


def results(ids: Iterable[str], **columns: Any) -> dict[str, pa.Table]:
    """What a sweep commits: runs with one row each in every table of rows of a run."""
    ids = list(ids)
    return {
        "runs": runs(ids, **columns), "predictions": predictions(ids), "trajectories": trajectories(ids),
        "path_predictions": path_predictions(ids), "saddles": saddles(ids),
    }  # fmt: skip
