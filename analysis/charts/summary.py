"""Charts that count: every prediction with its distances, agreement with exact predictions, and what the sweep cost."""

import math
from typing import Any

import altair as alt
import polars as pl

from analysis.charts.theme import (
    GUIDE,
    INK,
    KIND_COLOURS,
    STATUS_COLOURS,
    LogAxis,
    Panel,
    architecture_colour,
    depth_colour,
    layered,
    panels,
    total,
    whole_ticks,
)
from analysis.names import named, number, shown, told_apart

MOST_ROWS = 60
WIDTH = 430


def predictions(summary: pl.DataFrame) -> alt.VConcatChart:
    """Median, 90 % quantile and worst distance of every prediction, one line a network and depth."""
    frame = told_apart(summary.filter(pl.col("median").is_not_null()))
    axis = LogAxis.over(frame["median"], frame["worst"])
    blocks = [
        [_intervals(here, axis, *(str(part) for part in key))]
        for key, here in frame.partition_by("about", "kind", as_dict=True, maintain_order=True).items()
    ]
    note = (
        "Dot: median; bar: to the 90 % quantile; tick: worst run, of all converged runs of a network and depth, "
        "whatever their data, start, scale, seed, width and tolerance. Distances under 1e-16 are drawn at 1e-16. "
        "Of a limit in α the distances are those of the runs at the α nearest to it; certificates are of all."
    )
    return panels(blocks, "Every prediction and how far the runs ended from it", note, wrap=170)


def _intervals(frame: pl.DataFrame, axis: LogAxis, about: str, kind: str) -> Panel:
    kept = frame.head(MOST_ROWS).select(
        "runs", "judged", "median", "high", "worst", "worst_certificate", "judged_at",
        row=pl.format("{} · {} · L = {}", shown("prediction"), shown("architecture"), "depth"),
        label=pl.struct("runs", "judged", "worst_certificate", "judged_at").map_elements(
            _counted, return_dtype=pl.String
        ),
    )  # fmt: skip
    left = f" (first {MOST_ROWS} of {frame.height} lines)" if frame.height > MOST_ROWS else ""
    colour = KIND_COLOURS.get(kind, INK)
    y = alt.Y(
        "row:N",
        sort=kept["row"].to_list(),
        axis=alt.Axis(title=None, labelLimit=0, minExtent=260, ticks=False, grid=True),
    )
    base = alt.Chart(kept).encode(y)
    x = axis.x("median", "distance")
    return layered(
        base.mark_rule(strokeWidth=3, opacity=0.45, color=colour).encode(x, alt.X2("high:Q")),
        base.mark_tick(thickness=2, size=11, color=colour).encode(axis.x("worst", "distance")),
        base.mark_circle(size=52, opacity=1, color=colour).encode(
            x, tooltip=["row:N", "runs:Q", "median:Q", "high:Q", "worst:Q", "worst_certificate:Q"]
        ),
        base.mark_text(align="left", color=GUIDE, fontSize=10).encode(x=alt.value(WIDTH + 8), text="label:N"),
    ).properties(
        width=WIDTH,
        height=alt.Step(17),
        title=alt.TitleParams(f"{about}, {named(kind)}{left}", fontSize=12, anchor="start"),
    )


def _counted(row: dict[str, Any]) -> str:
    certificate = row["worst_certificate"]
    of = f" of {row['runs']:,}" if row["judged"] < row["runs"] else ""
    runs = f"{row['judged']:,}{of} run{'s' if row['runs'] > 1 else ''}"
    at = "" if row["judged_at"] is None else f" at α = {number(row['judged_at'])}"
    return f"{runs}{at}" + ("" if certificate is None else f", worst certificate {number(certificate)}")


def exactness(bins: pl.DataFrame, unjudged: pl.DataFrame) -> alt.VConcatChart:
    """Histogram of the distances to exact predictions, in units of what rtol and stop rule allow."""
    depths = bins["depth"].unique().sort().to_list()
    edges = bins["bin"].to_list()
    low, high = math.floor(min(edges)), max(math.floor(max(edges) + 0.25), 0) + 1
    rows = [
        [_histogram(here, float(rtol[0]), depths, low, high)]
        for rtol, here in bins.partition_by("rtol", as_dict=True, maintain_order=True).items()
    ]
    runs, others = total(bins["runs"]), total(unjudged["runs"])
    note = (
        f"{runs:,} converged runs to which an exact prediction applies; bins of a quarter of a decade. Pooled: data, "
        "networks, starts, scales, seeds and widths."
    )
    if others:
        note += f" {others:,} more stopped at a residual above 0.01, or come from an older version: not judged."
    return panels(rows, "Agreement with exact predictions", note, wrap=90)


