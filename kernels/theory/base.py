"""What a prediction is: when it applies, what it predicts, and how far a run ended from it. Imports no JAX."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Inexact

from kernels.problem import Problem, grouped
from kernels.results import PredictionRecord, Trajectory
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
        trajectory: the recorded orbit, for statements about it; None where none was recorded.
    """

    layers: tuple[np.ndarray, ...]
    beta: Float[np.ndarray, " d"]
    jacobian: Float[np.ndarray, "n P"]
    log_norm: float
    log_loss: float
    log_time: float
    trajectory: Trajectory | None = None


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


NOTHING = Forecast(None, None)
"""Of a statement about the endpoint alone."""

Forecasts = Sequence[Forecast | None]


class Prediction(ABC):
    """One statement of theory about where gradient flow ends; a subclass per statement, all in PREDICTIONS.

    It is made of all runs of a batch at once; of one run, it is that of a batch of one.

    Class attributes:
        name: as the store and charts have it.
        meaning: what is predicted, in words that a report can go on from.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]

    @abstractmethod
    def kind(self, problem: Problem) -> Kind:
        """Exact, or the limit in which the statement holds for this problem."""

    @abstractmethod
    def applies(self, problem: Problem) -> bool:
        """Whether the statement's assumptions hold."""

    @abstractmethod
    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        """What can be said before the flows have run; None if the statement is about the endpoint alone."""

    @abstractmethod
    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        """The distance of every endpoint from the prediction."""

    def forecast(self, problem: Problem) -> Forecast | None:
        """`forecast_all` of one problem."""
        return self.forecast_all([problem])[0]

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        """`compare_all` of one endpoint."""
        return self.compare_all([problem], [forecast], [endpoint])[0]


class RunByRun(Prediction):
    """A statement that is made of one run at a time."""

    @abstractmethod
    def forecast(self, problem: Problem) -> Forecast | None: ...

    @abstractmethod
    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord: ...

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return [self.forecast(problem) for problem in problems]

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        return [self.compare(*one) for one in zip(problems, forecasts, endpoints, strict=True)]


def coefficients_records(
    prediction: Prediction,
    problems: Sequence[Problem],
    forecasts: Forecasts,
    endpoints: Sequence[Endpoint],
    details: Sequence[Mapping[str, float] | None] | None = None,
) -> list[PredictionRecord]:
    """distance = ||beta - beta*|| / ||beta*||; ||beta|| itself where beta* = 0; None where beta* is not certified."""
    distances: list[float | None] = [None] * len(problems)
    betas = [None if forecast is None else forecast.beta for forecast in forecasts]
    for size, places in grouped(None if beta is None else len(beta) for beta in betas):
        if size is not None:
            found = _distances(np.array([betas[k] for k in places]), np.array([endpoints[k].beta for k in places]))
            for place, distance in zip(places, found.tolist(), strict=True):
                distances[place] = distance
    rows = zip(problems, forecasts, distances, details or itertools.repeat(None, len(problems)), strict=True)
    return [record(prediction, *row) for row in rows]


def _distances(wanted: Float[np.ndarray, "b d"], found: Float[np.ndarray, "b d"]) -> Float[np.ndarray, " b"]:
    sizes = np.linalg.norm(wanted, axis=1)
    return np.linalg.norm(found - wanted, axis=1) / np.where(sizes == 0, 1.0, sizes)


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
    known = forecast or NOTHING
    numbers = {**known.detail, **detail} if detail else known.detail
    return PredictionRecord(
        prediction=prediction.name,
        kind=prediction.kind(problem),
        distance=distance if distance is not None and math.isfinite(distance) else None,
        certificate=known.certificate,
        objective=known.objective if known.objective is not None and math.isfinite(known.objective) else None,
        beta=known.beta,
        detail={name: value for name, value in numbers.items() if math.isfinite(value)},
    )


def unit(vector: Inexact[np.ndarray, " k"]) -> Inexact[np.ndarray, " k"]:
    """vector / ||vector||, or the zero vector."""
    return vector / (float(np.linalg.norm(vector)) or 1.0)


def products(problem: Problem, endpoint: Endpoint) -> Inexact[np.ndarray, " m"]:
    """rho = w_1 * ... * w_L at the endpoint, of a decomposable network."""
    return products_all([problem], [endpoint])[0]


def products_all(problems: Sequence[Problem], endpoints: Sequence[Endpoint]) -> list[Inexact[np.ndarray, " m"]]:
    """rho = w_1 * ... * w_L at every endpoint, of decomposable networks."""
    found: list[Inexact[np.ndarray, " m"]] = [np.zeros(0)] * len(problems)
    for architecture, places in grouped(problem.architecture for problem in problems):
        decomposition = architecture.decomposed
        assert decomposition is not None
        layers = zip(*(endpoints[place].layers for place in places), strict=True)
        parts = zip(layers, decomposition.bases, strict=True)
        rho = math.prod(np.array(each).astype(basis.dtype) @ basis for each, basis in parts)
        for place, row in zip(places, np.asarray(rho), strict=True):
            found[place] = row
    return found


def weights(problem: Problem, endpoint: Endpoint, margins: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """w_i = p_i / p of the sample of least margin, of forces p_i = -l'(e^{La} q_i), q the normalised margins.

    e^{-e^{La} (q_i - min q)}, exact however large the exponents are, times what the loss's forces have beside it.
    """
    tail = problem.loss.tail
    assert tail is not None
    with np.errstate(over="ignore", invalid="ignore"):
        kappa = np.exp(problem.depth * endpoint.log_norm)
        beside = tail(kappa * margins) - tail(kappa * margins.min(keepdims=True))
        return np.exp(beside - kappa * (margins - margins.min()))


def relative(value: float, reference: float) -> float:
    """|value / reference - 1|."""
    return abs(ratio(value, reference) - 1)
