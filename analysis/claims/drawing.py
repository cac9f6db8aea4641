"""One figure a claim: every case against its bound, and the rival's cases beside them."""

import altair as alt
import polars as pl

from analysis.charts.theme import ARCHITECTURE_COLOURS, GUIDE, Drawing, LogAxis, heading, layered, styled
from analysis.claims.claim import Claim
from analysis.claims.wording import symbols
from analysis.frames.frame import Source

LEAST = 1e-17
"""What is drawn of a figure of zero: below the rounding of a double."""

OTHERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B08900", "#56B4E9", "#332288", "#000000")
SIZE = {"width": 420, "height": 230}


def draw(claim: Claim, store: Source) -> Drawing | None:
    """The figure of a claim; None where the store has no case of it."""
    cases = _points(store, claim.cases, "min" if claim.least else "max")
    rival = _points(store, claim.rival, "median")
    if cases.is_empty():
        return None
    bound = pl.DataFrame({"figure": [claim.bound], "label": [f"bound {claim.bound:g}"]})
    y = LogAxis.over(cases["figure"], rival["figure"], bound["figure"])
    across = alt.X("x:Q", title=claim.across, scale=_scale(cases, rival), axis=_axis(cases))
    line = alt.Chart(bound).mark_rule(strokeDash=[5, 4], color=GUIDE).encode(y=y.y("figure", None))
    label = (
        alt.Chart(bound)
        .mark_text(align="left", color=GUIDE, fontSize=11)
        .encode(y=y.y("figure", None), x=alt.value(SIZE["width"] + 5), text="label:N")
    )
    beside = alt.Chart(rival).mark_point(shape="cross", color="#9a9a9a", size=26).encode(
        x=across, y=y.y("figure", None)
    )  # fmt: skip
    dots = alt.Chart(cases).mark_point(filled=True, size=40, opacity=0.75).encode(
        x=across, y=y.y("figure", _axis_title(claim)), color=_colour(cases)
    )  # fmt: skip
    title = heading(
        f"Claim {claim.number}",
        symbols(f"Dots: {claim.figure}; the worst of each place. Grey: the same of a rival, {claim.instead}; medians."),
        74,
    )
    return styled(layered(line, label, beside, dots).properties(title=title, **SIZE))


def _axis_title(claim: Claim) -> str:
    return "figure, at least the bound" if claim.least else "figure, at most the bound"


def _points(store: Source, cases: str, of_each: str) -> pl.DataFrame:
    """One figure for each series and place: the worst, or the median."""
    sql = f"""SELECT series::VARCHAR AS series, x::DOUBLE AS x, greatest({of_each}(figure), {LEAST}) AS figure
FROM ({cases.strip()}) WHERE isfinite(figure) AND isfinite(x) GROUP BY ALL ORDER BY ALL"""
    return pl.DataFrame(store.query(sql))


def _scale(*frames: pl.DataFrame) -> alt.Scale:
    values = [float(value) for frame in frames for value in frame["x"]]
    low, high = min(values), max(values)
    if _logarithmic(low, high):
        return alt.Scale(type="log", domain=[low / 1.3, high * 1.3], nice=False)
    return alt.Scale(domain=[low - 0.5, high + 0.5], nice=False)


def _axis(cases: pl.DataFrame) -> alt.Axis:
    values = sorted({float(value) for value in cases["x"]})
    if _logarithmic(values[0], values[-1]):
        return alt.Axis(tickCount=6, format="~g", grid=False)
    return alt.Axis(values=values, format="~g", grid=False)


def _logarithmic(low: float, high: float) -> bool:
    return low > 0 and high / low > 30


def _colour(cases: pl.DataFrame) -> alt.Color:
    present = sorted(set(cases["series"]))
    spare = iter(OTHERS * len(present))
    colours = [ARCHITECTURE_COLOURS.get(name) or next(spare) for name in present]
    legend = alt.Legend(title=None, orient="bottom", columns=3, symbolType="circle") if len(present) > 1 else None
    return alt.Color("series:N", scale=alt.Scale(domain=present, range=colours), legend=legend)
