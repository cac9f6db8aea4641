"""A panel for each network, a curve for each depth: medians with 10-90 % bands, labelled where they end."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from analysis.charts.theme import (
    GUIDE,
    LinearAxis,
    LogAxis,
    Panel,
    depth_colour,
    layered,
    most,
    spread,
    total,
)
from analysis.frames.along import MOST_RUNS
from analysis.frames.shared import POOLED
from analysis.names import named, shown

WIDTH, HEIGHT = 290, 220
MOST_LABELS = 8
MOST_PANELS = 12
SERIES = ("panel", "depth")
DASH, LINE = 8, 0.01
"""Pixels of a dash of one of several curves that coincide; and how near they are then, in heights of the panel."""
DOTS = (26, 110)
"""Least and largest area of dots that are smaller with depth."""
HALO = 3
"""Pixels of white around a label that stands within a panel."""

UNKNOWN = {
    "classification_distance": "no direction is predicted",
    "margins": "no largest margin is known",
}
"""Chart -> why runs with a recorded path have no curve in it."""

Labels = Mapping[tuple[str, int], str]
"""Text for the curve of a panel and depth, where it is not "L = depth"."""

Powers = Mapping[tuple[str, int], float]
"""The slope that the curve of a panel and depth has been seen to have, where one is known."""


@dataclass(frozen=True)
class Axes:
    """The two axes that every panel of a chart shares, and the depths that its colours tell apart."""

    x: LogAxis
    x_title: str
    y: LogAxis | LinearAxis
    y_title: str
    depths: tuple[int, ...]
    shared: bool = False
    """Whether curves that coincide share one line, dash by dash."""

    def encodings(self) -> tuple[alt.X, alt.Y]:
        return self.x.x("clock", self.x_title), self.y.y("middle", self.y_title)

    def dashes(self) -> alt.StrokeDash:
        """Solid lines; of n that coincide every one is seen on an nth of their length (column `line`, "place/n")."""
        every = [(place, of) for of in range(1, len(self.depths) + 1) for place in range(of)]
        dashes = [[DASH * (of - place), DASH * place] for place, of in every]
        scale = alt.Scale(domain=[f"{place}/{of}" for place, of in every], range=dashes)
        return alt.StrokeDash("line:N", scale=scale, legend=None)


Extra = Callable[[pl.DataFrame, Axes], alt.Chart]
"""More marks for a panel, from its curves."""


def with_panels(curves: pl.DataFrame, *parts: str) -> pl.DataFrame:
    """The curves with a column `panel`: the network, other columns, and the data's shape if there are several.

    At most MOST_PANELS panels stay, those that stand for most runs.
    """
    several = ["shape"] if curves["shape"].n_unique() > 1 else []
    frame = curves.with_columns(panel=pl.concat_str(*map(shown, ("architecture", *parts, *several)), separator=", "))
    sizes = frame.unique(SERIES).group_by("panel").agg(pl.col("runs_of_series").sum()).sort("runs_of_series", "panel")
    return frame.join(sizes.tail(MOST_PANELS).select("panel"), on="panel", how="semi").sort(
        "panel", maintain_order=True
    )


def curve_panels(
    curves: pl.DataFrame,
    axes: Axes,
    labels: Labels | None = None,
    extra: Extra | None = None,
    follow: bool = False,
) -> list[Panel]:
    """The panels of curves that `with_panels` has named, in the order of their names; `follow` as of `end_labels`."""
    made = curves.partition_by("panel", maintain_order=True)
    return [_panel(here, axes, labels or {}, extra, follow) for here in made]


def _panel(here: pl.DataFrame, axes: Axes, labels: Labels, extra: Extra | None, follow: bool) -> Panel:
    x, y = axes.encodings()
    same = coinciding(here, axes) if axes.shared else {}
    line = {depth: "{}/{}".format(*same.get(depth, (0, 1))) for depth in axes.depths}
    here = here.with_columns(line=pl.col("depth").replace_strict(line, return_dtype=pl.String))
    base = alt.Chart(here.drop("panel")).encode(x, depth_colour(axes.depths, legend=False), tooltip=_tooltip(axes))
    return layered(
        base.mark_area(opacity=0.18, clip=True).encode(axes.y.y("low", axes.y_title), alt.Y2("high:Q")),
        base.mark_line(strokeWidth=2, clip=True).encode(y, *([axes.dashes()] if axes.shared else [])),
        *([] if extra is None else [extra(here, axes)]),
        end_labels(here, axes, labels, follow),
    ).properties(width=WIDTH, height=HEIGHT, title=panel_title(here["panel"][0]))


def coinciding(here: pl.DataFrame, axes: Axes) -> dict[int, tuple[int, int]]:
    """Depth -> its place among the depths of a panel whose curves lie on top of its own, and how many these are.

    Two curves coincide if half of their common points are nearer than LINE.
    """
    curves = {
        int(curve["depth"][0]): {row[0]: axes.y.place(row[1]) for row in curve.select("clock", "middle").iter_rows()}
        for curve in here.partition_by("depth")
    }
    room = LINE * (axes.y.high - axes.y.low)
    groups: list[list[int]] = []
    for depth in sorted(curves):
        for group in groups:
            first, own = curves[group[0]], curves[depth]
            apart = sorted(abs(first[clock] - own[clock]) for clock in first.keys() & own.keys())
            if apart and apart[len(apart) // 2] < room:
                group.append(depth)
                break
        else:
            groups.append([depth])
    return {depth: (place, len(group)) for group in groups for place, depth in enumerate(group)}


def depth_sizes(depths: Sequence[int], legend: bool = False) -> alt.Size:
    """Areas of dots in pixels that fall with depth, so that dots in one place are all seen.

    With `legend`, where colours of depths have one: the two are drawn as one.
    """
    least, most = DOTS
    step = min(2.0 * least, (most - least) / max(len(depths) - 1, 1))
    areas = [least + step * (len(depths) - 1 - place) for place in range(len(depths))]
    shown = alt.Undefined if legend else None
    return alt.Size("depth:O", scale=alt.Scale(type="ordinal", domain=list(depths), range=areas), legend=shown)


def panel_title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, fontSize=12, fontWeight="normal", anchor="start")


def _tooltip(axes: Axes) -> list[alt.Tooltip]:
    quantity = {"clock": axes.x_title, "middle": "median", "low": "10 %", "high": "90 %"}
    shown = [alt.Tooltip(f"{name}:Q", title=title, format=".3~g") for name, title in quantity.items()]
    return [alt.Tooltip("depth:O", title="L"), *shown, alt.Tooltip("runs:Q")]


def end_labels(here: pl.DataFrame, axes: Axes, labels: Labels, follow: bool = False) -> alt.LayerChart:
    """Text at the height where every curve ends, moved apart where they end together.

    It stands at the panel's edge, or with `follow` at the last point.
    """
    ends = here.group_by("depth", maintain_order=True).last().sort("depth")
    if ends.height > MOST_LABELS:
        ends = ends.filter(pl.int_range(pl.len()) % math.ceil(ends.height / MOST_LABELS) == 0)
    gap = 13 / HEIGHT * (axes.y.high - axes.y.low)
    placed = spread([axes.y.place(value) for value in ends["middle"]], gap, axes.y.low + gap / 2, axes.y.high - gap / 2)
    text = [labels.get((panel, depth), f"L = {depth}") for panel, depth in ends.select(SERIES).rows()]
    if not follow:
        ends = ends.with_columns(clock=pl.lit(axes.x.value(axes.x.low if axes.x.reverse else axes.x.high)))
    at = ends.select("depth", "clock").with_columns(
        middle=pl.Series([axes.y.value(p) for p in placed], dtype=pl.Float64), label=pl.Series(text, dtype=pl.String)
    )
    x, y = axes.encodings()
    look: dict[str, Any] = {"align": "left", "dx": 6, "fontSize": 11, "clip": False}
    halo = alt.Chart(at).mark_text(**look, stroke="white", strokeWidth=HALO, color="white")
    text = alt.Chart(at).mark_text(**look).encode(color=depth_colour(axes.depths, legend=False))
    return layered(*([halo] if follow else []), text).encode(x, y, text="label:N")


def guides(here: pl.DataFrame, axes: Axes, powers: Powers) -> alt.Chart:
    """Lines through the last point of every curve: a dotted one of slope -1, a dashed one of the curve's own power."""
    rows: list[tuple[int, bool, float, float]] = []
    for curve in here.partition_by("depth", maintain_order=True):
        depth, last, middle = int(curve["depth"][0]), float(curve["clock"][-1]), float(curve["middle"][-1])
        own = powers.get((str(curve["panel"][0]), depth))
        for power in (-1.0, *([] if own is None else [own])):
            enters = last * (axes.y.value(axes.y.high) / middle) ** (1 / power)
            first = max(float(curve["clock"][0]), enters)
            rows += [(depth, power == own, at, middle * (at / last) ** power) for at in (first, last)]
    kinds = {"depth": pl.Int64, "own": pl.Boolean, "clock": pl.Float64, "middle": pl.Float64}
    line = alt.Chart(pl.DataFrame(rows, schema=kinds, orient="row")).mark_line(stroke=GUIDE, strokeWidth=1, clip=True)
    dash = alt.StrokeDash("own:N", legend=None, scale=alt.Scale(domain=[True, False], range=[[5, 3], [1, 3]]))
    return line.encode(*axes.encodings(), dash, detail="depth:O")


