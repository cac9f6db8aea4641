"""The equations A rho = y that runs of a batch share, their condition, and how far rounding lets them be solved."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Int

from kernels.data.kinds import Dataset
from kernels.flows.regression import ATTAINABLE
from kernels.networks.keys import Key, key
from kernels.networks.twins import copies, pairs
from kernels.problem import Problem

RANK = 1e-13
"""Share of the largest pivot below which a combination of samples counts as dependent on others."""
ROUNDING = 16 * float(np.finfo(float).eps)
"""An entry of X S^T counts as zero where its modulus is at most this share of sum_k |x_ik| |S_jk|."""


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """The system A rho = y in the coordinates that are integrated.

    Attributes:
        a: A, shape (n, m).
        whitener: W, shape (n, n). ||W r|| is the distance from rho to the solutions, r = A rho - y.
        condition: largest over least singular value of A with rows of norm one, dependent rows left out.
    """

    a: Float[np.ndarray, "n m"]
    whitener: Float[np.ndarray, "n n"]
    condition: float

    @property
    def attainable(self) -> float:
        """Relative distance to the solutions below which the flow cannot come: rounding of A rho is as large."""
        return ATTAINABLE * float(np.finfo(float).eps) * self.condition

    @cached_property
    def copies(self) -> list[Int[np.ndarray, " _"]]:
        """The places of each set of two and more columns of A that are equal, up to sign, to the last bit."""
        return copies(self.a)


def linear_system(a: Float[np.ndarray, "n m"]) -> LinearSystem:
    """The system of a matrix A, with W = R^{-T} P^T D^{-1}.

    D is the diagonal of the norms of the rows, and (D^{-1} A)^T P = Q R a QR factorisation with pivots, without
    dependent rows (RANK).
    """
    n = len(a)
    norms = np.linalg.norm(a, axis=1)
    norms = np.where(norms > 0, norms, 1.0)
    _, r, order = scipy.linalg.qr((a / norms[:, None]).T, mode="economic", pivoting=True)
    pivots = np.abs(np.diag(r))
    rank = int((pivots > RANK * pivots[0]).sum())
    if not rank:
        return LinearSystem(a, np.zeros((n, n)), 1.0)
    whitener = np.zeros((n, n))
    whitener[:rank, order[:rank]] = scipy.linalg.solve_triangular(r[:rank, :rank], np.eye(rank), trans="T")
    whitener /= norms
    singular = np.linalg.svd(r[:rank], compute_uv=False)
    return LinearSystem(a, whitener, float(singular[0] / singular[-1]))


class Systems:
    """The linear systems of one batch, each made once. It lives as long as the batch."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, Key | None], LinearSystem] = {}
        self._kept: list[Dataset] = []

    def of(self, problem: Problem, curved: bool) -> LinearSystem:
        """A = X S^T where coordinates move on curves, else X."""
        place = (id(problem.dataset), key(problem.architecture) if curved else None)
        if place not in self._made:
            self._kept.append(problem.dataset)
            x, decomposition = problem.dataset.x, problem.decomposition if curved else None
            self._made[place] = linear_system(x if decomposition is None else inputs(x, decomposition.s))
        return self._made[place]


def inputs(x: Float[np.ndarray, "n d"], s: Float[np.ndarray, "m d"] | scipy.sparse.sparray) -> Float[np.ndarray, "n m"]:
    """A = X S^T, shape (n, m), without what rounding leaves in zeros and between twins.

    Entries that are rounding alone (ROUNDING) become zero: the coordinate would move though it meets no input. Columns
    that agree, up to sign, to rounding become equal to the bit (networks/twins.py).
    """
    a = x @ s.T
    a[np.abs(a) <= ROUNDING * (np.abs(x) @ np.abs(s).T)] = 0.0
    for place, first, sign in pairs(a):
        a[:, place] = sign * a[:, first]
    return a
