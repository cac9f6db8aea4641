"""The constraint A rho = y of an orthogonally decomposable network, in an orthonormal basis of its rows, and the norms
that small and large initialisations minimise among its solutions.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.linalg
from jaxtyping import Complex, Float, Inexact, Int
from scipy.optimize import linprog

from kernels.data.kinds import Dataset
from kernels.networks.keys import Key, decomposition_by_key, key
from kernels.problem import Problem
from kernels.theory.optimisers import certificates


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
        twins: the same label for columns of A that are equal up to sign, shape (m,), or None if there are none.
        signs: +-1, of each column against its twins.
    """

    rows: Float[np.ndarray, "r m"]
    target: Float[np.ndarray, " r"]
    lift: Inexact[np.ndarray, "d m"]
    twins: Int[np.ndarray, " m"] | None
    signs: Float[np.ndarray, " m"]

    def coefficients(self, rho: Float[np.ndarray, " m"]) -> Float[np.ndarray, " d"]:
        return np.real(self.lift @ rho)


@dataclass(frozen=True)
class Folded:
    """One coordinate for each set of twins from the same start: by symmetry they stay equal, up to sign.

    Small scales and large depths tell coordinates apart whose columns differ in the last bit, so what is equal must be
    made so exactly. In the variables sqrt(k) rho, k the number of copies, the rows remain orthonormal.

    Attributes:
        rows: shape (r, g).
        c: scales of the start, shape (g,).
        copies: k, shape (g,).
        index: coordinate -> set, shape (m,).
        signs: shape (m,).
    """

    rows: Float[np.ndarray, "r g"]
    c: Float[np.ndarray, " g"]
    copies: Float[np.ndarray, " g"]
    index: Int[np.ndarray, " m"]
    signs: Float[np.ndarray, " m"]

    def unfold(self, rho: Float[np.ndarray, " g"]) -> Float[np.ndarray, " m"]:
        return self.signs * (rho / np.sqrt(self.copies))[self.index]


def fold(constraint: System, c: Float[np.ndarray, " m"]) -> Folded:
    """Coordinates merged that have equal columns, up to sign, and equal scales c."""
    if constraint.twins is None:
        return Folded(constraint.rows, c, np.ones(len(c)), np.arange(len(c)), np.ones(len(c)))
    marks = np.column_stack([constraint.twins, np.round(c / c.max(), 12)])
    _, first, index, copies = np.unique(marks, axis=0, return_index=True, return_inverse=True, return_counts=True)
    lead = constraint.signs[first]
    rows = np.ascontiguousarray(constraint.rows[:, first] * lead * np.sqrt(copies))
    return Folded(rows, c[first], copies.astype(float), np.ravel(index), constraint.signs)


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
    return System(np.ascontiguousarray(q[:, :rank].T), target, lift, *_twins(matrix))


def _twins(matrix: Float[np.ndarray, "n m"]) -> tuple[Int[np.ndarray, " m"] | None, Float[np.ndarray, " m"]]:
    """Labels of columns that agree, up to sign, to 13 digits of the largest entry."""
    scaled = np.round(matrix / (np.abs(matrix).max() or 1.0), 13)
    leads = np.take_along_axis(scaled, (scaled != 0).argmax(axis=0)[None], axis=0)[0]
    signs = np.where(leads < 0, -1.0, 1.0)
    kinds, labels = np.unique(scaled * signs, axis=1, return_inverse=True)
    return (np.ravel(labels) if kinds.shape[1] < matrix.shape[1] else None), signs


def _common_phases(matrix: Complex[np.ndarray, "n m"]) -> Complex[np.ndarray, " m"] | None:
    """conj(a) / |a| of the one direction a that all rows share up to real factors; None if they share none."""
    lead = matrix[np.argmax(np.linalg.norm(matrix, axis=1))]
    modulus = np.abs(lead)
    phases = np.where(modulus > 1e-14 * modulus.max(), np.conj(lead) / np.where(modulus > 0, modulus, 1), 1)
    aligned = matrix * phases
    factors = aligned.real @ modulus / (modulus @ modulus)
    rest = np.abs(aligned - np.outer(factors, modulus)).max()
    return phases if rest <= 1e-12 * modulus.max() else None


