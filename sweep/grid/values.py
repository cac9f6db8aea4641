"""The forms a value of an axis may take: a scalar, a list, a range, evenly or geometrically spaced, a distribution."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kernels.spec import AXES, InputError
from sweep.grid.mistakes import nearest, not_one_of

FORMS = ("range", "linspace", "geomspace")
DISTRIBUTIONS = ("uniform", "loguniform", "choice", "integers")
MAPPINGS = tuple(name for name, axis in AXES.items() if axis.described)
"""Axes whose values may be mappings; a mapping is then one value."""

LISTS = frozenset({"x", "y", "classes", "features", "exclude"})
"""Parameters of data sets that are lists themselves; a list in any other one means several data sets."""

MAX_VALUES = 1_000_000
"""Of one declaration that is written into memory."""

MAX_COMBINATIONS = 10_000_000
"""Of a grid, before filters, and whole numbers of a range, which are not written into memory."""

MAX_DATA_SETS = 100_000
"""Of one description."""


def values(axis: str, raw: Any) -> Sequence[Any]:
    """Every value that a declaration denotes, in order. Raises InputError, without the axis' name in front."""
    if isinstance(raw, Mapping) and is_form(axis, raw):
        return spaced(raw)
    if not isinstance(raw, list):
        return [raw]
    if not raw:
        raise InputError("the list is empty; write at least one value")
    found: list[Any] = []
    for item in raw:
        several = values(axis, item) if isinstance(item, Mapping) and is_form(axis, item) else [item]
        if len(found) + len(several) > MAX_VALUES:
            raise InputError(f"the list holds more than {MAX_VALUES:,} values; write fewer")
        found.extend(several)
    return found


def is_form(axis: str, raw: Mapping[str, Any]) -> bool:
    """Whether a mapping is a value form. Raises InputError for a mapping where the axis has none."""
    if len(raw) == 1 and next(iter(raw)) in FORMS:
        return True
    if axis in MAPPINGS:
        return False
    key = next(iter(raw), "")
    raise InputError(f"{dict(raw)!r} is no value; write a number, a list, or {{range|linspace|geomspace: [...]}}"
                     f"{nearest(key, FORMS)}")  # fmt: skip


def spaced(raw: Mapping[str, Any]) -> Sequence[Any]:
    """{range: [lo, hi(, step)]}, hi excluded; {linspace: [lo, hi, n]} and {geomspace: [lo, hi, n]}, hi included.

    Spaced numbers are rounded to 15 significant digits, so that the 0.1 of a geomspace is the 0.1 of a list.
    """
    ((form, arguments),) = raw.items()
    numbers = _numbers(form, arguments)
    if form == "range":
        return _range(numbers)
    if len(numbers) != 3 or not isinstance(numbers[2], int) or not 1 <= numbers[2] <= MAX_VALUES:
        raise InputError(f"{{{form}: {arguments!r}}} is not [lo, hi, n] with a whole n from 1 to {MAX_VALUES:,}")
    lo, hi, n = numbers
    if form == "geomspace" and (lo <= 0 or hi <= 0):
        raise InputError(f"{{geomspace: {arguments!r}}} needs both ends positive")
    space = np.linspace if form == "linspace" else np.geomspace
    return [float(f"{value:.15g}") for value in space(lo, hi, n).tolist()]


def _range(numbers: list[Any]) -> Sequence[Any]:
    if len(numbers) not in (2, 3):
        raise InputError(f"{{range: {numbers!r}}} is not [lo, hi] or [lo, hi, step]; hi itself is left out")
    lo, hi, step = numbers if len(numbers) == 3 else (*numbers, 1)
    steps = (hi - lo) / step if step else 0.0
    count = math.ceil(steps - 1e-9) if math.isfinite(steps) else math.inf
    whole = all(isinstance(number, int) for number in (lo, hi, step))
    most = MAX_COMBINATIONS if whole else MAX_VALUES
    if not 1 <= count <= most:
        raise InputError(
            f"{{range: {numbers!r}}} holds {max(count, 0):,} values; write one to {most:,}; hi itself is left out"
        )
    return range(lo, hi, step) if whole else [float(f"{lo + k * step:.15g}") for k in range(int(count))]


