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

A certificate is the relative residual of optimality conditions, so that it says to which digit a prediction is known.
Runs are integrated to 1e-7 by default, so that a prediction must be known better than that; optimisers reach 1e-9 and
less wherever double precision holds the answer. A prediction with a larger certificate is stored without coefficients
and distance: it says that the prediction applies to the run, but could not be computed.
"""

Kind = Literal["exact", "limit alpha->0", "limit alpha->inf", "limit t->inf"]


@dataclass(frozen=True)
class Endpoint:
    """Where the flow ended; for classification at the normalised parameters Theta / ||Theta||.

    Attributes:
        layers: final parameters, one array a layer.
        beta: final linear coefficients, shape (d,).
        jacobian: d f(x_i) / d Theta at `layers`, layers flattened (C order) and concatenated, shape (n, P).
        log_norm: log ||Theta|| before it was normalised.
        log_loss, log_time: as in RunResult.
        trajectory: the recorded orbit, for predictions about it; None where none was recorded.
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
    """What a prediction says: coefficients (a unit direction for classification) and their certificate.

    Coefficients whose certificate is above CERTIFIED, or not a number, are dropped here, so that no prediction can
    forget to.
    """

    beta: Float[np.ndarray, " d"] | None
    certificate: float | None
    objective: float | None = None
    detail: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.certificate is not None and not self.certificate <= CERTIFIED:
            object.__setattr__(self, "beta", None)


NOTHING = Forecast(None, None)
"""The forecast of a prediction that says nothing before the flow has run."""

Forecasts = Sequence[Forecast | None]


class Prediction(ABC):
    """One statement of theory about where gradient flow ends; a subclass for each statement, all in PREDICTIONS.

    Predictions are made for all runs of a batch at once, because runs share much of the work.

    Class attributes:
        name: the name in the store and in charts.
        meaning: what is predicted, as a phrase that a report's sentence can continue with.
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
        """What can be said before the flows have run, one a problem; None if nothing can."""

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
    """A prediction that is made for one run at a time."""

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
    """The records, with distance = ||beta - beta*|| / ||beta*||, beta* being the prediction.

    The distance is ||beta|| itself where beta* = 0, and None where beta* is not certified.
    """
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
    """The record, with distance = ||beta / ||beta|| - beta* / ||beta*|| ||; None where beta* is not certified."""
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
    """The record of a prediction; numbers that are not finite are left out, because JSON cannot hold them."""
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


def products_all(problems: Sequence[Problem], endpoints: Sequence[Endpoint]) -> list[Inexact[np.ndarray, " m"]]:
    """rho = w_1 * ... * w_L at each endpoint of a decomposable network, shape (m,)."""
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
    """p_i / p_k, shape (n,): forces p_i = -l'(e^{La} q_i) over that of the sample k of least margin, a = log ||Theta||.

    They are e^{-e^{La} (q_i - min q)}, exact however large the exponents are, times the ratio of p_i e^{e^{La} q_i},
    which is 1 for the exponential loss (`Loss.tail`).

    Args:
        margins: q, the normalised margins, shape (n,).
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
