"""One sample, two layers: every network is then orthogonally decomposable, by the singular vectors of M(x).

With f(x) = v_1^T M(x) v_2 and one sample, or samples of one direction, both layers are driven by M(x) alone. In the
clock s = -integral r dt and with M = U diag(sigma) V^T

    d(U^T v_1)/ds = sigma V^T v_2,  d(V^T v_2)/ds = sigma U^T v_1,  so p = U^T v_1 + V^T v_2 and m = U^T v_1 - V^T v_2
    obey p(s) = e^{sigma s} p(0),  m(s) = e^{-sigma s} m(0),  f = sum_j sigma_j (p_j^2 - m_j^2) / 4.

Parts of the layers outside the singular vectors rest. All coordinates of one singular value (repeated values, and
channels) keep the directions of their p and m. So they are one coordinate of a diagonal network: with |p| and |m| the
norms over these coordinates, w_1 = (|p| + |m|) / 2 and w_2 = (|p| - |m|) / 2, whose product rho is the sum of theirs.
Hence a prediction about diagonal networks on the sample sigma holds of the network. The layers follow from rho, and
beta from the layers; beta is not linear in rho, because it contains products of different coordinates.

Source of the decomposition: Yun, Krishnan, Mobahi, arXiv:2010.02501. That two layers and one sample always have one is
shown here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from kernels.data.kinds import Dataset
from kernels.networks.base import Architecture, Diagonal
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Forecasts, Kind, Prediction, RunByRun, unit
from kernels.theory.optimisers.certificates import ratio, worst

PARALLEL = 1e-12
"""Inputs have one direction if at most this share of each is orthogonal to the longest one."""

EQUAL = 1e-10
"""Singular values that differ by at most this, relatively, count as one."""

ROUNDED = 64 * float(np.finfo(float).eps)
"""A coordinate of a start below this share of the layers' norm counts as zero."""

P = TypeVar("P", bound=Prediction)


@dataclass(frozen=True, eq=False)
class Line:
    """Inputs of one direction, x_i = a_i x, and the f(x) that fits y best.

    Attributes:
        x: the longest input, shape (d,).
        factors: a, shape (n,).
        target: a.y / a.a.
    """

    x: Float[np.ndarray, " d"]
    factors: Float[np.ndarray, " n"]
    target: float


@dataclass(frozen=True, eq=False)
class SingularBasis:
    """The singular vectors of M(x) with sigma > 0: m of them, for g distinct singular values.

    Attributes:
        line: the inputs.
        channels: number of channels (`DataMatrix.channels`).
        values: distinct sigma > 0, descending, shape (g,).
        left, right: U and V, shapes (a, m) and (b, m).
        group: index of the distinct value of each column of U and V, shape (m,).
    """

    line: Line
    channels: int
    values: Float[np.ndarray, " g"]
    left: Float[np.ndarray, "a m"]
    right: Float[np.ndarray, "b m"]
    group: Int[np.ndarray, " m"]

    def moving(self, layers: Sequence[np.ndarray]) -> tuple[Float[np.ndarray, "m c"], Float[np.ndarray, "m c"]]:
        """p and m of these layers, one column a channel."""
        first, second = (layer.reshape(-1, self.channels) for layer in layers)
        one, other = self.left.T @ first, self.right.T @ second
        return one + other, one - other

    def norms(self, parts: Float[np.ndarray, "m c"]) -> Float[np.ndarray, " g"]:
        """Norm over the coordinates of each distinct singular value, shape (g,)."""
        return np.sqrt(np.bincount(self.group, (parts**2).sum(axis=1), len(self.values)))

    def layers(
        self, plus: Float[np.ndarray, "m c"], minus: Float[np.ndarray, "m c"]
    ) -> tuple[Float[np.ndarray, "a c"], Float[np.ndarray, "b c"]]:
        """The parts of both layers within the singular vectors that have these p and m."""
        return self.left @ (plus + minus) / 2, self.right @ (plus - minus) / 2


