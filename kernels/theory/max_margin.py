"""Directions of maximal margin, to which gradient flow on separable data turns: the l2 margin for fully connected
networks, the margin of ||rho||_{2/L} for orthogonally decomposable ones. The loss must have an exponential tail.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Inexact

from kernels.data.kinds import Dataset
from kernels.networks.base import Architecture
from kernels.networks.decomposition import dense
from kernels.networks.fully_connected import FullyConnected
from kernels.problem import Problem, grouped
from kernels.results import PredictionRecord
from kernels.theory.balanced import stops_at_zero
from kernels.theory.base import (
    Endpoint,
    Forecast,
    Forecasts,
    Kind,
    Prediction,
    RunByRun,
    direction_record,
    products_all,
    unit,
    weights,
)
from kernels.theory.classification import ACTIVE
from kernels.theory.one_sample import of_one_sample
from kernels.theory.optimisers.certificates import ratio
from kernels.theory.optimisers.margins import Margin, best_known, least_euclidean, least_norm, least_sum, quasi_norm
from kernels.theory.optimisers.nonnegative import nonnegative
from kernels.theory.optimisers.stationary import End, Stationary, nearby_all


@final
class MaxMarginL2(RunByRun):
    """beta / ||beta|| tends to the hard-margin SVM direction, argmin ||beta|| subject to y_i x_i.beta >= 1.

    Applies: losses with an exponential tail; fully connected networks of any depth with at most one zero layer at the
    start, unless layers are balanced and the flow ends in the saddle at zero (see Balanced); one-layer networks that
    are isometries up to a factor. Kind: limit t->infinity.
    Certificate: KKT residual of the quadratic program as an error of the direction, or the error that rounding leaves
    in it if that is larger (certificates.margin_norm). detail: margin_ratio, the normalised margin reached over the
    largest.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the result on fully connected networks; Ji and Telgarsky,
    arXiv:1810.02032; for one layer Soudry et al., arXiv:1710.10345.

    y_i x_i = (2, 0) and (0, -1) ask for beta_1 >= 1/2 and beta_2 <= -1, so that the direction is (1, -2) / sqrt 5:

    >>> from kernels.theory.table import forecast_of
    >>> axes = {"task": "classification", "architecture": "fully_connected", "width": 2, "init": "gaussian"}
    >>> found = forecast_of("max_margin_l2", [[2, 0], [0, 1]], [1, -1], **axes)
    >>> (5**0.5 * found.beta).round(9)
    array([ 1., -2.])
    """

    name = "max_margin_l2"
    meaning = "the l2 max-margin direction"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        if not problem.exponential_tail:
            return False
        connected = isinstance(problem.architecture, FullyConnected)
        moves = problem.depth == 1 or sum(not layer.any() for layer in problem.layers) <= 1
        return (connected and moves and not stops_at_zero(problem)) or problem.architecture.one_layer_isometry

    def forecast(self, problem: Problem) -> Forecast | None:
        found = problem.shared.once(_largest_margin, problem.dataset)
        return Forecast(unit(np.real(found.solution)), found.certificate, found.objective)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        assert forecast is not None
        assert forecast.objective is not None
        reached = quasi_norm(problem.dataset.y[:, None] * problem.dataset.x, endpoint.beta, 2.0)
        detail = {"objective_reached": reached, "margin_ratio": ratio(forecast.objective, reached)}
        return direction_record(self, problem, forecast, endpoint, detail)


@final
@of_one_sample
class MaxMarginBridge(Prediction):
    """rho / ||rho|| tends to a stationary point of min ||rho||_{2/L} subject to y_i x_i.(S^T rho) >= 1.

    L = 1 is a quadratic program, L = 2 a linear one (real) or one over second-order cones on the moduli (complex). The
    global optimum is predicted; if it is not unique, compare objective_reached with objective.

    For L >= 3 the problem is not convex, and the flow may rightly end in any stationary point: with A = diag(y) X S^T,
    |rho_j|^{2/L-1} sgn rho_j is proportional to [A^H mu]_j on the support, mu >= 0 on active samples. The prediction is
    the stationary point next to the end, which Newton's method finds from the end's support and active samples
    (optimisers/stationary.py). Its certificate says that it is one, of margins at least 1, and the distance how near
    the run came. Where none is found, there is neither beta nor distance. detail's stationarity is the residual at the
    end itself, || |rho| sgn rho - |rho|^{2-2/L} A^H mu || / ||rho||, which needs no threshold on the support.
    objective and objective_best are the least objective known (of reweighted least sums from a fixed seed, or of the
    end); the flow may rightly end above it, at objective_reached.

    For L = 2 a coordinate off the support decays only like (-log Loss)^{kappa - 1}, kappa = |[A^H mu]_j| < 1. Where the
    largest kappa, detail's off_support_dual, is near 1, no run comes near the direction, though its objective is near.
    Coordinates whose row of S is that of one on the support, up to sign (u and v of u^L - v^L), do not count: they have
    kappa = 1, stay large, and add the same direction.

    Applies: losses with an exponential tail, orthogonal decomposition, and in every coordinate one layer of strictly
    least |w_l(0)|. The theorem asks that it be the last layer in every coordinate, but in each coordinate the flow is
    symmetric in the layers. Ordered and structured starts have such a layer, and Gaussian ones with probability one; a
    small gap only delays. The theorem is stated for the exponential loss, to whose forces those of the logistic loss
    tend. Two layers and one sample: every network, in the singular basis of M(x) (one_sample.py).
    Kind: limit t->infinity.
    Certificate: L = 1 KKT residual, L = 2 duality gap; L >= 3 KKT residual of the stationary point, after the run.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the classification theorem; for convolutional networks Gunasekar
    et al., arXiv:1806.00468.

    y_i x_i = (1, 2) twice, two layers: (0, 1/2) has the least l1 norm, and A^T mu = (1/2, 1) there:

    >>> from kernels.theory.table import forecast_of
    >>> axes = {"task": "classification", "architecture": "diagonal"}
    >>> found = forecast_of("max_margin_bridge", [[1, 2], [-1, -2]], [1, -1], **axes)
    >>> found.beta.round(9).tolist() == [0, 1], round(found.objective, 9), round(found.detail["off_support_dual"], 9)
    (True, 0.5, 0.5)
    """

    name = "max_margin_bridge"
    meaning = "the max-margin problem of the network's own norm"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        w = problem.coordinates
        if not problem.exponential_tail or w is None:
            return False
        squares = np.sort(np.abs(w) ** 2, axis=0)
        return len(w) == 1 or bool((squares[1] - squares[0] > 1e-12 * squares[1]).all())

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return [_bridge(problem) for problem in problems]

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        ends = list(map(_end, problems, products_all(problems, endpoints), endpoints))
        points = _points(problems, ends)
        return [self._compared(*each) for each in zip(problems, forecasts, endpoints, ends, points, strict=True)]

    def _compared(
        self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint, end: End, found: Stationary | None
    ) -> PredictionRecord:
        assert forecast is not None
        assert forecast.objective is not None
        assert problem.decomposition is not None
        reached = quasi_norm(end.signed, end.rho, 2 / problem.depth)
        if found is None:
            return direction_record(self, problem, forecast, endpoint, {"objective_reached": reached})
        best = min(forecast.objective, reached)
        detail = {
            "objective_best": best,
            "objective_reached": reached,
            "stationarity": _stationarity(end.signed[end.active], end.rho, problem.depth),
        }
        direction = unit(np.real(problem.decomposition.s.T @ found.rho))
        return direction_record(self, problem, Forecast(direction, found.certificate, best, detail), endpoint)


def _bridge(problem: Problem) -> Forecast:
    decomposition = problem.decomposition
    assert decomposition is not None
    found = problem.shared.once(_least_bridge, problem.dataset, problem.architecture)
    if problem.depth > 2:
        return Forecast(None, None, found.objective, {"objective_best": found.objective})
    direction = unit(np.real(decomposition.s.T @ found.solution))
    detail = _off_support(problem, found) if problem.depth == 2 else {}
    return Forecast(direction, found.certificate, found.objective, detail)


def _end(problem: Problem, rho: Inexact[np.ndarray, " m"], endpoint: Endpoint) -> End:
    signed = problem.shared.once(_signed, problem.dataset, problem.architecture)
    return End(signed, rho, weights(problem, endpoint, (signed @ rho).real) >= ACTIVE)


def _points(problems: Sequence[Problem], ends: Sequence[End]) -> list[Stationary | None]:
    """The stationary point next to each end, those of one depth together; None for L <= 2."""
    found: list[Stationary | None] = [None] * len(problems)
    kinds = ((problem.depth, np.iscomplexobj(end.signed)) for problem, end in zip(problems, ends, strict=True))
    for (depth, _), places in grouped(kinds):
        if depth > 2:
            made = nearby_all([ends[place] for place in places], 2 / depth)
            for place, point in zip(places, made, strict=True):
                found[place] = point
    return found


def _off_support(problem: Problem, found: Margin) -> dict[str, float]:
    dual = np.abs(problem.shared.once(_signed, problem.dataset, problem.architecture).T @ found.multipliers)
    modulus = np.abs(found.solution)
    support = modulus > 1e-6 * modulus.max()
    assert problem.decomposition is not None
    return {"off_support_dual": float(dual[~support & ~_alike(problem.decomposition.s, support)].max(initial=0.0))}


def _alike(
    s: Inexact[np.ndarray, "m d"] | scipy.sparse.sparray, support: Bool[np.ndarray, " m"]
) -> Bool[np.ndarray, " m"]:
    """Whether each coordinate's row of S is that of one on the support, up to a factor of modulus one."""
    size = np.sqrt((np.abs(s) ** 2).sum(axis=1))
    products = np.abs(s @ dense(s[support]).conj().T)
    equal = np.abs(size[:, None] - size[support]) <= 1e-12 * size[support]
    return (equal & (products >= (1 - 1e-12) * np.outer(size, size[support]))).any(axis=1)


