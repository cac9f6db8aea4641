"""Whether one value of one axis can be right at all, before any combination with others is looked at."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kernels.data.kinds import DATASETS, takes
from kernels.losses import LOSSES, losses_of
from kernels.networks.initialisations import INITIALISATIONS
from kernels.networks.table import ARCHITECTURES
from kernels.spec import SOLVER_NAMES, TASKS, InputError
from kernels.validate import canonicalise
from sweep.grid.mistakes import nearest, not_one_of
from sweep.grid.values import is_finite

LEAST_SCALE = 1e-153
"""Of a gradient: the square of a smaller one is zero in double precision, and the flow looks as if it were at rest."""

MANY = 1000
"""Up to this many values are checked one by one, of longer columns only the ends (they come from one form)."""


def representatives(column: Sequence[Any]) -> Iterable[tuple[int, Any]]:
    """(index, value) of the values that stand for a whole column."""
    if len(column) <= MANY:
        return enumerate(column)
    numbers = [value for value in column if isinstance(value, int | float)] if not isinstance(column, range) else column
    if len(numbers) < len(column):
        return enumerate(column)
    ends = {0: column[0], len(column) - 1: column[-1], 1: min(numbers), 2: max(numbers)}
    return ends.items()


def check_value(axis: str, value: Any, tasks: Sequence[str]) -> None:
    """Raise InputError, its message starting with the axis, where no run can have this value."""
    if not is_finite(value):
        raise InputError(f"{axis}: {value!r} holds a number that is not finite")
    if axis in CHECKS:
        CHECKS[axis](value)
    elif axis == "stop":
        _stop(value, tasks)
    elif axis == "loss":
        _loss(value, tasks)
    else:
        _canonicalise(axis, value, tasks[0])
        if axis == "alpha" and value < LEAST_SCALE:
            raise InputError(f"alpha: {value!r} has no square in double precision; write {LEAST_SCALE:g} or more")


def is_at_rest(task: str, depth: int, alpha: float) -> bool:
    """Whether a gradient of the size alpha^(L-1) rounds to rest; classification integrates in a frame of its own."""
    return task == "regression" and alpha ** (depth - 1) < LEAST_SCALE


def _canonicalise(axis: str, value: Any, task: str, **others: Any) -> None:
    """Kernels' own check, on a network that has the axis."""
    network = next((name for name, known in ARCHITECTURES.items() if axis in known.uses), "fully_connected")
    canonicalise({"task": task, "data": {}, "architecture": network, "init": "gaussian", **others, axis: value}, dim=1)


def _architecture(value: Any) -> None:
    name = next(iter(value), None) if isinstance(value, Mapping) and len(value) == 1 else value
    if not (isinstance(name, str) and (name in ARCHITECTURES or ":" in name)):
        raise InputError(f"architecture: {not_one_of(name, [*ARCHITECTURES, 'module:Class'])}")
    canonicalise({"task": TASKS[0], "data": {}, "architecture": value, "init": "gaussian"}, dim=1)


def _task(value: Any) -> None:
    if value not in TASKS:
        raise InputError(f"task: {not_one_of(value, TASKS)}")


def _loss(value: Any, tasks: Sequence[str]) -> None:
    """A misspelt loss is answered with those of the block's tasks; whether a loss is of a run's task, runs show."""
    if not isinstance(value, str) or value not in LOSSES:
        raise InputError(f"loss: {not_one_of(value, [loss for task in tasks for loss in losses_of(task)])}")


def _init(value: Any) -> None:
    name = next(iter(value), None) if isinstance(value, Mapping) else value
    if not isinstance(name, str) or name not in INITIALISATIONS:
        raise InputError(f"init: {not_one_of(name, INITIALISATIONS)}")
    if isinstance(value, Mapping) and not isinstance(value[name], Mapping | list):
        raise InputError(f"init: {name} is {value[name]!r}; write its parameters, as in {{{name}: {{...}}}}")
    _canonicalise("init", value, TASKS[0])


def _data(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"data: {value!r} is not a mapping; write one of {', '.join(DATASETS)} and its parameters")
    kinds = [key for key in value if key in DATASETS or ":" in key]
    if len(kinds) != 1:
        close = "".join(nearest(key, DATASETS) for key in value) if not kinds else ""
        found = ", ".join(map(repr, value)) or "nothing"
        raise InputError(f"data: {found} names {'no kind' if not kinds else 'several kinds'} of data; "
                         f"write one of {', '.join(DATASETS)}{close}")  # fmt: skip
    kind = kinds[0]
    if kind in DATASETS:
        inner = value[kind] if isinstance(value[kind], Mapping) else {}
        known = takes(kind)
        for key in (*inner, *(key for key in value if key != kind)):
            if key not in known:
                raise InputError(f"data: {kind} has no parameter {key!r}; it takes {', '.join(known)}"
                                 f"{nearest(key, known)}")  # fmt: skip


def _record(value: Any) -> None:
    if not isinstance(value, bool):
        raise InputError(f"record: {value!r} is not true or false")


def _solver(value: Any) -> None:
    if value not in SOLVER_NAMES:
        raise InputError(f"solver: {not_one_of(value, SOLVER_NAMES)}")


CHECKS: dict[str, Callable[[Any], None]] = {
    "architecture": _architecture,
    "init": _init,
    "task": _task,
    "data": _data,
    "record": _record,
    "solver": _solver,
}


def _stop(value: Any, tasks: Sequence[str]) -> None:
    """A stop rule must fit at least one loss of the tasks of its block."""
    if not isinstance(value, Mapping):
        raise InputError(f"stop: {value!r} is not a mapping; write for example {{residual: 1e-10, max_steps: 1000}}")
    known = {key for loss in LOSSES.values() for key in loss.known_conditions}
    for key, number in value.items():
        if key not in known:
            raise InputError(f"stop: {key!r} is not one of {', '.join(sorted(known))}{nearest(key, known)}")
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise InputError(f"stop: {key} is {number!r}, not a number")
    problems, losses = [], [loss for task in tasks for loss in losses_of(task)]
    for loss in losses:
        try:
            _canonicalise("stop", value, LOSSES[loss].task, loss=loss)
        except InputError as error:
            problems.append(error)
    if len(problems) == len(losses):
        raise problems[0]
