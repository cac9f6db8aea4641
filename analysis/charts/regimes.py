"""Distances of a classification flow to its limits against -log Loss / alpha^L: a kernel at first, rich in the end."""

import altair as alt
import polars as pl

from analysis.charts.panels import panel_title, pooled
from analysis.charts.theme import LogAxis, Panel, chunks, layered, most, total
from analysis.frames.regimes import FINITE, KERNEL, MOST_RUNS, RICH
from analysis.names import named, raised

WIDTH, HEIGHT, COLUMNS, MOST_PANELS = 290, 200, 3, 6
LIMITS = {
    KERNEL: ("ℓ2 max margin of the start's kernel (α→∞)", "#CC79A7"),
    RICH: ("ℓ2/L max margin (t→∞)", "#009E73"),
    FINITE: ("finite margin", "#0072B2"),
}
"""Limit -> in the legend, its colour."""


def regime_panels(regimes: pl.DataFrame) -> list[list[Panel]]:
    """A panel a network and depth, a colour a limit; nothing without such runs."""
    if regimes.is_empty():
        return []
    here = _drawn(regimes)
    x, y = LogAxis.over(here["clock"]), LogAxis.over(here["low"], here["high"])
    some = [_panel(each, x, y) for each in here.partition_by("architecture", "depth", maintain_order=True)]
    return [list(row) for row in chunks(some, COLUMNS)]


def regimes_in_words(regimes: pl.DataFrame) -> list[str]:
    """What the block shows, and of how many runs."""
    if regimes.is_empty():
        return []
    runs = _drawn(regimes).unique(["architecture", "depth"])["runs_of_series"]
    chosen = f", at most {MOST_RUNS} a panel (a fixed random choice)" if most(runs) > MOST_RUNS else ""
    return [
        f"Last, against −log Loss over the L-th power of α, {total(runs):,} runs from structured starts{chosen}, "
        f"{pooled(regimes)}: the kernel's regime on the left, the rich one on the right."
    ]


def _drawn(regimes: pl.DataFrame) -> pl.DataFrame:
    """The panels of most runs, in order."""
    keys = ["architecture", "depth"]
    sizes = regimes.unique(keys).sort("runs_of_series", *keys, descending=[True, False, False]).head(MOST_PANELS)
    return regimes.join(sizes.select(keys), on=keys, how="semi").sort(*keys, maintain_order=True)


def _panel(here: pl.DataFrame, x: LogAxis, y: LogAxis) -> Panel:
    names = {limit: text for limit, (text, _) in LIMITS.items()}
    shown = here.select("limit", "clock", "low", "middle", "high", "runs").with_columns(pl.col("limit").replace(names))
    scale = alt.Scale(domain=list(names.values()), range=[colour for _, colour in LIMITS.values()])
    legend = alt.Legend(title="distance to", orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
    clock = f"−log Loss / α{raised(str(here['depth'][0]))}"
    base = alt.Chart(shown).encode(x.x("clock", clock), alt.Color("limit:N", scale=scale, legend=legend))
    title = f"{named(here['architecture'][0])}, L = {here['depth'][0]}: regimes"
    return layered(
        base.mark_area(opacity=0.18, clip=True).encode(y.y("low", "distance"), alt.Y2("high:Q")),
        base.mark_line(strokeWidth=2, clip=True).encode(
            y.y("middle", "distance"), tooltip=["limit:N", "clock:Q", "middle:Q", "runs:Q"]
        ),
    ).properties(width=WIDTH, height=HEIGHT, title=panel_title(title))
