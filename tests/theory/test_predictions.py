"""What every prediction promises, asked of each in PREDICTIONS without naming it."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kernels.networks.fully_connected import FullyConnected
from kernels.networks.table import ARCHITECTURES
from kernels.networks.tensor import Tensor
from kernels.problem import Problem
from kernels.theory.base import CERTIFIED, Endpoint, Forecast, Kind
from kernels.theory.table import PREDICTIONS, applicable
from tests.networks import named
from tests.theory.problems import classification_data, problem, regression_data

KINDS = Kind.__args__
SIZES = {"fully_connected": {"width": 9}, "odeco": {"width": 9}, "multichannel_convolutional": {"width": 2}}
NETWORKS: list[tuple[str, dict[str, Any]]] = [
    (name, {**SIZES.get(name, {}), **extra})
    for name, network in ARCHITECTURES.items()
    for extra in ([{}, {"filter": 3}] if "filter" in network.uses else [{}])
]
INITS = ("structured", "gaussian", "ordered", "orthogonal")


def draw() -> Iterator[Problem]:
    """Networks x depths x starts x tasks, where they go together, on two data sets each."""
    for name, sizes in NETWORKS:
        for depth in (1, 2, 3):
            for init in INITS:
                axes = {"architecture": named(name, 8, depth), "depth": depth, "init": init, "alpha": 0.3, **sizes}
                for samples in (1, 3):
                    try:
                        yield problem(regression_data(samples), task="regression", **axes)
                        yield problem(classification_data(samples + 1), task="classification", **axes)
                    except ValueError:
                        break


PROBLEMS = list(draw())


def endpoint(drawn: Problem) -> Endpoint:
    """Any finite point: random layers, normalised for classification, with the Jacobian of f by differences."""
    rng = np.random.default_rng(1)
    theta = rng.standard_normal(drawn.architecture.parameters)
    theta /= np.linalg.norm(theta)

    def layers(vector: np.ndarray) -> tuple[np.ndarray, ...]:
        cuts = np.cumsum([int(np.prod(shape)) for shape in drawn.architecture.shapes])[:-1]
        parts = np.split(vector, cuts)
        return tuple(part.reshape(shape) for part, shape in zip(parts, drawn.architecture.shapes, strict=True))

    def outputs(vector: np.ndarray) -> np.ndarray:
        return drawn.dataset.x @ drawn.architecture.coefficients(layers(vector))

    step = 1e-6
    columns = [
        (outputs(theta + step * unit) - outputs(theta - step * unit)) / (2 * step) for unit in np.eye(len(theta))
    ]
    beta = drawn.architecture.coefficients(layers(theta))
    return Endpoint(layers(theta), beta, np.stack(columns, axis=1), 2.0, -30.0, 25.0)


@pytest.fixture(params=PREDICTIONS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_documented(name: str) -> None:
    """The docstring states the theorem, when it applies, its kind, its certificate and where it is from."""
    text = " ".join(type(PREDICTIONS[name]).__doc__.split())
    for part in ("Applies:", "Kind:", "ertificate", "Reference:", "arXiv:"):
        assert part in text
    assert PREDICTIONS[name].name == name
    assert PREDICTIONS[name].meaning


def test_applies_to_one_task(name: str) -> None:
    tasks = {drawn.spec.task for drawn in PROBLEMS if PREDICTIONS[name].applies(drawn)}
    assert len(tasks) == 1


def test_forecasts_certify_themselves(name: str) -> None:
    prediction = PREDICTIONS[name]
    for drawn in PROBLEMS:
        if not prediction.applies(drawn):
            continue
        assert prediction.kind(drawn) in KINDS
        made = prediction.forecast(drawn)
        if made is None:
            continue
        assert made.beta is None or made.beta.shape == (drawn.architecture.dim,)
        assert made.certificate is None or made.certificate < 1e-9
        assert made.certificate is None or made.beta is not None
        again = prediction.forecast(drawn)
        np.testing.assert_equal(again.beta, made.beta)


def test_distance_is_zero_at_the_prediction(name: str) -> None:
    prediction = PREDICTIONS[name]
    for drawn in PROBLEMS:
        made = prediction.forecast(drawn) if prediction.applies(drawn) else None
        if made is None or made.beta is None:
            continue
        away = endpoint(drawn)
        at = Endpoint(away.layers, made.beta, away.jacobian, away.log_norm, away.log_loss, away.log_time)
        here, there = (prediction.compare(drawn, made, end).distance for end in (at, away))
        assert here is not None
        assert there is not None
        assert here < 1e-12 < there


def test_records_are_storable(name: str) -> None:
    """Names, kinds and numbers that JSON and the store can hold, one record a prediction."""
    prediction = PREDICTIONS[name]
    for drawn in PROBLEMS:
        if prediction.applies(drawn):
            made = prediction.compare(drawn, prediction.forecast(drawn), endpoint(drawn))
            assert (made.prediction, made.kind) == (name, prediction.kind(drawn))
            json.dumps(made.detail, allow_nan=False)
            assert all(type(value) is float for value in made.detail.values())
            for number in (made.distance, made.certificate, made.objective):
                assert number is None or (type(number) is float and np.isfinite(number))


def test_every_network_has_a_prediction() -> None:
    """Except regression on several layers, neither fully connected nor decomposed, or complex and unstructured, and
    on any tensor.
    """
    for drawn in PROBLEMS:
        names = [found.name for found in applicable(drawn)]
        assert names == [key for key in PREDICTIONS if key in names]
        decomposition = drawn.decomposition
        one_layer = drawn.depth == 1 and not isinstance(drawn.architecture, Tensor)
        solved = isinstance(drawn.architecture, FullyConnected) or one_layer or not drawn.regression
        structured = decomposition is not None and (decomposition.real or drawn.scale is not None)
        assert bool(names) == (solved or structured)


@pytest.mark.parametrize("bad", [1.0, 2e-8, float("inf"), float("nan")])
def test_nothing_is_compared_with_what_is_not_certified(name: str, bad: float) -> None:
    """Whoever makes it, coefficients with a certificate that is not small are gone; the rest of the record stays."""
    prediction = PREDICTIONS[name]
    drawn = next(each for each in PROBLEMS if prediction.applies(each))
    made = Forecast(np.ones(drawn.architecture.dim), bad, 2.0, {"known": 1.0})
    assert made.beta is None
    assert Forecast(np.ones(3), CERTIFIED).beta is not None
    if prediction.forecast(drawn) is None or drawn.depth > 2:
        return
    found = prediction.compare(drawn, made, endpoint(drawn))
    assert found.beta is None
    assert found.distance is None
    assert found.objective == 2.0
    assert found.detail["known"] == 1.0
    np.testing.assert_equal(found.certificate, bad)
