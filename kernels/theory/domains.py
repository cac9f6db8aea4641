"""Domains: the interval in which the dual variable nu_j of each coordinate moves as alpha -> 0."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kernels.problem import Problem, rounded
from kernels.theory.optimisers.curves import TIED, GeneralCurve
from kernels.theory.optimisers.sums import SumProblem
from kernels.theory.systems import System, system


@dataclass(frozen=True, eq=False)
class Domain:
    """The interval (-t_j^-, t_j^+) of s_j, the dual variable nu_j in the units in which it stays finite as alpha -> 0.

    L >= 3: s = alpha^{L-2} nu, and the interval is the domain of nu from the start at alpha = 1. L = 2:
    s = nu / log(1/alpha), and t^+ = t^- = 1, because rho_j = +-1 lies at nu = +-log(2 / (alpha eta_j^{+-})). Where two
    layers share the least modulus, rho_j keeps its sign, and the end on the other side is infinite.

    Attributes:
        upper, lower: t^+ and t^- > 0, shape (m,).
        eta: eta^+ and eta^- of a start of two layers: the larger modulus plus and minus the signed least one, over
            alpha. They decide which of several minimisers the flow chooses. Shape (2, m).
        depth: L >= 2.
    """

    upper: Float[np.ndarray, " m"]
    lower: Float[np.ndarray, " m"]
    eta: Float[np.ndarray, "2 m"]
    depth: int

    @property
    def unit(self) -> float:
        """T_L, the end for the start w_l = 1 for l < L and w_L = 0; 1 for L = 2."""
        return unit_end(self.depth)

    @property
    def key(self) -> bytes:
        """Bytes that are equal for equal intervals."""
        return self.upper.tobytes() + self.lower.tobytes()

    def sum(self, rho: Float[np.ndarray, "*b m"]) -> Float[np.ndarray, "*b"]:
        """sum_j (t_j^+ rho_j^+ + t_j^- rho_j^-) / T_L, rho_j^+- >= 0 being the positive and the negative part of rho_j.

        A part of a sign that rho_j cannot have adds nothing.
        """
        weights = np.where(rho > 0, self.upper, self.lower) / self.unit
        return np.asarray((np.where(np.isfinite(weights), weights, 0.0) * np.abs(rho)).sum(axis=-1))

    def sides(self, constraint: System) -> SumProblem:
        """The problem of least `sum` in 2 m coordinates >= 0: the positive parts, then the negative ones.

        Columns of parts that rho cannot have are zero.
        """
        open_, size = np.isfinite(np.concatenate([self.upper, self.lower])), 2 * len(self.upper)
        weights = np.where(open_, np.concatenate([self.upper, self.lower]) / self.unit, 1.0)
        rows = np.where(open_, np.hstack([constraint.rows, -constraint.rows]), 0.0)
        return SumProblem(
            rows, constraint.target, weights, np.ones(size), self.depth, self.eta.reshape(size), np.ones(size)
        )


@functools.cache
def unit_end(depth: int) -> float:
    """T_L = sqrt(pi) Gamma((L-2)/2) / (2 Gamma((L-1)/2)): pi/2, 1, pi/4, 2/3, ... for L = 3, 4, 5, 6; 1 for L = 2."""
    half = (depth - 2) / 2
    return math.sqrt(math.pi) * math.exp(math.lgamma(half) - math.lgamma(half + 0.5)) / 2 if depth > 2 else 1.0


def domain(problem: Problem) -> Domain | None:
    """The domain of a regression of L >= 2 from a start with a potential (as minimum_bregman); None for others."""
    return problem.shared.each(_domains, [problem])[0]


def _domains(problems: list[Problem]) -> list[Domain | None]:
    """The domain of each problem, one object for all starts that differ in alpha alone."""
    starts = [unit_start(problem) for problem in problems]
    return [
        None
        if start is None
        else problem.shared.keep((domain, start.shape, start.tobytes()), functools.partial(_domain, start))
        for problem, start in zip(problems, starts, strict=True)
    ]


def unit_start(problem: Problem) -> Float[np.ndarray, "L m"] | None:
    """w_l(0) / alpha to 12 digits, equal to the bit at every alpha, shape (L, m); None as `domain`."""
    w, eta = problem.coordinates, problem.eta
    if not problem.regression or w is None or len(w) < 2 or system(problem) is None:
        return None
    if problem.scale is not None and eta is not None:
        return np.vstack([np.broadcast_to(eta, (len(w) - 1, len(eta))), np.zeros((1, len(eta)))])
    if np.iscomplexobj(w) or not problem.moves:
        return None
    return np.sign(w) * rounded(np.abs(w), problem.spec.alpha)


def _domain(start: Float[np.ndarray, "L m"]) -> Domain:
    depth, modulus = len(start), np.sort(np.abs(start), axis=0)
    if not modulus[0].any() and (modulus[1:] == modulus[-1]).all():
        # w_l = eta for l < L and w_L = 0: nu = eta^{2-L} times that of eta = 1
        ends = unit_end(depth) * modulus[-1] ** (2 - depth)
        return Domain(ends, ends, modulus[[-1, -1]], depth)
    side = np.where(start < 0, -1.0, 1.0).prod(axis=0)
    kept = np.sqrt((modulus[1] - modulus[0]) * (modulus[1] + modulus[0])) <= TIED * modulus[0]
    least, next_least = side * modulus[0], modulus[1]
    eta = np.array([next_least + least, next_least - least])
    if depth == 2:
        upper, lower = np.where(kept & (side < 0), np.inf, 1.0), np.where(kept & (side > 0), np.inf, 1.0)
    else:
        upper, lower = GeneralCurve(start).ends()
    return Domain(upper, lower, np.where(eta > 0, eta, 1.0), depth)
