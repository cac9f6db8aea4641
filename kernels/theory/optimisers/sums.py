"""Least weighted sums of moduli subject to linear equations, and of several minimisers the one that a flow chooses.

The problem is min sum_j w_j |rho_j| subject to Q rho = t, and s_j rho_j >= 0 where s_j is not zero. In
x_j = w_j |rho_j| the minimisers are a face {x >= 0 : B x = t}. B has the columns o_j q_j / w_j of those j for which the
multiplier is tight, |[Q^T lambda]_j| = w_j, with o_j = sgn [Q^T lambda]_j.

As the scale of a start tends to zero, the potential whose minimum the flow finds is the sum plus a term of the next
order. That term chooses on the face: sum |rho| log(|rho| / eta^2) is least for L = 2, sum |rho|^{2/L} greatest for
L >= 3. The first is strictly convex, the second strictly concave, and both have infinite slope at zero. So the choice
is the only stationary point in the face's relative interior, which Newton's method finds.

Source: Wind et al., arXiv:2307.07410; eta and signs by expansion of
nu_j(rho_j) = +-(T_L c^{2-L} - |rho_j|^{2/L-1} / (L-2)), c = alpha eta.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Bool, Float, Inexact, Int
from scipy.optimize import linprog

from kernels.theory.optimisers.certificates import ratio

TIGHT = 1e-9
"""A multiplier is tight if |[Q^T lambda]_j| / w_j is at most this much below one. No scale of a start that a double can
hold tells such a coordinate from a tie."""

STRETCH = 1e5
"""Largest factor theta by which a face is stretched to find the coordinates that are positive in some minimiser. A
larger one would turn the rounding of the equations, 1e-16, into more than the program's tolerance."""

TAKEN = 1e-2
"""A coordinate that reaches this on the stretched face, 1e-7 of the largest, is positive in some minimiser."""

DEPENDENT = 1e-8
"""Columns of which QR leaves at most this share of the largest are treated by singular values instead."""


@dataclass(frozen=True)
class SumProblem:
    """min sum_j w_j |rho_j| subject to Q rho = t, with what decides the choice among several minimisers.

    Attributes:
        rows: Q, shape (r, m).
        target: t, shape (r,).
        weights: w > 0, shape (m,).
        signs: +1 or -1 where rho_j keeps that sign, else 0, shape (m,).
        depth: L >= 2.
        eta: scales of the start, shape (m,).
        copies: how many equal coordinates each coordinate stands for, each with |rho_j| / sqrt(copies_j). Shape (m,).
    """

    rows: Float[np.ndarray, "r m"]
    target: Float[np.ndarray, " r"]
    weights: Float[np.ndarray, " m"]
    signs: Float[np.ndarray, " m"]
    depth: int
    eta: Float[np.ndarray, " m"]
    copies: Float[np.ndarray, " m"]


@dataclass(frozen=True)
class LeastSum:
    """The minimiser that the flow chooses.

    Attributes:
        rho: shape (m,).
        multipliers: lambda, shape (r,).
        choice: relative residual of the stationarity of the choice on the face; infinite where none was found.
    """

    rho: Float[np.ndarray, " m"]
    multipliers: Float[np.ndarray, " r"]
    choice: float = 0.0


class Face(NamedTuple):
    """The set of minimisers: x = inner + null u >= 0 for x_j = w_j |rho_j| on the coordinates `kept`, zero elsewhere.

    Attributes:
        kept: coordinates that are positive in some minimiser, shape (k,).
        oriented: the signs of rho there, shape (k,).
        inner: a point in the relative interior, shape (k,).
        null: orthonormal directions along which x may change, shape (k, f).
    """

    kept: Int[np.ndarray, " k"]
    oriented: Float[np.ndarray, " k"]
    inner: Float[np.ndarray, " k"]
    null: Float[np.ndarray, "k f"]


