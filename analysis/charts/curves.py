"""Quantities along the run: a panel for each network, a curve for each depth, medians with 10-90 % bands."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import altair as alt
import polars as pl

from analysis.charts.theme import (
    GUIDE,
    LinearAxis,
    LogAxis,
    Panel,
    arrow,
    chunks,
    depth_colour,
    layered,
    most,
    number,
    panels,
    spread,
    total,
)
from analysis.frames.along import MOST_RUNS

WIDTH, HEIGHT = 290, 220
MOST_LABELS = 8
STATEMENT = ("architecture", "prediction", "kind")
RESIDUAL, MARGIN = "relative residual ||Xβ − y|| / ||y||", "−log Loss"

Key = tuple[str, ...]


@dataclass(frozen=True)
class Axes:
    """The two axes that every panel of a chart shares, and the depths that its colours tell apart."""

    x: LogAxis
    x_title: str
    y: LogAxis | LinearAxis
    y_title: str
    depths: tuple[int, ...]

    def encodings(self) -> tuple[alt.X, alt.Y]:
        return self.x.x("clock", self.x_title), self.y.y("middle", self.y_title)


def curve_panels(
    frame: pl.DataFrame,
    by: Sequence[str],
    axes: Axes,
    labels: Mapping[tuple[Key, int], str],
    extra: "Extra | None" = None,
    band: bool = True,
    order: str = "clock",
) -> list[Panel]:
    """A panel for each value of `by`, with direct labels at the right end of every curve."""
    out: list[Panel] = []
    for key, here in frame.partition_by(*by, maintain_order=True, as_dict=True).items():
        name = tuple(str(part) for part in key)
        x, y = axes.encodings()
        colour = depth_colour(axes.depths, legend=False)
        base = alt.Chart(here).encode(x, colour, tooltip=_tooltip(axes))
        area = base.mark_area(opacity=0.18, clip=True).encode(axes.y.y("low", axes.y_title), alt.Y2("high:Q"))
        layers: list[alt.Chart] = [
            *([area] if band else []),
            base.mark_line(strokeWidth=2, clip=True).encode(y, order=f"{order}:Q"),
            *([] if extra is None else extra.layers(name, here, axes)),
            end_labels(here, name, axes, labels, follow=not band).encode(x, y, colour, text="label:N"),
        ]
        title = alt.TitleParams(panel_name(name), fontSize=12, fontWeight="normal", anchor="start")
        out.append(layered(*layers).properties(width=WIDTH, height=HEIGHT, title=title))
    return out


def _tooltip(axes: Axes) -> list[alt.Tooltip]:
    quantity = {"clock": axes.x_title, "middle": "median", "low": "10 %", "high": "90 %"}
    shown = [alt.Tooltip(f"{name}:Q", title=title, format=".3~g") for name, title in quantity.items()]
    return [alt.Tooltip("depth:O", title="L"), *shown, alt.Tooltip("runs:Q")]


def panel_name(key: Key) -> str:
    """network against prediction (kind)."""
    return f"{key[0]}: {key[1]} ({arrow(key[2])})" if len(key) == 3 else ", ".join(key)


def end_labels(
    here: pl.DataFrame, key: Key, axes: Axes, labels: Mapping[tuple[Key, int], str], follow: bool
) -> alt.Chart:
    """Text at the height where every curve ends, moved apart where they end together.

    It stands at the panel's edge, or with `follow` at the last point.
    """
    ends = here.group_by("depth", maintain_order=True).last().sort("depth")
    if ends.height > MOST_LABELS:
        ends = ends.filter(pl.int_range(pl.len()) % math.ceil(ends.height / MOST_LABELS) == 0)
    gap = 13 / HEIGHT * (axes.y.high - axes.y.low)
    placed = spread([axes.y.place(value) for value in ends["middle"]], gap, axes.y.low + gap / 2, axes.y.high - gap / 2)
    text = [labels.get((key, depth), f"L = {depth}") for depth in ends["depth"]]
    if not follow:
        edge = axes.x.value(axes.x.low if axes.x.reverse else axes.x.high)
        ends = ends.with_columns(clock=pl.lit(edge))
    at = ends.select("depth", "clock").with_columns(
        middle=pl.Series([axes.y.value(p) for p in placed], dtype=pl.Float64), label=pl.Series(text, dtype=pl.String)
    )
    return alt.Chart(at).mark_text(align="left", dx=6, fontSize=11, clip=False)


class Extra:
    """Nothing more in a panel; see Guides."""

    def layers(self, key: Key, here: pl.DataFrame, axes: Axes) -> list[alt.Chart]:
        return []


class Guides(Extra):
    """A dashed line of slope -1/L through the last point of every curve."""

    def layers(self, key: Key, here: pl.DataFrame, axes: Axes) -> list[alt.Chart]:
        rows: list[tuple[int, float, float]] = []
        for depth, curve in here.partition_by("depth", as_dict=True, maintain_order=True).items():
            last, middle = float(curve["clock"][-1]), float(curve["middle"][-1])
            level = int(depth[0])
            first = max(float(curve["clock"][0]), 10.0**axes.x.low)
            rows += [(level, at, middle * (at / last) ** (-1 / level)) for at in (first, last)]
        frame = pl.DataFrame(rows, schema={"depth": pl.Int64, "clock": pl.Float64, "middle": pl.Float64}, orient="row")
        x, y = axes.encodings()
        line = alt.Chart(frame).mark_line(stroke=GUIDE, strokeDash=[4, 4], strokeWidth=1, clip=True)
        return [line.encode(x, y, detail="depth:O")]


def note(frame: pl.DataFrame) -> str:
    """How many runs the curves stand for."""
    series = frame.group_by(set(frame.columns) - {"clock", "low", "middle", "high", "runs", "runs_of_series"}).agg(
        pl.col("runs_of_series").first()
    )
    runs = series["runs_of_series"]
    chosen = f", at most {MOST_RUNS} a curve (a fixed random choice)" if most(runs) > MOST_RUNS else ""
    count = f"{total(runs):,} runs{chosen}"
    return f"Medians (lines) and 10–90 % bands over the runs of all data sets, scales and seeds: {count}."


def depths(*frames: pl.DataFrame) -> tuple[int, ...]:
    """Every depth that the frames hold, in order."""
    return tuple(sorted({depth for frame in frames for depth in frame["depth"]}))


def log_axes(curves: pl.DataFrame, x_title: str, y_title: str, reverse: bool = False) -> Axes:
    """Log-log axes over all curves and bands."""
    x = LogAxis.over(curves["clock"], reverse=reverse)
    return Axes(x, x_title, LogAxis.over(curves["low"], curves["high"]), y_title, depths(curves))


def regression_distance(curves: pl.DataFrame) -> alt.VConcatChart:
    """||beta - beta*|| / ||beta*|| against the relative residual."""
    axes = log_axes(curves, RESIDUAL, "distance ||β − β*|| / ||β*||", reverse=True)
    drawn = curve_panels(curves, STATEMENT, axes, {})
    return panels(chunks(drawn, 3), "Distance to the prediction along the run: regression", note(curves))


def classification_distance(curves: pl.DataFrame, slopes: pl.DataFrame) -> alt.VConcatChart:
    """||beta/||beta|| - beta*|| against -log Loss, with fitted slopes."""
    axes = log_axes(curves, MARGIN, "distance of directions")
    labels = {
        (tuple(str(row[name]) for name in STATEMENT), row["depth"]): f"L = {row['depth']}: slope {number(row['slope'])}"
        for row in slopes.with_columns(pl.col("slope").round(2)).iter_rows(named=True)
    }
    drawn = curve_panels(curves, STATEMENT, axes, labels, Guides())
    more = "Dashed: slope −1/L. Slopes are fitted to the second half of each run's decades."
    return panels(
        chunks(drawn, 3), "Distance to the prediction along the run: classification", f"{note(curves)} {more}"
    )


def alignment(regression: pl.DataFrame, classification: pl.DataFrame) -> alt.VConcatChart:
    """max over layers of 1 - |cos(v_l, grad)|, for the tasks that have runs."""
    both = pl.concat([classification, regression])
    rows: list[Sequence[Panel]] = []
    for task, frame, title in (("classification", classification, MARGIN), ("regression", regression, RESIDUAL)):
        if frame.height:
            axes = log_axes(frame, title, "misalignment 1 − |cos|", reverse=task == "regression")
            named = frame.with_columns(pl.format("{}: {}", pl.lit(task), "architecture").alias("architecture"))
            rows += chunks(curve_panels(named, ("architecture",), replace(axes, depths=depths(both)), {}), 3)
    return panels(rows, "Alignment of the layers with the gradient", note(both))


def margins(curves: pl.DataFrame) -> alt.VConcatChart:
    """The normalised margin relative to its last value."""
    axes = replace(log_axes(curves, MARGIN, "margin / its last value"), y=LinearAxis(0.0, 1.1))
    drawn = curve_panels(curves, ("architecture",), axes, {})
    return panels(chunks(drawn, 3), "Normalised margins along the run", note(curves))


def loss_rate(curves: pl.DataFrame) -> alt.VConcatChart:
    """|Loss t (log t)^(2-2/L) L^2 gamma^(2/L) - 1|."""
    axes = log_axes(curves, MARGIN, "relative gap of the loss to its rate")
    drawn = curve_panels(curves, ("architecture",), axes, {})
    return panels(chunks(drawn, 3), "How fast the loss falls, against the predicted rate", note(curves))


def plateaus(curves: pl.DataFrame) -> alt.VConcatChart:
    """Time at which each residual is first reached: panels network by alpha."""
    time = LogAxis.over(curves["low"], curves["high"])
    residual = LogAxis.over(curves["clock"])
    named = curves.rename({"clock": "middle", "middle": "clock"}).with_columns(
        alpha=pl.format("α = {}", pl.col("alpha").map_elements(number, return_dtype=pl.String))
    )
    axes = Axes(time, "time t of gradient flow", residual, RESIDUAL, depths(curves))
    keys = named.select("architecture", "alpha").unique(maintain_order=True).rows()
    drawn = curve_panels(named, ("architecture", "alpha"), axes, {}, band=False, order="middle")
    rows = [
        [panel for key, panel in zip(keys, drawn, strict=True) if key[0] == name]
        for name in named["architecture"].unique().sort()
    ]
    series = curves.group_by("architecture", "alpha", "depth").agg(pl.col("runs_of_series").first())
    runs = total(series["runs_of_series"])
    shown = f"Median time at which {runs:,} runs reach each residual; the smallest scales α of the store."
    return panels(rows, "Plateaus: how long the flow takes", shown)
