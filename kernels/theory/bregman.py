"""Exact limits of regression on orthogonally decomposable networks: the Bregman divergence that the flow minimises."""

from dataclasses import replace
from functools import lru_cache
from typing import final

import numpy as np

from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Kind, Prediction, Problem
from kernels.theory.certificates import optimality
from kernels.theory.compare import coefficients_record
from kernels.theory.curves import GeneralCurve, StructuredCurve
from kernels.theory.separable import REACHED, Minimum, minimise
from kernels.theory.systems import System, fold, system

USABLE = 1e-8
"""With a larger residual no coefficients are predicted."""


@final
class MinimumQNorm(Prediction):
    """The regression theorem: rho* = argmin Q(rho) subject to A rho = y, for every scale alpha.

    beta = S^T rho*, A = X S^T, Q(rho) = alpha^2 sum_j eta_j^2 H_L(rho_j / (alpha |eta_j|)^L), H_L' = h_L^{-1}, and
    h_L(nu) = q (1 + q^2)^{(L-1)/2} with q(0) = 0, dq/dnu = (1 + q^2)^{(L-1)/2}: h_2 = sinh(2 nu) / 2,
    h_3 = tan sec^2, h_4 = nu / (1 - nu^2)^2.

    Applies: regression, L >= 2, start w_l(0) = alpha eta for l < L and w_L(0) = 0, and a real orthogonal decomposition,
    or a complex one if all inputs are parallel (see System; beyond the paper).
    Kind: exact. Certificate: residual of A rho = y and of Q'(rho) in the row space of A, relative.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the regression theorem.
    """

    name = "minimum_q_norm"

    def kind(self, problem: Problem) -> Kind:
        return "exact"

    def applies(self, problem: Problem) -> bool:
        return problem.regression and problem.scale is not None and system(problem) is not None

    def forecast(self, problem: Problem) -> Forecast | None:
        return _forecast(problem)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        return coefficients_record(self, problem, forecast, endpoint)


@final
class MinimumBregman(Prediction):
    """From any start: rho* = argmin sum_j D_j(rho_j) subject to A rho = y, with D_j' = nu_j(rho_j).

    dw_l/dt = -[A^T r]_j prod_{k != l} w_k keeps coordinate j on the curve dw_l/dnu = prod_{k != l} w_k through w_j(0),
    at nu_j = [A^T lambda(t)]_j; along it rho_j increases, since drho/dnu = sum_l prod_{k != l} w_k^2.
    D is the Bregman divergence of that potential from rho(0); minimum_q_norm is the case w_L(0) = 0.

    Applies: regression, real orthogonal decomposition (or as minimum_q_norm), at most one w_l(0) = 0 in a coordinate.
    Kind: exact. Certificate: residual of A rho = y and of D'(rho) in the row space of A, relative.
    Reference: the argument above, beyond Yun, Krishnan, Mobahi, arXiv:2010.02501; for L = 2 see Woodworth et al.,
    arXiv:2002.09277.
    """

    name = "minimum_bregman"

    def kind(self, problem: Problem) -> Kind:
        return "exact"

    def applies(self, problem: Problem) -> bool:
        w = problem.coordinates
        if not problem.regression or w is None or system(problem) is None:
            return False
        return problem.scale is not None or (not np.iscomplexobj(w) and bool(((w == 0).sum(axis=0) <= 1).all()))

    def forecast(self, problem: Problem) -> Forecast | None:
        return _forecast(problem)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        return coefficients_record(self, problem, forecast, endpoint)


@lru_cache(maxsize=4)
def _forecast(problem: Problem) -> Forecast:
    constraint = system(problem)
    assert constraint is not None
    minimum = _minimum(problem, constraint)
    beta = constraint.coefficients(minimum.rho) if minimum.residual <= USABLE else None
    detail = {"newton_steps": float(minimum.steps), "converged": float(minimum.residual <= REACHED)}
    return Forecast(beta, minimum.residual, minimum.objective, detail)


def _minimum(problem: Problem, constraint: System) -> Minimum:
    w = problem.coordinates
    assert w is not None
    if problem.depth == 1:
        return _nearest(constraint, w[0])
    if problem.scale is None:
        return minimise(GeneralCurve(w), constraint.rows, constraint.target)
    folded = fold(constraint, problem.scale)
    curve = StructuredCurve(folded.c, problem.depth, folded.copies)
    minimum = minimise(curve, folded.rows, constraint.target)
    return replace(minimum, rho=folded.unfold(minimum.rho))


def _nearest(constraint: System, start: np.ndarray) -> Minimum:
    """L = 1, D = |rho - rho(0)|^2 / 2: the orthogonal projection of the start."""
    rows, target = constraint.rows, constraint.target
    change = rows.T @ (target - rows @ start)
    rho = start + change
    return Minimum(rho, float(change @ change) / 2, optimality(rows, target, rho, change), 0)
