"""Paths of the linear coefficients in the plane (data of dimension two), panels depth by alpha."""

import math
from collections.abc import Callable
from typing import Any

import altair as alt
import polars as pl

from analysis.charts.theme import GUIDE, INK, Panel, architecture_colour, dashes, layered, panels
from analysis.names import label_expression, number

SIDE = 210
SHAPES = {
    "minimum_q_norm": "diamond",
    "minimum_bregman": "square",
    "minimum_l2_norm": "circle",
    "weighted_l1": "triangle-up",
    "weighted_l2": "triangle-down",
    "max_margin_l2": "circle",
    "max_margin_bridge": "diamond",
}
OTHER_SHAPE = "cross"
RESOLUTION = 700
"""Points nearer than one part in this of the panel's side are drawn once."""

Square = tuple[float, float, float, float]
"""x from, x to, y from, y to."""


def draw(orbits: pl.DataFrame, limits: pl.DataFrame, samples: pl.DataFrame) -> alt.VConcatChart:
    """Paths of beta, the line of solutions where one sample makes it a line, and the predicted limits."""
    square = bounding_square(orbits, limits)
    thin = thinned(orbits, (square[1] - square[0]) / RESOLUTION)
    line = solutions(samples, square)

    def panel(depth: int, alpha: float) -> Panel:
        here = (pl.col("depth") == depth) & (pl.col("alpha") == alpha)
        x, y = plane_axes(square, "β₁", "β₂")
        drawn = thin.filter(here)
        return layered(
            alt.Chart(line).mark_line(stroke="#999999", strokeDash=[5, 4], clip=True).encode(x, y),
            *solution_label(line, square, x, y),
            *paths(drawn, x, y, values(orbits, "architecture"), starts(orbits)),
            limit_points(limits.filter(here), x, y, values(limits, "prediction")),
            *no_run(drawn, x, y),
        )

    return lattice(panel, orbits, "Where gradient flow goes: linear coefficients in the plane", subtitle(orbits))


def lattice(panel: Callable[[int, float], Panel], orbits: pl.DataFrame, title: str, note: str) -> alt.VConcatChart:
    """One panel for every depth (rows) and alpha (columns) drawn."""
    rows = [
        [
            panel(depth, alpha).properties(width=SIDE, height=SIDE, title=panel_title(depth, alpha))
            for alpha in values(orbits, "alpha")
        ]
        for depth in values(orbits, "depth")
    ]
    return panels(rows, title, note)


def panel_title(depth: int, alpha: float) -> alt.TitleParams:
    return alt.TitleParams(f"α = {number(alpha)}, L = {depth}", fontSize=12, fontWeight="normal", anchor="middle")


def plane_axes(square: Square, x_title: str | None, y_title: str | None) -> tuple[alt.X, alt.Y]:
    """Axes of the same scale, so that angles are true; none drawn without titles."""
    scales = [alt.Scale(domain=list(ends), nice=False, zero=False) for ends in (square[:2], square[2:])]
    axes = [alt.Axis(title=name, tickCount=5, titlePadding=4) if name else None for name in (x_title, y_title)]
    return alt.X("beta_1:Q", scale=scales[0], axis=axes[0]), alt.Y("beta_2:Q", scale=scales[1], axis=axes[1])


