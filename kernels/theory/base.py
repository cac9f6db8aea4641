"""What a prediction is: when it applies, what it predicts, and how far a run ended from it. Imports no JAX."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Inexact

from kernels.architectures import Architecture
from kernels.datasets import Dataset
from kernels.decomposition import Decomposition
from kernels.results import PredictionRecord
from kernels.spec import RunSpec
from kernels.theory.networks import decomposition_of

Kind = Literal["exact", "limit alpha->0", "limit alpha->inf", "limit t->inf"]


@dataclass(frozen=True, eq=False)
class Problem:
    """What theory sees before the flow starts. Compared by identity, so that what is derived from it can be kept."""

    spec: RunSpec
    dataset: Dataset
    architecture: Architecture
    layers: tuple[np.ndarray, ...]
    """The layers at t = 0."""

    @property
    def regression(self) -> bool:
        return self.spec.task == "regression"

    @property
    def depth(self) -> int:
        return self.architecture.depth

    @cached_property
    def decomposition(self) -> Decomposition | None:
        """The network's orthogonal decomposition, shared by all problems of one network."""
        return decomposition_of(self.architecture)

    @cached_property
    def coordinates(self) -> Inexact[np.ndarray, "L m"] | None:
        """w_l(0) = U_l^T v_l(0), one row a layer; None without a decomposition."""
        return None if self.decomposition is None else np.array(self.decomposition.transform(self.layers))

    @cached_property
    def scale(self) -> Float[np.ndarray, " m"] | None:
        """c_j = alpha |eta_j| of the structured initialisation: |w_l(0)| = c > 0 for l < L, w_L(0) = 0; else None.

        Signs of the hidden w_l are no matter: rho = w_1 ... w_L runs over the same curve. Complex w_l must be real.
        """
        w = self.coordinates
        if w is None or len(w) < 2:
            return None
        c = np.abs(w[0])
        hidden = np.abs(np.abs(w[:-1]) - c) <= 1e-10 * c
        real = not np.iscomplexobj(w) or bool((np.abs(w.imag) <= 1e-10 * c).all())
        structured = c.min() > 0 and hidden.all() and real and bool((np.abs(w[-1]) <= 1e-12 * c).all())
        return c if structured else None


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
