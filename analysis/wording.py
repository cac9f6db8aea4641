"""The report's first lines: what ran and how far from theory it ended, in plain words, from the answers to queries."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.charts.theme import arrow, number
from kernels.theory.table import PREDICTIONS


def headlines(head: Mapping[str, Any], predictions: pl.DataFrame, limits: pl.DataFrame) -> list[str]:
    """Sentences: how many runs finished, then one for every prediction, exact ones first, about converged runs.

    The frames are HEAD's only row, PREDICTIONS and LIMITS of analysis.frames.counts.
    """
    order = pl.col("kind").replace_strict({"exact": 0, "limit t->inf": 1}, default=2, return_dtype=pl.Int64)
    known = predictions.sort(order, maintain_order=True)
    extremes = {(row["task"], row["prediction"], row["kind"]): row for row in limits.iter_rows(named=True)}
    return [
        _finished(head),
        _span(head),
        *(
            _prediction(row, extremes.get((row["task"], row["prediction"], row["kind"])))
            for row in known.iter_rows(named=True)
        ),
    ]


def _finished(head: Mapping[str, Any]) -> str:
    others = [(head[status], what) for status, what in (
        ("imprecise", "not precise enough at their alpha"), ("stopped", "ran out of steps or had nothing to do"),
        ("diverged", "diverged"), ("failed", "failed with an error"))]  # fmt: skip
    rest = "; ".join(f"{count:,} {what}" for count, what in others if count)
    return f"{head['converged']:,} of {_plural(head['runs'], 'run')} converged{'; ' + rest if rest else ''}."


def _span(head: Mapping[str, Any]) -> str:
    scales = _range(number(head["alpha_from"]), number(head["alpha_to"]))
    text = (
        f"{_plural(head['architectures'], 'architecture')}, {_plural(head['datasets'], 'data set')}, "
        f"depth {_range(str(head['shallowest']), str(head['deepest']))}, initialisation scale {scales}"
    )
    if head["seconds"] is not None:
        text += f"; {_duration(head['seconds'])} of computation on {head['devices'] or 'an unknown device'}"
    if head["worst_drift"] is not None:
        text += f". Conserved quantities drifted by at most {number(head['worst_drift'])} of ||Θ||²"
    return f"{text}."


def _prediction(row: Mapping[str, Any], extremes: Mapping[str, Any] | None) -> str:
    about = f"{row['task'].capitalize()}, {row['prediction']}"
    known = PREDICTIONS.get(row["prediction"])  # a store may have those of another version
    meaning = f" ({known.meaning})" if known else ""
    holds = "exact at every α" if row["kind"] == "exact" else f"holds in the {arrow(row['kind'])}"
    return f"{about}{meaning}, {holds}: {_met(row, extremes)}."


def _met(row: Mapping[str, Any], extremes: Mapping[str, Any] | None) -> str:
    """How far the converged runs ended from the prediction, and how many others it is about."""
    if not row["runs"]:
        return f"none of {_plural(row['left_out'], 'run')} converged"
    runs = _plural(row["runs"] - row["without_distance"], "run")
    others = f"; {row['left_out']:,} more did not converge" if row["left_out"] else ""
    if row["uncertified"]:
        unknown = f"the prediction itself is not certified for {_plural(row['uncertified'], 'run')}"
        if row["runs"] == row["without_distance"]:
            return f"{unknown}{others}"
        others = f"; {unknown}{others}"
    if row["runs"] == row["without_distance"]:
        return f"{_plural(row['runs'], 'run')} ended before a distance from it is defined{others}"
    if extremes is not None:
        return f"{_shrinking(extremes)} ({runs}{others})"
    return f"{runs} ended within {number(row['worst'])} of it, half of them within {number(row['median'])}{others}"


def _shrinking(limit: Mapping[str, Any]) -> str:
    """The median distance at both ends of the scales, the end nearer to the limit last."""
    ends = [(limit["smallest"], limit["at_smallest"]), (limit["largest"], limit["at_largest"])]
    far, near = ends if limit["kind"].endswith("inf") else ends[::-1]
    if far[0] == near[0]:
        return f"the median distance is {number(near[1])} at α = {number(near[0])}"
    first, last = (f"{number(distance)} at α = {number(alpha)}" for alpha, distance in (far, near))
    return f"the median distance is {first} and {last}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _duration(seconds: float) -> str:
    for size, unit in ((3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}s"
    return f"{seconds:.1f} seconds"
