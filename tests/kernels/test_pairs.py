"""Every architecture with every prediction that can apply to it: the flow meets the prediction, and only where it must.

The pairs come from the registries: an architecture is taken through the rules below, a prediction needs a rule.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.networks.table import ARCHITECTURES
from kernels.results import PredictionRecord, RunResult
from kernels.room import compile_key
from kernels.simulate import Run, simulate
from kernels.spec import InputError
from kernels.theory.table import PREDICTIONS
from tests.kernels.conftest import spec_of
from tests.networks import named
from tests.theory.problems import problem, regression_data
from tests.theory.test_predictions import PROBLEMS

Axes = dict[str, Any]
Pair = tuple[str, str]
Place = tuple[Dataset, Axes]

REGRESSION, ONE_SAMPLE = regression_data(2, 8, 4), regression_data(1, 8, 4)
LEAST, MORE = regression_data(1, 8, 5).x[0], regression_data(1, 8, 6).x[0]
MIXED = np.random.default_rng(7).standard_normal((8, 9))
CLASSES = Dataset("classes", np.array([LEAST, -3 * LEAST - 0.5 * MORE]), np.array([1.0, -1.0]))
"""For L = 2 coordinates die like (-log Loss)^(dual - 1): one sample supports, and duals are at most 1/2 for every
network here. Of several, the one that enters last may come later than any loss that can be reached."""

ONE_CLASS = Dataset("one-class", LEAST[None], np.array([1.0]))

SIZES: dict[str, Axes] = {"fully_connected": {"width": 9}, "multichannel_convolutional": {"width": 2}}
LATE: Axes = {"alpha": 0.01, "stop": {"log_loss": -1e8}}
"""Near t = infinity."""
EARLY: Axes = {"alpha": 0.5, "stop": {"log_loss": -2.0}}
"""Far from it."""


@dataclass(frozen=True)
class Rule:
    """How one prediction is met and missed.

    Attributes:
        places: data and axes, of which the first to which the statement applies is taken.
        met: further axes; each of these runs must meet the prediction.
        tolerance: largest distance there, and what justifies it.
        missed: axes of a run outside the assumptions.
        gap: least distance there.
    """

    places: tuple[Place, ...]
    met: tuple[Axes, ...]
    tolerance: float
    missed: Axes
    gap: float


FIRST_LAYER: Axes = {"init": {"layers": [MIXED.tolist(), [0.0] * 9]}}
"""Of two fully connected layers, the second zero: structured in the singular basis of one sample, at no scale exact."""
STRUCTURED: tuple[Place, ...] = (
    *((data, {"init": "structured"}) for data in (REGRESSION, ONE_SAMPLE)),
    (ONE_SAMPLE, FIRST_LAYER),
)
ENDLESS = tuple((CLASSES, {"init": init}) for init in ("ordered", "gaussian"))
ONE_LAYER: Axes = {"depth": 1, "init": "gaussian"}
EXACT = 1e-5
"""What rtol 1e-7 promises of exact statements, at every scale. From another start the limit is another one."""

RULES = {
    "minimum_q_norm": Rule(STRUCTURED, ({"alpha": 0.05}, {"alpha": 1.0}), EXACT, {"init": "gaussian"}, 1e-2),
    "minimum_bregman": Rule(
        ((REGRESSION, {"init": "gaussian"}), *STRUCTURED, (ONE_SAMPLE, {"init": "gaussian"})),
        ({"alpha": 0.1}, {"alpha": 1.0, "seed": 1}),
        EXACT,
        {"init": "gaussian", "seed": 2},
        1e-2,
    ),
    # the minimum Q norm itself is 1.1e-2 from the least sum at this alpha for L = 2, and 6e-6 for L = 3
    "weighted_l1": Rule(
        (*STRUCTURED, (ONE_SAMPLE, {"init": "gaussian"})), ({"alpha": 1e-4},), 1.5e-2, {"alpha": 10.0}, 0.1
    ),
    # the same end
    "saddle_sequence": Rule(
        (*STRUCTURED, (ONE_SAMPLE, {"init": "gaussian"})), ({"alpha": 1e-4},), 1.5e-2, {"alpha": 10.0}, 0.1
    ),
    # corrections are of order alpha^{-2L}
    "weighted_l2": Rule(STRUCTURED, ({"alpha": 30.0},), EXACT, {"alpha": 1e-2}, 0.1),
    # exact from orthogonal layers; one layer from alpha keeps the part of its start outside the row space
    "minimum_l2_norm": Rule(
        ((REGRESSION, {"init": "orthogonal"}), (REGRESSION, ONE_LAYER)),
        ({"alpha": 1e-6},),
        EXACT,
        {"init": "gaussian", "alpha": 1.0},
        1e-2,
    ),
    "two_layer_one_sample": Rule(
        ((ONE_SAMPLE, {"depth": 2, "init": "gaussian"}),),
        ({"alpha": 0.1}, {"alpha": 1.0, "seed": 1}),
        EXACT,
        {"seed": 2},
        1e-2,
    ),
    "balanced": Rule(
        ((REGRESSION, {"init": "balanced"}),),
        ({"alpha": 1e-3}, {"alpha": 1.0, "seed": 1}),
        EXACT,
        {"init": "gaussian", "seed": 2},
        1e-2,
    ),
    # powers of 1 / -log Loss = 1e-8, or of its logarithm
    "parameter_kkt": Rule(ENDLESS, (LATE,), 1e-2, EARLY, 0.1),
    "singular_vectors": Rule(ENDLESS, (LATE,), 1e-3, EARLY, 1e-2),
    "max_margin_l2": Rule((*ENDLESS, (CLASSES, ONE_LAYER)), (LATE,), 1e-2, EARLY, 0.1),
    "max_margin_bridge": Rule((*ENDLESS, (ONE_CLASS, {"init": "gaussian"})), (LATE,), 1e-2, EARLY, 0.1),
    "max_margin_schatten": Rule(ENDLESS, (LATE,), 1e-2, EARLY, 0.1),
    "loss_rate": Rule(ENDLESS, (LATE,), 1e-2, EARLY, 0.1),
}


OF_ORBITS = {"finite_margin", "lasso_path"}
"""Statements about recorded points: tests/theory/test_along.py."""


def place_of(architecture: str, prediction: str, depth: int) -> Place | None:
    """The first data and axes of the rule to which the statement applies for this network."""
    rule = RULES[prediction]
    for data, axes in rule.places:
        task = "classification" if data in (CLASSES, ONE_CLASS) else "regression"
        whole = {"task": task, **SIZES.get(architecture, {}), "depth": depth, **axes}
        whole["architecture"] = named(architecture, 8, whole["depth"])
        try:
            drawn = problem(data, **{**whole, **rule.met[0]})
        except InputError:
            continue
        if PREDICTIONS[prediction].applies(drawn):
            return data, {**whole, "record": False}
    return None


PAIRS = {
    (architecture, prediction): place
    for architecture in ARCHITECTURES
    for prediction in RULES
    if (place := place_of(architecture, prediction, 2)) is not None
}
DEEPER = {pair: place for pair in PAIRS if (place := place_of(*pair, 3)) is not None and place[1]["depth"] == 3}
CHEAP = ("diagonal",)
"""Its programs for two layers are compiled by default, one a task; everything else is slow."""


def runs_of(pair: Pair, place: Place) -> list[Run]:
    """The runs that must meet the prediction, then the one that must miss it."""
    rule, (data, axes) = RULES[pair[1]], place
    return [(spec_of(data, **{**axes, **more}), data) for more in (*rule.met, {**rule.met[-1], **rule.missed})]


def key_of(run: Run) -> tuple[Any, ...]:
    return compile_key(run[0], run[1].x.shape[1], run[1].x.shape[0])


@cache
def results(key: tuple[Any, ...]) -> dict[str, RunResult]:
    """All runs of one program in one batch, by identity."""
    table = [runs_of(pair, place) for places in (PAIRS, DEEPER) for pair, place in places.items()]
    runs = {run[0].run_id: run for runs in table for run in runs if key_of(run) == key}
    return dict(zip(runs, simulate(list(runs.values())), strict=True))


def record_of(result: RunResult, prediction: str) -> PredictionRecord | None:
    return next((record for record in result.predictions if record.prediction == prediction), None)


def check(pair: Pair, place: Place, missed: bool) -> None:
    prediction, rule = pair[1], RULES[pair[1]]
    runs = runs_of(pair, place)
    *met, other = (results(key_of(run))[run[0].run_id] for run in runs)
    expected = None
    for result in met:
        expected = record_of(result, prediction)
        assert result.status == "converged"
        assert expected is not None
        assert expected.distance is not None
        assert expected.distance <= rule.tolerance
    if missed:
        assert expected is not None
        found = record_of(other, prediction)
        if expected.kind != "exact" and found is not None:
            # a loss rate is not defined before a margin is
            assert found.distance is None or found.distance >= rule.gap
        else:
            assert expected.beta is not None
            assert np.linalg.norm(other.beta - expected.beta) >= rule.gap * np.linalg.norm(expected.beta)


def marked(pair: Pair) -> Any:
    data = PAIRS[pair][0]
    cheap = pair[0] in CHEAP and PAIRS[pair][1]["depth"] == 2 and data is not ONE_SAMPLE
    return pytest.param(pair, id="-".join(pair), marks=[] if cheap else [pytest.mark.slow])


@pytest.mark.slow
@pytest.mark.parametrize("pair", [marked(pair) for pair in PAIRS])
def test_the_flow_meets_the_prediction_where_its_assumptions_hold(pair: Pair) -> None:
    check(pair, PAIRS[pair], missed=True)


@pytest.mark.slow
@pytest.mark.parametrize("pair", DEEPER, ids="-".join)
def test_three_layers_meet_the_prediction(pair: Pair) -> None:
    check(pair, DEEPER[pair], missed=False)


def test_every_pair_is_tested() -> None:
    """An architecture or a prediction that is added without a case of its own ends here."""
    assert set(RULES) | OF_ORBITS == set(PREDICTIONS)
    applying = {
        (drawn.spec.architecture_name, name)
        for drawn in PROBLEMS
        for name, prediction in PREDICTIONS.items()
        if name not in OF_ORBITS and prediction.applies(drawn)
    }
    assert {architecture for architecture, _ in PAIRS} == set(ARCHITECTURES)
    assert set(PAIRS) == applying
