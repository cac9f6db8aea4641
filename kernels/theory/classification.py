"""Where gradient flow on separable data goes: predictions about the endpoint that apply to every network.

They apply to losses with an exponential tail, -l'(z) e^z -> 1 as z -> infinity: the exponential loss and the logistic
one. Forces are everywhere those of the run's own loss.
"""

import math
from dataclasses import replace
from typing import final

import numpy as np
from jaxtyping import Float

from kernels.networks.fully_connected import FullyConnected
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Kind, RunByRun, record, unit, weights
from kernels.theory.optimisers.certificates import ratio
from kernels.theory.optimisers.nonnegative import nonnegative

ACTIVE = 2.0**-52
"""Samples whose force is at least this share of the largest are active: the smaller ones do not move the parameters in
double precision. Margins of active samples differ from the least by at most 36 e^{-L log ||Theta||}."""

RANK = 0.1
"""Singular values above this share of the first count in the rank; a smaller one is at most a hundredth of a layer's
square. What a layer keeps of the start does not grow with it, so that all values but the first fall, relative to that,
like one over its norm, (-log Loss)^{-1/L}."""


@final
class ParameterKKT(RunByRun):
    """Theta / ||Theta|| tends to a KKT point of min 1/2 ||Theta||^2 subject to y_i f(x_i; Theta) >= 1.

    distance: min over mu >= 0 on the active samples of ||u - sum_i mu_i y_i grad f_i(u)||, u = Theta / ||Theta||, by
    non-negative least squares. detail: complementarity, sum mu_i (q_i / min q - 1) / sum mu_i, and active_samples.
    Active samples are those whose force double precision can tell from zero beside the largest (ACTIVE): at
    -log Loss = 1e6 their margins agree to 4e-5.

    Applies: losses with an exponential tail, every network. Kind: limit t->infinity. No certificate: there is no
    predicted point.
    Reference: Lyu and Li, arXiv:1906.05890, whose losses are exponential and logistic ones.

    y_i x_i = (1, 0) and (3, 0), two layers of width 1: only the first sample is active, and at W = (1, 0)^T / sqrt 2,
    w = 1 / sqrt 2 (or both negative), its gradient is Theta / ||Theta|| itself, so that mu = 1:

    >>> import sweep
    >>> data = ([[1, 0], [-3, 0]], [1, -1])
    >>> run = sweep.run(task="classification", architecture="fully_connected", width=1, init="gaussian", data=data)
    >>> found = {each.prediction: each for each in run.result.predictions}["parameter_kkt"]
    >>> found.distance < 1e-2, found.detail["active_samples"]
    (True, 1.0)
    """

    name = "parameter_kkt"
    meaning = "a KKT point of the margin problem in parameters"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        return problem.exponential_tail

    def forecast(self, problem: Problem) -> Forecast | None:
        return None

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        margins = _margins(problem, endpoint)
        active = weights(problem, endpoint, margins) >= ACTIVE
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
class SingularVectors(RunByRun):
    """The normed layers tend to singular vectors of the data tensor M(u), u = -X^T dLoss/df: each is parallel to M(u)
    contracted with all the others.

    In every network this contraction is the gradient: f(x) = M(x) o (v_1, ..., v_L) is linear in x and in v_l, so that
    -grad_{v_l} Loss = -sum_i dLoss/df_i M(x_i) o (v_1, ..., ., ..., v_L) = M(u) o (v_1, ..., ., ..., v_L). It is
    computed from the Jacobian of f, without M (which `Architecture.data_tensor` writes out).

    distance: max over l of 1 - |cos(v_l, grad_{v_l} Loss)|. singular_value: M(u / ||u||) contracted with all the normed
    layers, u.beta / (||u|| prod_l ||v_l||), layers flattened (matrices in the Frobenius norm). Fully connected networks
    of L >= 2 also have singular_ratio, the largest second / first singular value of W_1, ..., W_{L-1}; rank, the
    largest number of their singular values above RANK of the first; and adjacent_alignment, the least |cos| between
    the right singular vector of a layer and the left one of the next.

    Applies: losses with an exponential tail, every network. Kind: limit t->infinity. No certificate: there is no
    predicted point.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the result on singular vectors of the data tensor; for matrices
    Ji and Telgarsky, arXiv:1810.02032.

    Two layers, u along (3, 4) / 5: M(u / ||u||) o (W, w) = (3, 4) W w / 5, of which the largest singular value is 1:

    >>> import sweep
    >>> data = ([[3, 4], [-3, -4]], [1, -1])
    >>> run = sweep.run(task="classification", architecture="fully_connected", width=2, init="gaussian", data=data)
    >>> found = {each.prediction: each for each in run.result.predictions}["singular_vectors"]
    >>> found.distance < 1e-4, round(found.singular_value, 4), found.rank
    (True, 1.0, 1)
    """

    name = "singular_vectors"
    meaning = "alignment of every layer with its gradient"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        return problem.exponential_tail

    def forecast(self, problem: Problem) -> Forecast | None:
        return None

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        share = weights(problem, endpoint, _margins(problem, endpoint))
        gradient = (share * problem.dataset.y) @ endpoint.jacobian
        cuts = np.cumsum([layer.size for layer in endpoint.layers])[:-1]
        pairs = zip(endpoint.layers, np.split(gradient, cuts), strict=True)
        worst = max(_misalignment(np.ravel(layer), slope) for layer, slope in pairs)
        sizes = math.prod(float(np.linalg.norm(layer)) for layer in endpoint.layers)
        along = unit((share * problem.dataset.y) @ problem.dataset.x) @ endpoint.beta
        found = replace(record(self, problem, forecast, worst), singular_value=ratio(float(along), sizes))
        matrices = isinstance(problem.architecture, FullyConnected) and problem.depth > 1
        return _with_ranks(found, endpoint.layers) if matrices else found


