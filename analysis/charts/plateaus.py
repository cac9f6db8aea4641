"""Time: how long the flow takes to each residual, and where it rests on the way."""

import math
from collections.abc import Sequence

import altair as alt
import polars as pl

from analysis.charts.coordinates import TIME, encodings, heights, names
from analysis.charts.panels import HEIGHT, WIDTH, Axes, depths, end_labels, panel_title, pooled, runs_behind
from analysis.charts.theme import (
    FAINT,
    GUIDE,
    LogAxis,
    Panel,
    chunks,
    depth_colour,
    layered,
    panels,
    total,
)
from analysis.names import named, number, shown

RESIDUAL = "relative residual ||Xβ − y|| / ||y||"
ROOM = 0.25
"""Decades that a panel shows before the first jump and after the last one."""


def draw(curves: pl.DataFrame, saddles: pl.DataFrame, orbits: pl.DataFrame) -> alt.VConcatChart:
    """Time at which each residual is first reached, panels network by alpha; below, orbits over predicted saddles."""
    scale = pl.col("alpha").map_elements(number, return_dtype=pl.String)
    swapped = curves.rename({"clock": "middle", "middle": "clock"}).with_columns(
        panel=pl.format("{}, α = {}", shown("architecture"), scale)
    )
    axes = Axes(LogAxis.over(swapped["clock"]), TIME, LogAxis.over(swapped["middle"]), RESIDUAL, depths(swapped))
    rows: list[Sequence[Panel]] = [
        [_over_time(panel, axes) for panel in network.sort("alpha").partition_by("panel", maintain_order=True)]
        for network in swapped.sort("architecture", "depth", "middle", descending=[False, False, True]).partition_by(
            "architecture", maintain_order=True
        )
    ]
    words = (
        f"Median time at which {total(runs_behind(swapped)):,} runs reach each residual, {pooled(curves)}; data of "
        f"{curves['shape'][0]}, the shape with most runs."
    )
    visited = [_visits(each, orbits) for each in saddles.partition_by("run_id", maintain_order=True)]
    if visited:
        rows += chunks(visited, 3)
        words += (
            " Below, single runs that are to visit saddles: coefficients (lines, the largest ones) over the saddles "
            "predicted as α→0 (bars, as long as the flow is to rest there) and the times of the jumps (dashed)."
        )
    return panels(rows, "Plateaus: how long the flow takes", words, colours="independent")


def _over_time(here: pl.DataFrame, axes: Axes) -> Panel:
    x, y = axes.encodings()
    line = alt.Chart(here.select("depth", "clock", "middle")).mark_line(strokeWidth=2, clip=True)
    curves = line.encode(x, y, depth_colour(axes.depths, legend=False), order=alt.Order("middle:Q", sort="descending"))
    labels = end_labels(here, axes, {}, follow=True)
    return layered(curves, labels).properties(width=WIDTH - 60, height=HEIGHT, title=panel_title(here["panel"][0]))


def _visits(saddles: pl.DataFrame, orbits: pl.DataFrame) -> Panel:
    """One run: its coefficients against the log of time, between a little before the first jump and after the last."""
    jumps = saddles["begins"].drop_nulls()
    spans = [math.log10(value) for value in (min(jumps), max(jumps))]
    room = max(ROOM, 0.15 * (spans[1] - spans[0]))
    low, high = 10 ** (spans[0] - room), 10 ** (spans[1] + room)
    bars = saddles.with_columns(pl.col("begins").fill_null(low), pl.col("ends").fill_null(high))
    here = orbits.filter(pl.col("run_id") == saddles["run_id"][0])
    seen = here.filter(pl.col("time").is_between(low, high))
    axis = heights(bars["value"], seen["value"])
    x, y, colour = encodings(bars["coordinate"], low, high, axis)
    # a coordinate that no saddle has is not named
    ends = bars.filter((pl.col("value") != 0).any().over("coordinate")).filter(pl.col("ends") == high)
    lines = alt.Chart(here.select("coordinate", "time", "value")).mark_line(strokeWidth=1.5, clip=True)
    rests = alt.Chart(bars.select("coordinate", "value", "begins", "ends")).mark_rule(strokeWidth=5, opacity=0.35)
    times = alt.Chart(jumps.unique().to_frame()).mark_rule(stroke=GUIDE, strokeDash=[4, 3])
    zero = alt.Chart(pl.DataFrame({"value": [0.0]})).mark_rule(stroke=FAINT)
    architecture, depth, alpha = saddles.row(0, named=True)["architecture"], saddles["depth"][0], saddles["alpha"][0]
    return layered(
        zero.encode(y),
        times.encode(x("begins")),
        rests.encode(x("begins"), alt.X2("ends:Q"), y, colour),
        lines.encode(x("time"), y, colour, order="time:Q"),
        names(ends, high, axis).encode(x("begins"), y, colour, text="name:N"),
    ).properties(
        width=WIDTH,
        height=HEIGHT,
        title=panel_title(f"{named(architecture)}, L = {depth}, α = {number(alpha)}: coefficients"),
    )
