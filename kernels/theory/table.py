"""Every prediction by name. A new one is a class in this folder and a line here."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from kernels.data.kinds import Dataset
from kernels.problem import Problem, problems_of
from kernels.results import PredictionRecord
from kernels.spec import RunSpec
from kernels.theory.base import Endpoint, Prediction, record
from kernels.theory.classification import LossRate, ParameterKKT, SingularVectors
from kernels.theory.max_margin import MaxMarginBridge, MaxMarginL2
from kernels.theory.regression import (
    MinimumBregman,
    MinimumL2Norm,
    MinimumQNorm,
    TwoLayerOneSample,
    WeightedL1,
    WeightedL2,
)
from kernels.theory.remaining import remaining
from kernels.theory.schatten import MaxMarginSchatten

_ALL: tuple[Prediction, ...] = (
    MinimumQNorm(),
    MinimumBregman(),
    WeightedL1(),
    WeightedL2(),
    MinimumL2Norm(),
    TwoLayerOneSample(),
    ParameterKKT(),
    SingularVectors(),
    MaxMarginL2(),
    MaxMarginBridge(),
    MaxMarginSchatten(),
    LossRate(),
)
PREDICTIONS = {made.name: made for made in _ALL}


def applicable(problem: Problem) -> list[Prediction]:
    """The predictions whose assumptions hold for this problem, in the order of PREDICTIONS."""
    return [prediction for prediction in PREDICTIONS.values() if prediction.applies(problem)]


def forecasts(spec: RunSpec, dataset: Dataset) -> tuple[PredictionRecord, ...]:
    """What theory predicts of a run without its flow; distance is None."""
    return forecasts_all([(spec, dataset)])[0]


def forecasts_all(runs: Sequence[tuple[RunSpec, Dataset]]) -> list[tuple[PredictionRecord, ...]]:
    """What theory predicts of every run without its flow; distance is None."""
    problems = problems_of(runs)

    def made(prediction: Prediction, places: list[int]) -> Iterable[PredictionRecord | None]:
        some = [problems[place] for place in places]
        found = zip(some, prediction.forecast_all(some), strict=True)
        return (record(prediction, problem, forecast, None) if forecast else None for problem, forecast in found)

    return _by_problem(problems, made)


def comparisons(problems: Sequence[Problem], endpoints: Sequence[Endpoint]) -> list[tuple[PredictionRecord, ...]]:
    """Every applicable prediction of every problem against where its flow ended."""

    def made(prediction: Prediction, places: list[int]) -> Iterable[PredictionRecord | None]:
        some = [problems[place] for place in places]
        return prediction.compare_all(some, prediction.forecast_all(some), [endpoints[place] for place in places])

    return _with_remaining(problems, endpoints, _by_problem(problems, made))


def _with_remaining(
    problems: Sequence[Problem], endpoints: Sequence[Endpoint], found: Sequence[tuple[PredictionRecord, ...]]
) -> list[tuple[PredictionRecord, ...]]:
    """The records with, in the detail of exact ones, how much of the way to its limit the stop rule left."""
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
    """The records of every prediction, made of all problems to which it applies, sorted by problem."""
    found: list[list[PredictionRecord]] = [[] for _ in problems]
    for prediction in PREDICTIONS.values():
        places = [place for place, problem in enumerate(problems) if prediction.applies(problem)]
        for place, each in zip(places, made(prediction, places), strict=True):
            if each is not None:
                found[place].append(each)
    return [tuple(records) for records in found]
