"""What theory says of every run of a grid, before any flow."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from kernels.results import PredictionRecord
from kernels.spec import RunSpec
from kernels.theory.table import forecasts_all
from sweep.grid.catalogue import Entry
from sweep.grid.expansion import Candidate, Expansion
from sweep.grid.grid import Grid

SHOWN = ("depth", "width", "filter", "alpha", "seed")
TOGETHER = 4096
"""Runs whose predictions are made at once."""


def forecast_table(grid: Grid) -> pa.Table:
    """One row a run and prediction: axes, kind, predicted coefficients, certificate, objective. Raises GridError."""
    expansion = Expansion(grid)
    candidates = list(distinct(expansion.candidates()))
    with grid.code.found():
        rows = [row for part in _parts(candidates) for row in _rows(expansion, part)]
    kinds = {
        "run_id": pa.string(), "loss": pa.string(), "dataset": pa.string(), "architecture": pa.string(),
        "depth": pa.int32(), "width": pa.int32(), "filter": pa.int32(), "init": pa.string(), "alpha": pa.float64(),
        "seed": pa.int64(),
        "prediction": pa.string(), "kind": pa.string(), "certificate": pa.float64(), "objective": pa.float64(),
        "beta": pa.list_(pa.float64()),
    }  # fmt: skip
    return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


def distinct(candidates: Iterator[Candidate]) -> Iterator[Candidate]:
    """The first combination of each run."""
    seen: set[str] = set()
    for candidate in candidates:
        run_id = candidate.run_id
        if run_id not in seen:
            seen.add(run_id)
            yield candidate


def _parts(candidates: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
    for begin in range(0, len(candidates), TOGETHER):
        yield candidates[begin : begin + TOGETHER]


def _rows(expansion: Expansion, candidates: Sequence[Candidate]) -> Iterator[dict[str, Any]]:
    entries = [candidate.structure.entry for candidate in candidates]
    runs = [(each.spec, expansion.catalogue.dataset(entry)) for each, entry in zip(candidates, entries, strict=True)]
    for (spec, _), entry, records in zip(runs, entries, forecasts_all(runs), strict=True):
        yield from (_row(spec, entry, record) for record in records)


def _row(spec: RunSpec, entry: Entry, record: PredictionRecord) -> dict[str, Any]:
    return {
        "run_id": spec.run_id,
        "loss": spec.loss,
        "dataset": entry.name,
        "architecture": spec.architecture_name,
        "init": spec.init_name,
        **{axis: getattr(spec, axis) for axis in SHOWN},
        "prediction": record.prediction,
        "kind": record.kind,
        "certificate": record.certificate,
        "objective": record.objective,
        "beta": None if record.beta is None else record.beta.tolist(),
    }
