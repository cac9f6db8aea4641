"""Value forms: what each denotes, and what is said about those that denote nothing."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.spec import InputError
from sweep.grid.values import data_sets, draw, values


@given(st.integers(-50, 50), st.integers(1, 60), st.integers(1, 9))
def test_a_range_of_integers_is_pythons(lo: int, length: int, step: int) -> None:
    assert list(values("seed", {"range": [lo, lo + length, step]})) == list(range(lo, lo + length, step))


@given(st.floats(-10, 10), st.integers(1, 50), st.floats(0.01, 3))
def test_a_range_of_floats_leaves_its_end_out(lo: float, count: int, step: float) -> None:
    found = values("alpha", {"range": [lo, lo + count * step, step]})
    assert len(found) == count
    np.testing.assert_allclose(found, lo + step * np.arange(count), rtol=1e-12, atol=1e-12)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 40))
def test_spaced_numbers_hold_both_ends(lo: float, hi: float, n: int) -> None:
    for form, space in (("linspace", np.linspace), ("geomspace", np.geomspace)):
        found = values("alpha", {form: [lo, hi, n]})
        assert len(found) == n
        np.testing.assert_allclose(found, space(lo, hi, n), rtol=1e-13)
        assert found[0] == float(f"{lo:.15g}")


def test_round_numbers_of_a_geomspace_are_those_of_a_list() -> None:
    assert {0.001, 0.01, 0.1, 1.0, 10.0} <= set(values("alpha", {"geomspace": [0.001, 10, 9]}))


def test_forms_inside_a_list_join_it() -> None:
    assert list(values("depth", [1, {"range": [3, 6]}, 9])) == [1, 3, 4, 5, 9]


def test_a_mapping_is_one_value_of_an_axis_of_mappings() -> None:
    layers = {"layers": [[1, 2], [3, 4]]}
    assert values("init", layers) == [layers]
    assert values("init", ["gaussian", layers]) == ["gaussian", layers]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([], "empty"),
        ({"rnage": [0, 3]}, "did you mean 'range'"),
        ({"range": [3, 1]}, "holds 0 values"),
        ({"range": [3]}, "hi itself is left out"),
        ({"range": [0, 3, 0]}, "holds 0 values"),
        ({"range": ["a", 3]}, "not a list of numbers"),
        ({"linspace": [0, 1]}, "[lo, hi, n]"),
        ({"linspace": [0, 1, 2.5]}, "[lo, hi, n]"),
        ({"geomspace": [0, 1, 3]}, "both ends positive"),
        ({"geomspace": [0.1, math.inf, 3]}, "not a list of numbers"),
    ],
)
def test_what_denotes_nothing_is_refused(raw: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        values("alpha", raw)
    assert words in str(caught.value)


@given(st.integers(0, 2**32))
def test_draws_stay_in_bounds_and_repeat(seed: int) -> None:
    kinds: dict[str, tuple[Any, float, float]] = {
        "uniform": ([-1, 2], -1, 2),
        "loguniform": ([1e-3, 10], 1e-3, 10),
        "integers": ([2, 4], 2, 4),
        "choice": ([1, 5], 1, 5),
    }
    for name, (arguments, lo, hi) in kinds.items():
        drawn, again = (draw("alpha", {name: arguments}, 20, np.random.default_rng(seed)) for _ in range(2))
        assert drawn == again
        assert all(lo <= value <= hi for value in drawn)


def test_draws_follow_their_distribution() -> None:
    rng = np.random.default_rng(0)
    drawn = np.log10(draw("alpha", {"loguniform": [1e-2, 1]}, 20_000, rng))
    assert abs(drawn.mean() + 1) < 0.02
    assert set(draw("depth", {"integers": [2, 4]}, 200, rng)) == {2, 3, 4}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"normal": [0, 1]}, "'normal' is not one of uniform"),
        ({"loguniform": [0, 1]}, "both ends positive"),
        ({"uniform": [2, 1]}, "lo <= hi"),
        ({"integers": [0.5, 2]}, "whole numbers"),
        ([1, 2], "is not a distribution"),
        ({"choice": []}, "empty"),
    ],
)
def test_what_is_no_distribution_is_refused(raw: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        draw("alpha", raw, 3, np.random.default_rng(0))
    assert words in str(caught.value)


def test_parameters_of_data_multiply() -> None:
    found = list(data_sets({"gaussian": {"samples": [3, 4], "dim": 10, "seed": {"range": [0, 3]}}}))
    assert len(found) == 6
    assert found[0] == {"gaussian": {"samples": 3, "dim": 10, "seed": 0}}
    assert found[-1] == {"gaussian": {"samples": 4, "dim": 10, "seed": 2}}


def test_lists_that_are_values_of_data_stay() -> None:
    points = {"points": {"x": [[1, 2]], "y": [1]}}
    digits = {"dataset": "digits", "classes": [3, 8], "samples": [20, 40]}
    own = {"mine:draw": {"sizes": [1, 2]}}
    assert list(data_sets(points)) == [points]
    assert list(data_sets(digits)) == [{**digits, "samples": 20}, {**digits, "samples": 40}]
    assert list(data_sets(own)) == [own]
