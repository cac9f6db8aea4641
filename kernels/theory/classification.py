"""Where gradient flow on separable data with exponential loss goes: statements of the endpoint, and directions of
maximal margin, l2 for fully connected networks, ||rho||_{2/L} for decomposable ones.
"""

from functools import lru_cache
from typing import final

import numpy as np
from jaxtyping import Float, Inexact
from scipy.optimize import nnls

from kernels.data.kinds import Dataset
from kernels.networks.fully_connected import FullyConnected
from kernels.networks.keys import Key, decomposition_by_key, key, one_layer_isometry
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Kind, Prediction, direction_record, products, record, unit, weights
from kernels.theory.optimisers.certificates import ratio
from kernels.theory.optimisers.margins import Margin, best_known, least_euclidean, least_norm, least_sum, quasi_norm

ACTIVE = 2.0**-52
"""Samples whose share of the loss is at least this part of the largest are active: their margins differ from the
least by at most 36 e^{-L log ||Theta||}, and they still move the parameters in double precision."""


@final
class ParameterKKT(Prediction):
    """Theta / ||Theta|| tends to a KKT point of min 1/2 ||Theta||^2 subject to y_i f(x_i; Theta) >= 1.

    distance: min over mu >= 0 on the active samples of ||u - sum_i mu_i y_i grad f_i(u)||, u = Theta / ||Theta||, by
    non-negative least squares. detail: complementarity, sum mu_i (q_i / min q - 1) / sum mu_i, and active_samples.
    Active are samples with a share of the loss that double precision can see: at -log Loss = 1e6 their margins agree
    to 4e-5.

    Applies: classification, every network. Kind: limit t->infinity. No certificate: there is no predicted point.
    Reference: Lyu and Li, arXiv:1906.05890.
    """

    name = "parameter_kkt"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        return not problem.regression

    def forecast(self, problem: Problem) -> Forecast | None:
        return None

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        margins = _margins(problem, endpoint)
        active = weights(endpoint, margins, problem.depth) >= ACTIVE
        theta = unit(np.concatenate([np.ravel(layer) for layer in endpoint.layers]))
        gradients = (problem.dataset.y[:, None] * endpoint.jacobian)[active].T
        mu, residual = nonnegative(gradients, theta)
        slack = margins[active] / margins.min() - 1
        detail = {
            "complementarity": ratio(float(mu @ np.abs(slack)), float(mu.sum())),
            "active_samples": float(active.sum()),
        }
        return record(self, problem, forecast, residual, detail)


@final
class SingularVectors(Prediction):
    """Each layer aligns with the data tensor contracted with the others, v_l / ||v_l|| -> -grad_{v_l} Loss, normed.

    distance: max over l of 1 - |cos(v_l, grad_{v_l} Loss)|. For fully connected networks of L >= 2 detail has
    singular_ratio, the largest second / first singular value of W_1 ... W_{L-1}, and adjacent_alignment, the least
    |cos| between the right singular vector of a layer and the left one of the next.

    Applies: classification, every network. Kind: limit t->infinity. No certificate: there is no predicted point.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the result on singular vectors of the data tensor; for matrices
    Ji and Telgarsky, arXiv:1810.02032.
    """

    name = "singular_vectors"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        return not problem.regression

    def forecast(self, problem: Problem) -> Forecast | None:
        return None

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        share = weights(endpoint, _margins(problem, endpoint), problem.depth)
        gradient = (share * problem.dataset.y) @ endpoint.jacobian
        cuts = np.cumsum([layer.size for layer in endpoint.layers])[:-1]
        pairs = zip(endpoint.layers, np.split(gradient, cuts), strict=True)
        worst = max(_misalignment(np.ravel(layer), slope) for layer, slope in pairs)
        matrices = isinstance(problem.architecture, FullyConnected) and problem.depth > 1
        return record(self, problem, forecast, worst, _singular(endpoint.layers) if matrices else None)


