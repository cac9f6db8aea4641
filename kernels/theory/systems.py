"""The constraint A rho = y of an orthogonally decomposable network, in an orthonormal basis of its rows, and the norms
that small and large initialisations minimise among its solutions.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Complex, Float, Inexact, Int

from kernels.data.checks import FIT_TOLERANCE
from kernels.data.kinds import Dataset
from kernels.networks.base import Architecture
from kernels.networks.twins import digits, labels
from kernels.problem import Problem
from kernels.theory.optimisers import certificates, sums

DEPENDENT = 1e-8
"""Rows of which QR leaves at most this share of the largest are treated by singular values and pivots instead."""


@dataclass(frozen=True, eq=False)
class System:
    """A rho = y with A = X S^T, written as Q rho = t with orthonormal rows.

    If A rho = y has no solution, Q rho = t are the least-squares ones, to which the flow goes.

    Complex decompositions: if all inputs are parallel, A = u a^T, the force on coordinate j keeps its phase, that of
    conj(a_j), for ever. From a real start w_l(0) = c_l (l < L), w_L(0) = 0 the moduli then obey the real equations with
    |a_j| for a_j, and rho is the modulus times the phase. If inputs have two directions, no such reduction exists: the
    flow of moduli has no potential (as alpha -> 0 it was observed to miss the least sum of moduli).

    Attributes:
        rows: Q, orthonormal rows spanning those of A (or |A|), shape (r, m).
        target: t, shape (r,).
        lift: S^T, times the phases where complex: beta = Re(lift rho), shape (d, m).
        twins: labels of columns, equal for columns of A that are equal up to sign, shape (m,); None without twins.
        signs: +-1, the sign of each column relative to its twins, shape (m,).
    """

    rows: Float[np.ndarray, "r m"]
    target: Float[np.ndarray, " r"]
    lift: Inexact[np.ndarray, "d m"] | scipy.sparse.sparray
    twins: Int[np.ndarray, " m"] | None
    signs: Float[np.ndarray, " m"]

    def coefficients(self, rho: Float[np.ndarray, " m"]) -> Float[np.ndarray, " d"]:
        return np.real(self.lift @ rho)


@dataclass(frozen=True)
class Folded:
    """A system in which each set of twins that start equal is one coordinate; by symmetry they stay equal, up to sign.

    Folding makes them exactly equal. At small scales and large depths, columns that differ in the last bit would
    otherwise end at different rho. In the variables sqrt(k) rho, k the number of copies, rows remain orthonormal.

    Attributes:
        rows: Q in these variables, shape (r, g).
        c: scales of the start, shape (g,).
        copies: k, shape (g,).
        index: set of each coordinate, shape (m,).
        signs: +-1, the sign of each coordinate in its set, shape (m,).
    """

    rows: Float[np.ndarray, "r g"]
    c: Float[np.ndarray, " g"]
    copies: Float[np.ndarray, " g"]
    index: Int[np.ndarray, " m"]
    signs: Float[np.ndarray, " m"]

    def unfold(self, rho: Float[np.ndarray, " g"]) -> Float[np.ndarray, " m"]:
        return self.signs * (rho / np.sqrt(self.copies))[self.index]


def fold(constraint: System, c: Float[np.ndarray, " m"]) -> Folded:
    """The system with coordinates folded that have equal columns, up to sign, and equal scales c."""
    if constraint.twins is None:
        return Folded(constraint.rows, c, np.ones(len(c)), np.arange(len(c)), np.ones(len(c)))
    marks = np.column_stack([constraint.twins, digits(c)])
    _, first, index, copies = np.unique(marks, axis=0, return_index=True, return_inverse=True, return_counts=True)
    lead = constraint.signs[first]
    rows = np.ascontiguousarray(constraint.rows[:, first] * lead * np.sqrt(copies))
    return Folded(rows, c[first], copies.astype(float), np.ravel(index), constraint.signs)


def system(problem: Problem) -> System | None:
    """The constraint in real coordinates; None without a decomposition, or if it is complex and inputs not parallel."""
    if problem.decomposition is None:
        return None
    return problem.shared.once(_system, problem.dataset, problem.architecture)


def _system(dataset: Dataset, network: Architecture) -> System | None:
    decomposition = network.decomposed
    if decomposition is None:
        return None
    matrix = dataset.x @ decomposition.s.T
    lift = decomposition.s.T
    if not decomposition.real:
        phases = _common_phases(matrix)
        if phases is None:
            return None
        matrix, lift = np.real(matrix * phases), lift * phases
    scaled, target = by_rows(matrix, dataset.y)
    q, r, order = scipy.linalg.qr(scaled.T, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    rank = int((size > max(matrix.shape) * np.finfo(float).eps * size[0]).sum())
    # A^T P = Q R: the first r samples, in pivots' order, are R_r^T (Q^T rho) = y; the others follow, or are fitted
    rows, triangle, fitted = np.ascontiguousarray(q[:, :rank].T), r[:rank].T, target[order]
    solution = np.linalg.lstsq(triangle, fitted, rcond=None)[0]
    if np.linalg.norm(triangle @ solution - fitted) > FIT_TOLERANCE * np.linalg.norm(fitted):
        solution = np.linalg.lstsq(matrix @ rows.T, dataset.y, rcond=None)[0]
    return System(rows, solution, lift, *labels(scaled))


def by_rows(
    matrix: Inexact[np.ndarray, "n m"], target: Float[np.ndarray, " n"]
) -> tuple[Inexact[np.ndarray, "n m"], Float[np.ndarray, " n"]]:
    """Rows and targets over powers of two near the norms of the rows.

    So all samples count alike in what follows, and nothing is rounded.
    """
    exponents = np.frexp(np.linalg.norm(matrix, axis=1))[1]
    factors = np.ldexp(1.0, -exponents)
    return matrix * factors[:, None], target * factors


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
    """A minimiser.

    Attributes:
        rho: the minimiser, shape (m,).
        objective: its objective.
        certificate: relative residual of its optimality conditions.
        freedom: dimension of the set of beta of all minimisers; -1 where it is not known.
        slope: the power of alpha with which the distance to it vanishes as alpha -> 0; NaN where it is not known.
    """

    rho: Inexact[np.ndarray, " m"]
    objective: float
    certificate: float
    freedom: int = 0
    slope: float = float("nan")


@dataclass(frozen=True)
class Start:
    """A start that one number a coordinate describes: |w_l(0)| = alpha eta for l < L (`Problem.eta`).

    Attributes:
        eta: scales, shape (m,).
        signs: 0 where w_L(0) = 0; the sign of rho_j(0), which rho_j keeps, where |w_L(0)| = alpha eta, too. Shape (m,).
        depth: L >= 2.
    """

    eta: Float[np.ndarray, " m"]
    signs: Float[np.ndarray, " m"]
    depth: int


def weighted_l1(system: System, start: Start) -> Solution:
    """min sum_j |rho_j| eta_j^{2-L} subject to Q rho = t; of several minimisers the one that the flow chooses."""
    eta, signs, depth = start.eta, start.signs, start.depth
    whole = sums.SumProblem(system.rows, system.target, eta ** (2 - depth), signs, depth, eta, np.ones(len(eta)))
    folded = Folded(system.rows, eta, np.ones(len(eta)), np.arange(len(eta)), np.ones(len(eta)))
    attempts = [folded] if signs.any() else [fold(system, eta), folded]
    best = Solution(np.full(len(eta), np.nan), np.nan, np.inf)
    for folded in attempts:
        c, copies = folded.c, folded.copies
        part = sums.SumProblem(
            folded.rows, system.target, c ** (2 - depth) * np.sqrt(copies), signs[: len(c)], depth, c, copies
        )
        found = sums.least_weighted_sum(part)
        if found is None:
            continue
        rho = folded.unfold(found.rho)
        found = replace(found, rho=rho)
        certificate = sums.certificate(whole, found)
        if certificate < best.certificate:
            dimension = sums.freedom(whole, found, system.lift)
            slope = sums.decay(whole, found, dimension > 0)
            best = Solution(rho, float(whole.weights @ np.abs(rho)), certificate, dimension, slope)
        if certificate <= 1e-12 or folded.rows.shape[1] == len(eta):
            break
    return best


def weighted_l2(problem: Problem, weights: Float[np.ndarray, "b m"]) -> list[Solution]:
    """min sum_j w_j |rho_j|^2 subject to A rho = y, real or complex, for b rows of weights.

    By QR of the rows of A w^{-1/2}; by least squares in sqrt(w) rho where the rows are nearly dependent.
    """
    decomposition = problem.decomposition
    assert decomposition is not None
    rows, target = by_rows(problem.dataset.x @ decomposition.s.T, problem.dataset.y)
    roots = np.sqrt(weights)
    scaled = rows / roots[:, None, :]
    basis, triangle = np.linalg.qr(scaled.conj().transpose(0, 2, 1))
    sizes = np.abs(np.diagonal(triangle, axis1=1, axis2=2))
    apart = (sizes.min(axis=1) > DEPENDENT * sizes.max(axis=1)) & (len(target) <= rows.shape[1])
    found = []
    for place, root in enumerate(roots):
        if apart[place]:
            span = basis[place]
            lower = triangle[place].conj().T
            solution = span @ scipy.linalg.solve_triangular(lower, target, lower=True, check_finite=False)
        else:
            solution, span = np.linalg.lstsq(scaled[place], target, rcond=None)[0], row_basis(scaled[place])
        rho = solution / root
        certificate = certificates.worst(certificates.interpolation(rows, target, rho), _off_rows(span, solution))
        found.append(Solution(rho, float(weights[place] @ np.abs(rho) ** 2), certificate))
    return found


def _off_rows(basis: Inexact[np.ndarray, "m r"], solution: Inexact[np.ndarray, " m"]) -> float:
    """||x - Q^H Q x|| / ||x||, Q^H an orthonormal basis of the conjugated rows.

    It needs no multipliers, which are large where rows are nearly parallel.
    """
    outside = solution - basis @ (basis.conj().T @ solution)
    return certificates.ratio(float(np.linalg.norm(outside)), float(np.linalg.norm(solution)))


def row_basis(rows: Inexact[np.ndarray, "n m"]) -> Inexact[np.ndarray, "m r"]:
    """Q^H: orthonormal columns that span the conjugated rows, shape (m, r)."""
    q, r, _ = scipy.linalg.qr(rows.conj().T, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    found: Inexact[np.ndarray, "m r"] = q[:, size > max(rows.shape) * np.finfo(float).eps * size[0]]
    return found


def minimum_norm(dataset: Dataset) -> Solution:
    """min ||beta|| subject to X beta = y; the solution's rho is beta."""
    rows, target = by_rows(dataset.x, dataset.y)
    beta = np.linalg.lstsq(rows, target, rcond=None)[0]
    certificate = certificates.worst(certificates.interpolation(rows, target, beta), _off_rows(row_basis(rows), beta))
    return Solution(beta, float(np.linalg.norm(beta)), certificate)
