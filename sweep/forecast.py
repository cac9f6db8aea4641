"""What theory says of every run of a grid, before any flow."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from kernels.theory.table import forecasts
from sweep.expansion import Candidate, Expansion
from sweep.grid import Grid

AXES = ("depth", "width", "filter", "alpha", "seed")


def forecast_table(grid: Grid) -> pa.Table:
    """One row a run and prediction: axes, kind, predicted coefficients, certificate, objective. Raises GridError."""
    expansion = Expansion(grid)
    candidates = list(_distinct(expansion.candidates()))
    rows = [row for candidate in candidates for row in _rows(expansion, candidate)]
    kinds = {
        "run_id": pa.string(), "dataset": pa.string(), "architecture": pa.string(), "depth": pa.int32(),
        "width": pa.int32(), "filter": pa.int32(), "init": pa.string(), "alpha": pa.float64(), "seed": pa.int64(),
        "prediction": pa.string(), "kind": pa.string(), "certificate": pa.float64(), "objective": pa.float64(),
        "beta": pa.list_(pa.float64()),
    }  # fmt: skip
    return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


def _distinct(candidates: Iterator[Candidate]) -> Iterator[Candidate]:
    seen: set[str] = set()
    for candidate in candidates:
        run_id = candidate.run_id
        if run_id not in seen:
            seen.add(run_id)
            yield candidate


def _rows(expansion: Expansion, candidate: Candidate) -> Iterator[dict[str, Any]]:
    spec, entry = candidate.spec, candidate.structure.entry
    for record in forecasts(spec, expansion.catalogue.dataset(entry)):
        yield {
            "run_id": spec.run_id,
            "dataset": entry.name,
            "architecture": spec.architecture_name,
            "init": spec.init_name,
            **{axis: getattr(spec, axis) for axis in AXES},
            "prediction": record.prediction,
            "kind": record.kind,
            "certificate": record.certificate,
            "objective": record.objective,
            "beta": None if record.beta is None else record.beta.tolist(),
        }
