"""How the limit depends on the initialisation scale: distances to the l1 and l2 limits, and sparsity, against alpha."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import polars as pl

from analysis.charts.panels import pooled
from analysis.charts.theme import (
    GUIDE,
    LogAxis,
    Panel,
    chunks,
    depth_colour,
    layered,
    most,
    number,
    panels,
    spread,
)
from analysis.frames.scale import MOST_POINTS
from analysis.names import named

WIDTH, HEIGHT, PADDING = 290, 230, 10
SCALE = "initialisation scale α"
MOST_PANELS = 12
LIMIT = ("limit_kind", "limit_prediction", "architecture", "shape")
NETWORK = ("architecture", "shape")
BESIDE = 2.0
"""How far above its curve a guide lies, as a factor."""
FITTED = 0.25
"""The share of curves (of a data set and a start each) that must have been fitted for a power to be told."""
RESOLVED = 1e-3
"""Distances below this share of the tolerance are noise, and drawn at the lower end of the axis."""
DODGE = 0.018
"""How far apart dots of neighbouring depths stand, in widths of the panel."""
GUIDED = {"depth": pl.Int64, "alpha": pl.Float64, "value": pl.Float64}
NO_GUIDES = pl.DataFrame(schema={**dict.fromkeys(LIMIT, pl.String), **GUIDED})

Key = tuple[str, ...]
Texts = Mapping[tuple[Key, int], str]
"""What the label of a panel's depth says after "L = depth"."""


def distances(points: pl.DataFrame, lines: pl.DataFrame, slopes: pl.DataFrame) -> alt.VConcatChart:
    """Panels limit by network; a dot is where a run ended, a line is where the exact prediction lies."""
    several = points["shape"].n_unique() > 1
    slopes = slopes.filter(pl.col("curves") >= FITTED * pl.col("of_curves"))
    powers = {(tuple(row[name] for name in LIMIT), row["depth"]): _power(row) for row in slopes.iter_rows(named=True)}

    def title(key: Key) -> str:
        return f"{named(key[2])} to {named(key[1])}{f', {key[3]}' if several else ''}"

    marked = lines.with_columns(exact=pl.col("line") != "median of the runs", value="distance")
    guided = guides(marked, slopes)
    floor = _floor(points)
    drawn = _panels(
        points.with_columns(value="distance"), marked, LIMIT, "distance to the limit", title, powers, guided, floor
    )
    words = [note(points, lines, LIMIT)]
    if floor is not None:
        below = f"Distances below {number(10.0**floor)}, far below what rtol and stop rule resolve (dotted),"
        words.append(f"{below} are drawn there.")
    if powers:
        words.append("Powers of α where at least a quarter of data sets and starts could be fitted.")
    return panels(chunks(drawn, 3), "Between the ℓ1 and the ℓ2 solution: the initialisation scale", " ".join(words))


def _floor(points: pl.DataFrame) -> int | None:
    """The decade at which the axis of distances ends, where some lie below it."""
    tolerance = points["tolerance"].median()
    if not isinstance(tolerance, float) or not tolerance > 0:
        return None
    floor = math.floor(math.log10(RESOLVED * tolerance) + 1e-9)
    below = (points.select("distance", "predicted") < 10.0**floor).select(pl.any_horizontal(pl.all()).any()).item()
    return floor if below else None


def _power(row: Mapping[str, Any]) -> str:
    """The fitted power of a depth, and the predicted one beside it."""
    known = "" if row["predicted"] is None else f" (theory {number(round(row['predicted'], 2))})"
    return f": power {number(round(row['slope'], 2))}{known}"