def no_run(drawn: pl.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """A word in a panel that would be empty."""
    if drawn.height:
        return []
    middle = alt.Chart(pl.DataFrame({"beta_1": [0.0], "beta_2": [0.0]}))
    return [middle.mark_text(text="no run", color=GUIDE, align="left", fontSize=12).encode(x, y)]


def subtitle(orbits: pl.DataFrame) -> str:
    """Which runs are drawn, of how many."""
    drawn, eligible = orbits["run_id"].n_unique(), orbits["eligible_runs"][0]
    whole = f"all {eligible:,}" if drawn == eligible else f"{drawn:,} of {eligible:,}, a fixed random choice"
    without = orbits.filter(~pl.col("predicted"))["run_id"].n_unique()
    unknown = f" Nothing is predicted of where {without:,} of them end." if without else ""
    return f"Data set {orbits['dataset'][0]}. Runs drawn: {whole}. A dot marks where a run ended.{unknown}"


def starts(orbits: pl.DataFrame) -> list[str]:
    """Initialisations to tell apart, that of most runs first; none where the network says which one it is."""
    sizes = orbits.group_by("architecture", "init").agg(runs=pl.col("run_id").n_unique())
    if not sizes["architecture"].is_duplicated().any():
        return []
    by_runs = sizes.group_by("init").agg(pl.col("runs").sum()).sort("runs", "init", descending=[True, False])
    return by_runs["init"].to_list()


def paths(orbits: pl.DataFrame, x: alt.X, y: alt.Y, architectures: list[str], told: list[str]) -> list[alt.Chart]:
    """A line for each run, dashed by its start where starts are told apart, and a dot where it ended."""
    colour = architecture_colour(architectures)
    lines = orbits.select(
        "architecture", "init", "beta_1", "beta_2", run=pl.col("run_id").rank("dense"), k=pl.int_range(pl.len())
    )
    shown = [alt.Tooltip(f"{name}:N") for name in ("architecture", "init", "width", "run_id")]
    ends = alt.Chart(orbits.group_by("run_id", maintain_order=True).last()).encode(x, y, colour, tooltip=shown)
    drawn = alt.Chart(lines).mark_line(strokeWidth=1.8, opacity=0.85, clip=True)
    dashed = [dashes("init", told, "start", label_expression(told))] if told else []
    return [
        drawn.encode(x, y, colour, *dashed, detail="run:N", order="k:Q"),
        ends.mark_circle(size=34, opacity=1, clip=True),
    ]


def limit_points(limits: pl.DataFrame, x: alt.X, y: alt.Y, names: list[str]) -> alt.Chart:
    """Predicted limits, one hollow mark each."""
    shapes = [SHAPES.get(name, OTHER_SHAPE) for name in names]
    legend = alt.Legend(
        title="predicted limit", orient="top", symbolFillColor="transparent", symbolStrokeColor=INK,
        labelExpr=label_expression(names),
    )  # fmt: skip
    shape = alt.Shape("prediction:N", scale=alt.Scale(domain=names, range=shapes), legend=legend)
    marks = alt.Chart(limits).mark_point(size=110, stroke=INK, strokeWidth=1.4, filled=False, opacity=1)
    return marks.encode(x, y, shape, tooltip=["prediction:N", "kind:N", "architectures:N", "beta_1:Q", "beta_2:Q"])


def thinned(orbits: pl.DataFrame, grain: float) -> pl.DataFrame:
    """Orbits without the points that fall on the same grain as the one before; ends stay."""
    cell = (pl.col("beta_1") / grain).round(), (pl.col("beta_2") / grain).round()
    moved = pl.any_horizontal(*((c != c.shift().over("run_id")) for c in cell))
    ends = (pl.col("step") == pl.col("step").max().over("run_id")) | (
        pl.col("step") == pl.col("step").min().over("run_id")
    )
    digits = max(0, 1 - math.floor(math.log10(grain)))
    return orbits.filter(moved | ends).with_columns(pl.col("beta_1", "beta_2").round(digits))


def solutions(samples: pl.DataFrame, square: Square) -> pl.DataFrame:
    """The line x . beta = y inside the square, as two points; nothing unless there is exactly one sample."""
    schema = {"beta_1": pl.Float64, "beta_2": pl.Float64}
    if samples.height != 1:
        return pl.DataFrame(schema=schema)
    x_1, x_2, y = samples.row(0)
    left, right, bottom, top = square
    if abs(x_2) >= abs(x_1):
        ends = [(b, (y - x_1 * b) / x_2) for b in (left, right)]
    else:
        ends = [((y - x_2 * b) / x_1, b) for b in (bottom, top)]
    return pl.DataFrame(ends, schema=schema, orient="row")


def solution_label(line: pl.DataFrame, square: Square, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The line's equation, at one end of it inside the square."""
    if line.is_empty():
        return []
    (x_1, y_1), (x_2, y_2) = line.rows()
    inside = [(x_1 + s * (x_2 - x_1), y_1 + s * (y_2 - y_1)) for s in (0.83, 0.75, 0.65)]
    place = next((p for p in inside if square[2] < p[1] < square[3] and square[0] < p[0] < square[1]), inside[-1])
    at = alt.Chart(pl.DataFrame([place], schema=["beta_1", "beta_2"], orient="row"))
    return [at.mark_text(text="x·β = y", color=GUIDE, dx=10, dy=-13, fontSize=11, align="center").encode(x, y)]


def bounding_square(orbits: pl.DataFrame, limits: pl.DataFrame) -> Square:
    """A square around every path and limit, with a margin, so that angles are true."""
    both = pl.concat([orbits.select("beta_1", "beta_2"), limits.select("beta_1", "beta_2"), _origin()])
    x_all, y_all = both["beta_1"].to_list(), both["beta_2"].to_list()
    (x_from, x_to), (y_from, y_to) = (min(x_all), max(x_all)), (min(y_all), max(y_all))
    half = 0.56 * max(x_to - x_from, y_to - y_from, 1e-12)
    x, y = (x_from + x_to) / 2, (y_from + y_to) / 2
    return (x - half, x + half, y - half, y + half)


def _origin() -> pl.DataFrame:
    return pl.DataFrame({"beta_1": [0.0], "beta_2": [0.0]})


def values(frame: pl.DataFrame, column: str) -> list[Any]:
    return frame[column].unique().sort().to_list()
