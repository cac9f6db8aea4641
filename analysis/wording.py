"""The report's first lines: what ran and how far from theory it ended, in plain words, from the answers to queries."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.names import named, number, told_apart
from kernels.theory.table import PREDICTIONS

MOST_REASONS = 6
VERBS = {"imprecise": "came out imprecise", "failed": "failed with an error"}
"""What is said of a run with a status, where that is not the status itself."""


def headlines(
    head: Mapping[str, Any], ends: pl.DataFrame, predictions: pl.DataFrame, limits: pl.DataFrame
) -> list[str]:
    """Sentences: how many runs finished and why others did not, then one for every prediction, exact ones first.

    The frames are HEAD's only row, ENDS, PREDICTIONS and LIMITS of analysis.frames.counts.
    """
    order = pl.col("kind").replace_strict({"exact": 0, "limit t->inf": 1}, default=2, return_dtype=pl.Int64)
    known = told_apart(predictions).sort(order, maintain_order=True)
    key = ("task", "loss", "prediction", "kind")
    extremes = {tuple(row[name] for name in key): row for row in limits.iter_rows(named=True)}
    return [
        f"{head['converged']:,} of {_plural(head['runs'], 'run')} converged.",
        *endings(ends),
        _span(head),
        *(_prediction(row, extremes.get(tuple(row[name] for name in key))) for row in known.iter_rows(named=True)),
    ]


def endings(ends: pl.DataFrame) -> list[str]:
    """One sentence for each reason for which runs did not converge: how many, why, and what it means for the counts."""
    found = []
    for row in ends.head(MOST_REASONS).iter_rows(named=True):
        text = f"{_plural(row['runs'], 'run')} {VERBS.get(row['status'], row['status'])}"
        text += f": {row['reason'].removesuffix('.')}" if row["reason"] else ""
        if row["without_predictions"]:
            text += f" ({_number_of(row)} compared with no prediction, and in none of these counts)"
        found.append(f"{text}.")
    rest = ends.slice(MOST_REASONS)
    if rest.height:
        found.append(f"{_plural(int(rest['runs'].sum()), 'run')} more for {_plural(rest.height, 'other reason')}.")
    return found


def _number_of(row: Mapping[str, Any]) -> str:
    count = row["without_predictions"]
    return ("it is" if count == 1 else "they are") if count == row["runs"] else f"{count:,} of them"


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
    about = f"{row['about'].capitalize()}, {row['prediction']}"
    known = PREDICTIONS.get(row["prediction"])  # a store may have those of another version
    meaning = f" ({known.meaning})" if known else ""
    holds = "exact at every α" if row["kind"] == "exact" else f"holds in the {named(row['kind'])}"
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
    met = f"{runs} ended within {number(row['worst'])} of it, half of them within {number(row['median'])}"
    return f"{met}{_verdict(row)}{others}" if row["kind"] == "exact" else f"{met}{others}"


def _verdict(row: Mapping[str, Any]) -> str:
    """Whether the runs agree with an exact prediction, as far as rtol and stop rule resolve it."""
    judged = row["runs"] - row["without_distance"] - row["unjudged"]
    unjudged = (
        f"; {row['unjudged']:,} cannot be judged (stopped at a residual above 0.01, or of an older version)"
        if row["unjudged"]
        else ""
    )
    if not judged:
        return unjudged
    if row["beyond"]:
        return (
            f"; {row['beyond']:,} ended farther from it than rtol and stop rule allow, which contradicts it{unjudged}"
        )
    return f", all {judged:,} judged as near as rtol and stop rule allow{unjudged}"


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