def least_weighted_sum(problem: SumProblem) -> LeastSum | None:
    """The minimiser that the flow chooses; None where the linear program has no answer.

    HiGHS finds a vertex, which is made exact on its support. If it is not the only minimiser, the choice is made on the
    face of all of them.
    """
    scale = float(np.abs(problem.target).max()) or 1.0
    columns = problem.rows / problem.weights
    vertex = _vertex(columns, problem.target / scale, problem.signs)
    if vertex is None:
        return None
    x, multipliers = vertex
    found = LeastSum(scale * x / problem.weights, multipliers)
    face = minimisers(problem, found)
    if face is None:
        return replace(found, choice=np.inf)
    if not face.null.shape[1]:
        return found
    inner, choice = _chosen(problem, face)
    rho = np.zeros_like(x)
    rho[face.kept] = face.oriented * inner / problem.weights[face.kept]
    return LeastSum(rho, polished(columns, rho, multipliers), choice)


def minimisers(problem: SumProblem, found: LeastSum) -> Face | None:
    """The face of all minimisers, from one and its multipliers; None where the program for its interior fails."""
    scale = float(np.abs(problem.target).max()) or 1.0
    columns, target = problem.rows / problem.weights, problem.target / scale
    x, slope = found.rho * problem.weights, columns.T @ found.multipliers
    signs = np.where(x != 0, np.sign(x), np.sign(slope))
    tight = np.flatnonzero(((np.abs(slope) >= 1 - TIGHT) & (signs * problem.signs >= 0)) | (x != 0))
    block = columns[:, tight] * signs[tight]
    if _rank(block) == len(tight):
        return Face(tight, signs[tight], np.abs(x[tight]), np.zeros((len(tight), 0)))
    inner = _interior(block, target)
    if inner is None:
        return None
    taken = inner > 0
    kept, block, inner = tight[taken], block[:, taken], inner[taken]
    inner = inner + np.linalg.lstsq(block, target - block @ inner, rcond=None)[0]
    return Face(kept, signs[kept], scale * inner, scipy.linalg.null_space(block))


def freedom(problem: SumProblem, found: LeastSum, lift: Inexact[np.ndarray, "d m"] | scipy.sparse.sparray) -> int:
    """The dimension of the set of beta = Re(lift rho) over all minimisers rho; -1 where the face was not found.

    Where the problem has 2m coordinates, rho is the first m of them less the others.
    """
    face = minimisers(problem, found)
    if face is None:
        return -1
    size, weights = lift.shape[1], problem.weights[face.kept]
    columns = lift[:, face.kept % size]
    signed = np.where(face.kept < size, face.oriented, -face.oriented) / weights
    change = np.real(columns @ (signed[:, None] * face.null))
    largest = float((np.sqrt((np.abs(columns) ** 2).sum(axis=0)) / weights).max(initial=0.0))
    return int((np.linalg.svd(change, compute_uv=False) > 1e-9 * largest).sum()) if change.size else 0


def decay(problem: SumProblem, found: LeastSum, several: bool) -> float:
    """The power of alpha with which a flow from scale alpha comes near the least sum; NaN if no coordinate is off it.

    For L >= 3 coordinates off the support stay of order alpha^L. For L = 2 they are alpha^2 e^{2 |nu|} with
    nu = log(1 / alpha) A^T lambda, so that the power is 2 (1 - r). Here r is the largest |[A^T lambda]_j| / w_j off the
    support (s_j [A^T lambda]_j / w_j where rho_j keeps the sign s_j), made least over all lambda that are tight on the
    support. Where several beta are minimal, the support is that of the face, and from a start with a zero layer the
    choice on the face is reached with the power 4: after the term of nu that chooses, the next one is smaller by
    alpha^4.

    Source: Matt and Stoeger, arXiv:2506.01143, for the orders; the program and the ties are derived here.
    """
    face = minimisers(problem, found)
    if face is None:
        return float("nan")
    chosen = 4.0 if several and not problem.signs.any() else float("inf")
    off = np.ones(len(found.rho), dtype=bool)
    off[face.kept] = False
    slope = min(_faded(problem, face, off), chosen)
    return slope if slope < float("inf") else float("nan")


