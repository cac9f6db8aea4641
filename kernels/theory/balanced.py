"""Fully connected networks with balanced layers: the limit of regression in closed form, at every scale."""

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float

from kernels.data.kinds import Dataset
from kernels.networks.fully_connected import FullyConnected
from kernels.problem import Problem, grouped
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Forecasts, Kind, Prediction, coefficients_records
from kernels.theory.optimisers.certificates import ratio, worst
from kernels.theory.systems import Solution, by_rows, minimum_norm, row_basis

BALANCED = 1e-10
"""Layers are balanced if their norms differ by at most this, relatively, and at most this share of each lies outside
its first singular direction."""

ALONG = 1e-10
"""A start counts as inside the row space if at most this share of it is outside: the flow then passes 0 within
rounding."""


@final
class Balanced(Prediction):
    """From W_l^T W_l = W_{l+1} W_{l+1}^T the limit is argmin Phi(b) - <v_0, b> subject to X b = y, Phi = ||b||^p / p.

    Here p = 1 + 1/L, b_0 are the coefficients of the start, and v_0 = grad Phi(b_0) = ||b_0||^{1/L-1} b_0. Since w_L is
    one column, balanced layers have rank one and one common norm s = ||b||^{1/L}, so that b_0 = s^{L-1} v_0. Balance is
    conserved. With g = X^T r, r = X b - y, and v = grad Phi(b),

        db/dt = -s^{2L-2} (I + (L-1) b b^T / ||b||^2) g,   dv/dt = -s^{L-1} g.

    So v - v_0 never leaves the row space of X, which is the optimality condition of the convex problem. With P the
    projection onto the orthogonal complement of the row space the limit is

        beta = X^+ y + s^{L-1} P v_0,   s > 0 the root of s^{2L} = ||P v_0||^2 s^{2L-2} + ||X^+ y||^2.

    P v_0, the part of the start that the data do not see, is stretched as the norm grows. For L = 1, where no balance
    is needed, beta would be the projection of the start. ||P v_0|| is proportional to alpha, so that as alpha -> 0 the
    distance to the solution of least l2 norm falls like alpha at every depth (minimum_l2_norm): over the norm of that
    solution it is about ||P v_0|| ||X^+ y||^{-1/L}.

    b = 0 is a saddle. Only a start with P v_0 = 0 can reach it: v may then pass zero, and the flow stops there. If all
    inputs have one direction, such a start is one on the wrong side, <v_0, X^T y> < 0. If they do not, it is
    v_0 = -c X^T y, c > 0, where X^T y is a right singular vector of X; otherwise such starts form one curve, on which
    no drawn start lies.

    Applies: regression, fully connected, L >= 2, layers balanced to 1e-10 at t = 0 whatever drew them, and the flow
    does not end in the saddle b = 0. Kind: exact.
    Certificate: the worst of three: the distance from beta to the solutions, ||X^+ (y - X beta)||, relative to beta;
    the part of grad Phi(beta) - v_0 outside the row space, relative to grad Phi(beta); the certificate of X^+ y.
    Reference: Azulay et al., arXiv:2102.09769, for L = 2; the flow of the product is that of Arora, Cohen, Hazan,
    arXiv:1802.06509; for other L the argument above.

    L = 3, X = (1, 0), y = 4/5, layers (0, 3/5)^T, 3/5, 3/5: v_0 = P v_0 = (0, 3/5), and s^6 = 9/25 s^4 + 16/25 at
    s = 1, so that beta = (4/5, 3/5):

    >>> from kernels.theory.table import forecast_of
    >>> start = {"depth": 3, "width": 1, "init": {"layers": [[[0], [0.6]], [[0.6]], [0.6]]}}
    >>> forecast_of("balanced", [[1, 0]], [0.8], architecture="fully_connected", **start).beta.round(9)
    array([0.8, 0.6])
    """

    name = "balanced"
    meaning = "the limit from balanced layers"

    def kind(self, problem: Problem) -> Kind:
        return "exact"

    def applies(self, problem: Problem) -> bool:
        if not problem.regression or problem.depth < 2:
            return False
        return balanced_start(problem) is not None and not stops_at_zero(problem)

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        made: list[Forecast | None] = [None] * len(problems)
        for (dataset, depth), places in grouped((each.dataset, each.depth) for each in problems):
            starts = np.array([balanced_start(problems[place]) for place in places])
            seen = problems[places[0]].shared.once(_seen, dataset)
            for place, forecast in zip(places, _limits(seen, starts, depth), strict=True):
                made[place] = forecast
        return made

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        return coefficients_records(self, problems, forecasts, endpoints)


class Seen(NamedTuple):
    """What the data determine: X and y scaled row by row (`by_rows`), X^+, a basis of the row space, and X^+ y."""

    rows: Float[np.ndarray, "n d"]
    target: Float[np.ndarray, " n"]
    inverse: Float[np.ndarray, "d n"]
    basis: Float[np.ndarray, "d r"]
    least: Solution


