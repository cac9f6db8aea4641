"""The saddles of a problem in the coordinates of its network, and the least weighted sum at which they end."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from kernels.networks.twins import digits
from kernels.problem import Problem, grouped
from kernels.theory.domains import Domain, domain
from kernels.theory.optimisers import sums
from kernels.theory.optimisers.homotopy import Sequence, visited
from kernels.theory.systems import Solution, System, system


@dataclass(frozen=True, eq=False)
class Saddles:
    """The saddles that the flow of a problem visits as alpha -> 0.

    Attributes:
        beta: coefficients of saddles 1, 2, ..., shape (k, d).
        clock: clock of the jump to each saddle, shape (k,); the time is alpha^{2-L} clock (L >= 3), log(1/alpha) clock
            (L = 2).
        certificate: residual of the conditions along the sequence and at its end, relative.
        end: the last saddle as a minimiser of the weighted sum.
    """

    beta: Float[np.ndarray, "k d"]
    clock: Float[np.ndarray, " k"]
    certificate: float
    end: Solution


def saddles(problem: Problem) -> Saddles | None:
    """The saddles of a problem; None without a domain."""
    return saddles_all([problem])[0]


def saddles_all(problems: list[Problem]) -> list[Saddles | None]:
    """`saddles` of many problems.

    They are found once for all problems that differ in alpha alone, and for L = 2 also for those of other starts.
    """
    found: dict[int, Saddles | None] = {}
    for shared, places in grouped(problem.shared for problem in problems):
        found.update(zip(places, shared.each(_made, [problems[place] for place in places]), strict=True))
    return [found[place] for place in range(len(problems))]


def _made(problems: list[Problem]) -> list[Saddles | None]:
    """The saddles of problems of one batch; sequences of one network and data set are followed together."""
    made: list[Saddles | None] = [None] * len(problems)
    intervals = [domain(problem) for problem in problems]
    keys = [
        None if interval is None else (problem.dataset, problem.architecture, interval.key)
        for problem, interval in zip(problems, intervals, strict=True)
    ]
    distinct = [places for key, places in grouped(keys) if key is not None]
    folds = [_folded(problems[places[0]]) for places in distinct]
    for _, some in grouped(
        (problems[distinct[k][0]].dataset, columns.tobytes()) for k, (_, columns) in enumerate(folds)
    ):
        upper, lower = (np.array([folds[k][0].ends[side] for k in some]) for side in (0, 1))
        y = problems[distinct[some[0]][0]].dataset.y
        paths = visited(folds[some[0]][1], y, upper, lower)
        firsts = [problems[distinct[k][0]] for k in some]
        for k, found in zip(some, _saddles(firsts, [folds[k][0] for k in some], paths), strict=True):
            for place in distinct[k]:
                made[place] = found
    return made


def only_least_sum(problem: Problem) -> Solution | None:
    """The minimum of sum_j t_j^+ rho_j^+ + t_j^- rho_j^-, by the end of the saddles; None unless known and unique."""
    found = saddles(problem)
    return found.end if found is not None and found.end.freedom == 0 and found.end.certificate <= REACHED else None


def least_sum(constraint: System, interval: Domain) -> Solution:
    """The same minimum by a linear program; where there are several minimisers, the one that the flow chooses."""
    whole = interval.sides(constraint)
    least = sums.least_weighted_sum(whole)
    if least is None:
        return Solution(np.full(len(interval.upper), np.nan), np.nan, np.inf)
    rho = np.subtract(*np.split(least.rho, 2))
    freedom = sums.freedom(whole, least, constraint.lift)
    slope = sums.decay(whole, least, freedom > 0)
    return Solution(rho, float(interval.sum(rho)), sums.certificate(whole, least), freedom, slope)


REACHED = 1e-12
"""Largest certificate of an end of saddles that is taken for the least sum."""


def _given(problem: Problem) -> tuple[System, Domain]:
    constraint, interval = system(problem), domain(problem)
    assert constraint is not None
    assert interval is not None
    return constraint, interval


def _folded(problem: Problem) -> tuple["_Folded", Float[np.ndarray, "n g"]]:
    """The folded coordinates and their columns of A."""
    constraint, interval = _given(problem)
    folded = _fold(constraint, interval)
    return folded, folded.columns(np.real(problem.dataset.x @ constraint.lift))


def _saddles(problems: list[Problem], folds: list["_Folded"], paths: list[Sequence]) -> list[Saddles]:
    """The saddles of sequences in folded coordinates."""
    unfolded = [folded.unfold(path.rho) for folded, path in zip(folds, paths, strict=True)]
    certified: dict[int, tuple[float, Float[np.ndarray, " r"]]] = {}
    for constraint, places in grouped(_given(problem)[0] for problem in problems):
        some = [place for place in places if len(unfolded[place])]
        if some:
            duals = np.array([folds[place].dual(paths[place].ends) for place in some])
            intervals = [_given(problems[place])[1] for place in some]
            found = _certified(constraint, intervals, np.array([unfolded[place][-1] for place in some]), duals)
            certified |= dict(zip(some, found, strict=True))
    made = []
    for place, (problem, folded, path, rho) in enumerate(zip(problems, folds, paths, unfolded, strict=True)):
        constraint, interval = _given(problem)
        beta = np.real(rho @ constraint.lift.T)
        if place not in certified:
            nothing = Solution(np.zeros(len(interval.upper)), 0.0, np.inf, -1)
            made.append(Saddles(beta, path.clock, np.inf, nothing))
            continue
        residual, multipliers = certified[place]
        unique = folded.unique(path) and folded.agree(constraint)
        slope = float("nan")
        if unique and residual <= REACHED:
            # for L >= 3 the power is that of what is off the support, and each rho has one part there
            slope = float(interval.depth) if interval.depth > 2 else _slope(constraint, interval, rho[-1], multipliers)
        end = Solution(rho[-1], float(interval.sum(rho[-1])), residual, 0 if unique else -1, slope)
        made.append(Saddles(beta, path.clock, max(path.residual, residual), end))
    return made


def _slope(
    constraint: System, interval: Domain, rho: Float[np.ndarray, " m"], multipliers: Float[np.ndarray, " r"]
) -> float:
    parts = np.concatenate([np.maximum(rho, 0), np.maximum(-rho, 0)])
    return sums.decay(interval.sides(constraint), sums.LeastSum(parts, multipliers), several=False)


@np.errstate(all="ignore")  # a sequence that broke off has no certificate: infinite below
def _certified(
    constraint: System, intervals: list[Domain], rho: Float[np.ndarray, "b m"], duals: Float[np.ndarray, "b m"]
) -> list[tuple[float, Float[np.ndarray, " r"]]]:
    """(`sums.certificate`, multipliers) of each last saddle as a minimiser of `Domain.sum`.

    Rounding of s = `duals` has grown along the clock: so lambda is the nearest one for which s is exact on the support.
    """
    unit = intervals[0].unit
    upper, lower = np.array([each.upper for each in intervals]), np.array([each.lower for each in intervals])
    weights = np.where(rho > 0, upper, lower) / unit
    multipliers = duals @ constraint.rows.T / unit
    for count, places in grouped((rho != 0).sum(axis=1).tolist()):
        support = np.argsort(rho[places] == 0, axis=1, kind="stable")[:, :count]
        sides = np.take_along_axis(np.sign(rho[places]) / weights[places], support, axis=1)
        columns = constraint.rows.T[support] * sides[:, :, None]
        multipliers[places] += sums.nearest(columns, 1 - (columns @ multipliers[places, :, None])[:, :, 0])
    value = np.where(rho != 0, weights * np.abs(rho), 0.0).sum(axis=1)
    slope = multipliers @ constraint.rows * unit
    excess = np.maximum(slope / upper, -slope / lower).max(axis=1) - 1
    gap = np.abs(multipliers @ constraint.target - value)
    left = np.linalg.norm(rho @ constraint.rows.T - constraint.target, axis=1)
    size = float(np.linalg.norm(constraint.target))
    shares = [np.where(left == 0, 0.0, left / size), np.maximum(excess, 0.0), np.where(gap == 0, 0.0, gap / value)]
    worst = np.max(shares, axis=0)
    return list(zip(np.where(np.isfinite(worst), worst, np.inf).tolist(), multipliers, strict=True))


@dataclass(frozen=True)
class _Folded:
    """Sets of k coordinates whose columns and intervals are equal, up to sign, folded into one coordinate each.

    The coordinates of a set jump at the same time. The folded coordinate is sqrt(k) times their mean. For L = 2, where
    rho_j = eta_j^2 e^{2 nu} / 4, each coordinate has the share of its eta^2 in their sum; for L >= 3 shares are equal.

    Attributes:
        index: set of each coordinate, shape (m,).
        first: first coordinate of each set, shape (g,).
        signs: +-1, the sign of each column relative to the others of its set, shape (m,).
        root: sqrt(k), shape (g,).
        ends: t^+ and t^- of each set, times sqrt(k).
        shares: share of each coordinate where its set is positive, and where it is negative, shape (2, m).
    """

    index: Int[np.ndarray, " m"]
    first: Int[np.ndarray, " g"]
    signs: Float[np.ndarray, " m"]
    root: Float[np.ndarray, " g"]
    ends: tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]
    shares: Float[np.ndarray, "2 m"]

    def columns(self, a: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n g"]:
        return a[:, self.first] * (self.signs[self.first] * self.root)

    def unfold(self, values: Float[np.ndarray, "k g"]) -> Float[np.ndarray, "k m"]:
        sums = (values * self.root)[:, self.index]
        return self.signs * sums * np.where(sums > 0, *self.shares)

    def dual(self, values: Float[np.ndarray, " g"]) -> Float[np.ndarray, " m"]:
        """s of every coordinate from that of the sets."""
        return self.signs * (values / self.root)[self.index]

    def unique(self, path: Sequence) -> bool:
        """Whether every set that is zero at the end is inside its interval by more than TIGHT: the end is unique."""
        upper, lower = self.ends
        room = np.minimum(1 - path.ends / upper, 1 + path.ends / lower)
        return bool(np.isfinite(path.residual) and (room[path.rho[-1] == 0] > sums.TIGHT).all())

    def agree(self, constraint: System) -> bool:
        """Whether beta is the same for all shares, because the columns of S^T are equal within each set, up to sign."""
        if len(self.first) == len(self.index):
            return True
        lift, places = constraint.lift, self.first[self.index]
        apart = lift * self.signs - lift[:, places] * self.signs[places]
        return bool(np.abs(apart).max() <= 1e-8 * np.abs(lift).max())


def _fold(constraint: System, interval: Domain) -> _Folded:
    upper, lower = interval.upper, interval.lower
    size = len(upper)
    if constraint.twins is None:
        each = np.arange(size)
        return _Folded(each, each, np.ones(size), np.ones(size), (upper, lower), np.ones((2, size)))
    signs = constraint.signs
    near, far = np.where(signs > 0, upper, lower), np.where(signs > 0, lower, upper)
    marks = np.column_stack([constraint.twins, digits(near), digits(far)])
    _, first, index, copies = np.unique(marks, axis=0, return_index=True, return_inverse=True, return_counts=True)
    index = np.ravel(index)
    parts = np.ones((2, size))
    if interval.depth == 2:
        parts = np.where(signs > 0, interval.eta, interval.eta[::-1]) ** 2
    whole = np.array([np.bincount(index, part) for part in parts])
    root = np.sqrt(copies)
    return _Folded(index, first, signs, root, (root * near[first], root * far[first]), parts / whole[:, index])
