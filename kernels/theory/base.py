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

CERTIFIED = 1e-8
"""Largest certificate of a prediction that is compared with a run or shown as one.

Certificates are relative residuals of optimality conditions, so this is the digit to which a prediction is known. Runs
are integrated to 1e-7 by default and compared from about there on, so a prediction must be known better; optimisers
reach 1e-9 and less wherever double precision holds the answer. What is above is kept as a certificate without
coefficients or distance: it says that theory speaks of the run, and that its word could not be computed.
"""

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
    """A prediction: coefficients (a unit direction for classification) and their certificate.

    Coefficients whose certificate is above CERTIFIED, or not a number, are dropped here, whoever made them.
    """

    beta: Float[np.ndarray, " d"] | None
    certificate: float | None
    objective: float | None = None
    detail: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.certificate is not None and not self.certificate <= CERTIFIED:
            object.__setattr__(self, "beta", None)


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
    """distance = ||beta - beta*|| / ||beta*||; ||beta|| itself where beta* = 0; None where beta* is not certified."""
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
    """distance = ||beta / ||beta|| - beta* / ||beta*|| ||; None where beta* is not certified."""
    distance = None
    if forecast.beta is not None:
        distance = float(np.linalg.norm(unit(endpoint.beta) - unit(forecast.beta)))
    return record(prediction, problem, forecast, distance, detail)


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
        objective=known.objective if known.objective is not None and np.isfinite(known.objective) else None,
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
