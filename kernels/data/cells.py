"""Cells of tables: which hold a number, a class or nothing. Imports no JAX."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.spec import InputError

MISSING = frozenset(("", "na", "n/a", "<na>", "nan", "null"))
"""How programs write that a value is missing, in small letters."""

DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
OF_FEATURE = "write a finite number, remove the line, or leave the column out: exclude: [{}]"
OF_TARGET = "write a finite number, remove the line, or, for a target of two classes, write task: classification"

Where = Callable[[int], str]
"""From the index of a row to where it stands in the file: "line 7"."""


class NotANumberError(InputError):
    """A cell that should be a finite number; `column` is the name of its column."""

    def __init__(self, message: str, column: str):
        super().__init__(message)
        self.column = column


def number(cell: Any) -> float:
    """The number in a cell; NaN for None. Raises ValueError for other text, such as 1_000, which Python alone reads."""
    if isinstance(cell, str) and not is_plain(cell):
        raise ValueError(cell)
    return float(cell) if cell is not None else float("nan")


def is_plain(text: str) -> bool:
    """Whether Python reads the same number in a text as other programs: ASCII digits alone, without underscores."""
    return text.isascii() and "_" not in text


def targets(name: str, cells: Sequence[Any], where: Where) -> Float[np.ndarray, " n"]:
    """The target of a regression. Raises NotANumberError as `numbers` does."""
    return numbers(name, cells, where, OF_TARGET)


def numbers(name: str, cells: Sequence[Any], where: Where, instead: str = OF_FEATURE) -> Float[np.ndarray, " n"]:
    """A column of finite numbers. Raises NotANumberError with line, column and value of the first other cell."""
    found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            found[row] = number(cell)
        except (ValueError, TypeError, OverflowError):
            found[row] = np.nan
    check_finite(name, found, cells, where, instead)
    return found


def check_finite(
    name: str, found: Float[np.ndarray, " n"], cells: Sequence[Any], where: Where, instead: str = OF_FEATURE
) -> None:
    """Raise NotANumberError for the first of these numbers that is not finite, with what its cell holds."""
    wrong = np.flatnonzero(~np.isfinite(found))
    if wrong.size:
        row = int(wrong[0])
        said = f"{where(row)}, column {name!r}: {described(cells[row])}; {instead.format(name)}"
        raise NotANumberError(said, name)


def check_no_identifiers(name: str, cells: Sequence[Any]) -> None:
    """Raise InputError where every cell of a column is a word and no two are alike, as identifiers of samples are."""
    if len(cells) > 1 and len(set(cells)) == len(cells) and all(map(_is_word, cells)):
        raise InputError(
            f"column {name!r} holds another text in every row ({cells[0]!r}, {cells[1]!r}, ...), as identifiers of "
            f"samples do, which are no feature; write exclude: [{name}]"
        )


def _is_word(cell: Any) -> bool:
    """Whether a cell is a text with a letter that stands neither for a number nor for a missing value."""
    if not isinstance(cell, str) or _is_missing(cell) or not any(map(str.isalpha, cell)):
        return False
    try:
        number(cell)
    except ValueError:
        return True
    return False


def labels(name: str, cells: Sequence[Any], where: Where) -> Float[np.ndarray, " n"]:
    """-1 and +1 for the two values of a column, in the order of `classes`. Raises InputError as `classes` does."""
    values, (_, positive) = classes(name, cells, where)
    return np.array([1.0 if value == positive else -1.0 for value in values])


def classes(name: str, cells: Sequence[Any], where: Where) -> tuple[list[Any], tuple[Any, Any]]:
    """The values of a column, and its two different values in order: of numbers if all are numbers, else of text.

    Raises InputError for a missing value, and for other than two different values.
    """
    for row, cell in enumerate(cells):
        if _is_missing(cell):
            what = f"{described(cell)}; write one of two values or remove the line"
            raise InputError(f"{where(row)}, column {name!r}: {what}")
    try:
        values: list[Any] = [number(cell) for cell in cells]
    except ValueError:
        values = [str(cell) for cell in cells]
    distinct = sorted(set(values))
    if len(distinct) != 2:
        shown = ", ".join(repr(value) for value in distinct[:5]) + (", ..." if len(distinct) > 5 else "")
        raise InputError(
            f"column {name!r} holds {shown}; "
            "classification needs two different values: keep the lines of two classes, or write task: regression"
        )
    return values, (distinct[0], distinct[1])


def described(cell: Any) -> str:
    """What is wrong with a cell that should be a number."""
    text = cell.strip() if isinstance(cell, str) else cell
    if text is None or text == "":
        return "the value is missing"
    if isinstance(text, str) and DECIMAL_COMMA.fullmatch(text):
        return f"{text!r} has a decimal comma, or a comma between thousands; write a point, and nothing between digits"
    hint = ", which stands for a missing value" if _is_missing(text) and str(text).lower() != "nan" else ""
    return f"{text!r} is not a finite number{hint}"


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or cell != cell
