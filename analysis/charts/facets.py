"""Charts with axes of one's choice as colour, dashes, rows and columns of panels; all other axes are pooled."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import altair as alt
import polars as pl

from analysis.charts.chart import Chart
from analysis.charts.panels import UNKNOWN, left_out, panel_title, pooled
from analysis.charts.theme import (
    DASHES,
    GUIDE,
    NUMBER,
    LinearAxis,
    LogAxis,
    Panel,
    architecture_colour,
    dashes,
    depth_colour,
    layered,
    most,
    panels,
    ramp,
    total,
)
from analysis.errors import NoAxes, UnknownAxis
from analysis.frames import ends
from analysis.frames.along import MOST_RUNS
from analysis.frames.facets import AGAINST_SCALE, AXES, QUANTITIES, TARGETS, WITH_AXES, faceted
from analysis.frames.frame import Frame
from analysis.names import label_expression, named, number

WIDTH, HEIGHT, MOST_VALUES = 250, 190, 8
SCALE = "initialisation scale α"
CLOCKS = {"regression": "relative residual ||Xβ − y|| / ||y||", "classification": "−log Loss"}
SHOWN = {
    "regression_distance": "distance ||β − β*|| / ||β*||",
    "classification_distance": "distance of directions",
    "margins": "margin / largest margin",
    "alignment": "misalignment 1 − |cos|",
    "initialisation_scale": "distance to the limit",
    "interpolation": "norm / least norm",
}
AT_ONE = ("margins", "interpolation")
"""Charts with a line at one: the largest margin, the least norm."""
SYMBOLS = {"depth": "L", "alpha": "α", "rtol": "rtol"}


@dataclass(frozen=True)
class Facets:
    """Which axes are colour, rows, columns and dashes.

    Raises UnknownAxis for one that is none, NoAxes for a chart that has none to choose or for an axis given twice.
    """

    chart: str
    color: str | None = None
    row: str | None = None
    column: str | None = None
    dash: str | None = None

    def __post_init__(self) -> None:
        if self.chosen and self.chart not in WITH_AXES:
            raise NoAxes(f"the chart {self.chart!r} has no axes to choose; {', '.join(WITH_AXES)} have")
        for axis in self.chosen:
            if axis not in AXES:
                raise UnknownAxis(axis, AXES)
        if self.against_scale and "alpha" in self.chosen:
            raise NoAxes(f"alpha is the horizontal axis of {self.chart}; write another as colour, dash, row or column")
        if len(set(self.axes)) < len(self.axes):
            told = ", ".join(self.axes)
            raise NoAxes(f"an axis stands twice among colour, dash, row and column: {told}; write each once")

    @property
    def against_scale(self) -> bool:
        return self.chart in AGAINST_SCALE

    @property
    def chosen(self) -> list[str]:
        return [axis for axis in (self.color, self.dash, self.row, self.column) if axis]

    @property
    def axes(self) -> list[str]:
        """Colour first: depth unless chosen otherwise."""
        color = self.color or ("depth" if "depth" not in self.chosen else "architecture")
        return [color, *(axis for axis in (self.dash, self.row, self.column) if axis)]

    def frame(self) -> Frame:
        return faceted(self.chart, self.axes)

    def of(self, chart: Chart) -> Chart:
        """The chart along these axes; as it is where none was chosen."""
        if not self.chosen:
            return chart
        draw = partial(self.draw, title=chart.title)
        others = {"others": chart.frames["others"]} if self.chart in UNKNOWN else {}
        to = {"initialisation_scale": ends.TARGETS, "interpolation": None}.get(self.chart, TARGETS)
        targets = {"targets": to} if to is not None and "kind" in self.frame().columns else {}
        return replace(chart, frames={"curves": self.frame(), **others, **targets}, draw=draw, main=())

    def draw(
        self,
        curves: pl.DataFrame,
        title: str,
        others: pl.DataFrame | None = None,
        targets: pl.DataFrame | None = None,
    ) -> alt.VConcatChart:
        """A panel for every value of the row's and the column's axis, and one for each kind of prediction."""
        axes = self._scales(curves)
        kinds = ["kind"] if "kind" in curves.columns else []
        rows = _kept(curves, [*kinds, *([self.row] if self.row else [])])
        columns = _kept(curves, [self.column] if self.column else [])
        of_all = self._runs(curves)
        curves = _among(_among(curves, rows), columns)
        drawn = [
            [self._panel(_at(curves, {**row, **column}), curves, axes, {**row, **column}) for column in columns]
            for row in rows
        ]
        runs = self._runs(curves)
        words = [f"Medians (lines) and 10–90 % bands, {pooled(curves)}: {runs:,} runs{self._chosen(curves)}."]
        words += [f"Panels are of the {MOST_VALUES} values with most runs, of {of_all:,}."] * (of_all > runs)
        words += [] if targets is None else [_targets(targets.filter(task=self.task))]
        words += [] if others is None else left_out(others, UNKNOWN[self.chart])
        return panels(drawn, title, " ".join(words))

    @property
    def task(self) -> str:
        return "regression" if self.against_scale else QUANTITIES[self.chart].task

    def _scales(self, curves: pl.DataFrame) -> tuple[LogAxis, LogAxis | LinearAxis]:
        """The axes that all panels share."""
        x = LogAxis.over(curves["clock"], reverse=self.task == "regression" and not self.against_scale)
        if self.chart == "margins":
            return x, LinearAxis(0.0, 1.1)
        if self.chart == "interpolation":
            top = max(1.01, *curves["high"].drop_nulls())
            return x, LinearAxis(1 - 0.06 * (top - 1), 1 + 1.06 * (top - 1))
        return x, LogAxis.over(curves["low"], curves["high"])

    def _runs(self, curves: pl.DataFrame) -> int:
        """How many runs of the store the curves stand for; against the scale a run is in a curve of each kind."""
        kinds = ["kind"] if "kind" in curves.columns and not self.against_scale else []
        return total(curves.group_by(*self.axes, *kinds).agg(pl.col("runs_of_series").max())["runs_of_series"])

    def _chosen(self, curves: pl.DataFrame) -> str:
        """Which runs of a curve are drawn, where not all are."""
        series = curves.unique([*self.axes, *(["kind"] if "kind" in curves.columns else [])])
        if self.chart == "interpolation" and total(curves["runs"]) < total(series["runs_of_series"]):
            return f", at most {ends.MOST_AT_A_SCALE} a point (a fixed random choice of those with coordinates)"
        if not self.against_scale and most(series["runs_of_series"]) > MOST_RUNS:
            return f", at most {MOST_RUNS} a curve (a fixed random choice)"
        return ""

    def _panel(
        self, here: pl.DataFrame, every: pl.DataFrame, axes: tuple[LogAxis, LogAxis | LinearAxis], at: dict[str, object]
    ) -> Panel:
        x, y = axes
        color = self.axes[0]
        told = [color, *([self.dash] if self.dash else [])]
        dashed = [_dash(self.dash, every[self.dash])] if self.dash else []
        base = alt.Chart(here.select(*told, "clock", "low", "middle", "high", "runs")).encode(
            x.x("clock", SCALE if self.against_scale else CLOCKS[self.task]),
            _colour(color, every[color]),
            detail=[f"{axis}:N" for axis in told],
        )
        return layered(
            *self._one(y),
            base.mark_area(opacity=0.18, clip=True).encode(y.y("low", SHOWN[self.chart]), alt.Y2("high:Q")),
            base.mark_line(strokeWidth=2, clip=True).encode(
                y.y("middle", SHOWN[self.chart]), *dashed,
                tooltip=[*map("{}:N".format, told), "clock:Q", "middle:Q", "runs:Q"],
            ),
            width=WIDTH, height=HEIGHT, title=panel_title(", ".join(_told(*each) for each in at.items()) or "all runs"),
        )  # fmt: skip

    def _one(self, y: LogAxis | LinearAxis) -> list[alt.Chart]:
        """The line that no margin and no norm crosses."""
        line = alt.Chart(pl.DataFrame({"middle": [1.0]})).mark_rule(stroke=GUIDE, strokeDash=[5, 3])
        return [line.encode(y.y("middle", SHOWN[self.chart]))] if self.chart in AT_ONE else []


def _targets(targets: pl.DataFrame) -> str:
    """What β* is, network by network: distances of one panel may be to different predictions."""
    told = [f"{named(row['architecture'])}: {', '.join(map(named, row['predictions']))}" for row in targets.to_dicts()]
    return f"β*, by network: {'; '.join(told)}."


def _kept(curves: pl.DataFrame, by: list[str]) -> list[dict[str, object]]:
    """The values of some columns, in order, at most MOST_VALUES: those with most runs."""
    if not by:
        return [{}]
    sizes = curves.group_by(by).agg(pl.col("runs_of_series").max()).sort("runs_of_series", *by, descending=True)
    return sizes.head(MOST_VALUES).select(by).sort(by).to_dicts()


def _among(curves: pl.DataFrame, kept: list[dict[str, object]]) -> pl.DataFrame:
    """The rows with these values."""
    return curves.join(pl.DataFrame(kept), on=list(kept[0]), how="semi", maintain_order="left") if kept[0] else curves


def _at(curves: pl.DataFrame, values: dict[str, object]) -> pl.DataFrame:
    return curves.filter(*(pl.col(name) == value for name, value in values.items()))


def _told(axis: str, value: object) -> str:
    text = number(value) if isinstance(value, float) else named(str(value))
    return text if axis in ("architecture", "kind", "shape", "dataset") else f"{SYMBOLS.get(axis, axis)} = {text}"


def _dash(axis: str, values: pl.Series) -> alt.StrokeDash:
    """Raises NoAxes for more values than can be told apart."""
    domain = values.unique().sort().to_list()
    if len(domain) > len(DASHES):
        raise NoAxes(
            f"dashes tell {len(DASHES)} values apart, {axis} has {len(domain)}; write it as colour, row or column"
        )
    said = NUMBER if values.dtype.is_float() else label_expression(map(str, domain))
    return dashes(axis, domain, SYMBOLS.get(axis, axis), said)


def _colour(axis: str, values: pl.Series) -> alt.Color:
    if axis == "architecture":
        return architecture_colour(values)
    if axis == "depth":
        return depth_colour(values)
    domain = values.unique().sort().to_list()
    written: dict[str, Any] = {"labelExpr": NUMBER} if values.dtype.is_float() else {}
    legend = alt.Legend(title=SYMBOLS.get(axis, axis), orient="top", symbolType="square", symbolOpacity=1, **written)
    return alt.Color(f"{axis}:O", scale=alt.Scale(domain=domain, range=ramp(len(domain))), legend=legend)
