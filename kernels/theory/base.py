"""What a prediction is: when it applies, what it predicts, and how far a run ended from it. Imports no JAX."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from kernels.architectures import Architecture
from kernels.datasets import Dataset
from kernels.results import PredictionRecord
from kernels.spec import RunSpec

Kind = Literal["exact", "limit alpha->0", "limit alpha->inf", "limit t->inf"]


@dataclass(frozen=True)
class Problem:
    """What theory sees before the flow starts."""

    spec: RunSpec
    dataset: Dataset
    architecture: Architecture
    layers: tuple[np.ndarray, ...]
    """The layers at t = 0."""


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
