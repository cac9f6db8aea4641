"""Paths of the linear coefficients under the exponential loss (data of dimension two): they run off to infinity.

The radius is log10(1 + ||beta||), the angle is true: directions stay rays, the cone of separating directions stays a
cone, and a path of sixty decades fits a panel.
"""

import math

import altair as alt
import polars as pl

from analysis.charts.plane import (
    RESOLUTION,
    Square,
    bounding_square,
    lattice,
    limit_points,
    no_run,
    paths,
    plane_axes,
    starts,
    subtitle,
    thinned,
    values,
)
from analysis.charts.theme import GUIDE, Panel, layered

XY = {"beta_1": pl.Float64, "beta_2": pl.Float64}


def draw(orbits: pl.DataFrame, limits: pl.DataFrame, samples: pl.DataFrame) -> alt.VConcatChart:
    """Paths in log-polar coordinates, the cone of separating directions, and the predicted directions."""
    folded = fold(orbits)
    reach = float(folded.select((pl.col("beta_1") ** 2 + pl.col("beta_2") ** 2).sqrt().max()).item() or 1.0)
    rays = limits.with_columns(unit * reach * 1.04 for unit in _units())
    square = bounding_square(folded, rays)
    thin = thinned(folded, (square[1] - square[0]) / RESOLUTION)
    wedge, rings = cone(samples, 4 * reach), circles(reach)
    labels = ring_labels(rings, rays, square)

    def panel(depth: int, alpha: float) -> Panel:
        here = (pl.col("depth") == depth) & (pl.col("alpha") == alpha)
        x, y = plane_axes(square, None, None)
        drawn = thin.filter(here)
        ring = (
            alt.Chart(rings)
            .mark_line(stroke="#c4c4c4", strokeWidth=0.8, clip=True)
            .encode(x, y, detail="label:N", order="place:Q")
        )
        return layered(
            alt.Chart(wedge).mark_line(interpolate="linear-closed", fill="#e4eef7", strokeWidth=0, clip=True)
            .encode(x, y, order="place:Q"),
            ring,
            alt.Chart(labels).mark_text(color=GUIDE, fontSize=10).encode(x, y, text="label:N"),
            _ray_lines(rays.filter(here), x, y),
            *paths(drawn, x, y, values(orbits, "architecture"), starts(orbits)),
            limit_points(rays.filter(here), x, y, values(limits, "prediction")),
            *no_run(drawn, x, y),
        )  # fmt: skip

    note = (
        f"{subtitle(orbits)} The radius is log10(1 + ||β||), circles are labelled by ||β||; "
        "shaded: directions that separate the data."
    )
    return lattice(panel, orbits, "Where gradient flow goes: directions of the coefficients", note)


def fold(orbits: pl.DataFrame) -> pl.DataFrame:
    """beta = ||Theta||^L beta(Theta / ||Theta||) at radius log10(1 + ||beta||); points whose norm overflows go."""
    size = (pl.col("beta_1") ** 2 + pl.col("beta_2") ** 2).sqrt()
    digits = pl.col("depth") * pl.col("norm").log10() + size.log10()
    radius = pl.when(digits < 12).then((1 + 10 ** digits.clip(-300, 12)).log10()).otherwise(digits)
    known = orbits.filter(pl.col("norm").is_finite() & (pl.col("norm") > 0) & (size > 0))
    return known.with_columns(pl.col("beta_1") / size * radius, pl.col("beta_2") / size * radius)


def cone(samples: pl.DataFrame, radius: float) -> pl.DataFrame:
    """The triangle from the origin over the directions u with y_i x_i . u > 0 for every sample."""
    turn = 7200
    arms = samples.select(pl.col("x_1") * pl.col("y"), pl.col("x_2") * pl.col("y")).rows()
    circle = [(math.cos(2 * math.pi * k / turn), math.sin(2 * math.pi * k / turn)) for k in range(turn)]
    inside = [u for u in circle if arms and all(a * u[0] + b * u[1] > 0 for a, b in arms)]
    if not inside:
        return pl.DataFrame(schema={**XY, "place": pl.Int64})
    centre = math.atan2(sum(u[1] for u in inside), sum(u[0] for u in inside))
    turned = [math.remainder(math.atan2(u[1], u[0]) - centre, 2 * math.pi) for u in inside]
    edges = [min(turned), (min(turned)) / 2, 0.0, max(turned) / 2, max(turned)]
    corners = [(0.0, 0.0), *((radius * math.cos(centre + t), radius * math.sin(centre + t)) for t in edges)]
    rows = [(x, y, place) for place, (x, y) in enumerate(corners)]
    return pl.DataFrame(rows, schema={**XY, "place": pl.Int64}, orient="row")


def circles(reach: float) -> pl.DataFrame:
    """Three circles of constant ||beta||, at whole powers of ten within reach, an angle (degrees) to each point."""
    step = max(1, math.floor(reach / 3))
    rows = [
        (radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle)), f"1e{radius}", angle)
        for radius in range(step, math.floor(reach) + 1, step)
        for angle in range(0, 363, 3)
    ]
    return pl.DataFrame(rows, schema={**XY, "label": pl.String, "place": pl.Int64}, orient="row")


def ring_labels(rings: pl.DataFrame, rays: pl.DataFrame, square: Square) -> pl.DataFrame:
    """One label a circle, along the direction inside the square that is farthest from every predicted one."""
    taken = [math.degrees(math.atan2(y, x)) for x, y in rays.select("beta_1", "beta_2").rows()]
    fitting = rings.filter(_inside(square)).group_by("place").agg(pl.len()).filter(pl.col("len") == pl.col("len").max())

    def clearance(angle: int) -> float:
        return min((abs(math.remainder(angle - ray, 360)) for ray in taken), default=180.0)

    place = max(sorted(fitting["place"].to_list()), key=clearance, default=0)
    return rings.filter(pl.col("place") == place)


def _ray_lines(rays: pl.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    ends = pl.concat([rays.with_columns(pl.lit(0.0).alias("beta_1"), pl.lit(0.0).alias("beta_2")), rays])
    numbered = ends.with_columns(ray=pl.int_range(pl.len()) % max(rays.height, 1))
    return alt.Chart(numbered).mark_line(stroke="#888888", strokeDash=[3, 3]).encode(x, y, detail="ray:N")


def _units() -> list[pl.Expr]:
    size = (pl.col("beta_1") ** 2 + pl.col("beta_2") ** 2).sqrt()
    return [pl.col(name) / size for name in XY]


def _inside(square: Square) -> pl.Expr:
    left, right, bottom, top = square
    room = 0.12 * (right - left)
    return pl.col("beta_1").is_between(left + room, right - room) & pl.col("beta_2").is_between(
        bottom + 0.2 * room, top
    )
