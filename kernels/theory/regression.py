"""Where gradient flow of the squared loss ends: exactly, or in a limit of the scale of the initialisation."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import numpy as np
from jaxtyping import Float

from kernels.data.kinds import Dataset
from kernels.networks.fully_connected import FullyConnected
from kernels.problem import Problem, grouped
from kernels.results import PredictionRecord
from kernels.theory.balanced import balanced_start, stops_at_zero
from kernels.theory.base import Endpoint, Forecast, Forecasts, Kind, Prediction, coefficients_records, products_all
from kernels.theory.domains import domain
from kernels.theory.one_sample import of_one_sample
from kernels.theory.potentials import exact_limits, has_limit
from kernels.theory.sequences import least_sum, only_least_sum, saddles_all
from kernels.theory.systems import Solution, Start, System, minimum_norm, system, weighted_l1, weighted_l2


@final
@of_one_sample
class MinimumQNorm(Prediction):
    """The regression theorem: rho* = argmin Q(rho) subject to A rho = y, for every scale alpha.

    beta = S^T rho*, A = X S^T, Q(rho) = alpha^2 sum_j eta_j^2 H_L(rho_j / (alpha |eta_j|)^L), H_L' = h_L^{-1}, and
    h_L(nu) = q (1 + q^2)^{(L-1)/2} with q(0) = 0, dq/dnu = (1 + q^2)^{(L-1)/2}: h_2 = sinh(2 nu) / 2,
    h_3 = tan sec^2, h_4 = nu / (1 - nu^2)^2.

    Applies: regression, L >= 2, start w_l(0) = alpha eta for l < L and w_L(0) = 0, and a real orthogonal decomposition,
    or a complex one if all inputs are parallel (see System; beyond the paper). Two layers and one sample: every network
    that is so in the singular basis of M(x) (one_sample.py).
    Kind: exact. Certificate: residual of A rho = y and of Q'(rho) in the row space of A, relative.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the regression theorem.

    Two layers, x = (1, 2), y = 1, alpha = 2/3: sinh 2 nu = 3/4 gives sinh 4 nu = 15/8, and rho = alpha^2 h_2(nu x) =
    4/9 (3/8, 15/16) = (1/6, 5/12), which fits:

    >>> from kernels.theory.table import forecast_of
    >>> found = forecast_of("minimum_q_norm", [[1, 2]], [1], architecture="diagonal", alpha=2 / 3)
    >>> (12 * found.beta).round(9)
    array([2., 5.])
    """

    name = "minimum_q_norm"
    meaning = "the interpolating solution of least Q norm"

    def kind(self, problem: Problem) -> Kind:
        return "exact"

    def applies(self, problem: Problem) -> bool:
        return problem.regression and problem.scale is not None and system(problem) is not None

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return exact_limits(problems)

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        return coefficients_records(self, problems, forecasts, endpoints)


@final
@of_one_sample
class MinimumBregman(Prediction):
    """From any start: rho* = argmin sum_j D_j(rho_j) subject to A rho = y, with D_j' = nu_j(rho_j).

    With r = X beta - y, dw_l/dt = -[A^T r]_j prod_{k != l} w_k. So coordinate j stays on the curve
    dw_l/dnu = prod_{k != l} w_k through its start, and is at nu_j = [A^T lambda(t)]_j, lambda(t) = -integral_0^t r ds.
    Along the curve rho_j increases, because drho/dnu = sum_l prod_{k != l} w_k^2, so that nu_j is a function of rho_j.
    sum_j D_j is the Bregman divergence of this potential from rho(0); minimum_q_norm is the case w_L(0) = 0.

    Applies: regression, real orthogonal decomposition (or as minimum_q_norm), at most one w_l(0) = 0 in a coordinate.
    Two layers and one sample: every network, from every start that can reach the target (one_sample.py).
    Kind: exact. Certificate: residual of A rho = y and of D'(rho) in the row space of A, relative.
    Reference: the argument above, beyond Yun, Krishnan, Mobahi, arXiv:2010.02501; for L = 2 see Woodworth et al.,
    arXiv:2002.09277.

    From ones in two layers rho_j = e^{2 nu x_j}, so that x = (1, 2), y = 1 ask for z + 2 z^2 = 1, z = e^{2 nu}: z = 1/2
    and rho = (z, z^2):

    >>> from kernels.theory.table import forecast_of
    >>> ones = {"layers": [[1, 1], [1, 1]]}
    >>> forecast_of("minimum_bregman", [[1, 2]], [1], architecture="diagonal", init=ones).beta.round(9)
    array([0.5 , 0.25])
    """

    name = "minimum_bregman"
    meaning = "the interpolating solution nearest to the initialisation in its Bregman divergence"

    def kind(self, problem: Problem) -> Kind:
        return "exact"

    def applies(self, problem: Problem) -> bool:
        return has_limit(problem)

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return exact_limits(problems)

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        return coefficients_records(self, problems, forecasts, endpoints)


@final
@of_one_sample
class WeightedL1(Prediction):
    """As alpha -> 0 the limit tends to min sum_j |rho_j| |eta_j|^{2-L} subject to A rho = y; unweighted for L = 2.

    Where several beta are minimal, detail's face_dimension is the dimension of their set, and the prediction is the one
    that the flow chooses by the next order of the potential in alpha: that of least sum |rho| log(|rho| / eta^2) for
    L = 2, of greatest sum |rho|^{2/L} for L >= 3. A choice that Newton's method does not find is not certified.
    detail's slope is the power of alpha with which the distance vanishes (optimisers/sums.py: decay).

    This sum belongs to two kinds of starts: w_l(0) = alpha eta for l < L with w_L(0) = 0, and real starts whose layers
    all have modulus alpha eta, such as u^L - v^L from u = v = alpha. From the second kind rho_j keeps its sign, and the
    least sum is taken among rho of these signs. From any other start the sum is
    (1 / T_L) sum_j (t_j^+ rho_j^+ + t_j^- rho_j^-), t_j^+- being the ends of the domain of nu_j and T_L that of eta = 1
    (kernels/theory/domains.py; both 1 for L = 2), and eta^+- stands for eta in the choice.

    Applies: regression, L >= 2, a real orthogonal decomposition or parallel inputs (as minimum_q_norm), and any start
    with a potential (as minimum_bregman). A complex decomposition with other inputs has no potential: integrations
    (d = 5 and 8, L = 2 and 3, alpha to 1e-4) end up to 20 % and more above the least sum of moduli. Two layers and one
    sample: as one_sample.py says.
    Kind: limit alpha->0; rates differ between L = 2 and L >= 3 (Matt and Stoeger, arXiv:2506.01143).
    Certificate: the worst of A rho = y, feasibility of the multipliers, the duality gap and the stationarity of the
    choice, relative, in all coordinates (twins are folded to find the solution, not to check it).
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the regression theorem; the choice: Wind et al.,
    arXiv:2307.07410.

    x = (1, 2), y = 1 are fitted by (1, 0) and (0, 1/2). The second has the least l1 norm; the first the least sum with
    weights (1/4, 1), which are those of eta = (4, 1) and three layers:

    >>> from kernels.theory.table import forecast_of
    >>> forecast_of("weighted_l1", [[1, 2]], [1], architecture="diagonal").beta.round(9).tolist() == [0, 1 / 2]
    True
    >>> start = {"layers": [[4, 1], [4, 1], [0, 0]]}
    >>> found = forecast_of("weighted_l1", [[1, 2]], [1], architecture="diagonal", depth=3, init=start)
    >>> found.beta.round(9).tolist() == [1, 0], round(found.objective, 9)
    (True, 0.25)
    """

    name = "weighted_l1"
    meaning = "the interpolating solution of least (weighted) l1 norm"

    def kind(self, problem: Problem) -> Kind:
        return "limit alpha->0"

    def applies(self, problem: Problem) -> bool:
        return domain(problem) is not None

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        saddles_all(list(problems))  # all at once, and kept
        return [_least_sum(problem) for problem in problems]

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        return coefficients_records(self, problems, forecasts, endpoints, _sums_reached(problems, endpoints))


@final
@of_one_sample
class WeightedL2(Prediction):
    """As alpha -> infinity the limit tends to min sum_j |rho_j|^2 |eta_j|^{2-2L} subject to A rho = y.

    The network then stays linear about its start, and only the zero layer moves: dw_L/dt = -(conj(S) X^T r) c^{L-1},
    r = X beta - y, c = alpha eta.

    Applies: regression, L >= 2, structured start, any orthogonal decomposition, real or complex; or two layers, one of
    them zero, and one sample, as one_sample.py says.
    Kind: limit alpha->inf. Certificate: residual of A rho = y and of the gradient in the row space of A, relative.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the regression theorem.

    Two layers, x = (1, 2), y = 1, eta = (2, 1): rho is k eta^2 x = k (4, 2) with 8 k = 1:

    >>> from kernels.theory.table import forecast_of
    >>> start = {"layers": [[2, 1], [0, 0]]}
    >>> forecast_of("weighted_l2", [[1, 2]], [1], architecture="diagonal", init=start).beta.round(9)
    array([0.5 , 0.25])
    """

    name = "weighted_l2"
    meaning = "the interpolating solution of least weighted l2 norm"

    def kind(self, problem: Problem) -> Kind:
        return "limit alpha->inf"

    def applies(self, problem: Problem) -> bool:
        return problem.regression and problem.scale is not None

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return _least_squares(problems)

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        reached = _reached(problems, endpoints, lambda rho, eta, depth: np.abs(rho) ** 2 * eta ** (2 - 2 * depth))
        return coefficients_records(self, problems, forecasts, endpoints, reached)


@final
class MinimumL2Norm(Prediction):
    """The limit is min ||beta|| subject to X beta = y.

    Fully connected networks: exactly, at every scale, from W_l(0) W_l(0)^T = a_l^2 I for l < L and w_L(0) = 0, because
    beta never leaves the row space of X. From any other start with at most one zero layer, as alpha -> 0, unless layers
    are balanced and the flow ends in the saddle at zero (see Balanced). From other balanced layers the distance
    vanishes like alpha, which is detail's slope 1.

    One layer v with beta = M v, M an isometry up to a factor, in any architecture: exactly, at every scale, from
    v(0) = 0, because v never leaves the row space; else as alpha -> 0.

    Applies: regression, fully connected networks, and one-layer networks that are isometries up to a factor.
    Kind: exact or limit alpha->0, as above. Certificate: residual of X beta = y and of beta in the row space of X.
    Reference: Yun, Krishnan, Mobahi, arXiv:2010.02501, the result on fully connected networks.

    x = (1, 2), y = 1: beta is k x with 5 k = 1:

    >>> from kernels.theory.table import forecast_of
    >>> start = {"width": 2, "init": "orthogonal"}
    >>> found = forecast_of("minimum_l2_norm", [[1, 2]], [1], architecture="fully_connected", **start)
    >>> found.kind, found.beta.round(9)
    ('exact', array([0.2, 0.4]))
    """

    name = "minimum_l2_norm"
    meaning = "the interpolating solution of least l2 norm"

    def kind(self, problem: Problem) -> Kind:
        return "exact" if _zero(problem.layers[-1]) and _orthogonal(problem.layers[:-1]) else "limit alpha->0"

    def applies(self, problem: Problem) -> bool:
        if not problem.regression:
            return False
        if isinstance(problem.architecture, FullyConnected) and sum(_zero(layer) for layer in problem.layers) <= 1:
            return problem.depth == 1 or not stops_at_zero(problem)
        return problem.architecture.one_layer_isometry

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return [
            problem.shared.once(_least_norm, problem.dataset, balanced_start(problem) is not None)
            for problem in problems
        ]

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        reached = [{"objective_reached": float(np.linalg.norm(endpoint.beta))} for endpoint in endpoints]
        return coefficients_records(self, problems, forecasts, endpoints, reached)


def _least_squares(problems: Sequence[Problem]) -> list[Forecast | None]:
    """The forecasts of weighted_l2: one for all runs that differ in alpha alone, those of one data set together."""
    made: list[Forecast | None] = [None] * len(problems)
    etas = [_known(problem.eta) for problem in problems]
    for _, group in grouped((problem.dataset, problem.architecture) for problem in problems):
        first = problems[group[0]]
        distinct = grouped(etas[place].tobytes() for place in group)
        weights = np.array([etas[group[some[0]]] for _, some in distinct]) ** (2 - 2 * first.depth)
        assert first.decomposition is not None
        for (_, some), found in zip(distinct, weighted_l2(first, weights), strict=True):
            beta = np.real(first.decomposition.s.T @ found.rho)
            for place in some:
                made[group[place]] = Forecast(beta, found.certificate, found.objective)
    return made


def _known(values: Float[np.ndarray, " m"] | None) -> Float[np.ndarray, " m"]:
    assert values is not None
    return values


def _least_sum(problem: Problem) -> Forecast:
    """The forecast of weighted_l1: the end of the saddles where that is known and unique, else by a linear program.

    Where one number a coordinate does not describe the start, positive and negative parts have weights of their own
    (`least_sum`).
    """
    interval, constraint = domain(problem), system(problem)
    assert interval is not None
    assert constraint is not None
    found, eta, signs, depth = only_least_sum(problem), problem.eta, problem.signs, problem.depth
    if found is not None:
        weights = None if eta is None else eta ** (2 - depth)
        objective = found.objective if weights is None else float(weights @ np.abs(found.rho))
        found = replace(found, objective=objective)
    elif eta is not None and signs is not None:
        found = _least_moduli(problem, constraint, Start(eta, signs, depth))
    else:
        key = (_least_sum, problem.dataset, problem.architecture, interval.key, interval.eta.tobytes())
        found = problem.shared.keep(key, lambda: least_sum(constraint, interval))
    beta = constraint.coefficients(np.real(found.rho))
    return Forecast(
        beta, found.certificate, found.objective, {"face_dimension": float(found.freedom), "slope": found.slope}
    )


def _least_moduli(problem: Problem, constraint: System, start: Start) -> Solution:
    """The least weighted sum of moduli by a linear program, solved once for equal starts.

    For L = 2 the sum does not depend on eta: where one beta alone is minimal, it is that of every start.
    """
    if start.depth == 2 and constraint.twins is None and (start.eta != 1).any():
        found = _least_moduli(problem, constraint, replace(start, eta=np.ones_like(start.eta)))
        if found.freedom == 0:
            return found
    key = (_least_moduli, problem.dataset, problem.architecture, start.eta.tobytes(), start.signs.tobytes())
    return problem.shared.keep(key, lambda: weighted_l1(constraint, start))


def _least_norm(dataset: Dataset, balanced: bool) -> Forecast:
    found = minimum_norm(dataset)
    return Forecast(np.real(found.rho), found.certificate, found.objective, {"slope": 1.0} if balanced else {})


def _reached(
    problems: Sequence[Problem], endpoints: Sequence[Endpoint], terms: Callable[..., Float[np.ndarray, "b m"]]
) -> list[dict[str, float]]:
    """{objective_reached: sum over coordinates of terms(rho, eta, L)} of every endpoint."""
    values = np.zeros(len(problems))
    found = products_all(problems, endpoints)
    sizes = [(len(rho), problem.depth) for rho, problem in zip(found, problems, strict=True)]
    for (_, depth), places in grouped(sizes):
        rho, eta = np.array([found[place] for place in places]), np.array([problems[place].eta for place in places])
        values[places] = terms(rho, eta, depth).sum(axis=1)
    return [{"objective_reached": value} for value in values.tolist()]


def _sums_reached(problems: Sequence[Problem], endpoints: Sequence[Endpoint]) -> list[dict[str, float]]:
    """{objective_reached: the sum that weighted_l1 minimises} of every endpoint."""
    scaled = [place for place, problem in enumerate(problems) if problem.eta is not None]
    moduli = _reached(
        [problems[place] for place in scaled],
        [endpoints[place] for place in scaled],
        lambda rho, eta, depth: np.abs(rho) * eta ** (2 - depth),
    )
    found = dict(zip(scaled, moduli, strict=True))
    others = [place for place in range(len(problems)) if place not in found]
    rho = products_all([problems[place] for place in others], [endpoints[place] for place in others])
    for place, each in zip(others, rho, strict=True):
        interval = domain(problems[place])
        assert interval is not None
        found[place] = {"objective_reached": float(interval.sum(np.real(each)))}
    return [found[place] for place in range(len(problems))]


def _zero(layer: np.ndarray) -> bool:
    return not np.any(layer)


def _orthogonal(layers: tuple[np.ndarray, ...]) -> bool:
    """Whether every W W^T is a positive multiple of the identity."""
    grams = [layer @ layer.T for layer in layers]
    return all(
        gram[0, 0] > 0 and np.abs(gram - gram[0, 0] * np.eye(len(gram))).max() <= 1e-10 * gram[0, 0] for gram in grams
    )
