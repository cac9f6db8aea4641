"""Cards of single runs, which the report shows when a reader clicks on a point."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.frames.cards import CARDS
from analysis.frames.frame import Source
from analysis.names import named, number

MOST_CARDS = 1_000
"""Runs of which a report carries a card; the others are named with the command that shows them."""
MOST_POINTS, MOST_COORDINATES = 32, 6
"""Points of a path, and coefficients (those that end largest), on a card."""

Card = dict[str, Any]


def drawn_runs(specs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of the runs that are single points of a chart, at most MOST_CARDS of them, in order (ids are digests)."""
    rows = (row for spec in specs for data in spec.get("datasets", {}).values() for row in data)
    return sorted({str(row["run_id"]) for row in rows if "run_id" in row})[:MOST_CARDS]


def cards(store: Source, ids: Sequence[str]) -> dict[str, Card]:
    """For each of these runs its axes and predictions as text, and its path as numbers."""
    if not ids:
        return {}
    listed = ", ".join("'" + run_id.replace("'", "''") + "'" for run_id in ids)
    rows = CARDS.read(store, f"run_id IN ({listed})").iter_rows(named=True)
    return {str(row["run_id"]): _card(row) for row in rows}


def _card(row: Mapping[str, Any]) -> Card:
    left_out = ("run_id", "predictions", "log_time", "beta")
    axes = {name: _text(value) for name, value in row.items() if name not in left_out and value is not None}
    predictions = [
        [
            p["prediction"],
            named(p["kind"]),
            *("–" if p[key] is None else _text(p[key]) for key in ("distance", "certificate")),
        ]
        for p in row["predictions"] or []
    ]
    path = _path(row["log_time"], row["beta"]) if row["beta"] and row["log_time"] else None
    return {"axes": axes, "predictions": predictions, "path": path}


def _text(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _path(log_time: Sequence[float | None], beta: Sequence[Sequence[float | None]]) -> dict[str, Any] | None:
    """The coefficients that end largest against log time, at evenly chosen recorded points of finite numbers.

    None for lists that are no path, which a store from elsewhere may hold.
    """
    if len({len(point or ()) for point in beta}) != 1 or not beta[0] or len(log_time) != len(beta):
        return None
    times, every_point = np.array(log_time, float), np.array(beta, float)
    finite = np.flatnonzero(np.isfinite(times) & np.isfinite(every_point).all(axis=1)).tolist()
    if not finite:
        return None
    every = max(1, math.ceil(len(finite) / MOST_POINTS))
    kept = sorted({*finite[::every], finite[-1]})
    points = every_point[kept]
    largest = sorted(np.argsort(-np.abs(points[-1]), kind="stable")[:MOST_COORDINATES].tolist())
    return {
        "time": [_digits(times[k]) for k in kept],
        "beta": [{"coordinate": f"β{j + 1}", "values": [_digits(v) for v in points[:, j]]} for j in largest],
    }


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
