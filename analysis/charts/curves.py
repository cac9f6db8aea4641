"""Quantities along the run: distances to predictions, alignment, margins, the loss's rate, and time itself."""

from dataclasses import replace
from functools import partial

import altair as alt
import polars as pl

from analysis.charts.panels import (
    UNKNOWN,
    Axes,
    coinciding,
    curve_panels,
    guides,
    left_out,
    log_axes,
    note,
    with_panels,
)
from analysis.charts.regimes import regime_panels, regimes_in_words
from analysis.charts.theme import GUIDE, LinearAxis, chunks, panels
from analysis.names import number, shown

RESIDUAL, MARGIN = "relative residual ||Xβ − y|| / ||y||", "−log Loss"


def regression_distance(curves: pl.DataFrame) -> alt.VConcatChart:
    """||beta - beta*|| / ||beta*|| against the relative residual."""
    here = with_panels(curves, "prediction", "kind")
    axes = replace(log_axes(here, RESIDUAL, "distance ||β − β*|| / ||β*||", reverse=True), shared=True)
    same = any(of > 1 for each in here.partition_by("panel") for _, of in coinciding(each, axes).values())
    words = f"{note(here)}{' Curves that coincide share a line, dash by dash.' if same else ''}"
    return panels(chunks(curve_panels(here, axes), 3), "Distance to the prediction along the run: regression", words)


def classification_distance(
    curves: pl.DataFrame, finite: pl.DataFrame, slopes: pl.DataFrame, others: pl.DataFrame, regimes: pl.DataFrame
) -> alt.VConcatChart:
    """||beta/||beta|| - beta*|| against -log Loss, with fitted slopes; what is left out is said.

    Below, ||beta - beta*|| / ||beta*|| of the prediction at the margin reached, a row of scales a network; then all of
    them against -log Loss / alpha^L.
    """
    here, reached = with_panels(curves, "prediction", "kind"), _reached(finite)
    axes = log_axes(pl.concat([here, reached], how="diagonal"), MARGIN, "distance")
    same = ["architecture", "prediction", "kind", "shape", "depth"]
    fitted = here.unique(["panel", "depth"]).join(slopes, on=same).select("panel", "depth", "slope", "guide")
    labels = {
        (panel, depth): f"L = {depth}: slope {slope:.2f}".replace("-", "−") for panel, depth, slope, _ in fitted.rows()
    }
    powers = {(panel, depth): guide for panel, depth, _, guide in fitted.rows() if guide is not None}
    guided = partial(guides, powers=powers)
    networks = reached.partition_by("architecture", maintain_order=True)
    without = left_out(others, UNKNOWN["classification_distance"])
    counted = note(here if here.height else reached)
    words = " ".join([counted, *_guides_in_words(bool(powers)), *regimes_in_words(regimes), *without])
    rows = [
        *chunks(curve_panels(here, axes, labels, guided), 3),
        *(curve_panels(network, axes, extra=guided) for network in networks),
        *regime_panels(regimes),
    ]
    return panels(rows, "Distance to the prediction along the run: classification", words, colours="independent")


def _reached(finite: pl.DataFrame) -> pl.DataFrame:
    """Curves of the prediction at the margin reached, a panel a network and scale."""
    scale = pl.col("alpha").map_elements(number, return_dtype=pl.String)
    name = pl.format("{}, finite margin, α = {}", shown("architecture"), scale)
    return finite.with_columns(panel=name).sort("architecture", "alpha", maintain_order=True)


def _guides_in_words(own: bool) -> list[str]:
    dashed = "; dashed: −1/L, observed for fully connected networks from small Gaussian weights" if own else ""
    return [
        f"Dotted: slope −1, for comparison{dashed}. These are guides, not theorems.",
        "Slopes are fitted to the second half of each run's decades.",
    ]


def margins(curves: pl.DataFrame, others: pl.DataFrame) -> alt.VConcatChart:
    """The normalised margin over the largest one."""
    here = with_panels(curves)
    axes = replace(log_axes(here, MARGIN, "margin / largest margin"), y=LinearAxis(0.0, 1.1))
    words = " ".join([note(here), *left_out(others, UNKNOWN["margins"])])
    return panels(chunks(curve_panels(here, axes, extra=_largest), 3), "Normalised margins along the run", words)


def _largest(_: pl.DataFrame, axes: Axes) -> alt.Chart:
    """The line that no margin crosses."""
    return (
        alt.Chart(pl.DataFrame({"middle": [1.0]}))
        .mark_rule(stroke=GUIDE, strokeDash=[5, 3])
        .encode(axes.y.y("middle", axes.y_title))
    )


def loss_rate(curves: pl.DataFrame) -> alt.VConcatChart:
    """|Loss t (log t)^(2-2/L) L^2 gamma^(2/L) - 1|."""
    here = with_panels(curves)
    axes = log_axes(here, MARGIN, "relative distance of the loss from its rate")
    return panels(
        chunks(curve_panels(here, axes), 3), "How fast the loss falls, against the predicted rate", note(here)
    )