def guides(lines: pl.DataFrame, slopes: pl.DataFrame) -> pl.DataFrame:
    """Both ends of a line of the predicted slope over the fitted range, beside the curve's middle point there."""
    ends: list[dict[str, Any]] = []
    for row in slopes.drop_nulls("predicted").iter_rows(named=True):
        keys = {name: row[name] for name in (*LIMIT, "depth")}
        low, high = row["alpha_from"], row["alpha_to"]
        near = pl.col("alpha").is_between(0.9 * low, 1.1 * high)
        curve = lines.filter(near, *(pl.col(name) == value for name, value in keys.items())).sort("alpha")
        if curve.height:
            middle = curve.row(curve.height // 2, named=True)
            ends += [
                {**keys, "alpha": at, "value": BESIDE * middle["distance"] * (at / middle["alpha"]) ** row["predicted"]}
                for at in (low, high)
            ]
    return pl.DataFrame(ends, schema=NO_GUIDES.schema)


def sparsity(points: pl.DataFrame, lines: pl.DataFrame) -> alt.VConcatChart:
    """Panels network by shape of the data: the effective number of coefficients."""
    drawn = _panels(
        points.with_columns(value="effective"), lines.with_columns(value="effective"), NETWORK,
        "effective number of coefficients", lambda key: f"{named(key[0])}, {key[1]}", {}, NO_GUIDES, None,
    )  # fmt: skip
    return panels(chunks(drawn, 3), "Sparsity of the limit: the initialisation scale", note(points, lines, NETWORK))


def note(points: pl.DataFrame, lines: pl.DataFrame, by: Sequence[str]) -> str:
    """What dots, lines and dashes are, and how many runs there are."""
    series = points.group_by(*by, "depth").agg(pl.col("runs_of_series").first())["runs_of_series"]
    chosen = f"; at most {MOST_POINTS} dots a depth, a fixed random choice" if most(series) > MOST_POINTS else ""
    return (
        f"Dots: where {points['run_id'].n_unique():,} runs ended{chosen}. Rings: where the exact prediction of the run "
        f"lies; solid lines: its median; dashed: median of the runs, where none applies ({pooled(lines)}). Depths at "
        "one α stand side by side."
    )


def _panels(
    points: pl.DataFrame,
    lines: pl.DataFrame,
    by: Sequence[str],
    quantity: str,
    title: Callable[[Key], str],
    texts: Texts,
    guided: pl.DataFrame,
    floor: int | None,
) -> list[Panel]:
    """A panel for each value of `by`, at most MOST_PANELS: those that stand for most runs."""
    sizes = points.unique([*by, "depth"]).group_by(by).agg(pl.col("runs_of_series").sum())
    kept = points.join(sizes.sort("runs_of_series", *by).tail(MOST_PANELS), on=by, how="semi").sort(by)
    x = replace(LogAxis.over(kept["alpha"], lines["alpha"]), padding=PADDING)
    y = replace(LogAxis.over(kept["value"], kept["predicted"], lines["value"]), padding=PADDING)
    axes = x, y if floor is None else replace(y, low=floor)
    depths = kept["depth"].unique().sort().to_list()
    kept = _placed(kept, axes, depths)
    drawn: list[Panel] = []
    for key, here in kept.partition_by(by, as_dict=True, maintain_order=True).items():
        name = tuple(str(part) for part in key)
        same = lines.filter(*(pl.col(column) == value for column, value in zip(by, key, strict=True)))
        labels = {depth: f"L = {depth}{texts.get((name, depth), '')}" for depth in depths}
        heading = alt.TitleParams(title(name), fontSize=12, fontWeight="normal", anchor="start")
        along = guided.filter(*(pl.col(column) == value for column, value in zip(by, key, strict=True)))
        panel = _panel(here, same, along, axes, quantity, depths, labels)
        drawn.append(panel.properties(width=WIDTH, height=HEIGHT, title=heading))
    return drawn


def _placed(points: pl.DataFrame, axes: tuple[LogAxis, LogAxis], depths: list[int]) -> pl.DataFrame:
    """The points with `at`, their scale moved aside by depth; none below the axis."""
    x, y = axes
    number_of = pl.col("depth").replace_strict(depths, range(len(depths)), return_dtype=pl.Float64)
    aside = DODGE * (x.high - x.low) * (number_of - (len(depths) - 1) / 2)
    return points.with_columns(
        pl.col("value", "predicted").clip(lower_bound=10.0**y.low), at=pl.col("alpha") * 10.0**aside
    )


def _panel(
    points: pl.DataFrame,
    lines: pl.DataFrame,
    guided: pl.DataFrame,
    axes: tuple[LogAxis, LogAxis],
    quantity: str,
    depths: list[int],
    labels: Mapping[int, str],
) -> alt.LayerChart:
    x, y = axes[0].x("alpha", SCALE), axes[1].y("value", quantity)
    aside = axes[0].x("at", SCALE)
    colour = depth_colour(depths, legend=False)
    dash = alt.StrokeDash("exact:N", legend=None, scale=alt.Scale(domain=[True, False], range=[[1, 0], [5, 3]]))
    shown = ["run_id:N", "depth:O", alt.Tooltip("alpha:Q", format=".3~g"), alt.Tooltip("value:Q", format=".3~g")]
    exact = axes[1].y("predicted", quantity)
    predicted = points.filter(pl.col("predicted").is_not_null())
    rings = alt.Chart(predicted.select("architecture", "alpha", "at", "predicted", "depth"))
    dots = alt.Chart(points.select("architecture", "alpha", "at", "value", "depth", "run_id"))
    curves = alt.Chart(lines.select("architecture", "alpha", "value", "depth", "exact"))
    resolved = points["tolerance"].median() if "tolerance" in points.columns else None
    known = pl.DataFrame({"value": [] if resolved is None else [resolved]}, schema={"value": pl.Float64})
    return layered(
        alt.Chart(known).mark_rule(stroke=GUIDE, strokeDash=[1, 3]).encode(y),
        alt.Chart(guided.select("alpha", "value", "depth"))
        .mark_line(stroke=GUIDE, strokeWidth=1, clip=True)
        .encode(x, y, alt.Detail("depth:N")),
        curves.mark_line(strokeWidth=1.6, clip=True).encode(x, y, colour, dash),
        rings.mark_point(size=70, strokeWidth=0.8, opacity=0.8).encode(aside, exact, colour),
        dots.mark_circle(size=20, opacity=0.9).encode(aside, y, colour, tooltip=shown),
        _labels(lines, axes, labels).encode(x, y, colour, text="label:N"),
    )


def _labels(lines: pl.DataFrame, axes: tuple[LogAxis, LogAxis], labels: Mapping[int, str]) -> alt.Chart:
    """The label of every depth, right of the panel, as near as possible to the end of its line."""
    x, y = axes
    ends = lines.sort("alpha").group_by("depth", maintain_order=True).last().sort("depth")
    gap = 13 / HEIGHT * (y.high - y.low)
    placed = spread([y.place(value) for value in ends["value"]], gap, y.low + gap / 2, y.high - gap / 2)
    at = pl.DataFrame(
        {
            "depth": ends["depth"],
            "alpha": [x.value(x.high)] * ends.height,
            "value": [y.value(place) for place in placed],
            "label": [labels[depth] for depth in ends["depth"]],
        }
    )
    return alt.Chart(at).mark_text(align="left", dx=PADDING + 6, fontSize=11, clip=False)