def draw(axis: str, distribution: Any, n: int, rng: np.random.Generator) -> list[Any]:
    """n independent draws of an axis. A plain scalar stands for itself. Raises InputError."""
    if not isinstance(distribution, Mapping) and not isinstance(distribution, list):
        return [distribution] * n
    if not isinstance(distribution, Mapping) or len(distribution) != 1:
        raise InputError(
            f"{distribution!r} is not a distribution; write one of {{uniform: [lo, hi]}}, {{loguniform: [lo, hi]}}, "
            "{integers: [lo, hi]}, {choice: [...]}"
        )
    ((name, arguments),) = distribution.items()
    if name == "choice":
        options = values(axis, arguments)
        return [options[index] for index in rng.integers(len(options), size=n)]
    if name not in DISTRIBUTIONS:
        raise InputError(f"distribution {not_one_of(name, DISTRIBUTIONS)}")
    numbers = _numbers(name, arguments)
    if len(numbers) != 2 or numbers[0] > numbers[1]:
        raise InputError(f"{{{name}: {arguments!r}}} is not [lo, hi] with lo <= hi")
    lo, hi = numbers
    if name == "integers":
        if not (isinstance(lo, int) and isinstance(hi, int)):
            raise InputError(f"{{integers: {arguments!r}}} needs whole numbers")
        drawn: list[Any] = rng.integers(lo, hi, size=n, endpoint=True).tolist()
        return drawn
    if name == "loguniform":
        if lo <= 0:
            raise InputError(f"{{loguniform: {arguments!r}}} needs both ends positive")
        return [min(max(value, lo), hi) for value in np.exp(rng.uniform(math.log(lo), math.log(hi), n)).tolist()]
    uniform: list[Any] = rng.uniform(lo, hi, n).tolist()
    return uniform


def data_sets(raw: Any, lists: bool = True) -> Iterator[Any]:
    """Every data set of one description: the product over parameters that are lists (if `lists`) or ranges.

    {gaussian: {samples: [3, 4], seed: {range: [0, 2]}}} are four. A user's own data function keeps its lists.
    Raises InputError.
    """
    if not isinstance(raw, Mapping):
        yield raw
        return
    lists = lists and not any(":" in key for key in raw)
    columns = [_parameter(key, value, lists) for key, value in raw.items()]
    if (count := math.prod(map(len, columns))) > MAX_DATA_SETS:
        raise InputError(f"the product of its lists is {count:,} data sets; write at most {MAX_DATA_SETS:,}")
    for row in itertools.product(*columns):
        yield dict(zip(raw, row, strict=True))


def _parameter(key: str, raw: Any, lists: bool) -> Sequence[Any]:
    """Values of one parameter."""
    if isinstance(raw, Mapping) and not (len(raw) == 1 and next(iter(raw)) in FORMS):
        return list(data_sets(raw, lists))
    try:
        several = isinstance(raw, Mapping) or (isinstance(raw, list) and lists and key not in LISTS)
        return values(key, raw) if several else [raw]
    except InputError as error:
        raise InputError(f"{key}: {error}") from error


def _numbers(form: str, arguments: Any) -> list[Any]:
    """The finite numbers of a form, whole floats kept as floats."""
    good = isinstance(arguments, list) and all(
        isinstance(a, int | float) and not isinstance(a, bool) and math.isfinite(a) for a in arguments
    )
    if not good:
        raise InputError(f"{{{form}: {arguments!r}}} is not a list of numbers")
    return list(arguments)


def is_finite(value: Any) -> bool:
    """Whether a tree of YAML values holds no NaN or infinity."""
    if isinstance(value, Mapping):
        return all(is_finite(item) for item in value.values())
    if isinstance(value, list):
        return all(is_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)
