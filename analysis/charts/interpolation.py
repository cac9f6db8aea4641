"""Between the l1 and the l2 solution: the norms of the limit over their least values, against the scale."""

import altair as alt
import polars as pl

from analysis.charts.panels import depth_sizes, panel_title
from analysis.charts.theme import GUIDE, LinearAxis, LogAxis, Panel, chunks, depth_colour, layered, panels
from analysis.names import named

WIDTH, HEIGHT, COLUMNS = 250, 190, 3
NORMS = {"l1": "ℓ1 norm", "l2": "ℓ2 norm"}
TITLE = "Norms of the limit between the ℓ1 and the ℓ2 solution"


def draw(norms: pl.DataFrame) -> alt.VConcatChart:
    """Rows l1 and l2, a column a network (one network: side by side), a colour a depth; dots, exact curves, ends."""
    x, depths = LogAxis.over(norms["alpha"]), sorted(set(norms["depth"]))
    networks = norms["architecture"].unique().sort().to_list()
    rows: list[list[Panel]] = []
    for some in chunks(networks, COLUMNS):
        for norm in NORMS:
            of_norm = norms.filter(pl.col("norm") == norm)
            y = _axis(of_norm)
            rows.append([_panel(of_norm.filter(pl.col("architecture") == each), x, y, depths) for each in some])
    if len(networks) == 1:
        rows = [[panel for row in rows for panel in row]]
    return panels(rows, TITLE, note(norms))


def note(norms: pl.DataFrame) -> str:
    """Which runs are drawn, of how many, and what the marks are."""
    runs, eligible = norms["run_id"].n_unique(), norms["eligible_runs"][0]
    others = ""
    if eligible > runs:
        others = f" ({eligible - runs:,} left out: other data or starts, or coordinates that β does not determine)"
    return (
        f"Data set {norms['dataset'][0]}, one start a network and depth: {runs:,} runs{others}. Dots: ends of runs, "
        "smaller with depth; lines: minimum Q norm, exact at every α; dashed: the limits α→0 and α→∞, of which one has "
        "the least norm, 1. Nothing is pooled."
    )


def _axis(norms: pl.DataFrame) -> LinearAxis:
    top = max(max(norms[name].drop_nulls()) for name in ("reached", "predicted", "other"))
    room = 0.06 * max(top - 1, 1e-3)
    return LinearAxis(1 - room, top + room)


def _panel(here: pl.DataFrame, x: LogAxis, y: LinearAxis, depths: list[int]) -> Panel:
    norm = NORMS[here["norm"][0]]
    title = f"{norm} / least {norm}"
    scale, colour = x.x("alpha", "initialisation scale α"), depth_colour(depths)
    sizes = depth_sizes(depths, legend=True)
    ends = here.group_by("depth").agg(pl.col("other").median()).sort("depth")
    floor = alt.Chart(pl.DataFrame({"other": [1.0]})).mark_rule(stroke=GUIDE, strokeDash=[5, 3])
    shown = [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("alpha", "reached", "predicted")]
    return layered(
        floor.encode(y.y("other", title)),
        alt.Chart(ends).mark_rule(strokeDash=[5, 3], opacity=1).encode(y.y("other", title), colour),
        alt.Chart(here.unique(["depth", "alpha"], maintain_order=True).select("depth", "alpha", "predicted"))
        .mark_line(strokeWidth=1.6)
        .encode(scale, y.y("predicted", title), colour),
        alt.Chart(here.select("depth", "alpha", "reached", "predicted"))
        .mark_circle(opacity=1)
        .encode(scale, y.y("reached", title), colour, sizes, tooltip=shown),
    ).properties(width=WIDTH, height=HEIGHT, title=panel_title(f"{named(here['architecture'][0])}: {norm}"))
