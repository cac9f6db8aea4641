"""The time average of beta: how far its fits are from the lasso's, and single runs beside the lasso path."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from analysis.charts.coordinates import TIME, encodings, heights, names
from analysis.charts.panels import HEIGHT, WIDTH, curve_panels, log_axes, note, panel_title
from analysis.charts.theme import FAINT, Panel, chunks, layered, panels
from analysis.names import named, number, shown


def draw(curves: pl.DataFrame, averages: pl.DataFrame) -> alt.VConcatChart:
    """Distance of the time average's fits to the lasso's, panels network by alpha; below, coefficients of both."""
    scale = pl.col("alpha").map_elements(number, return_dtype=pl.String)
    here = curves.with_columns(panel=pl.format("{}, α = {}", shown("architecture"), scale))
    axes = log_axes(here, TIME, "||X(average − lasso)|| / ||y||")
    networks = here.sort("architecture", "alpha", maintain_order=True).partition_by("architecture", maintain_order=True)
    rows: list[Sequence[Panel]] = [curve_panels(network, axes, follow=True) for network in networks]
    words = note(here)
    single = [_run(each) for each in averages.partition_by("run_id", maintain_order=True)]
    if single:
        rows += chunks(single, 3)
        words += (
            " Below, single runs: the time average of coefficients (lines, the largest ones; by trapezoids between "
            "recorded points) and the lasso's at the penalty of the time (circles)."
        )
    return panels(rows, "The time average along the lasso path", words, colours="independent")


def _run(here: pl.DataFrame) -> Panel:
    """One run: the average of its coefficients against the log of time, and the lasso's."""
    low, high = min(here["time"]), max(here["time"])
    lines = here.drop_nulls("average").rename({"average": "value"})
    path = here.drop_nulls("lasso").rename({"lasso": "value"})
    axis = heights(lines["value"], path["value"])
    x, y, colour = encodings(here["coordinate"], low, high, axis, "average of β")
    last = lines.group_by("coordinate", maintain_order=True).last()
    drawn = alt.Chart(lines.select("coordinate", "time", "value")).mark_line(strokeWidth=1.5, clip=True)
    circles = alt.Chart(path.select("coordinate", "time", "value")).mark_point(size=36, strokeWidth=1.5)
    zero = alt.Chart(pl.DataFrame({"value": [0.0]})).mark_rule(stroke=FAINT)
    architecture, depth, alpha = here.row(0, named=True)["architecture"], here["depth"][0], here["alpha"][0]
    return layered(
        zero.encode(y),
        drawn.encode(x("time"), y, colour, order="time:Q"),
        circles.encode(x("time"), y, colour),
        names(last, high, axis).encode(x("begins"), y, colour, text="name:N"),
    ).properties(
        width=WIDTH, height=HEIGHT, title=panel_title(f"{named(architecture)}, L = {depth}, α = {number(alpha)}")
    )
