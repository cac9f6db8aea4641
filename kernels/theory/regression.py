"""Where gradient flow of the squared loss ends: exactly, or in a limit of the scale of the initialisation."""

from dataclasses import replace
from functools import lru_cache
from typing import final

import numpy as np
from jaxtyping import Float

from kernels.networks.fully_connected import FullyConnected
from kernels.networks.keys import one_layer_isometry
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Kind, Prediction, coefficients_record, products
from kernels.theory.optimisers.certificates import optimality, worst
from kernels.theory.optimisers.curves import GeneralCurve, StructuredCurve
from kernels.theory.optimisers.separable import REACHED, Minimum, minimise
from kernels.theory.systems import System, fold, minimum_norm, system, weighted_l1, weighted_l2

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


@final
class WeightedL1(Prediction):
    """As alpha -> 0 the limit tends to min sum_j |rho_j| |eta_j|^{2-L} subject to A rho = y; unweighted for L = 2.

    A linear program; where its solution is not unique, detail's objective_reached is the fair comparison.
    Applies: as minimum_q_norm. Complex decompositions only with parallel inputs: with others the flow of moduli has no
    potential, and integrations (d = 5 and 8, L = 2 and 3, alpha to 1e-4) end up to 20 % and more above the least sum.
    Kind: limit alpha->0; rates differ between L = 2 and L >= 3 (Matt and Stoeger, arXiv:2506.01143).
    Certificate: duality gap, feasibility of rho and of its multipliers, relative.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the regression theorem.
    """

    name = "weighted_l1"

    def kind(self, problem: Problem) -> Kind:
        return "limit alpha->0"

    def applies(self, problem: Problem) -> bool:
        return problem.regression and problem.scale is not None and system(problem) is not None

    def forecast(self, problem: Problem) -> Forecast | None:
        constraint = system(problem)
        assert constraint is not None
        found = weighted_l1(constraint, _eta(problem) ** (2 - problem.depth))
        return Forecast(constraint.coefficients(np.real(found.rho)), found.certificate, found.objective)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        value = float(_eta(problem) ** (2 - problem.depth) @ np.abs(products(problem, endpoint)))
        return coefficients_record(self, problem, forecast, endpoint, {"objective_reached": value})


@final
class WeightedL2(Prediction):
    """As alpha -> infinity the limit tends to min sum_j |rho_j|^2 |eta_j|^{2-2L} subject to A rho = y.

    The network then stays linear about its start, where only the zero layer moves: dw_L/dt = -(conj(S) X^T r) c^{L-1}.
    Applies: regression, L >= 2, structured start, any orthogonal decomposition, real or complex.
    Kind: limit alpha->inf. Certificate: residual of A rho = y and of the gradient in the row space of A, relative.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the regression theorem.
    """

    name = "weighted_l2"

    def kind(self, problem: Problem) -> Kind:
        return "limit alpha->inf"

    def applies(self, problem: Problem) -> bool:
        return problem.regression and problem.scale is not None

    def forecast(self, problem: Problem) -> Forecast | None:
        assert problem.decomposition is not None
        found = weighted_l2(problem, _eta(problem) ** (2 - 2 * problem.depth))
        beta = np.real(problem.decomposition.s.T @ found.rho)
        return Forecast(beta, found.certificate, found.objective)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        value = float(_eta(problem) ** (2 - 2 * problem.depth) @ np.abs(products(problem, endpoint)) ** 2)
        return coefficients_record(self, problem, forecast, endpoint, {"objective_reached": value})


