"""How far the dual variable of each coordinate can go: what the curve of a start says of small scales."""

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
    """(-t_j^-, t_j^+) of s_j: the limit, as alpha -> 0, of the domain of nu_j over what nu is of size there.

    L >= 3: alpha^{L-2} nu, whose domain is that of the start at alpha = 1. L = 2: nu / log(1/alpha), t = 1, since
    rho_j = +-1 lies at nu = +-log(2 / (alpha eta_j^{+-})). Where all layers but one are larger than two equal ones,
    rho_j keeps its sign, and on the other side t is infinite.

    Attributes:
        upper, lower: t^+, t^- > 0, shape (m,).
        eta: eta^+ and eta^- of L = 2, |w_1| + |w_2| and its difference, which of several minimisers choose one. (2, m).
        depth: L >= 2.
    """

    upper: Float[np.ndarray, " m"]
    lower: Float[np.ndarray, " m"]
    eta: Float[np.ndarray, "2 m"]
    depth: int

    @property
    def unit(self) -> float:
        """T_L, the end from w_l = 1 for l < L and w_L = 0; 1 for L = 2."""
        return unit_end(self.depth)

    @property
    def key(self) -> bytes:
        """Equal for equal intervals."""
        return self.upper.tobytes() + self.lower.tobytes()

    def sum(self, rho: Float[np.ndarray, "*b m"]) -> Float[np.ndarray, "*b"]:
        """sum_j t_j^+ rho_j^+ + t_j^- rho_j^-, over that of eta = 1; of a sign that rho cannot have, nothing."""
        weights = np.where(rho > 0, self.upper, self.lower) / self.unit
        return np.asarray((np.where(np.isfinite(weights), weights, 0.0) * np.abs(rho)).sum(axis=-1))

    def sides(self, constraint: System) -> SumProblem:
        """The least `sum`, as of 2 m coordinates >= 0: positive parts, then negative ones; columns of those that cannot
        be are zero.
        """
        open_, size = np.isfinite(np.concatenate([self.upper, self.lower])), 2 * len(self.upper)
        weights = np.where(open_, np.concatenate([self.upper, self.lower]) / self.unit, 1.0)
        rows = np.where(open_, np.hstack([constraint.rows, -constraint.rows]), 0.0)
        return SumProblem(
            rows, constraint.target, weights, np.ones(size), self.depth, self.eta.reshape(size), np.ones(size)
        )


def unit_end(depth: int) -> float:
    """T_L = sqrt(pi) Gamma((L-2)/2) / (2 Gamma((L-1)/2)): pi/2, 1, pi/4, 2/3, ... for L = 3, 4, 5, 6; 1 for L = 2."""
    half = (depth - 2) / 2
    return math.sqrt(math.pi) * math.exp(math.lgamma(half) - math.lgamma(half + 0.5)) / 2 if depth > 2 else 1.0


def domain(problem: Problem) -> Domain | None:
    """Of regression from a start with a potential (as minimum_bregman), L >= 2; of other problems None."""
    start = unit_start(problem)
    if start is None:
        return None
    return problem.shared.keep((domain, start.shape, start.tobytes()), lambda: _domain(start))


def unit_start(problem: Problem) -> Float[np.ndarray, "L m"] | None:
    """w_l(0) / alpha to 12 digits, the same, bit for bit, at every alpha."""
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
    side = np.where(start < 0, -1.0, 1.0).prod(axis=0)
    kept = np.sqrt((modulus[1] - modulus[0]) * (modulus[1] + modulus[0])) <= TIED * modulus[0]
    least, next_least = side * modulus[0], modulus[1]
    eta = np.array([next_least + least, next_least - least])
    if depth == 2:
        upper, lower = np.where(kept & (side < 0), np.inf, 1.0), np.where(kept & (side > 0), np.inf, 1.0)
    else:
        upper, lower = GeneralCurve(start).ends()
    return Domain(upper, lower, np.where(eta > 0, eta, 1.0), depth)
