"""Layers that turn to their gradients along the run, and to rank one: panels network by scale."""

from collections.abc import Sequence
from dataclasses import replace

import altair as alt
import polars as pl

from analysis.charts.panels import (
    HEIGHT,
    WIDTH,
    Axes,
    curve_panels,
    depth_sizes,
    depths,
    end_labels,
    log_axes,
    note,
    panel_title,
)
from analysis.charts.theme import (
    LinearAxis,
    LogAxis,
    Panel,
    chunks,
    depth_colour,
    layered,
    most,
    number,
    panels,
    whole_ticks,
)
from analysis.frames.singular import MOST_POINTS
from analysis.names import shown

MOST_NETWORKS = 6
TITLE = "Alignment of the layers with the gradient"
RESIDUAL, MARGIN = "relative residual ||Xβ − y|| / ||y||", "−log Loss"
SCALE = "initialisation scale α"


def draw(classification: pl.DataFrame, regression: pl.DataFrame, singular: pl.DataFrame) -> alt.VConcatChart:
    """max over layers of 1 - |cos(v_l, grad)| of both tasks; below, singular values and vectors where runs ended."""
    every = depths(classification, regression, singular)
    rows: list[Sequence[Panel]] = []
    drawn: list[pl.DataFrame] = []
    for task, frame, title in (("classification", classification, MARGIN), ("regression", regression, RESIDUAL)):
        if frame.height:
            here = by_scale(frame, task)
            axes = log_axes(here, title, "misalignment 1 − |cos|", reverse=task == "regression")
            by_network = here.partition_by("architecture", maintain_order=True)
            several = max(each["panel"].n_unique() for each in by_network) > 1
            made = [curve_panels(each, replace(axes, depths=every)) for each in by_network]
            rows += made if several else chunks([panel for row in made for panel in row], 3)
            drawn.append(here)
    shapes = sorted({shape for each in drawn for shape in each["shape"]})
    words = [f"{note(*drawn)} Data of {' and '.join(shapes)}, the shape with most runs."] if drawn else []
    if singular.height:
        rows.append(_ends(singular, every))
        words.append(_ends_in_words(singular))
    return panels(rows, TITLE, " ".join(words))


def by_scale(frame: pl.DataFrame, task: str) -> pl.DataFrame:
    """Curves with a column `panel`, network and scale, in this order; of the MOST_NETWORKS networks of most runs."""
    scale = pl.col("alpha").map_elements(number, return_dtype=pl.String)
    named = frame.with_columns(panel=pl.format("{}, α = {}: {}", shown("architecture"), scale, pl.lit(task)))
    sizes = named.with_columns(runs=runs_behind_each(named)).group_by("architecture").agg(pl.col("runs").sum())
    kept = sizes.sort("runs", "architecture", descending=[True, False]).head(MOST_NETWORKS)
    return named.join(kept.select("architecture"), on="architecture", how="semi").sort(
        "architecture", "alpha", maintain_order=True
    )


def runs_behind_each(curves: pl.DataFrame) -> pl.Expr:
    """The runs of a curve, once a curve."""
    return pl.when(pl.int_range(pl.len()).over("panel", "depth") == 0).then("runs_of_series").otherwise(0)


def _ends_in_words(singular: pl.DataFrame) -> str:
    runs = singular["run_id"].n_unique()
    more = (
        f", at most {MOST_POINTS} a depth (a fixed random choice)"
        if most(singular["runs_of_series"]) > MOST_POINTS
        else ""
    )
    return f"Last, a dot a run, where {runs:,} classification runs of fully connected networks ended{more}."


def _ends(singular: pl.DataFrame, every: tuple[int, ...]) -> list[Panel]:
    """Against the scale: second / first singular value, what adjacent vectors lack of being parallel, rank."""
    ranks = whole_ticks(most(singular["rank"]) + 1)
    x = LogAxis.over(singular["alpha"])
    quantities: list[tuple[str, str, LogAxis | LinearAxis, str]] = [
        ("ratio", "second singular value", LogAxis.over(singular["ratio"]), "second / first singular value"),
        ("turned", "adjacent singular vectors", LogAxis.over(singular["turned"]), "1 − |cos| of adjacent vectors"),
        ("rank", "rank", LinearAxis(0, ranks[-1], tuple(ranks)), "singular values above first / 10"),
    ]
    return [
        _dots(singular.rename({"alpha": "clock", field: "middle"}), Axes(x, SCALE, y, y_title, every)).properties(
            width=WIDTH, height=HEIGHT, title=panel_title(f"Fully connected: {title}")
        )
        for field, title, y, y_title in quantities
    ]


def _dots(runs: pl.DataFrame, axes: Axes) -> alt.LayerChart:
    """A dot a run, smaller with depth, so that those in one place are all seen; depths stand at the panel's edge."""
    medians = runs.group_by("clock", "depth").agg(pl.col("middle").median()).sort("clock", "depth")
    dots = alt.Chart(runs.select("clock", "depth", "middle").sort("depth")).mark_circle(opacity=0.9)
    shown = ["depth:O", alt.Tooltip("clock:Q", title=SCALE), alt.Tooltip("middle:Q", title=axes.y_title)]
    return layered(
        dots.encode(
            *axes.encodings(), depth_colour(axes.depths, legend=False), depth_sizes(axes.depths), tooltip=shown
        ),
        end_labels(medians.with_columns(panel=pl.lit("")), axes, {}),
    )
