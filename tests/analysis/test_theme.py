"""Axes, colours and labels that every chart shares."""

import itertools
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import names
from analysis.charts.panels import coinciding, depth_sizes, log_axes
from analysis.charts.theme import LogAxis, architecture_colour, characters, ramp, spread
from analysis.names import named, number
from kernels.networks.table import ARCHITECTURES
from kernels.theory.table import PREDICTIONS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-3, "1e-3"),
        (0.01, "0.01"),
        (1.0, "1"),
        (123.4, "123"),
        (1e6, "1e6"),
        (2.5e-8, "2.5e-8"),
        (-0.5, "−0.5"),
        (0.0, "0"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_every_network_and_prediction_has_a_name_and_anothers_keeps_its_own() -> None:
    assert set(names.ARCHITECTURES) == set(ARCHITECTURES)
    assert set(names.PREDICTIONS) == set(PREDICTIONS)
    assert len(set(names.NAMES.values())) == len(names.NAMES)
    assert named("mine:Network") == "mine:Network"
    legend = architecture_colour(["diagonal", "mine:Network"]).to_dict()["legend"]["labelExpr"]
    assert legend == '{"diagonal": "Diagonal"}[datum.label] || datum.label'
    assert names.raised("2-L") == "²⁻ᴸ"


def test_kinds_have_arrows() -> None:
    assert [named(kind) for kind in ("exact", "limit alpha->0", "limit t->inf")] == ["exact", "limit α→0", "limit t→∞"]


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=20))
def test_log_axis_holds_every_value(values: list[float]) -> None:
    axis = LogAxis.over(pl.Series(values))
    assert axis.low < axis.high
    assert all(axis.low - 1e-9 <= math.log10(value) <= axis.high + 1e-9 for value in values)
    assert len(axis.ticks) <= 8
    assert all(10.0**axis.low <= tick <= 10.0**axis.high for tick in axis.ticks)


def test_log_axis_ignores_what_has_no_logarithm() -> None:
    axis = LogAxis.over(pl.Series([0.0, -1.0, math.nan, math.inf, None, 0.02, 30.0]))
    assert (axis.low, axis.high) == (-2, 2)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_labels_keep_their_order_and_their_distance(places: list[float]) -> None:
    gap, low, high = 0.5, -4.0, 4.0
    moved = spread(places, gap, low, high)
    order = sorted(range(len(places)), key=lambda index: places[index])
    assert all(moved[b] - moved[a] >= gap - 1e-9 for a, b in itertools.pairwise(order))
    assert all(low - 1e-9 <= place <= high + 1e-9 for place in moved)


def test_labels_stay_where_there_is_room() -> None:
    assert spread([3.0, 1.0, 2.0], 0.5, 0.0, 4.0) == [3.0, 1.0, 2.0]


def test_every_architecture_has_a_colour_of_its_own() -> None:
    scale = architecture_colour([*ARCHITECTURES, "mine:One", "mine:Two"]).to_dict()["scale"]
    assert len(set(scale["range"])) == len(scale["domain"]) == len(ARCHITECTURES) + 2


@pytest.mark.parametrize("count", [1, 2, 6, 11])
def test_depth_colours_get_lighter(count: int) -> None:
    colours = ramp(count)
    lightness = [sum(w * int(c[k : k + 2], 16) for w, k in ((0.2126, 1), (0.7152, 3), (0.0722, 5))) for c in colours]
    assert len(set(colours)) == count
    assert lightness == sorted(lightness)


def test_curves_on_top_of_each_other_share_a_line_and_others_do_not() -> None:
    """Of three depths two agree to a hundredth of the axis; the third is a decade away."""
    rows = [
        (depth, clock, value * clock)
        for depth, value in ((2, 1.0), (3, 10.0), (4, 1.001))
        for clock in (1.0, 1e-2, 1e-4)
    ]
    here = pl.DataFrame(rows, schema=["depth", "clock", "middle"], orient="row")
    here = here.with_columns(low="middle", high="middle")
    assert coinciding(here, log_axes(here, "x", "y")) == {2: (0, 2), 4: (1, 2), 3: (0, 1)}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_dots_are_smaller_with_depth(count: int) -> None:
    areas = depth_sizes(range(2, 2 + count)).to_dict()["scale"]["range"]
    assert len(areas) == count
    assert areas == sorted(set(areas), reverse=True)
    assert 0 < areas[-1] <= areas[0] <= 110


def test_a_subtitle_is_as_wide_as_the_widest_row() -> None:
    narrow, wide = characters([[290.0]]), characters([[290.0], [290.0] * 3])
    assert (narrow, wide) == (66, round(3 * (290 + 60) / 5.8))