@final
class LossRate(RunByRun):
    """Loss t (log t)^{2 - 2/L} -> 1 / (L^2 gammabar^{2/L}), gammabar = lim min_i y_i f(x_i) / ||Theta||^L.

    It is computed in logarithms, so that t = e^(1e8) does not overflow. gammabar is measured at the endpoint. distance:
    |value / predicted - 1|. While margins of support vectors still differ, or samples enter the support, corrections
    are of order 1 / log t and log log t / log t.

    The constant is the same for every loss with an exponential tail. The relative difference is l(z) e^z - 1, which for
    the logistic loss is of the size of the loss itself.

    Applies: losses with an exponential tail, every network. Kind: limit t->infinity. No certificate: gammabar is
    measured.
    Reference: Lyu and Li, arXiv:1906.05890, the rate of loss; the constant follows from d log Loss / dt there.

    Two layers, y_i x_i = (3, 4): at unit norm ||W|| = |w| = 1 / sqrt 2, gammabar = 5/2, and
    Loss t log t -> 1 / (4 5/2) = 1/10:

    >>> import math, sweep
    >>> data = ([[3, 4], [-3, -4]], [1, -1])
    >>> run = sweep.run(task="classification", architecture="fully_connected", width=2, init="gaussian", data=data)
    >>> found = {each.prediction: each for each in run.result.predictions}["loss_rate"]
    >>> round(math.exp(found.detail["log_constant"]), 4)
    0.1
    """

    name = "loss_rate"
    meaning = "the predicted rate of the loss"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        return problem.exponential_tail

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


def _margins(problem: Problem, endpoint: Endpoint) -> Float[np.ndarray, " n"]:
    """q_i = y_i f(x_i; Theta / ||Theta||)."""
    return problem.dataset.y * (problem.dataset.x @ endpoint.beta)


def _misalignment(layer: Float[np.ndarray, " k"], slope: Float[np.ndarray, " k"]) -> float:
    """1 - |cos| of the angle between a layer and its gradient, without cancellation; 1 where one of them is zero."""
    a, b = unit(layer), unit(slope)
    if not (a.any() and b.any()):
        return 1.0
    return float(min(((a - b) ** 2).sum(), ((a + b) ** 2).sum())) / 2


def _with_ranks(found: PredictionRecord, layers: tuple[np.ndarray, ...]) -> PredictionRecord:
    """The record with singular_ratio, adjacent_alignment and rank of the layers that are matrices."""
    parts = [np.linalg.svd(layer, full_matrices=False) for layer in layers[:-1]]
    ratios = [float(values[1] / values[0]) if len(values) > 1 and values[0] > 0 else 0.0 for _, values, _ in parts]
    lefts = [*(left[:, 0] for left, _, _ in parts[1:]), unit(layers[-1])]
    cosines = [abs(float(right[0] @ left)) for (_, _, right), left in zip(parts, lefts, strict=True)]
    ranks = [int((values > RANK * values[0]).sum()) for _, values, _ in parts]
    return replace(found, singular_ratio=max(ratios), adjacent_alignment=min(cosines), rank=max(ranks))