def _histogram(bins: pl.DataFrame, rtol: float, depths: list[int], low: int, high: int) -> Panel:
    beyond, worst = total(bins["beyond"]), max(float(value) for value in bins["worst"])
    axis = LogAxis(low, high)
    edges = bins.with_columns(left=10.0 ** pl.col("bin"), right=10.0 ** (pl.col("bin") + 0.25))
    highest = max(edges.group_by("bin").agg(pl.col("runs").sum())["runs"])
    mark = alt.Chart(pl.DataFrame({"left": [1.0], "label": ["tolerance"]}))
    x = axis.x("left", "distance to the exact prediction / tolerance")
    counts = alt.Axis(title="runs", values=whole_ticks(highest), format=",d")
    loosest = max(float(value) for value in bins["loosest"])
    title = (
        f"rtol = {number(rtol)}: {total(bins['runs']):,} runs, {beyond:,} beyond; worst distance {number(worst)}, "
        f"tolerance at most {number(loosest)}"
    )
    return layered(
        alt.Chart(edges).transform_stack(
            ["bottom", "top"], "runs", groupby=["bin"], sort=[alt.SortField("depth")]
        ).mark_rect(stroke="white", strokeWidth=0.5).encode(
            x, alt.X2("right:Q"), alt.Y("bottom:Q", axis=counts), alt.Y2("top:Q"), depth_colour(depths),
            tooltip=["depth:O", "runs:Q", "worst:Q", "loosest:Q"],
        ),
        mark.mark_rule(stroke=INK, strokeDash=[5, 3]).encode(x),
        mark.mark_text(align="left", dx=4, y=8, color=INK, fontSize=11).encode(x, text="label:N"),
    ).properties(
        width=520, height=150, title=alt.TitleParams(title, fontSize=12, fontWeight="normal", anchor="start")
    )  # fmt: skip


def overview(statuses: pl.DataFrame, costs: pl.DataFrame) -> alt.VConcatChart:
    """How the runs ended, and what they took: steps, seconds, drift of the invariants."""
    architectures = sorted({*statuses["architecture"], *costs["architecture"]})
    rows: list[list[Panel]] = [[_statuses(statuses)]]
    for task in costs["task"].unique().sort(descending=True):
        here = costs.filter(pl.col("task") == task)
        measures = ("accepted steps", "seconds a run", "invariant drift")
        line = [
            _cost(each, architectures, f"{task}: {measure}", legend=len(rows) == 1)
            for measure in measures
            if (each := here.filter(pl.col("measure") == measure)).height
        ]
        rows += [line] if line else []
    runs = total(statuses["runs"])
    note = (
        f"{runs:,} runs. Below: medians (dots) with 10–90 % bars, worst run (ticks), against depth, of all data, "
        "starts, scales, seeds, widths and tolerances."
    )
    return panels(rows, "The sweep: how runs ended and what they cost", note, colours="rows")


def _statuses(statuses: pl.DataFrame) -> Panel:
    present = [status for status in STATUS_COLOURS if status in set(statuses["status"])]
    scale = alt.Scale(domain=present, range=[STATUS_COLOURS[status] for status in present])
    frame = statuses.with_columns(
        row=pl.format("{}: {}", "task", shown("architecture")),
        place=pl.col("status").replace_strict(list(STATUS_COLOURS), list(range(len(STATUS_COLOURS)))),
    ).sort("row", "place")
    text = frame.group_by("row", maintain_order=True).agg(
        label=pl.format("{} {}", pl.col("runs").map_elements(_grouped, return_dtype=pl.String), "status").str.join(
            ", "
        ),
        end=pl.col("runs").sum(),
    )
    y = alt.Y("row:N", axis=alt.Axis(title=None, labelLimit=0))
    bars = alt.Chart(frame).mark_bar().encode(
        alt.X("runs:Q", axis=alt.Axis(title="runs", values=whole_ticks(max(text["end"])), format=",d"),
              scale=alt.Scale(domain=[0, whole_ticks(round(1.25 * max(text["end"])))[-1]])), y,
        alt.Color("status:N", scale=scale, legend=None),
        order="place:Q", tooltip=["row:N", "status:N", "runs:Q"],
    )  # fmt: skip
    ends = (
        alt.Chart(text).mark_text(align="left", dx=5, fontSize=11, color=GUIDE).encode(x="end:Q", y=y, text="label:N")
    )
    return layered(bars, ends).properties(width=560, height=alt.Step(20))


def _grouped(count: int) -> str:
    return f"{count:,}"


def _cost(frame: pl.DataFrame, architectures: list[str], title: str, legend: bool) -> Panel:
    axis = LogAxis.over(frame["low"], frame["worst"])
    x = alt.X("depth:O", axis=alt.Axis(title="depth L", labelAngle=0))
    shift = alt.XOffset("architecture:N", sort=architectures, scale=alt.Scale(domain=architectures))
    base = alt.Chart(frame).encode(x, shift, architecture_colour(architectures, legend))
    name = title.split(": ")[1]
    return layered(
        base.mark_rule(strokeWidth=2.5, opacity=0.5).encode(axis.y("low", name), alt.Y2("high:Q")),
        base.mark_tick(thickness=1.5, size=9).encode(axis.y("worst", name)),
        base.mark_circle(size=34, opacity=1).encode(
            axis.y("middle", name), tooltip=["architecture:N", "depth:O", "runs:Q", "middle:Q", "worst:Q"]
        ),
    ).properties(width=230, height=180, title=alt.TitleParams(title, fontSize=12, fontWeight="normal", anchor="start"))