@dataclass(frozen=True)
class Solution:
    """rho, its objective and the residual of its optimality conditions."""

    rho: Inexact[np.ndarray, " m"]
    objective: float
    certificate: float


def weighted_l1(system: System, weights: Float[np.ndarray, " m"]) -> Solution:
    """min sum_j w_j |rho_j|: a linear program by HiGHS, then exact on its support. Kept, as it is free of alpha."""
    return _weighted_l1(system, weights.tobytes())


@lru_cache(maxsize=256)
def _weighted_l1(system: System, buffer: bytes) -> Solution:
    folded = fold(system, np.frombuffer(buffer))
    rows, target, weights = folded.rows, system.target, folded.c * np.sqrt(folded.copies)
    scale = float(np.abs(target).max()) or 1.0
    answer = linprog(
        np.concatenate([weights, weights]),
        A_eq=np.hstack([rows, -rows]),
        b_eq=target / scale,
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.x is None:
        return Solution(np.full(len(folded.index), np.nan), np.nan, np.inf)
    positive, negative = np.split(scale * answer.x, 2)
    rho, multipliers = _polish(rows, target, weights, positive - negative, answer.eqlin.marginals)
    certificate = certificates.weighted_l1(rows, target, weights, rho, multipliers)
    return Solution(folded.unfold(rho), float(weights @ np.abs(rho)), certificate)


def _polish(
    rows: Float[np.ndarray, "r m"],
    target: Float[np.ndarray, " r"],
    weights: Float[np.ndarray, " m"],
    rho: Float[np.ndarray, " m"],
    multipliers: Float[np.ndarray, " r"],
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " r"]]:
    """Q_S rho_S = t and Q_S^T lambda = w_S sign(rho_S), solved on the support of the vertex that was found."""
    support = np.abs(rho) > 1e-9 * (np.abs(rho).max() or 1.0)
    exact = np.zeros_like(rho)
    exact[support] = np.linalg.lstsq(rows[:, support], target, rcond=None)[0]
    slope = weights[support] * np.sign(rho[support]) - rows[:, support].T @ multipliers
    return exact, multipliers + np.linalg.lstsq(rows[:, support].T, slope, rcond=None)[0]


def weighted_l2(problem: Problem, weights: Float[np.ndarray, " m"]) -> Solution:
    """min sum_j w_j |rho_j|^2 subject to A rho = y, real or complex, by least squares in sqrt(w) rho. Kept."""
    return _weighted_l2(problem.dataset, key(problem.architecture), weights.tobytes())


@lru_cache(maxsize=256)
def _weighted_l2(dataset: Dataset, network: Key, buffer: bytes) -> Solution:
    weights = np.frombuffer(buffer)
    decomposition = decomposition_by_key(network)
    assert decomposition is not None
    rows, target = dataset.x @ decomposition.s.T, dataset.y
    scaled = rows / np.sqrt(weights)
    solution = np.linalg.lstsq(scaled, target, rcond=None)[0]
    in_rows = scaled.conj().T @ np.linalg.lstsq(scaled.conj().T, solution, rcond=None)[0]
    rho = solution / np.sqrt(weights)
    certificate = certificates.worst(
        certificates.interpolation(rows, target, rho),
        certificates.ratio(float(np.linalg.norm(solution - in_rows)), float(np.linalg.norm(solution))),
    )
    return Solution(rho, float(weights @ np.abs(rho) ** 2), certificate)


@lru_cache(maxsize=256)
def minimum_norm(dataset: Dataset) -> Solution:
    """min ||beta|| subject to X beta = y; in place of rho, beta. Kept, as it is the same for all networks."""
    beta = np.linalg.lstsq(dataset.x, dataset.y, rcond=None)[0]
    in_rows = dataset.x.T @ np.linalg.lstsq(dataset.x.T, beta, rcond=None)[0]
    certificate = certificates.worst(
        certificates.interpolation(dataset.x, dataset.y, beta),
        certificates.ratio(float(np.linalg.norm(beta - in_rows)), float(np.linalg.norm(beta))),
    )
    return Solution(beta, float(np.linalg.norm(beta)), certificate)