@final
class MinimumL2Norm(Prediction):
    """The limit is min ||beta|| subject to X beta = y.

    Fully connected, from W_l(0) W_l(0)^T = a_l^2 I for l < L and w_L(0) = 0, at every scale: beta never leaves the row
    space of X. From any other start with at most one zero layer, as alpha -> 0. One layer with beta = v up to rotation,
    any architecture: at every scale from v(0) = 0, since v never leaves the row space, else as alpha -> 0.

    Applies: regression, fully connected networks, and one-layer networks that are isometries up to a factor.
    Kind: exact or limit alpha->0, as above. Certificate: residual of X beta = y and of beta in the row space of X.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the result on fully connected networks.
    """

    name = "minimum_l2_norm"

    def kind(self, problem: Problem) -> Kind:
        return "exact" if _zero(problem.layers[-1]) and _orthogonal(problem.layers[:-1]) else "limit alpha->0"

    def applies(self, problem: Problem) -> bool:
        if not problem.regression:
            return False
        connected = isinstance(problem.architecture, FullyConnected)
        moves = sum(_zero(layer) for layer in problem.layers) <= 1
        return (connected and moves) or one_layer_isometry(problem.architecture)

    def forecast(self, problem: Problem) -> Forecast | None:
        found = minimum_norm(problem.dataset)
        return Forecast(np.real(found.rho), found.certificate, found.objective)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        value = float(np.linalg.norm(endpoint.beta))
        return coefficients_record(self, problem, forecast, endpoint, {"objective_reached": value})


@final
class TwoLayerOneSample(Prediction):
    """Two fully connected layers, one sample (x, y), any start: the limit in closed form.

    With s = -integral r dt, omega = ||x||, p = W(0)^T x, w = w_2(0): d(W^T x)/ds = omega^2 w_2 and dw_2/ds = W^T x, so
    f(s) = b sinh(2 omega s) + c cosh(2 omega s), b = (||p||^2 + omega^2 ||w||^2) / (2 omega), c = p.w, f(s*) = y,
    W = W(0) + x (w sinh(omega s) / omega + p (cosh(omega s) - 1) / omega^2)^T,
    w_2 = w cosh(omega s) + p sinh(omega s) / omega, and beta = W w_2.

    Applies: regression, fully connected, L = 2, n = 1, |c| < b.
    Kind: exact. Certificate: relative residual of x.beta = y, and of f(s*) = y by a second route, W^T x and w_2.
    Reference: a linear flow in the clock s; the case w = 0 is of Yun, Krishnan, Mobahi, arXiv:2010.02501's kind.
    """

    name = "two_layer_one_sample"

    def kind(self, problem: Problem) -> Kind:
        return "exact"

    def applies(self, problem: Problem) -> bool:
        connected = isinstance(problem.architecture, FullyConnected)
        if not (problem.regression and connected and problem.depth == 2 and len(problem.dataset.y) == 1):
            return False
        b, c = _growth(problem)
        return abs(c) < b

    def forecast(self, problem: Problem) -> Forecast | None:
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


def _growth(problem: Problem) -> tuple[float, float]:
    """b and c of f(s) = b sinh(2 omega s) + c cosh(2 omega s)."""
    x = problem.dataset.x[0]
    first, second = problem.layers
    omega, p = float(np.linalg.norm(x)), first.T @ x
    return float(p @ p + omega**2 * (second @ second)) / (2 * omega), float(p @ second)


def _eta(problem: Problem) -> Float[np.ndarray, " m"]:
    """eta of w_l(0) = alpha eta to 12 digits, so that it is the same, bit for bit, at every alpha."""
    assert problem.scale is not None
    mantissa, exponent = np.frexp(problem.scale / problem.spec.alpha)
    return np.ldexp(np.round(mantissa, 12), exponent)


def _zero(layer: np.ndarray) -> bool:
    return not np.any(layer)


def _orthogonal(layers: tuple[np.ndarray, ...]) -> bool:
    """Whether every W W^T is a positive multiple of the identity."""
    grams = [layer @ layer.T for layer in layers]
    return all(
        gram[0, 0] > 0 and np.abs(gram - gram[0, 0] * np.eye(len(gram))).max() <= 1e-10 * gram[0, 0] for gram in grams
    )
