"""Every prediction by name, and what all of them say of a run. A new one is a class in this folder and a line here."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from kernels.data.kinds import Dataset, canonical, load
from kernels.networks.table import ARCHITECTURES
from kernels.problem import Problem, problem_of, problems_of
from kernels.results import PredictionRecord
from kernels.spec import AXES, TASKS, InputError, RunSpec
from kernels.theory.balanced import Balanced
from kernels.theory.base import Endpoint, Prediction, record
from kernels.theory.classification import LossRate, ParameterKKT, SingularVectors
from kernels.theory.finite_margin import FiniteMargin
from kernels.theory.lasso_path import LassoPath
from kernels.theory.max_margin import MaxMarginBridge, MaxMarginL2
from kernels.theory.regression import (
    MinimumBregman,
    MinimumL2Norm,
    MinimumQNorm,
    WeightedL1,
    WeightedL2,
)
from kernels.theory.remaining import remaining
from kernels.theory.saddles import SaddleSequence
from kernels.theory.schatten import MaxMarginSchatten
from kernels.theory.two_layers import TwoLayerOneSample
from kernels.validate import canonicalise, check_compatible

_ALL: tuple[Prediction, ...] = (
    MinimumQNorm(),
    MinimumBregman(),
    WeightedL1(),
    WeightedL2(),
    SaddleSequence(),
    MinimumL2Norm(),
    TwoLayerOneSample(),
    Balanced(),
    LassoPath(),
    ParameterKKT(),
    SingularVectors(),
    MaxMarginL2(),
    MaxMarginBridge(),
    MaxMarginSchatten(),
    FiniteMargin(),
    LossRate(),
)
PREDICTIONS = {made.name: made for made in _ALL}


def applicable(problem: Problem) -> list[Prediction]:
    """The predictions whose assumptions hold for this problem, in the order of PREDICTIONS."""
    return [prediction for prediction in PREDICTIONS.values() if prediction.applies(problem)]


def forecast_of(name: str, x: ArrayLike, y: ArrayLike, **axes: Any) -> PredictionRecord:
    """What one prediction says of one run before its flow; distance is None.

    x has shape (n, d), y shape (n,). The other arguments are axes of a grid (docs/grids.md), one value each; the task
    is regression unless they say otherwise. Raises InputError where they do not make a run, where the prediction does
    not apply to it, and where it says nothing before the flow.

    >>> from kernels.theory.table import forecast_of
    >>> forecast_of("minimum_l2_norm", [[1, 2]], [1], architecture="diagonal", depth=1).beta.round(9)
    array([0.2, 0.4])
    """
    if name not in PREDICTIONS:
        raise InputError(f"prediction: {name!r} is not one of {', '.join(PREDICTIONS)}")
    problem, prediction = _written_out(x, y, {"task": "regression", **axes}), PREDICTIONS[name]
    if not prediction.applies(problem):
        others = ", ".join(each.name for each in applicable(problem)) or "none"
        raise InputError(f"prediction: {name} does not apply to this run; those that do: {others}")
    made = prediction.forecast(problem)
    if made is None:
        raise InputError(f"prediction: {name} speaks of how a flow ended; call sweep.run, which integrates it")
    return record(prediction, problem, made, None)


def _written_out(x: ArrayLike, y: ArrayLike, axes: Mapping[str, Any]) -> Problem:
    known = [axis for axis in AXES if axis != "data"]
    for axis in axes:
        if axis not in known:
            raise InputError(f"{axis}: no axis; write some of {', '.join(known)}")
    if "architecture" not in axes:
        raise InputError(f"architecture: missing; write one of {', '.join(ARCHITECTURES)}")
    if axes["task"] not in TASKS:
        raise InputError(f"task: {axes['task']!r} is not one of {', '.join(TASKS)}")
    data = canonical({"points": {"x": x, "y": y}}, axes["task"], Path())
    dataset = load(data, axes["task"])
    spec = canonicalise({**axes, "data": data}, dataset.x.shape[1])
    check_compatible(spec, dataset)
    return problem_of(spec, dataset)


def forecasts(spec: RunSpec, dataset: Dataset) -> tuple[PredictionRecord, ...]:
    """The records of every prediction that applies to a run, without its flow; distances are None."""
    return forecasts_all([(spec, dataset)])[0]


def forecasts_all(runs: Sequence[tuple[RunSpec, Dataset]]) -> list[tuple[PredictionRecord, ...]]:
    """`forecasts` of many runs, computed together."""
    problems = problems_of(runs)

    def made(prediction: Prediction, places: list[int]) -> Iterable[PredictionRecord | None]:
        some = [problems[place] for place in places]
        found = zip(some, prediction.forecast_all(some), strict=True)
        return (record(prediction, problem, forecast, None) if forecast else None for problem, forecast in found)

    return _by_problem(problems, made)


def comparisons(problems: Sequence[Problem], endpoints: Sequence[Endpoint]) -> list[tuple[PredictionRecord, ...]]:
    """The records of every prediction that applies, with its distance from where the flow ended, a tuple a problem."""

    def made(prediction: Prediction, places: list[int]) -> Iterable[PredictionRecord | None]:
        some = [problems[place] for place in places]
        return prediction.compare_all(some, prediction.forecast_all(some), [endpoints[place] for place in places])

    return _with_remaining(problems, endpoints, _by_problem(problems, made))


def _with_remaining(
    problems: Sequence[Problem], endpoints: Sequence[Endpoint], found: Sequence[tuple[PredictionRecord, ...]]
) -> list[tuple[PredictionRecord, ...]]:
    """The same records; those of exact predictions have `remaining` in their detail (kernels/theory/remaining.py)."""
    places = [place for place, records in enumerate(found) if any(each.kind == "exact" for each in records)]
    rest = dict(zip(places, remaining([problems[k] for k in places], [endpoints[k] for k in places]), strict=True))
    return [tuple(_telling(each, rest.get(place)) for each in records) for place, records in enumerate(found)]


def _telling(each: PredictionRecord, rest: float | None) -> PredictionRecord:
    if each.kind != "exact" or rest is None or not math.isfinite(rest):
        return each
    return replace(each, detail={**each.detail, "remaining": rest})


def _by_problem(
    problems: Sequence[Problem], made: Callable[[Prediction, list[int]], Iterable[PredictionRecord | None]]
) -> list[tuple[PredictionRecord, ...]]:
    """The records, a tuple a problem. `made` makes those of one prediction for all problems to which it applies."""
    found: list[list[PredictionRecord]] = [[] for _ in problems]
    for prediction in PREDICTIONS.values():
        places = [place for place, problem in enumerate(problems) if prediction.applies(problem)]
        for place, each in zip(places, made(prediction, places), strict=True):
            if each is not None:
                found[place].append(each)
    return [tuple(records) for records in found]