@dataclass(frozen=True, eq=False)
class Substitute:
    """The diagonal network that stands for a network of two layers, and the way back from its rho to beta.

    Attributes:
        problem: the diagonal network on the sample sigma; coordinates that rest at zero are left out.
        basis: singular vectors of the data matrix.
        architecture: the original network.
        kept: indices of the distinct singular values that are coordinates, shape (k,).
        plus, minus: p and m at the start over their norms, shape (m, c).
        rest: parts of the layers that do not move, one array a layer.
        from_zero: whether one layer is zero at the start, so that beta(0) = 0 however large the other is.
    """

    problem: Problem
    basis: SingularBasis
    architecture: Architecture
    kept: Int[np.ndarray, " k"]
    plus: Float[np.ndarray, "m c"]
    minus: Float[np.ndarray, "m c"]
    rest: tuple[Float[np.ndarray, "a c"], Float[np.ndarray, "b c"]]
    from_zero: bool

    def seen(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with the layers of the diagonal network; beta stays that of the original network."""
        plus, minus = (self.basis.norms(each)[self.kept] for each in self.basis.moving(endpoint.layers))
        return replace(endpoint, layers=((plus + minus) / 2, (plus - minus) / 2))

    def restored(self, forecast: Forecast | None, kind: Kind) -> Forecast | None:
        """A forecast of rho as a forecast of beta, with the detail and the certificate of the original network."""
        if forecast is None or forecast.beta is None:
            return forecast
        plus, minus = self._sizes(forecast.beta, kind)
        moving = self._layers(plus, minus)
        still = self.rest if kind in ("exact", "limit alpha->inf") else (np.zeros(1), np.zeros(1))
        beta = self._coefficients(moving[0] + still[0], moving[1] + still[1])
        if kind == "limit t->inf":
            beta = unit(beta)
        detail, certificate = dict(forecast.detail), forecast.certificate
        if self.problem.regression:
            line = self.basis.line
            certificate = worst(certificate or 0.0, ratio(abs(float(line.x @ beta) - line.target), abs(line.target)))
        if "slope" in detail:
            detail["slope"] = self._slope(moving, forecast.beta)
        return Forecast(beta, certificate, forecast.objective, detail)

    def _sizes(
        self, rho: Float[np.ndarray, " k"], kind: Kind
    ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """|p| and |m| from rho: p^2 - m^2 = 4 rho, and |p| |m|, which is conserved.

        In the limits of small alpha and of large t, |p| |m| is negligible, and 0 is taken for it. As alpha -> infinity
        the change of the layers is linear in rho.
        """
        w = self.problem.layers
        if kind == "limit alpha->inf":
            return w[0] + rho / w[0], w[0] - rho / w[0]
        conserved = (w[0] + w[1]) * (w[0] - w[1]) if kind == "exact" else np.zeros(len(rho))
        larger = np.sqrt(2 * np.abs(rho) + np.hypot(2 * rho, conserved))
        smaller = conserved / np.where(larger > 0, larger, 1.0)
        return np.where(rho >= 0, larger, smaller), np.where(rho >= 0, smaller, larger)

    def _layers(
        self, plus: Float[np.ndarray, " k"], minus: Float[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, "a c"], Float[np.ndarray, "b c"]]:
        sizes = np.zeros((2, len(self.basis.values)))
        sizes[:, self.kept] = plus, minus
        one, other = sizes[:, self.basis.group, None]
        return self.basis.layers(one * self.plus, other * self.minus)

    def _coefficients(
        self, first: Float[np.ndarray, "a c"], second: Float[np.ndarray, "b c"]
    ) -> Float[np.ndarray, " d"]:
        shapes = zip((first, second), self.architecture.shapes, strict=True)
        return np.asarray(self.architecture.coefficients([layer.reshape(shape) for layer, shape in shapes]))

    def _slope(
        self, limit: tuple[Float[np.ndarray, "a c"], Float[np.ndarray, "b c"]], rho: Float[np.ndarray, " k"]
    ) -> float:
        """The power of alpha with which the distance of beta to the limit of weighted_l1 vanishes as alpha -> 0.

        In that limit a single coordinate is not zero, of singular value sigma. In the layers a coordinate of sigma_j is
        of order alpha^{1 - sigma_j / sigma}, and what rests is of order alpha. Beta contains their products with the
        coordinate that is not zero, unless these vanish, and their squares.
        """
        lead = int(np.argmax(np.abs(rho)))
        side, values = np.sign(rho[lead]), self.basis.values[self.kept]
        growing = self.problem.layers[0] + side * self.problem.layers[1] > 0
        others = np.flatnonzero(growing & (np.arange(len(rho)) != lead))
        size = float(np.linalg.norm(self._coefficients(*limit)))
        for place in others:
            one = np.eye(len(rho))[place]
            if self._mixed(limit, self._layers(one * (side > 0), one * (side < 0))) > EQUAL * size:
                return float(1 - values[place] / values[lead])
        still = [part / (np.linalg.norm(part) or 1.0) for part in self.rest]
        twice = 2 * float(1 - values[others].max(initial=0.0) / values[lead])
        return min(1.0, twice) if self._mixed(limit, (still[0], still[1])) > EQUAL * size else twice

    def _mixed(
        self,
        limit: tuple[Float[np.ndarray, "a c"], Float[np.ndarray, "b c"]],
        other: tuple[Float[np.ndarray, "a c"], Float[np.ndarray, "b c"]],
    ) -> float:
        both = self._coefficients(limit[0], other[1]) + self._coefficients(other[0], limit[1])
        return float(np.linalg.norm(both))


def substitute(problem: Problem) -> Substitute | None:
    """The diagonal network in which a network of two layers moves on inputs of one direction; None for any other."""
    if problem.depth != 2:
        return None
    return problem.shared.each(_substitutes, [problem])[0]


def singular_basis(problem: Problem) -> SingularBasis | None:
    """The singular basis of the data matrix, found once for a data set and a network.

    None unless there are two layers and all inputs have one direction.
    """
    if problem.depth != 2 or problem.shared.once(_line, problem.dataset) is None:
        return None
    return problem.shared.once(_basis, problem.dataset, problem.architecture)


def last_step(basis: SingularBasis, architecture: Architecture, endpoint: Endpoint) -> Float[np.ndarray, " d"]:
    """The change of beta, to first order, that fits the sample, shape (d,).

    It is along the flow's direction dbeta/ds = beta(M v_2, v_2) + beta(v_1, M^T v_1).
    """
    parts = basis.moving(endpoint.layers)
    values = basis.values[basis.group, None]
    first, second = basis.layers(values * parts[0], -values * parts[1])
    one, other = endpoint.layers
    ahead = [[first.reshape(one.shape), other], [one, second.reshape(other.shape)]]
    slope = np.sum([np.asarray(architecture.coefficients(layers)) for layers in ahead], axis=0)
    return slope * (basis.line.target - basis.line.x @ endpoint.beta) / (basis.line.x @ slope)


def _line(dataset: Dataset) -> Line | None:
    x, y = dataset.x, dataset.y
    sizes = np.linalg.norm(x, axis=1)
    lead = x[np.argmax(sizes)]
    factors = x @ lead / (lead @ lead)
    beside = np.linalg.norm(x - np.outer(factors, lead), axis=1)
    if not (beside <= PARALLEL * sizes).all():
        return None
    return Line(lead, factors, float(factors @ y / (factors @ factors)))


def _basis(dataset: Dataset, architecture: Architecture) -> SingularBasis | None:
    line = _line(dataset)
    found = None if line is None else architecture.data_matrix(line.x)
    if line is None or found is None:
        return None
    left, values, right = _singular(found.matrix)
    values = values[values > max(found.matrix.shape) * np.finfo(float).eps * values.max(initial=0.0)]
    if not len(values):
        return None
    apart = np.concatenate([[True], values[1:] < (1 - EQUAL) * values[:-1]])
    count = len(values)
    return SingularBasis(line, found.channels, values[apart], left[:, :count], right[:count].T, np.cumsum(apart) - 1)


def _singular(
    matrix: Float[np.ndarray, "p q"],
) -> tuple[Float[np.ndarray, "p r"], Float[np.ndarray, " r"], Float[np.ndarray, "r q"]]:
    """U, sigma and V^T; read off where no row and no column has two entries, as M(x) of a diagonal network."""
    rows, columns = np.nonzero(matrix)
    if len(np.unique(rows)) < len(rows) or len(np.unique(columns)) < len(columns):
        return np.linalg.svd(matrix, full_matrices=False)
    entries = matrix[rows, columns]
    order = np.argsort(-np.abs(entries), kind="stable")
    places, rank = np.arange(len(order)), len(order)
    left, right = np.zeros((len(matrix), rank)), np.zeros((rank, matrix.shape[1]))
    left[rows[order], places], right[places, columns[order]] = 1.0, np.sign(entries[order])
    return left, np.abs(entries[order]), right


def _substitutes(problems: list[Problem]) -> list[Substitute | None]:
    return [_substitute(problem) for problem in problems]


def _substitute(problem: Problem) -> Substitute | None:
    basis = singular_basis(problem)
    if basis is None:
        return None
    plus, minus = basis.moving(problem.layers)
    least = ROUNDED * np.sqrt(sum(float((layer**2).sum()) for layer in problem.layers))
    sizes = np.array([basis.norms(plus), basis.norms(minus)])
    sizes = np.where(sizes > least, sizes, 0.0)
    kept = np.flatnonzero(sizes.any(axis=0))
    # no coordinate can grow in the direction of the target: the flow does not reach it
    if not sizes[0 if basis.line.target > 0 else 1].any():
        return None
    units = sizes[:, basis.group, None]
    directions = np.divide([plus, minus], units, out=np.zeros((2, *plus.shape)), where=units > 0)
    moving = basis.layers(plus, minus)
    one, other = (layer.reshape(-1, basis.channels) - part for layer, part in zip(problem.layers, moving, strict=True))
    dataset, network = problem.shared.keep(
        (_substitute, problem.dataset, problem.architecture, kept.tobytes()), lambda: _diagonal(problem, basis, kept)
    )
    (p, m), zero = sizes[:, kept], any(not layer.any() for layer in problem.layers)
    diagonal = Problem(problem.spec, dataset, network, ((p + m) / 2, (p - m) / 2), problem.shared)
    return Substitute(diagonal, basis, problem.architecture, kept, directions[0], directions[1], (one, other), zero)


def _diagonal(problem: Problem, basis: SingularBasis, kept: Int[np.ndarray, " k"]) -> tuple[Dataset, Diagonal]:
    rows = np.outer(basis.line.factors, basis.values[kept])
    return Dataset(problem.dataset.name, rows, problem.dataset.y), Diagonal(len(kept), 2)


def of_one_sample(kind: type[P]) -> type[P]:
    """Extend a prediction about orthogonally decomposable networks to every network of two layers on one sample.

    Where the prediction does not apply to a problem itself, it is made for the problem's `Substitute` and translated
    back. A limit of large alpha exists only if beta(0) = 0.
    """
    own = kind.applies
    if issubclass(kind, RunByRun):
        foretold, compared = _one_by_one(kind)
    else:
        foretold, compared = kind.forecast_all, kind.compare_all

    def applies(self: P, problem: Problem) -> bool:
        if own(self, problem):
            return True
        other = substitute(problem)
        if other is None or not own(self, other.problem):
            return False
        return other.from_zero or self.kind(problem) != "limit alpha->inf"

    def chosen(self: P, problems: Sequence[Problem]) -> list[Substitute | None]:
        """The substitute of each problem; None where the prediction applies to the problem itself."""
        return [None if own(self, problem) else substitute(problem) for problem in problems]

    def forecast_all(self: P, problems: Sequence[Problem]) -> list[Forecast | None]:
        others = chosen(self, problems)
        made = foretold(self, _asked(problems, others))
        rows = zip(problems, others, made, strict=True)
        return [each if other is None else other.restored(each, self.kind(problem)) for problem, other, each in rows]

    def compare_all(
        self: P, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        others = chosen(self, problems)
        seen = [each if other is None else other.seen(each) for each, other in zip(endpoints, others, strict=True)]
        return compared(self, _asked(problems, others), forecasts, seen)

    changed = {"applies": applies, "forecast_all": forecast_all, "compare_all": compare_all}
    for name, method in {**changed, "forecast": Prediction.forecast, "compare": Prediction.compare}.items():
        setattr(kind, name, method)
    return kind


def _asked(problems: Sequence[Problem], others: Sequence[Substitute | None]) -> list[Problem]:
    return [problem if other is None else other.problem for problem, other in zip(problems, others, strict=True)]


def _one_by_one(kind: type[RunByRun]) -> tuple[Any, Any]:
    """`forecast_all` and `compare_all` by the `forecast` and `compare` that the class has before it is extended."""
    forecast, compare = kind.forecast, kind.compare

    def foretold(self: RunByRun, problems: Sequence[Problem]) -> list[Forecast | None]:
        return [forecast(self, problem) for problem in problems]

    def compared(
        self: RunByRun, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        return [compare(self, *one) for one in zip(problems, forecasts, endpoints, strict=True)]

    return foretold, compared
