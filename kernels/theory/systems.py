"""The constraint A rho = y of an orthogonally decomposable network, in an orthonormal basis of its rows."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.linalg
from jaxtyping import Complex, Float, Inexact

from kernels.datasets import Dataset
from kernels.theory.base import Problem
from kernels.theory.networks import Key, decomposition_by_key, key


@dataclass(frozen=True, eq=False)
class System:
    """A rho = y as Q rho = t, A = X S^T; where A has no solution, the least-squares one, to which the flow goes.

    Complex decompositions: with all inputs parallel, A = u a^T, the drive of coordinate j keeps its phase, that of
    conj(a_j), for ever. From a real start w_l(0) = c_l (l < L), w_L(0) = 0 the moduli then obey the real equations
    with |a_j| for a_j, and rho is the modulus times the phase. With two directions of inputs no such reduction
    exists: the flow of moduli has no potential (observed: as alpha -> 0 it then misses the least sum of moduli).

    Attributes:
        rows: Q, orthonormal rows spanning those of A (or |A|), shape (r, m).
        target: t, shape (r,).
        lift: S^T, times the phases where complex: beta = Re(lift rho), shape (d, m).
    """

    rows: Float[np.ndarray, "r m"]
    target: Float[np.ndarray, " r"]
    lift: Inexact[np.ndarray, "d m"]

    def coefficients(self, rho: Float[np.ndarray, " m"]) -> Float[np.ndarray, " d"]:
        return np.real(self.lift @ rho)


def system(problem: Problem) -> System | None:
    """The constraint in real coordinates; None without a decomposition, or if it is complex and inputs not parallel."""
    return None if problem.decomposition is None else _system(problem.dataset, key(problem.architecture))


@lru_cache(maxsize=64)
def _system(dataset: Dataset, network: Key) -> System | None:
    decomposition = decomposition_by_key(network)
    if decomposition is None:
        return None
    matrix = dataset.x @ decomposition.s.T
    lift: Inexact[np.ndarray, "d m"] = decomposition.s.T
    if not decomposition.real:
        phases = _common_phases(matrix)
        if phases is None:
            return None
        matrix, lift = np.real(matrix * phases), lift * phases
    q, r, order = scipy.linalg.qr(matrix.T, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    rank = int((size > max(matrix.shape) * np.finfo(float).eps * size[0]).sum())
    # A^T P = Q R, so the leading pivoted samples read R_r^T (Q^T rho) = y; the others follow or are fitted
    target = np.linalg.lstsq(r[:rank].T, dataset.y[order], rcond=None)[0]
    return System(np.ascontiguousarray(q[:, :rank].T), target, lift)


def _common_phases(matrix: Complex[np.ndarray, "n m"]) -> Complex[np.ndarray, " m"] | None:
    """conj(a) / |a| of the one direction a that all rows share up to real factors; None if they share none."""
    lead = matrix[np.argmax(np.linalg.norm(matrix, axis=1))]
    modulus = np.abs(lead)
    phases = np.where(modulus > 1e-14 * modulus.max(), np.conj(lead) / np.where(modulus > 0, modulus, 1), 1)
    aligned = matrix * phases
    factors = aligned.real @ modulus / (modulus @ modulus)
    rest = np.abs(aligned - np.outer(factors, modulus)).max()
    return phases if rest <= 1e-12 * modulus.max() else None
