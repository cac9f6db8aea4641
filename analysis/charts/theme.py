"""What all charts share: colours that the colour-blind can tell apart, log axes, and the grid of panels."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import altair as alt
import polars as pl

from analysis.names import label_expression

ARCHITECTURE_COLOURS = {
    "fully_connected": "#0072B2",
    "diagonal": "#D55E00",
    "convolutional": "#009E73",
    "walsh": "#CC79A7",
    "odeco": "#B08900",
    "signed_diagonal": "#56B4E9",
    "multichannel_convolutional": "#332288",
}
"""Okabe and Ito's palette (the yellow darkened, to be read on white), and an indigo."""

OTHER_COLOURS = ("#000000", "#882255", "#7F7F7F", "#8C6D31")
"""For networks that a user adds, in the order of their names."""

STATUS_COLOURS = {
    "converged": "#009E73",
    "imprecise": "#CC79A7",
    "stopped": "#E69F00",
    "diverged": "#D55E00",
    "failed": "#000000",
}
KIND_COLOURS = {
    "exact": "#0072B2",
    "limit alpha->0": "#D55E00",
    "limit alpha->inf": "#CC79A7",
    "limit t->inf": "#009E73",
}
DEPTH_RAMP = ("#20105e", "#6a0f9c", "#b12a90", "#dd5e66", "#ee8f3c", "#c9a800")
"""Plasma without its light end: lightness rises with depth, so grey prints keep the order."""

DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4])
"""Of lines: as many as can be told apart."""

INK, FAINT, GUIDE = "#1a1a1a", "#d9d9d9", "#555555"
CHARACTER, BESIDE_PANEL = 5.8, 60
"""Pixels: of a character of a subtitle, and of axis and labels beside a panel, less rather than more."""
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
NUMBER = (
    "datum.value == 0 ? '0' : abs(datum.value) >= 0.01 && abs(datum.value) < 1000"
    " ? format(datum.value, '.3~r') : replace(format(datum.value, '.0e'), '+', '')"
)
"""1e-3 and 1e6, but 0.1, 1 and 10."""