def _faded(problem: SumProblem, face: Face, off: Bool[np.ndarray, " m"]) -> float:
    """The power with which coordinates off the support vanish; infinite if there are none, NaN where none is found."""
    if not off.any():
        return float("inf")
    if problem.depth > 2:
        return float(problem.depth)
    columns = problem.rows / problem.weights
    least, signs = columns[:, off], problem.signs[off]
    upper, lower = least[:, signs >= 0], -least[:, signs <= 0]
    both = np.hstack([upper, lower]).T
    if len(face.kept) == len(columns) and not face.null.shape[1]:  # the support leaves lambda no choice
        try:
            forced = np.linalg.solve(columns[:, face.kept].T, face.oriented)
        except np.linalg.LinAlgError:  # exactly singular
            return float("nan")
        return 2 * (1 - float((both @ forced).max()))
    answer = linprog(
        np.append(np.zeros(len(columns)), 1.0),
        A_eq=np.column_stack([columns[:, face.kept].T, np.zeros(len(face.kept))]),
        b_eq=face.oriented,
        A_ub=np.column_stack([both, -np.ones(len(both))]),
        b_ub=np.zeros(len(both)),
        bounds=(None, None),
        method="highs-ds",
    )
    return float("nan") if answer.x is None else 2 * (1 - float(answer.x[-1]))


def certificate(problem: SumProblem, found: LeastSum) -> float:
    """The largest relative residual of Q rho = t, |[Q^T lambda]_j| <= w_j (on the side that s_j leaves open), the
    duality gap, the signs, and the stationarity of the choice; inf where one is not finite.
    """
    rho, multipliers = found.rho, found.multipliers
    value = float(problem.weights @ np.abs(rho))
    slope = (problem.rows.T @ multipliers) / problem.weights
    excess = float(np.where(problem.signs == 0, np.abs(slope), problem.signs * slope).max()) - 1
    wrong = float(problem.weights @ np.maximum(-problem.signs * rho, 0))
    gap = abs(float(problem.target @ multipliers) - value)
    feasible = ratio(float(np.linalg.norm(problem.rows @ rho - problem.target)), float(np.linalg.norm(problem.target)))
    residuals = (feasible, max(excess, 0.0), ratio(gap, value), ratio(wrong, value), found.choice)
    return max(residuals) if all(np.isfinite(residuals)) else float("inf")


