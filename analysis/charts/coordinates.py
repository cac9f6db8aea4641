"""Coefficients against the time of the flow: a panel a run, a colour a coordinate, names at the right edge."""

import math
from typing import Any

import altair as alt
import polars as pl

from analysis.charts.panels import HEIGHT
from analysis.charts.theme import NUMBER, LinearAxis, ramp, spread

TIME = "time t of gradient flow"


def heights(*columns: pl.Series) -> LinearAxis:
    """An axis that holds all values, and a little more."""
    values = [float(value) for column in columns for value in column]
    edge = 0.08 * ((max(values) - min(values)) or 1.0)
    return LinearAxis(min(values) - edge, max(values) + edge)


def names(ends: pl.DataFrame, high: float, axis: LinearAxis) -> alt.Chart:
    """Names of coordinates at the panel's edge, at the heights of their last values; `ends` has one row each."""
    gap = 13 / HEIGHT * (axis.high - axis.low)
    placed = spread(ends["value"].to_list(), gap, axis.low + gap / 2, axis.high - gap / 2)
    rows = ends.select("coordinate", pl.lit(high).alias("begins"), pl.format("β{}", "coordinate").alias("name"))
    at = rows.with_columns(value=pl.Series(placed, dtype=pl.Float64))
    return alt.Chart(at).mark_text(align="left", dx=6, fontSize=11, clip=False)


def encodings(
    coordinates: pl.Series, low: float, high: float, y: LinearAxis, title: str = "coefficients β"
) -> tuple[Any, alt.Y, alt.Color]:
    """Field -> x; y; and a colour a coordinate."""
    axis = alt.Axis(title=TIME, values=_ticks(low, high), labelExpr=NUMBER)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    present = sorted(set(coordinates))
    colours = alt.Scale(domain=present, range=ramp(len(present)))
    return (
        lambda field: alt.X(f"{field}:Q", scale=scale, axis=axis),
        y.y("value", title),
        alt.Color("coordinate:O", scale=colours, legend=None),
    )


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within one decade or two, else powers of ten; at most seven of them."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 4 else (1,)
    every = [factor * 10.0**k for k in decades for factor in factors]
    inside = [value for value in every if low <= value <= high]
    return inside[:: max(1, math.ceil(len(inside) / 7))]