def runs_behind(curves: pl.DataFrame) -> pl.Series:
    """How many runs of the store each curve stands for."""
    return curves.unique(SERIES, maintain_order=True)["runs_of_series"]


def note(*frames: pl.DataFrame) -> str:
    """How many runs the curves stand for, and what their medians pool."""
    runs = pl.concat([runs_behind(frame) for frame in frames if frame.height])
    chosen = f", at most {MOST_RUNS} a curve (a fixed random choice)" if most(runs) > MOST_RUNS else ""
    return f"Medians (lines) and 10–90 % bands, {pooled(*frames)}: {total(runs):,} runs{chosen}."


def pooled(*frames: pl.DataFrame) -> str:
    """All that runs of one curve differ in: "pooled over scales α and seeds"."""
    told = {each for frame in frames for words in frame["pooled"].drop_nulls() for each in words.split(", ")}
    words = [each for each in POOLED.values() if each in told]
    listed = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    return f"pooled over {listed}" if words else "nothing pooled"


def left_out(others: pl.DataFrame, why: str) -> list[str]:
    """Which runs have no curve, so that none is missed in silence."""
    if others.is_empty():
        return []
    runs = total(others["runs"])
    networks = "; ".join(f"{named(name)} with L = {depths}" for name, depths, _ in others.rows())
    return [f"Left out, as {why}: {runs:,} run{'s' if runs > 1 else ''} ({networks})."]


def depths(*frames: pl.DataFrame) -> tuple[int, ...]:
    """Every depth that the frames hold, in order."""
    return tuple(sorted({depth for frame in frames for depth in frame["depth"]}))


def log_axes(curves: pl.DataFrame, x_title: str, y_title: str, reverse: bool = False) -> Axes:
    """Log-log axes over all curves and bands."""
    x = LogAxis.over(curves["clock"], reverse=reverse)
    return Axes(x, x_title, LogAxis.over(curves["low"], curves["high"]), y_title, depths(curves))