@final
class LossRate(Prediction):
    """Loss t (log t)^{2 - 2/L} -> 1 / (L^2 gammabar^{2/L}), gammabar = lim min_i y_i f(x_i) / ||Theta||^L.

    In logarithms, so that t = e^(1e8) is no matter. gammabar is the endpoint's. distance: |value / predicted - 1|.
    Where margins of support vectors still part, or samples enter the support, corrections are of order 1 / log t and
    log log t / log t.

    Applies: classification, every network. Kind: limit t->infinity. No certificate: gammabar is measured.
    Reference: Lyu and Li, arXiv:1906.05890, the rate of loss; the constant follows from d log Loss / dt there.
    """

    name = "loss_rate"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        return not problem.regression

    def forecast(self, problem: Problem) -> Forecast | None:
        return None

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        order, least = problem.depth, float(_margins(problem, endpoint).min())
        if not (least > 0 and endpoint.log_time > 1):
            return record(self, problem, forecast, None)
        predicted = -2 * np.log(order) - 2 / order * np.log(least)
        reached = endpoint.log_loss + endpoint.log_time + (2 - 2 / order) * np.log(endpoint.log_time)
        detail = {"log_constant": float(reached), "log_predicted": float(predicted)}
        with np.errstate(over="ignore"):
            return record(self, problem, forecast, float(abs(np.expm1(reached - predicted))), detail)


@final
class MaxMarginL2(Prediction):
    """beta / ||beta|| tends to the hard-margin SVM direction, argmin ||beta|| subject to y_i x_i.beta >= 1.

    Applies: classification, fully connected networks of any depth with at most one zero layer at the start, and
    one-layer networks that are isometries up to a factor. Kind: limit t->infinity.
    Certificate: KKT residual of the quadratic program (clarabel, then exact on the active set). detail: margin_ratio,
    the normalised margin reached over the largest.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the result on fully connected networks; Ji and Telgarsky,
    arXiv:1810.02032; for one layer Soudry et al., arXiv:1710.10345.
    """

    name = "max_margin_l2"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        if problem.regression:
            return False
        connected = isinstance(problem.architecture, FullyConnected)
        moves = problem.depth == 1 or sum(not layer.any() for layer in problem.layers) <= 1
        return (connected and moves) or one_layer_isometry(problem.architecture)

    def forecast(self, problem: Problem) -> Forecast | None:
        found = _largest_margin(problem.dataset)
        return Forecast(unit(np.real(found.solution)), found.certificate, found.objective)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        assert forecast is not None
        assert forecast.objective is not None
        reached = quasi_norm(problem.dataset.y[:, None] * problem.dataset.x, endpoint.beta, 2.0)
        detail = {"objective_reached": reached, "margin_ratio": ratio(forecast.objective, reached)}
        return direction_record(self, problem, forecast, endpoint, detail)


@final
class MaxMarginBridge(Prediction):
    """rho / ||rho|| tends to a stationary point of min ||rho||_{2/L} subject to y_i x_i.(S^T rho) >= 1.

    L = 1 is a quadratic program; L = 2 a linear one (real) or one over second-order cones on the moduli (complex):
    the global optimum is predicted, unique or not (objective_reached tells). For L >= 3 the problem is not convex and
    the prediction is stationarity on the support, |rho_j|^{2/L-1} sgn rho_j = [A^H mu]_j with mu >= 0 on active
    samples. distance is then the residual times |rho_j|^{2-2/L}, || |rho| sgn rho - |rho|^{2-2/L} A^H mu || / ||rho||,
    which no threshold on the support enters. objective and objective_best are the least objective known (reweighted
    least sums of a fixed seed, or the endpoint itself); the flow may rightly end above it.
    For L = 2 a coordinate off the support dies only like (-log Loss)^{kappa - 1}, kappa = |[A^H mu]_j| < 1: where the
    largest kappa, detail's off_support_dual, is near 1, no run gets near the direction though its objective is near.

    Applies: classification, orthogonal decomposition, and in every coordinate one layer of strictly least |w_l(0)|.
    The theorem's condition is that this be the last layer everywhere; the flow of w is symmetric in the layers,
    coordinate by coordinate, so which layer it is does not matter. It holds for ordered and structured starts and,
    with probability one, for Gaussian ones; a small gap only delays. Kind: limit t->infinity.
    Certificate: L = 1 KKT residual, L = 2 duality gap; none for L >= 3.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the classification theorem; for convolutional networks Gunasekar
    et al., arXiv:1806.00468.
    """

    name = "max_margin_bridge"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        w = problem.coordinates
        if problem.regression or w is None:
            return False
        squares = np.sort(np.abs(w) ** 2, axis=0)
        return len(w) == 1 or bool((squares[1] - squares[0] > 1e-12 * squares[1]).all())

    def forecast(self, problem: Problem) -> Forecast | None:
        decomposition = problem.decomposition
        assert decomposition is not None
        found = _least_bridge(problem.dataset, key(problem.architecture))
        if problem.depth > 2:
            return Forecast(None, None, found.objective, {"objective_best": found.objective})
        direction = unit(np.real(decomposition.s.T @ found.solution))
        detail = _off_support(problem, found) if problem.depth == 2 else {}
        return Forecast(direction, found.certificate, found.objective, detail)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        assert forecast is not None
        assert forecast.objective is not None
        rho = products(problem, endpoint)
        signed = _signed(problem.dataset, key(problem.architecture))
        reached = quasi_norm(signed, rho, 2 / problem.depth)
        if problem.depth <= 2:
            return direction_record(self, problem, forecast, endpoint, {"objective_reached": reached})
        best = min(forecast.objective, reached)
        known = Forecast(None, None, best, {"objective_best": best, "objective_reached": reached})
        share = weights(endpoint, (signed @ rho).real, problem.depth)
        return record(self, problem, known, _stationarity(signed[share >= ACTIVE], rho, problem.depth))


