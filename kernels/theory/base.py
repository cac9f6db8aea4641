"""What a prediction is: when it applies, what it predicts, and how far a run ended from it. Imports no JAX."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Inexact

from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.optimisers.certificates import ratio

Kind = Literal["exact", "limit alpha->0", "limit alpha->inf", "limit t->inf"]


@dataclass(frozen=True)
class Endpoint:
    """Where the flow ended. For classification everything is of the normalised parameters Theta / ||Theta||.

    Attributes:
        layers: final parameters, one array a layer.
        beta: final linear coefficients.
        jacobian: d f(x_i) / d Theta at `layers`, layers flattened (C order) and concatenated.
        log_norm: log ||Theta|| (before normalising).
        log_loss, log_time: as in RunResult.
    """

    layers: tuple[np.ndarray, ...]
    beta: Float[np.ndarray, " d"]
    jacobian: Float[np.ndarray, "n P"]
    log_norm: float
    log_loss: float
    log_time: float


@dataclass(frozen=True)
class Forecast:
    """A prediction made before the flow: coefficients (a unit direction for classification) and their certificate."""

    beta: Float[np.ndarray, " d"] | None
    certificate: float | None
    objective: float | None = None
    detail: dict[str, float] = field(default_factory=dict)


class Prediction(ABC):
    """One statement of theory about where gradient flow ends; a subclass per statement, all in PREDICTIONS."""

    name: ClassVar[str]

    @abstractmethod
    def kind(self, problem: Problem) -> Kind:
        """Exact, or the limit in which the statement holds for this problem."""

    @abstractmethod
    def applies(self, problem: Problem) -> bool:
        """Whether the statement's assumptions hold."""

    @abstractmethod
    def forecast(self, problem: Problem) -> Forecast | None:
        """What can be said before the flow has run; None if the statement is about the endpoint alone."""

    @abstractmethod
    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        """The distance of the endpoint from the prediction."""


def coefficients_record(
    prediction: Prediction,
    problem: Problem,
    forecast: Forecast | None,
    endpoint: Endpoint,
    detail: Mapping[str, float] | None = None,
) -> PredictionRecord:
    """distance = ||beta - beta*|| / ||beta*||; ||beta|| itself where beta* = 0."""
    distance = None
    if forecast is not None and forecast.beta is not None:
        size = float(np.linalg.norm(forecast.beta))
        distance = float(np.linalg.norm(endpoint.beta - forecast.beta)) / (size or 1.0)
    return record(prediction, problem, forecast, distance, detail)


def direction_record(
    prediction: Prediction,
    problem: Problem,
    forecast: Forecast,
    endpoint: Endpoint,
    detail: Mapping[str, float] | None = None,
) -> PredictionRecord:
    """distance = ||beta / ||beta|| - beta* / ||beta*|| ||."""
    assert forecast.beta is not None
    difference = unit(endpoint.beta) - unit(forecast.beta)
    return record(prediction, problem, forecast, float(np.linalg.norm(difference)), detail)


def record(
    prediction: Prediction,
    problem: Problem,
    forecast: Forecast | None,
    distance: float | None,
    detail: Mapping[str, float] | None = None,
) -> PredictionRecord:
    """The record; numbers that are not finite are left out, as JSON cannot hold them."""
    numbers = {**(forecast.detail if forecast else {}), **(detail or {})}
    known = forecast or Forecast(None, None)
    return PredictionRecord(
        prediction=prediction.name,
        kind=prediction.kind(problem),
        distance=distance if distance is not None and np.isfinite(distance) else None,
        certificate=known.certificate,
        objective=known.objective,
        beta=known.beta,
        detail={name: value for name, value in numbers.items() if np.isfinite(value)},
    )


def unit(vector: Inexact[np.ndarray, " k"]) -> Inexact[np.ndarray, " k"]:
    """vector / ||vector||, or the zero vector."""
    return vector / (float(np.linalg.norm(vector)) or 1.0)


def products(problem: Problem, endpoint: Endpoint) -> Inexact[np.ndarray, " m"]:
    """rho = w_1 * ... * w_L at the endpoint, of a decomposable network."""
    assert problem.decomposition is not None
    return np.prod(problem.decomposition.transform(endpoint.layers), axis=0)


def weights(endpoint: Endpoint, margins: Float[np.ndarray, " n"], depth: int) -> Float[np.ndarray, " n"]:
    """w_i = p_i / max p of the loss weights p = softmax(-e^{La} q), q the margins of the normalised parameters."""
    with np.errstate(over="ignore"):
        return np.exp(-np.exp(depth * endpoint.log_norm) * (margins - margins.min()))


def relative(value: float, reference: float) -> float:
    """|value / reference - 1|."""
    return abs(ratio(value, reference) - 1)