def balanced_start(problem: Problem) -> Float[np.ndarray, " d"] | None:
    """v_0 = ||b_0||^{1/L-1} b_0, shape (d,), of a fully connected network with balanced layers; None for others."""
    return problem.shared.each(_starts, [problem])[0]


def stops_at_zero(problem: Problem) -> bool:
    """Whether the layers are balanced and the flow ends in the saddle at zero, before it fits any sample.

    It holds for both tasks: if all inputs have one direction, the sign of <v_0, X^T y> decides in both.
    """
    start = balanced_start(problem)
    if start is None:
        return False
    size = float(np.linalg.norm(start))
    seen = problem.shared.once(_seen, problem.dataset)
    if np.linalg.norm(_outside(seen.basis, start[None])) > ALONG * size:
        return False
    pull = seen.rows.T @ seen.target
    again = seen.rows.T @ (seen.rows @ pull)
    straight = seen.basis.shape[1] == 1 or (problem.regression and _angle(again, pull) <= ALONG)
    return straight and _angle(start, -pull) <= ALONG


def _angle(a: Float[np.ndarray, " d"], b: Float[np.ndarray, " d"]) -> float:
    return float(np.linalg.norm(a / (np.linalg.norm(a) or 1.0) - b / (np.linalg.norm(b) or 1.0)))


def _starts(problems: list[Problem]) -> list[Float[np.ndarray, " d"] | None]:
    return [_start(problem) for problem in problems]


def _start(problem: Problem) -> Float[np.ndarray, " d"] | None:
    if not isinstance(problem.architecture, FullyConnected):
        return None
    *matrices, last = problem.layers
    size = float(np.linalg.norm(last))
    if size == 0 or any(abs(np.linalg.norm(matrix) - size) > BALANCED * size for matrix in matrices):
        return None
    unit = last / size
    for matrix in reversed(matrices):
        image = matrix @ unit
        if np.linalg.norm(matrix - np.outer(image, unit)) > BALANCED * size:
            return None
        unit = image / np.linalg.norm(image)
    return np.asarray(size * unit)


def _seen(dataset: Dataset) -> Seen:
    rows, target = by_rows(dataset.x, dataset.y)
    inverse = np.linalg.pinv(rows, rcond=max(rows.shape) * np.finfo(float).eps)
    return Seen(rows, target, inverse, row_basis(rows), minimum_norm(dataset))


def _outside(basis: Float[np.ndarray, "d r"], vectors: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d"]:
    """The parts of vectors, one a row, that are orthogonal to a basis, projected twice so that small parts are, too."""
    for _ in range(2):
        vectors = vectors - (vectors @ basis) @ basis.T
    return vectors


def _limits(seen: Seen, starts: Float[np.ndarray, "b d"], depth: int) -> list[Forecast]:
    least = np.real(seen.least.rho)
    unseen = _outside(seen.basis, starts)
    norms = root(np.linalg.norm(unseen, axis=1), float(np.linalg.norm(least)), depth)
    betas = least + norms[:, None] ** (depth - 1) * unseen
    return [
        Forecast(beta, _certificate(seen, beta, start, depth), _potential(beta, start, depth))
        for beta, start in zip(betas, starts, strict=True)
    ]


def root(unseen: Float[np.ndarray, " b"], least: float, depth: int) -> Float[np.ndarray, " b"]:
    """The root s > 0 of s^{2L} = p^2 s^{2L-2} + t^2 for p = unseen, t = least; 0 where p = t = 0.

    With z = s^2 / m, m = max(p^2, t^{2/L}), the equation is z = a + b z^{1-L}, where a and b are in [0, 1] and one of
    them is 1. So the root lies in [1, 2]. z - a - b z^{1-L} is concave and not positive at 1, so that Newton's method
    rises from 1 to the root.
    """
    square, other = unseen**2, least ** (2 / depth)
    unit = np.maximum(square, other)
    unit = np.where(unit > 0, unit, 1.0)
    a, b = square / unit, (other / unit) ** depth
    z = np.ones_like(unseen)
    for _ in range(100):
        fall = b * z ** (1 - depth)
        step = (a + fall - z) / (1 + (depth - 1) * fall / z)
        z = z + step
        if (np.abs(step) <= 1e-16 * z).all():
            break
    return np.where(square + other > 0, np.sqrt(z * unit), 0.0)


def _potential(beta: Float[np.ndarray, " d"], start: Float[np.ndarray, " d"], depth: int) -> float:
    power = 1 + 1 / depth
    return float(np.linalg.norm(beta) ** power / power - start @ beta)


def _certificate(seen: Seen, beta: Float[np.ndarray, " d"], start: Float[np.ndarray, " d"], depth: int) -> float:
    size = float(np.linalg.norm(beta))
    gradient = beta / (size ** (1 - 1 / depth) or 1.0)
    outside = _outside(seen.basis, (gradient - start)[None])
    return worst(
        ratio(float(np.linalg.norm(seen.inverse @ (seen.target - seen.rows @ beta))), size),
        ratio(float(np.linalg.norm(outside)), float(np.linalg.norm(gradient))),
        seen.least.certificate,
    )
