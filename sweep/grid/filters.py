"""Filters of a grid: expressions on axis names, such as "init == 'orthogonal' and seed > 0".

A whitelist of Python's grammar: comparisons, and/or/not, in, arithmetic and literals. The tree is turned into
closures; nothing is evaluated but what is listed here. A comparison with an axis that a run does not have (None) is
false, except == and != (and is, is not).
"""

import ast
import itertools
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernels.losses import LOSSES
from kernels.networks.initialisations import INITIALISATIONS
from kernels.networks.table import ARCHITECTURES
from kernels.spec import AXES, TASKS, InputError
from sweep.grid.mistakes import nearest, not_one_of

NAMES = (*AXES, "network", "dataset", "dim", "samples")
"""What an expression may speak of: the axes, and the name, dimension and sample count of the data set."""

CHOICES: dict[str, Collection[str]] = {
    "task": TASKS,
    "loss": LOSSES,
    "architecture": ARCHITECTURES,
    "init": INITIALISATIONS,
}
"""Names that an axis is compared with, so that a misspelt one is found."""

MOST_CHARACTERS, MOST_PARTS = 10_000, 1000
"""Of an expression."""

Evaluator = Callable[[Mapping[str, Any]], Any]

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda base, exponent: float(base) ** float(exponent),
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
EQUAL: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
    ast.In: lambda item, items: any(item == other for other in items),
    ast.NotIn: lambda item, items: all(item != other for other in items),
}


@dataclass(frozen=True)
class Expression:
    """A parsed filter.

    Attributes:
        text: as written.
        names: the names it speaks of.
        evaluate: from the values of these names to its value.
    """

    text: str
    names: frozenset[str]
    evaluate: Evaluator

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the filter is true for one run; arithmetic without a result (None + 1, 9 ** 9 ** 9) makes it false.

        Raises InputError where it divides by zero: no run may be dropped by that unnoticed.
        """
        try:
            return bool(self.evaluate(values))
        except ZeroDivisionError as error:
            raise InputError(
                f"{self.text!r} divides by zero; leave that out first, as in seed > 0 and alpha / seed > 1"
            ) from error
        except (TypeError, OverflowError):
            return False


def parse(text: Any) -> Expression:
    """Raises InputError where the text is not an expression of the whitelist."""
    if isinstance(text, bool | int | float):
        text = str(text)
    if not isinstance(text, str):
        raise InputError(f"{text!r} is not an expression; write text such as \"init == 'orthogonal' and seed > 0\"")
    too_long = InputError(f"expression of {len(text)} characters is too long; write several shorter ones")
    if len(text) > MOST_CHARACTERS:
        raise too_long
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if sum(1 for _ in ast.walk(tree)) > MOST_PARTS:
            raise too_long
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        hint = "; compare with ==" if "=" in text and "==" not in text else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(f"{text!r} is not an expression: {reason}{hint}") from error
    names = frozenset(_canonical(node.id) for node in ast.walk(tree) if isinstance(node, ast.Name))
    return Expression(text, names, _compile(tree, text))


def any_of(expressions: Sequence[Expression]) -> Expression:
    """True where any of the expressions is."""
    text = " or ".join(f"({expression.text})" for expression in expressions)
    names = frozenset[str]().union(*(expression.names for expression in expressions))
    return Expression(text, names, lambda values: any(expression.holds(values) for expression in expressions))


def _canonical(name: str) -> str:
    return "architecture" if name == "network" else name


def _compile(node: ast.expr, text: str) -> Evaluator:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return lambda _: value
        case ast.Name(id=name):
            return _name(name, text)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            parts = [_compile(item, text) for item in items]
            return lambda values: [part(values) for part in parts]
        case ast.BoolOp(op=ast.And(), values=items):
            parts = [_compile(item, text) for item in items]
            return lambda values: all(part(values) for part in parts)
        case ast.BoolOp(values=items):
            parts = [_compile(item, text) for item in items]
            return lambda values: any(part(values) for part in parts)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            function, inner = UNARY[type(op)], _compile(operand, text)
            return lambda values: function(inner(values))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _arithmetic(BINARY[type(op)], _compile(left, text), _compile(right, text))
        case ast.Compare():
            return _comparison(node, text)
    part = ast.get_source_segment(text.strip(), node) or type(node).__name__
    raise InputError(f"{text!r}: {part!r} is not allowed in an expression; write comparisons, and, or, not, in, "
                     "arithmetic, numbers, strings and axis names")  # fmt: skip


def _name(name: str, text: str) -> Evaluator:
    if name in ("true", "false", "null"):
        value = {"true": True, "false": False, "null": None}[name]
        return lambda _: value
    if name not in NAMES:
        quoted = any(name in choices for choices in CHOICES.values())
        hint = f"; write {name!r} in quotes" if quoted else nearest(name, NAMES)
        raise InputError(f"{text!r}: {name!r} is not an axis; the axes are {', '.join(NAMES)}{hint}")
    return operator.itemgetter(_canonical(name))


def _arithmetic(function: Callable[[Any, Any], Any], left: Evaluator, right: Evaluator) -> Evaluator:
    def evaluate(values: Mapping[str, Any]) -> Any:
        a, b = left(values), right(values)
        if isinstance(a, int | float) and isinstance(b, int | float):
            return function(a, b)
        raise TypeError("arithmetic on something that is no number")

    return evaluate


def _comparison(node: ast.Compare, text: str) -> Evaluator:
    operands = [node.left, *node.comparators]
    for one, other in itertools.pairwise(operands):
        _check_choice(one, other, text)
        _check_choice(other, one, text)
    terms = [_compile(operand, text) for operand in operands]
    tests = []
    for op, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, ast.In | ast.NotIn) and not isinstance(right, ast.List | ast.Tuple | ast.Set):
            raise InputError(f"{text!r}: write a list after `in`, such as depth in [2, 3]")
        tests.append(EQUAL.get(type(op)) or _ordered(ORDER[type(op)]))

    def evaluate(values: Mapping[str, Any]) -> bool:
        left = terms[0](values)
        for test, term in zip(tests, terms[1:], strict=True):
            right = term(values)
            if not test(left, right):
                return False
            left = right
        return True

    return evaluate


def _ordered(function: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda a, b: a is not None and b is not None and function(a, b)


def _check_choice(side: ast.expr, other: ast.expr, text: str) -> None:
    """A name that is compared with an axis of names must be one of them."""
    if not (isinstance(side, ast.Name) and _canonical(side.id) in CHOICES):
        return
    choices = CHOICES[_canonical(side.id)]
    items = other.elts if isinstance(other, ast.List | ast.Tuple | ast.Set) else [other]
    for item in items:
        if isinstance(item, ast.Constant) and item.value not in choices and ":" not in str(item.value):
            raise InputError(f"{text!r}: {side.id} {not_one_of(item.value, choices)}")
