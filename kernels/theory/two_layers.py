"""Two fully connected layers and one sample: where gradient flow of the squared loss ends, from any start."""

from collections.abc import Sequence
from typing import final

import numpy as np

from kernels.networks.fully_connected import FullyConnected
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Forecasts, Kind, Prediction, coefficients_records
from kernels.theory.optimisers.certificates import worst


@final
class TwoLayerOneSample(Prediction):
    """Two fully connected layers, one sample (x, y), any start: the limit in closed form.

    Let s = -integral r dt, omega = ||x||, p = W(0)^T x, w = w_2(0). In the clock s the flow is linear,
    d(W^T x)/ds = omega^2 w_2 and dw_2/ds = W^T x, so that f(s) = b sinh(2 omega s) + c cosh(2 omega s) with
    b = (||p||^2 + omega^2 ||w||^2) / (2 omega) and c = p.w. It ends at s = s* with f(s*) = y, where
    W = W(0) + x (w sinh(omega s) / omega + p (cosh(omega s) - 1) / omega^2)^T,
    w_2 = w cosh(omega s) + p sinh(omega s) / omega, and beta = W w_2.

    Applies: regression, fully connected, L = 2, n = 1, |c| < b.
    Kind: exact. Certificate: relative residual of x.beta = y, and of f(s*) = y computed from W^T x and w_2.
    Reference: the derivation above; for w = 0 see Yun, Krishnan, Mobahi, arXiv:2010.02501.

    x = (1, 0), W(0) = (0, 1)^T, w = 1: p = 0, omega = 1, f(s) = sinh(2 s) / 2, W = (sinh s, 1)^T and w_2 = cosh s.
    y = 15/16 is met at sinh s = 3/4, cosh s = 5/4, where beta = (15/16, 5/4):

    >>> from kernels.theory.table import forecast_of
    >>> start = {"width": 1, "init": {"layers": [[[0], [1]], [1]]}}
    >>> found = forecast_of("two_layer_one_sample", [[1, 0]], [15 / 16], architecture="fully_connected", **start)
    >>> (16 * found.beta).round(9)
    array([15., 20.])
    """

    name = "two_layer_one_sample"
    meaning = "the closed form of two fully connected layers and one sample"

    def kind(self, problem: Problem) -> Kind:
        return "exact"

    def applies(self, problem: Problem) -> bool:
        if not (problem.regression and isinstance(problem.architecture, FullyConnected)):
            return False
        if problem.depth != 2 or len(problem.dataset.y) != 1:
            return False
        b, c = _growth(problem)
        return abs(c) < b

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return [_closed_form(problem) for problem in problems]

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        return coefficients_records(self, problems, forecasts, endpoints)


def _closed_form(problem: Problem) -> Forecast:
    x, y = problem.dataset.x[0], float(problem.dataset.y[0])
    first, second = problem.layers
    omega, p = float(np.linalg.norm(x)), first.T @ x
    b, c = _growth(problem)
    # f = y is quadratic in e^{2 omega s}; of its two forms take the one without cancellation
    root = np.hypot(y, np.sqrt((b - c) * (b + c)))
    angle = 0.5 * (np.log((root + y) / (b + c)) if y >= 0 else np.log((b - c) / (root - y)))
    sinh, cosh = np.sinh(angle), np.cosh(angle)
    outer = second * (sinh / omega) + p * (2 * np.sinh(angle / 2) ** 2 / omega**2)
    last = second * cosh + p * (sinh / omega)
    beta = first @ last + x * float(outer @ last)
    fitted = float((p * cosh + second * (omega * sinh)) @ last)
    size = abs(y) or 1.0
    return Forecast(beta, worst(abs(float(x @ beta) - y) / size, abs(fitted - y) / size))


def _growth(problem: Problem) -> tuple[float, float]:
    """b and c of f(s) = b sinh(2 omega s) + c cosh(2 omega s)."""
    x = problem.dataset.x[0]
    first, second = problem.layers
    omega, p = float(np.linalg.norm(x)), first.T @ x
    return float(p @ p + omega**2 * (second @ second)) / (2 * omega), float(p @ second)
