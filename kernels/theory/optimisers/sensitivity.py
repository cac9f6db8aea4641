"""Sensitivity: how far the minimum of a separable potential moves when its dual variables nu are slightly wrong.

Let rho minimise sum_j D_j(rho_j) subject to Q rho = t, D_j' = nu_j(rho_j). If nu is replaced by nu + e, the minimum
moves by diag(K)^{1/2} P diag(K)^{1/2} e, to first order, with K = drho/dnu and P the orthogonal projection onto the
kernel of Q diag(K)^{1/2}.

From small weights in three or more layers, nu_j of every large rho_j is next to an end of its domain, and K_j is huge.
If the columns of Q of the large coordinates are independent, P removes these coordinates, and the minimum hardly moves.
If they are dependent, as where several solutions have the same least norm, digits of nu decide between the solutions
that nu may not have.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from kernels.problem import grouped
from kernels.theory.optimisers.curves import Coordinates, Curve

ORDINARY = 1e2
"""Up to this, the upper bound by single coordinates is returned in place of the sensitivity, which is at most that."""
LARGE = 0.1
"""Share of ||rho|| from which on a coordinate is large. Below it K_j is the slope of the secant from rho_j to there, if
that is steeper than the tangent, because an error may carry a small coordinate as far."""
DEPENDENT = 1e-13
"""A column of which the pivots leave at most this share depends on them."""
ENTRIES = 1 << 16
"""Most entries of Q in one stack."""
EPSILON = float(np.finfo(float).eps)


class Sensitivity(NamedTuple):
    """||change of rho|| / ||rho|| for each relative change of nu_j, of the coordinate j for which it is largest.

    Attributes:
        apart: if every coordinate has an error of its own, as in an optimiser.
        together: if copies have the same error, as in a flow, which keeps them equal.

    Both are inf where doubles do not hold what they are computed from.
    """

    apart: float
    together: float


def sensitivities(
    curve: Curve,
    rows: Sequence[Float[np.ndarray, "r m"]],
    rho: Coordinates,
    copies: Sequence[Int[np.ndarray, " m"] | None],
) -> list[Sensitivity]:
    """The sensitivity of each of b minima, which must be minima and not zero.

    Args:
        curve: the curves of b problems.
        rows: Q of each problem, orthonormal rows.
        rho: the minima, shape (b, m).
        copies: for each problem, labels that are equal for coordinates with equal columns, up to sign, and equal
            starts, shape (m,); None if there are no such coordinates.
    """
    if rho.shape[1] < 2:
        return [Sensitivity(0.0, 0.0)] * len(rho)
    size = np.linalg.norm(rho, axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        z = curve.chart(rho)
        point, nu = curve.at(z), curve.nu(z)
        far = LARGE * np.where(nu < 0, -size, size)
        way = np.abs(far - rho) / np.maximum(np.abs(curve.nu(curve.chart(far)) - nu), EPSILON * np.abs(nu))
        rates = np.maximum(point.drho / point.dnu, np.where(np.abs(rho) < np.abs(far), way, 0.0))
        alone = rates * np.abs(nu) / size
    # where only one coordinate could move, the constraint holds it: so the second largest is the bound
    second = np.where(np.isnan(alone).any(axis=1), np.inf, np.sort(alone, axis=1)[:, -2])
    found = [Sensitivity(value, value) for value in second.tolist()]
    asked = np.flatnonzero((second > ORDINARY) & np.isfinite(alone).all(axis=1)).tolist()
    apart = _largest([_Columns(rows[place], rates[place], alone[place]) for place in asked])
    found_apart = dict(zip(asked, apart, strict=True))
    twins = [(place, labels) for place in asked if (labels := copies[place]) is not None]
    together = _largest([_folded(rows[place], rates[place], alone[place], labels) for place, labels in twins])
    found_together = found_apart | dict(zip((place for place, _ in twins), together, strict=True))
    for place in asked:
        found[place] = Sensitivity(found_apart[place], found_together[place])
    return found


class _Columns(NamedTuple):
    """Coordinates of one problem.

    Attributes:
        rows: Q.
        rates: K, shape (g,).
        alone: K_j |nu_j| / ||rho||, the sensitivity of each coordinate if it were free, shape (g,).
    """

    rows: Float[np.ndarray, "r g"]
    rates: Float[np.ndarray, " g"]
    alone: Float[np.ndarray, " g"]


def _folded(
    rows: Float[np.ndarray, "r m"],
    rates: Float[np.ndarray, " m"],
    alone: Float[np.ndarray, " m"],
    labels: Int[np.ndarray, " m"],
) -> _Columns:
    """One coordinate for all copies."""
    _, first, counts = np.unique(labels, return_index=True, return_counts=True)
    return _Columns(rows[:, first], rates[first] * counts, alone[first])


def _largest(problems: Sequence[_Columns]) -> list[float]:
    """`_largest_moved` of problems of any shapes, in stacks that stay in the cache."""
    found = [0.0] * len(problems)
    for (rank, size), places in grouped(each.rows.shape for each in problems):
        width = max(1, ENTRIES // (rank * size))
        for begin in range(0, len(places), width):
            some = places[begin : begin + width]
            stack = (np.array(values) for values in zip(*(problems[place] for place in some), strict=True))
            for place, value in zip(some, _largest_moved(*stack).tolist(), strict=True):
                found[place] = value
    return found


def _largest_moved(
    rows: Float[np.ndarray, "b r g"], rates: Float[np.ndarray, "b g"], alone: Float[np.ndarray, "b g"]
) -> Float[np.ndarray, " b"]:
    """The largest of alone_j / (1 + ||C_j||^2) over columns j that are no pivots, of each problem; 0 if all are.

    The columns of Q diag(K)^{1/2} are factorised by QR with pivots, and C_j solves (pivots) C_j = (column j). Then
    1 / (1 + ||C_j||^2) is about the diagonal entry of P at j, without a difference of large numbers.

    Args:
        rows, rates, alone: as `_Columns`.
    """
    count, rank, size = rows.shape
    each = np.arange(count)
    left = np.ascontiguousarray((rows * np.sqrt(rates / rates.max(axis=1, keepdims=True))[:, None]).transpose(0, 2, 1))
    least = DEPENDENT * _lengths(left)
    waiting, taken = least > 0, np.zeros((count, size), dtype=bool)
    triangle, pivots = np.zeros((count, rank, size)), np.full((count, rank), -1)
    for step in range(rank):
        sizes = _lengths(left)
        waiting &= sizes > least
        going = waiting.any(axis=1)
        if not going.any():
            break
        pivot = np.where(waiting, sizes, 0.0).argmax(axis=1)
        # problems without a waiting column have a zero direction, which changes nothing
        direction = left[each, pivot] * (going / np.where(going, sizes[each, pivot], 1.0))[:, None]
        triangle[:, step] = (left @ direction[:, :, None])[:, :, 0]
        left -= np.einsum("bg,br->bgr", triangle[:, step], direction)
        waiting[each, pivot], taken[each[going], pivot[going]] = False, True
        pivots[:, step] = np.where(going, pivot, -1)
    corner = np.triu(np.take_along_axis(triangle, pivots[:, None, :], axis=2))
    along = np.arange(rank)
    corner[:, along, along] = np.where(pivots < 0, 1.0, corner[:, along, along])
    carried = np.linalg.solve(corner, triangle)
    moved: Float[np.ndarray, "b g"] = np.where(taken, 0.0, alone / (1 + (carried**2).sum(axis=1)))
    return np.asarray(moved.max(axis=1))


def _lengths(columns: Float[np.ndarray, "b g r"]) -> Float[np.ndarray, "b g"]:
    return np.asarray(np.sqrt(np.einsum("bgr,bgr->bg", columns, columns)))