def _stationarity(signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], depth: int) -> float:
    """min over mu >= 0 of || |rho| sgn rho - |rho|^{2-2/L} Z^H mu || / ||rho||."""
    scaled = rho / (np.abs(rho).max() or 1.0)
    matrix = np.abs(scaled)[:, None] ** (2 - 2 / depth) * signed.conj().T
    if np.iscomplexobj(matrix):
        matrix, scaled = np.vstack([matrix.real, matrix.imag]), np.concatenate([scaled.real, scaled.imag])
    return ratio(nonnegative(matrix, scaled)[1], float(np.linalg.norm(scaled)))


def _largest_margin(dataset: Dataset) -> Margin:
    return least_norm(dataset.y[:, None] * dataset.x)


def _signed(dataset: Dataset, network: Architecture) -> Inexact[np.ndarray, "n m"]:
    """y_i x_i^T S^T, one row a sample."""
    decomposition = network.decomposed
    assert decomposition is not None
    return dataset.y[:, None] * (dataset.x @ decomposition.s.T)


def _least_bridge(dataset: Dataset, network: Architecture) -> Margin:
    signed, depth = _signed(dataset, network), network.depth
    if depth == 1:
        return least_euclidean(signed)
    if depth == 2:
        return least_sum(signed)
    # a start takes about 3 programs, of 1 ms each for small problems: so large problems get fewer starts
    return best_known(signed, 2 / depth, max(2, min(12, 2000 // signed.shape[1])))