def nonnegative(
    matrix: Float[np.ndarray, "k n"], target: Float[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " n"], float]:
    """mu >= 0 that minimises ||M mu - t||, and that norm; NaN where no answer was found."""
    count = matrix.shape[1]
    if len(matrix) > 2 * count:
        # the residual outside the columns' span is the same for all mu: solve in the span of (M, t)
        triangle: Float[np.ndarray, "n+1 n+1"] = np.linalg.qr(np.column_stack([matrix, target])).R
        matrix, target = triangle[:, :count], triangle[:, count]
    try:
        mu, residual = nnls(matrix, target)
        return mu, float(residual)
    except RuntimeError:
        return np.zeros(count), float("nan")


def _margins(problem: Problem, endpoint: Endpoint) -> Float[np.ndarray, " n"]:
    """q_i = y_i f(x_i; Theta / ||Theta||)."""
    return problem.dataset.y * (problem.dataset.x @ endpoint.beta)


def _misalignment(layer: Float[np.ndarray, " k"], slope: Float[np.ndarray, " k"]) -> float:
    """1 - |cos|, without cancellation; 1 where one of them is zero."""
    a, b = unit(layer), unit(slope)
    if not (a.any() and b.any()):
        return 1.0
    return float(min(((a - b) ** 2).sum(), ((a + b) ** 2).sum())) / 2


def _singular(layers: tuple[np.ndarray, ...]) -> dict[str, float]:
    parts = [np.linalg.svd(layer, full_matrices=False) for layer in layers[:-1]]
    ratios = [float(values[1] / values[0]) if len(values) > 1 and values[0] > 0 else 0.0 for _, values, _ in parts]
    lefts = [*(left[:, 0] for left, _, _ in parts[1:]), unit(layers[-1])]
    cosines = [abs(float(right[0] @ left)) for (_, _, right), left in zip(parts, lefts, strict=True)]
    return {"singular_ratio": max(ratios), "adjacent_alignment": min(cosines)}


def _off_support(problem: Problem, found: Margin) -> dict[str, float]:
    dual = np.abs(_signed(problem.dataset, key(problem.architecture)).T @ found.multipliers)
    modulus = np.abs(found.solution)
    return {"off_support_dual": float(dual[modulus <= 1e-6 * modulus.max()].max(initial=0.0))}


def _stationarity(signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], depth: int) -> float:
    """min over mu >= 0 of || |rho| sgn rho - |rho|^{2-2/L} Z^H mu || / ||rho||."""
    scaled = rho / (np.abs(rho).max() or 1.0)
    matrix = np.abs(scaled)[:, None] ** (2 - 2 / depth) * signed.conj().T
    if np.iscomplexobj(matrix):
        matrix, scaled = np.vstack([matrix.real, matrix.imag]), np.concatenate([scaled.real, scaled.imag])
    return ratio(nonnegative(matrix, scaled)[1], float(np.linalg.norm(scaled)))


@lru_cache(maxsize=256)
def _largest_margin(dataset: Dataset) -> Margin:
    return least_norm(dataset.y[:, None] * dataset.x)


@lru_cache(maxsize=64)
def _signed(dataset: Dataset, network: Key) -> Inexact[np.ndarray, "n m"]:
    """y_i x_i^T S^T, one row a sample."""
    decomposition = decomposition_by_key(network)
    assert decomposition is not None
    return dataset.y[:, None] * (dataset.x @ decomposition.s.T)


@lru_cache(maxsize=256)
def _least_bridge(dataset: Dataset, network: Key) -> Margin:
    signed, depth = _signed(dataset, network), network.depth
    if depth == 1:
        return least_euclidean(signed)
    if depth == 2:
        return least_sum(signed)
    # about 3 programs a start, 1 ms each where small; fewer starts where they are large
    return best_known(signed, 2 / depth, max(2, min(12, 2000 // signed.shape[1])))