Item = TypeVar("Item")
Panel = alt.Chart | alt.LayerChart
Drawing = alt.Chart | alt.LayerChart | alt.HConcatChart | alt.VConcatChart


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis over whole decades 10^low .. 10^high.

    What is beyond is drawn at its ends. With `padding`, pixels beyond both, it is drawn where it is, or cut off.
    """

    low: int
    high: int
    reverse: bool = False
    padding: int = 0

    @classmethod
    def over(cls, *columns: pl.Series, reverse: bool = False, room: int = 0) -> "LogAxis":
        """The decades that hold every positive finite value, with `room` more above."""
        values = [float(v) for column in columns for v in column.drop_nulls() if v > 0 and math.isfinite(v)]
        low = math.floor(math.log10(min(values, default=1.0)) + 1e-9)
        high = math.ceil(math.log10(max(values, default=1.0)) - 1e-9)
        return cls(low - (low == high), high + (low == high) + room, reverse)

    @property
    def ticks(self) -> list[float]:
        """Powers of ten, at most seven of them, evenly spaced."""
        step = max(1, math.ceil((self.high - self.low) / 6))
        return [10.0**k for k in range(self.low, self.high + 1) if k % step == 0]

    @property
    def scale(self) -> alt.Scale:
        domain = [10.0**self.low, 10.0**self.high]
        beyond = {"padding": self.padding} if self.padding else {"clamp": True}
        return alt.Scale(type="log", domain=domain, nice=False, reverse=self.reverse, **beyond)

    def axis(self, title: str | None) -> alt.Axis:
        return alt.Axis(title=title, values=self.ticks, labelExpr=NUMBER)

    def place(self, value: float) -> float:
        """Where a value lies between `low` and `high`."""
        return math.log10(value)

    def value(self, place: float) -> float:
        """Inverse of `place`."""
        return 10.0**place

    def x(self, field: str, title: str | None) -> alt.X:
        return alt.X(f"{field}:Q", scale=self.scale, axis=self.axis(title))

    def y(self, field: str, title: str | None) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=self.scale, axis=self.axis(title))


@dataclass(frozen=True)
class LinearAxis:
    """A linear axis from low to high, with the interface of LogAxis; about five ticks unless they are given."""

    low: float
    high: float
    ticks: tuple[int, ...] = ()

    def place(self, value: float) -> float:
        return value

    def value(self, place: float) -> float:
        return place

    def y(self, field: str, title: str | None) -> alt.Y:
        scale = alt.Scale(domain=[self.low, self.high], nice=False, clamp=True)
        ticks: dict[str, Any] = {"values": list(self.ticks), "format": "d"} if self.ticks else {"tickCount": 5}
        return alt.Y(f"{field}:Q", scale=scale, axis=alt.Axis(title=title, **ticks))


def dashes(field: str, domain: Sequence[Any], title: str, labels: str) -> alt.StrokeDash:
    """Dashes of lines for the values of a column, again from the first where they are more than DASHES."""
    scale = alt.Scale(domain=list(domain), range=[DASHES[k % len(DASHES)] for k in range(len(domain))])
    legend = alt.Legend(title=title, orient="top", symbolType="stroke", symbolSize=350, labelExpr=labels)
    return alt.StrokeDash(f"{field}:O", scale=scale, legend=legend)


def whole_ticks(most: int) -> list[int]:
    """Whole numbers from 0 to at least `most`, at most six of them."""
    size = 10 ** max(len(str(most)) - 2, 0)
    step = next(k * size for k in (1, 2, 5, 10, 20, 50) if 5 * k * size >= most)
    return list(range(0, most + step, step))


def architecture_colour(names: Iterable[str], legend: bool = True) -> alt.Color:
    """One fixed colour for each architecture, whatever else a chart shows."""
    present = sorted(
        set(names), key=lambda n: (list(ARCHITECTURE_COLOURS).index(n) if n in ARCHITECTURE_COLOURS else 99, n)
    )
    others = iter(OTHER_COLOURS * len(present))
    colours = [ARCHITECTURE_COLOURS.get(name) or next(others) for name in present]
    shown = label_expression(present)
    return _colour("architecture:N", present, colours, "architecture" if legend else None, labels=shown)


def depth_colour(depths: Iterable[int], legend: bool = True) -> alt.Color:
    """Dark to light with depth."""
    present = sorted(set(depths))
    return _colour("depth:O", present, ramp(len(present)), "depth L" if legend else None, symbol="square")


def ramp(count: int) -> list[str]:
    """`count` colours from DEPTH_RAMP, interpolated in RGB."""
    last = len(DEPTH_RAMP) - 1
    if count == 1:
        return [DEPTH_RAMP[0]]
    return [_mix(index * last / (count - 1)) for index in range(count)]


def _mix(place: float) -> str:
    left = min(int(place), len(DEPTH_RAMP) - 2)
    share = place - left
    ends = [[int(DEPTH_RAMP[left + side][k : k + 2], 16) for k in (1, 3, 5)] for side in (0, 1)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(*ends, strict=True))


def _colour(
    field: str,
    domain: Sequence[Any],
    colours: Sequence[str],
    legend: str | None,
    symbol: str = "stroke",
    labels: str | None = None,
) -> alt.Color:
    marks: dict[str, Any] = {"symbolStrokeWidth": 3 if symbol == "stroke" else 0, "symbolOpacity": 1}
    if labels:
        marks["labelExpr"] = labels
    shown = alt.Legend(title=legend, orient="top", symbolType=symbol, **marks) if legend else None
    return alt.Color(field, scale=alt.Scale(domain=list(domain), range=list(colours)), legend=shown)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Labels' places moved as little as needed to be `gap` apart and within [low, high], in the order given."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [min(max(places[index], low), high) for index in order]
    for k in range(1, len(moved)):
        moved[k] = max(moved[k], moved[k - 1] + gap)
    excess = max(0.0, moved[-1] - high) if moved else 0.0
    if excess:
        moved[-1] = high
        for k in range(len(moved) - 2, -1, -1):
            moved[k] = min(moved[k], moved[k + 1] - gap)
    placed = dict(zip(order, moved, strict=True))
    return [placed[index] for index in range(len(places))]


def panels(
    rows: Sequence[Sequence[Panel]],
    title: str,
    subtitle: str,
    wrap: int = 0,
    colours: Literal["shared", "rows", "independent"] = "shared",
) -> alt.VConcatChart:
    """Small multiples, row by row, under one title; the subtitle wraps at `wrap` characters, or as wide as the panels.

    Where colours do not mean the same in every panel they are "independent", or the same within "rows" alone.

    A panel is turned into Vega-Lite before it is put beside others, for Altair's own concatenation copies every panel
    at every level: a dozen panels take seconds.
    """
    datasets: dict[str, Any] = {}
    of_row, of_all = (
        alt.Resolve(scale=alt.ScaleResolveMap(color="shared" if colours in same else "independent"))
        for same in (("shared", "rows"), ("shared",))
    )
    with alt.data_transformers.enable("default", max_rows=None):
        lines = [
            alt.HConcatSpecGenericSpec(
                hconcat=[_specification(panel, datasets) for panel in row], spacing=16, resolve=of_row
            )
            for row in rows
        ]
    width = wrap or characters([float(panel.width) for panel in row] for row in rows)
    return alt.VConcatChart(
        vconcat=lines, spacing=20, title=heading(title, subtitle, width), datasets=datasets, resolve=of_all
    )


def characters(rows: Iterable[Sequence[float]]) -> int:
    """How many characters of a subtitle are as wide as the widest row of panels, whose widths are given in pixels."""
    return max(66, *(round((sum(row) + BESIDE_PANEL * len(row)) / CHARACTER) for row in rows))


def _specification(panel: Panel, datasets: dict[str, Any]) -> dict[str, Any]:
    """The panel as Vega-Lite; its data are added to the data sets, where equal ones are stored once."""
    return panel.to_dict(validate=False, context={"top_level": False, "datasets": datasets})


def heading(title: str, subtitle: str, width: int = 100) -> alt.TitleParams:
    """A chart's title, and below it how many runs it shows and how they were chosen."""
    lines = textwrap.wrap(subtitle, width)
    return alt.TitleParams(text=title, subtitle=lines, anchor="start", fontSize=15, offset=12)


