"""Results as rows: lists of RunResult become Arrow tables with the columns of db.models."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from db.arrow import schema
from db.checksum import summed
from kernels.networks.table import build
from kernels.observables import OBSERVABLES
from kernels.results import PredictionRecord, RunResult, Trajectory
from kernels.spec import AXES, KERNEL_VERSION, Descriptions, RunSpec

Tables = dict[str, pa.Table]

NUMBERS = (
    "log_loss", "log_time", "residual", "min_margin", "invariant_drift", "gap_drift", "condition", "wall_seconds",
)  # fmt: skip
"""Results that are numbers; NaN where there is none."""

SINGULAR = ("singular_value", "singular_ratio", "adjacent_alignment", "rank")
"""Columns of one prediction, singular_vectors."""

PLAIN = tuple(name for name, axis in AXES.items() if not axis.described)
"""Axes that are columns as they are."""


def now() -> datetime:
    """UTC without a zone, as the store keeps times."""
    return datetime.now(UTC).replace(tzinfo=None)


def tables(results: Sequence[RunResult], sweep_id: str) -> Tables:
    """Of finished runs: `runs` with their checksums, and every table of rows of a run."""
    pairs = [(result.spec.run_id, record) for result in results for record in result.predictions]
    orbits = [(result.spec.run_id, result.trajectory) for result in results if result.trajectory is not None]
    made = {
        "runs": _runs(results, sweep_id),
        "predictions": _predictions(pairs),
        "trajectories": _orbits(orbits),
        "path_predictions": _path_predictions(pairs),
        "saddles": _saddles(pairs),
    }
    return {**made, "runs": summed(made)}


def failed_run(spec: RunSpec, dataset: str, dim: int, samples: int, message: str, sweep_id: str) -> pa.Table:
    """The `runs` row of a run that has no result."""
    row = {**_axes([spec]), "dataset": [dataset], "dim": [dim], "samples": [samples], "message": [message],
           "status": ["failed"], "sweep_id": [sweep_id], "created_at": [now()]}  # fmt: skip
    return summed({"runs": table("runs", row)})


def table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """An Arrow table of the store's schema from some of its columns; the others are NULL."""
    fields = schema(name)
    count = len(next(iter(columns.values())))
    unknown = set(columns) - set(fields.names)
    if unknown:
        raise KeyError(f"{name} has no column {sorted(unknown)}")
    arrays = [
        _array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(arrays, schema=fields)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _axes(specs: Sequence[RunSpec]) -> dict[str, Any]:
    """Columns that follow from what was asked for."""
    descriptions = Descriptions()
    json, described = descriptions.json, [descriptions.of(spec) for spec in specs]
    return {
        "run_id": [run_id for run_id, _ in described],
        **{name: [getattr(spec, name) for spec in specs] for name in PLAIN},
        "architecture": [spec.architecture_name for spec in specs],
        "data": [json(spec.data) for spec in specs],
        "stop": [json(spec.stop) for spec in specs],
        "init": [spec.init_name for spec in specs],
        "init_detail": [json(spec.init[spec.init_name]) for spec in specs],
        "kernel_version": [KERNEL_VERSION] * len(specs),
        "spec": [text for _, text in described],
    }


def _runs(results: Sequence[RunResult], sweep_id: str) -> pa.Table:
    columns = _axes([result.spec for result in results])
    for name in ("dataset", "dim", "samples", "status", "message", "steps", "rejected", "device"):
        columns[name] = [getattr(result, name) for result in results]
    for name in NUMBERS:
        columns[name] = np.array([getattr(result, name) for result in results], np.float64)
    sizes: dict[tuple[Any, ...], int] = {}
    columns["parameters"] = [_parameters(result, sizes) for result in results]
    columns["beta"] = _vectors([result.beta for result in results])
    columns["sweep_id"] = [sweep_id] * len(results)
    columns["created_at"] = [now()] * len(results)
    return table("runs", columns)


def _parameters(result: RunResult, known: dict[tuple[Any, ...], int]) -> int:
    spec = result.spec
    shape = (spec.architecture_name, result.dim, spec.depth, spec.width, spec.filter)
    if shape not in known:
        known[shape] = build(spec, result.dim).parameters
    return known[shape]


def _predictions(pairs: Sequence[tuple[str, PredictionRecord]]) -> pa.Table:
    records = [record for _, record in pairs]
    columns: dict[str, Any] = {"run_id": [run_id for run_id, _ in pairs]}
    for name in ("prediction", "kind", "distance", "certificate", "objective", *SINGULAR):
        columns[name] = [getattr(record, name) for record in records]
    columns["beta"] = _vectors([record.beta for record in records])
    columns["detail"] = [_json(record.detail) for record in records]
    return table("predictions", columns)


def _path_predictions(pairs: Sequence[tuple[str, PredictionRecord]]) -> pa.Table:
    rows = [(run_id, record.prediction, point) for run_id, record in pairs for point in record.path]
    columns: dict[str, Any] = {"run_id": [run_id for run_id, _, _ in rows], "prediction": [name for _, name, _ in rows]}
    for name in ("point", "distance", "certificate", "objective", "bound"):
        columns[name] = [getattr(point, name) for _, _, point in rows]
    columns["beta"] = _vectors([point.beta for _, _, point in rows])
    return table("path_predictions", columns)


def _saddles(pairs: Sequence[tuple[str, PredictionRecord]]) -> pa.Table:
    rows = [(run_id, saddle) for run_id, record in pairs for saddle in record.saddles]
    columns: dict[str, Any] = {"run_id": [run_id for run_id, _ in rows]}
    for name in ("number", "log_time_predicted", "log_time", "point", "distance"):
        columns[name] = [getattr(saddle, name) for _, saddle in rows]
    for name in ("predicted", "beta"):
        columns[name] = _vectors([getattr(saddle, name) for _, saddle in rows])
    return table("saddles", columns)


def _json(detail: Mapping[str, float]) -> str:
    """JSON has no NaN and no infinity: such numbers are null."""
    parts = (f'"{name}":{float(x)!r}' if math.isfinite(x) else f'"{name}":null' for name, x in sorted(detail.items()))
    return f"{{{','.join(parts)}}}"


def _orbits(orbits: Sequence[tuple[str, Trajectory]]) -> pa.Table:
    columns: dict[str, Any] = {"run_id": [run_id for run_id, _ in orbits]}
    for name, row in OBSERVABLES.items():
        columns[name] = _vectors([orbit[name] for _, orbit in orbits], np.int64 if row.whole else np.float64)
    columns["beta"] = _matrices([orbit.beta for _, orbit in orbits])
    columns["residual_integral"] = _matrices([orbit.residual_integral for _, orbit in orbits])
    return table("trajectories", columns)


def _vectors(rows: Iterable[np.ndarray | None], kind: type = np.float64) -> pa.ListArray:
    """A list column from arrays (None is NULL), without a Python object an element."""
    vectors = list(rows)
    lengths = [0 if vector is None else len(vector) for vector in vectors]
    flat = np.concatenate([np.asarray(v, kind) for v in vectors if v is not None] or [np.zeros(0, kind)])
    missing = pa.array([vector is None for vector in vectors], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(_offsets(lengths)), pa.array(flat), mask=missing if len(vectors) else None)


def _matrices(rows: Sequence[np.ndarray | None]) -> pa.ListArray:
    """A list-of-lists column from arrays of shape (T, d); None is NULL."""
    matrices = [np.zeros((0, 0)) if row is None else row for row in rows]
    lengths = [len(matrix) for matrix in matrices]
    widths = np.repeat([matrix.shape[1] for matrix in matrices], lengths)
    flat = np.concatenate([np.asarray(matrix, np.float64).ravel() for matrix in matrices] or [np.zeros(0)])
    inner = pa.ListArray.from_arrays(pa.array(_offsets(widths)), pa.array(flat))
    missing = pa.array([row is None for row in rows], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(_offsets(lengths)), inner, mask=missing if len(rows) else None)


def _offsets(lengths: Any) -> np.ndarray:
    return np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
