"""How the limit depends on the initialisation scale: distances to the l1 and l2 limits against alpha."""

import altair as alt
import polars as pl

from analysis.charts.theme import (
    INK,
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
)
from analysis.frames.scale import MOST_POINTS

WIDTH, HEIGHT = 290, 230
LIMIT = ("limit_kind", "limit_prediction", "architecture", "shape")
MOST_PANELS = 12


def draw(points: pl.DataFrame, lines: pl.DataFrame, slopes: pl.DataFrame) -> alt.VConcatChart:
    """Panels limit by network; a dot is where a run ended, a line is where the exact prediction lies."""
    x = LogAxis.over(points["alpha"], lines["alpha"])
    y = LogAxis.over(points["distance"], lines["distance"])
    depths = points["depth"].unique().sort().to_list()
    sizes = points.unique([*LIMIT, "depth"]).group_by(*LIMIT).agg(pl.col("runs_of_series").sum())
    kept = sizes.sort("runs_of_series", *LIMIT).tail(MOST_PANELS)
    several = points["shape"].n_unique() > 1
    drawn = [
        _panel(here, _same(lines, key), _same(slopes, key), x, y, depths, several)
        for key, here in points.join(kept, on=LIMIT, how="semi")
        .sort(*LIMIT)
        .partition_by(*LIMIT, as_dict=True, maintain_order=True)
        .items()
    ]
    return panels(chunks(drawn, 3), "Between the l1 and the l2 solution: the initialisation scale", note(points))


def note(points: pl.DataFrame) -> str:
    """What dots, lines and dashes are, and how many runs there are."""
    series = points.group_by(*LIMIT, "depth").agg(pl.col("runs_of_series").first())["runs_of_series"]
    chosen = f"; at most {MOST_POINTS} dots a depth, a fixed random choice" if most(series) > MOST_POINTS else ""
    return (
        f"Dots: where {points['run_id'].n_unique():,} runs ended{chosen}. Solid lines: where the exact prediction lies "
        "(median over data sets and seeds); dashed: median of the runs, where no exact prediction applies."
    )


def _panel(
    points: pl.DataFrame,
    lines: pl.DataFrame,
    slopes: pl.DataFrame,
    x: LogAxis,
    y: LogAxis,
    depths: list[int],
    several: bool,
) -> Panel:
    horizontal, vertical = x.x("alpha", "initialisation scale α"), y.y("distance", "distance to the limit")
    colour = depth_colour(depths, legend=False)
    dash = alt.StrokeDash("line:N", legend=None, scale=alt.Scale(domain=[True, False], range=[[1, 0], [5, 3]]))
    exact = lines.with_columns(line=pl.col("line") != "median of the runs")
    shown = [
        alt.Tooltip("depth:O", title="L"),
        alt.Tooltip("alpha:Q", format=".3~g"),
        alt.Tooltip("distance:Q", format=".3~g"),
    ]
    kind, prediction, architecture, shape = (str(points[name][0]) for name in LIMIT)
    title = f"{architecture} to {prediction} ({arrow(kind)}){f', {shape}' if several else ''}"
    return layered(
        alt.Chart(exact).mark_line(strokeWidth=1.6, clip=True).encode(horizontal, vertical, colour, dash),
        alt.Chart(points)
        .mark_circle(size=26, opacity=0.75, clip=True)
        .encode(horizontal, vertical, colour, tooltip=shown),
        _labels(lines, slopes, x, y, kind).encode(horizontal, vertical, colour, text="label:N"),
    ).properties(
        width=WIDTH,
        height=HEIGHT,
        title=alt.TitleParams(title, fontSize=12, fontWeight="normal", anchor="start", color=INK),
    )


def _labels(lines: pl.DataFrame, slopes: pl.DataFrame, x: LogAxis, y: LogAxis, kind: str) -> alt.Chart:
    """Depth and fitted slope, right of the panel, as near as possible to the end of the line."""
    fitted = {row["depth"]: row["slope"] for row in slopes.iter_rows(named=True)}
    ends = lines.sort("alpha").group_by("depth", maintain_order=True).last().sort("depth")
    gap = 13 / HEIGHT * (y.high - y.low)
    placed = spread([y.place(value) for value in ends["distance"]], gap, y.low + gap / 2, y.high - gap / 2)
    text = [f"L = {d}: α^{number(round(fitted[d], 2))}" if d in fitted else f"L = {d}" for d in ends["depth"]]
    at = pl.DataFrame(
        {
            "depth": ends["depth"],
            "alpha": [x.value(x.high)] * ends.height,
            "distance": [y.value(p) for p in placed],
            "label": text,
        }
    )
    return alt.Chart(at).mark_text(align="left", dx=6, fontSize=11, clip=False)


def _same(frame: pl.DataFrame, key: tuple[object, ...]) -> pl.DataFrame:
    return frame.filter(*(pl.col(name) == value for name, value in zip(LIMIT, key, strict=True)))