def layered(*layers: Panel, **properties: Any) -> alt.LayerChart:
    """Marks on top of each other, first to last, as a panel with the given width, height and title."""
    return alt.LayerChart(layer=list(layers), **properties)


def total(column: pl.Series) -> int:
    """The sum of a column of counts."""
    return sum(int(value) for value in column.drop_nulls())


def most(column: pl.Series) -> int:
    """The largest of a column of counts, 0 if there is none."""
    return max((int(value) for value in column.drop_nulls()), default=0)


def chunks(items: Sequence[Item], columns: int) -> list[Sequence[Item]]:
    """Items, such as panels, in rows of `columns`."""
    return [items[k : k + columns] for k in range(0, len(items), columns)]


def styled(drawing: Drawing) -> Drawing:
    """The same drawing with the project's fonts, greys and thin grid, on white."""
    drawing["config"] = alt.Config(
        background="white", font=FONT, padding=10,
        view=alt.ViewConfig(stroke="#bbbbbb"),
        axis=alt.AxisConfig(
            gridColor="#ececec", domainColor="#888888", tickColor="#888888", labelColor=INK, titleColor=INK,
            labelFontSize=11, titleFontSize=12, titleFontWeight="normal", labelFlush=False,
        ),
        title=alt.TitleConfig(color=INK, subtitleColor=GUIDE, subtitleFontSize=12, fontWeight="bold"),
        legend=alt.LegendConfig(
            labelColor=INK, titleColor=INK, labelFontSize=12, titleFontSize=12, labelLimit=0, padding=8
        ),
    )  # fmt: skip
    return drawing
