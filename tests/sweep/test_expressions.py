"""Filters: they agree with Python where both speak, and nothing beyond the whitelist is understood."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.spec import InputError
from sweep.grid.filters import NAMES, any_of, parse

RUN: dict[str, Any] = dict.fromkeys(NAMES) | {
    "task": "regression", "data": "gaussian", "architecture": "diagonal", "depth": 3, "width": None, "filter": None,
    "init": "structured", "alpha": 0.5, "seed": 2, "rtol": 1e-7, "dim": 8, "samples": 4, "record": True,
}  # fmt: skip

NUMBERS = st.sampled_from(["depth", "seed", "alpha", "dim", "samples", "1", "2.5", "3", "(-1)"])
TERMS = st.recursive(
    NUMBERS, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner), max_leaves=4
)
COMPARISONS = st.one_of(
    st.builds("{} {} {}".format, TERMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), TERMS),
    st.builds("{} < {} <= {}".format, TERMS, TERMS, TERMS),
    st.builds("{} {} [{}, {}]".format, TERMS, st.sampled_from(["in", "not in"]), TERMS, TERMS),
    st.sampled_from(["init == 'structured'", "architecture != 'walsh'", "data in ('points', 'gaussian')", "record"]),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)


@given(CONDITIONS)
def test_agrees_with_python(text: str) -> None:
    assert parse(text).holds(RUN) == bool(eval(text, {"__builtins__": {}}, RUN))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("width < 4", False),
        ("width >= 4", False),
        ("width == 4", False),
        ("width != 4", True),
        ("width is None", True),
        ("width is not None", False),
        ("not width > 4", True),
        ("width + 1 == 5", False),
        ("width == null", True),
        ("seed < 0 and depth / (seed - seed) > 1", False),
        ("width / 0 > 1", False),
        ("network == 'diagonal'", True),
        ("9 ** 9 ** 9 > 1", False),
    ],
)
def test_axes_that_a_run_lacks_compare_as_false(text: str, holds: bool) -> None:
    assert parse(text).holds(RUN) is holds


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "open('x')", "depth.real", "(lambda: 1)()", "[x for x in (1, 2)]",
        "depth[0]",
        "f'{depth}'", "(depth := 3)", "*depth", "{'a': 1}", "b'x' == b'x'", "depth if seed else alpha", "depth @ seed",
        "1j == 1", "depth << 1", "await depth", "depth in seed", "...",
    ],
)  # fmt: skip
def test_nothing_else_is_understood(text: str) -> None:
    with pytest.raises(InputError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dept > 2", "did you mean 'depth'"),
        ("init == orthogonal", "write 'orthogonal' in quotes"),
        ("init == 'orthogonl'", "did you mean 'orthogonal'"),
        ("architecture in ['diagonal', 'walish']", "did you mean 'walsh'"),
        ("depth = 2", "compare with =="),
        ("depth >", "not an expression"),
        ("", "not an expression"),
        (["depth > 2"], "is not an expression"),
        ("depth " + "+ 1" * 2000 + " > 0", "too long"),
    ],
)
def test_mistakes_are_explained(text: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["depth / 0 > 1", "depth // (seed - 2) > 1", "depth % 0 == 1", "(seed - 2) ** -1 > 1"])
def test_a_division_by_zero_is_no_answer(text: str) -> None:
    for expression in (parse(text), any_of([parse("depth < 0"), parse(text)])):
        with pytest.raises(InputError, match=f"'{re.escape(text)}' divides by zero; leave that out first"):
            expression.holds(RUN)


def test_names_of_users_networks_are_not_misspelt_ones() -> None:
    assert not parse("architecture == 'mine:Network'").holds(RUN)