def _vertex(
    columns: Float[np.ndarray, "r m"], target: Float[np.ndarray, " r"], signs: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " r"]] | None:
    """(x, lambda) of min sum |x_j| subject to C x = t and signs, x = w rho: a vertex; None if the program fails."""
    size = columns.shape[1]
    bounds = np.zeros((2 * size, 2))
    bounds[:size, 1] = np.where(signs < 0, 0.0, np.inf)
    bounds[size:, 1] = np.where(signs > 0, 0.0, np.inf)
    answer = linprog(
        np.ones(2 * size),
        A_eq=np.hstack([columns, -columns]),
        b_eq=target,
        bounds=bounds,
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.x is None:
        return None
    positive, negative = np.split(answer.x, 2)
    x = positive - negative
    support = np.abs(x) > 1e-9 * (np.abs(x).max() or 1.0)
    exact = np.zeros(size)
    exact[support] = np.linalg.lstsq(columns[:, support], target, rcond=None)[0]
    return exact, polished(columns, exact, answer.eqlin.marginals)


def polished(
    columns: Float[np.ndarray, "r m"], x: Float[np.ndarray, " m"], multipliers: Float[np.ndarray, " r"]
) -> Float[np.ndarray, " r"]:
    """The nearest lambda with C_S^T lambda = sgn x_S on the support S."""
    support = x != 0
    block = columns[:, support]
    return multipliers + nearest(block.T[None], (np.sign(x[support]) - block.T @ multipliers)[None])[0]


def nearest(columns: Float[np.ndarray, "b k r"], target: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b r"]:
    """The least lambda with C^T lambda = t, or the least of those that come nearest, of each problem."""
    count, (size, rank) = len(columns), columns.shape[1:]
    found, apart = np.empty((count, rank)), np.zeros(count, dtype=bool)
    if 0 < size <= rank:
        basis, triangle = np.linalg.qr(columns.transpose(0, 2, 1))
        sizes = np.abs(np.diagonal(triangle, axis1=1, axis2=2))
        apart = sizes.min(axis=1) > DEPENDENT * sizes.max(axis=1)
        inner = np.linalg.solve(triangle[apart].transpose(0, 2, 1), target[apart, :, None])
        found[apart] = (basis[apart] @ inner)[:, :, 0]
    for place in np.flatnonzero(~apart).tolist():
        found[place] = np.linalg.lstsq(columns[place], target[place], rcond=None)[0]
    return found


def _rank(block: Float[np.ndarray, "r k"]) -> int:
    if not block.size:
        return 0
    values = np.linalg.svd(block / np.linalg.norm(block, axis=0), compute_uv=False)
    return int((values > 1e-10 * values[0]).sum())


def _interior(block: Float[np.ndarray, "r k"], target: Float[np.ndarray, " r"]) -> Float[np.ndarray, " k"] | None:
    """A point of {x >= 0 : B x = t} with as many positive entries as any; the others are zero.

    max sum z subject to z <= x, 0 <= z <= 1, B x = t theta, theta >= 1 makes z_j = 1 where some point has x_j > 0.
    """
    count = block.shape[1]
    free, most = [(0.0, None)] * count, [(0.0, 1.0)] * count
    answer = linprog(
        np.concatenate([np.zeros(count), -np.ones(count), [0.0]]),
        A_eq=np.hstack([block, np.zeros_like(block), -target[:, None]]),
        b_eq=np.zeros(len(target)),
        A_ub=np.hstack([-np.eye(count), np.eye(count), np.zeros((count, 1))]),
        b_ub=np.zeros(count),
        bounds=[*free, *most, (1.0, STRETCH)],
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.x is None:
        return None
    x, z, theta = answer.x[:count], answer.x[count : 2 * count], answer.x[-1]
    return np.where(z > TAKEN, x / theta, 0.0)


def _chosen(problem: SumProblem, face: Face) -> tuple[Float[np.ndarray, " k"], float]:
    """(x, residual): the choice on a face by Newton's method from its interior, and its relative stationarity."""
    kept, x, null = face.kept, face.inner, face.null
    copies, eta, power = problem.copies[kept], problem.eta[kept], 2 / problem.depth
    each = 1 / (problem.weights[kept] * np.sqrt(copies))

    def at(x: Float[np.ndarray, " k"]) -> tuple[float, Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Value, gradient and second derivatives in x."""
        size = each * x
        if problem.depth == 2:
            logarithm = np.log(size / eta**2)
            return (
                float(copies @ (size * logarithm)),
                copies * each * (logarithm + 1),
                copies * each**2 / size,
            )
        raised = size**power
        first, second = power * raised / size, power * (1 - power) * raised / size**2
        return -float(copies @ raised), -copies * each * first, copies * each**2 * second

    value, slope, curvature = at(x)
    residual = np.inf
    for _ in range(200):
        residual = ratio(float(np.linalg.norm(null.T @ slope)), float(np.linalg.norm(slope)))
        if residual < 1e-15:
            break
        step = _descent(null, slope, curvature)
        length = min(1.0, 0.9 / max(float((-step / x).max()), 1e-300))
        while length > 1e-12:
            tried = at(x + length * step)
            if tried[0] <= value + 1e-4 * length * float(slope @ step) + 1e-15 * abs(value):
                break
            length /= 2
        better = ratio(float(np.linalg.norm(null.T @ tried[1])), float(np.linalg.norm(tried[1])))
        if length <= 1e-12 or (residual < 1e-10 and better >= residual):
            break
        x, (value, slope, curvature) = x + length * step, tried
    return x, residual


def _descent(
    null: Float[np.ndarray, "k f"], slope: Float[np.ndarray, " k"], curvature: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Newton's step N u, by least squares with sqrt(h) N, because curvatures h may range over many decades."""
    root = np.sqrt(curvature)
    return null @ np.linalg.lstsq(root[:, None] * null, -slope / root, rcond=None)[0]


__all__ = [
    "TIGHT",
    "LeastSum",
    "SumProblem",
    "certificate",
    "decay",
    "freedom",
    "least_weighted_sum",
    "minimisers",
    "nearest",
    "polished",
]
