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
import scipy.linalg
from jaxtyping import Float, Int

from kernels.theory.optimisers.curves import Coordinates, Curve

ORDINARY = 1e2
"""Up to this, the upper bound by single coordinates is returned in place of the sensitivity, which is at most that."""
LARGE = 0.1
"""Share of ||rho|| from which on a coordinate is large. Below it K_j is the slope of the secant from rho_j to there, if
that is steeper than the tangent, because an error may carry a small coordinate as far."""
DEPENDENT = 1e-13
"""A column of which the pivots leave at most this share depends on them."""
EPSILON = float(np.finfo(float).eps)


class Sensitivity(NamedTuple):
    """||change of rho|| / ||rho|| for each relative change of nu_j, of the coordinate j for which it is largest.

    Attributes:
        apart: if every coordinate has an error of its own, as in an optimiser.
        together: if copies have the same error, as in a flow, which keeps them equal.
    """

    apart: float
    together: float


def sensitivities(
    curve: Curve,
    rows: Sequence[Float[np.ndarray, "r m"]],
    rho: Coordinates,
    copies: Sequence[Int[np.ndarray, " m"] | None],
) -> list[Sensitivity]:
    """The sensitivity of each of b minima.

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
    second = np.sort(alone, axis=1)[:, -2]
    found = [Sensitivity(value, value) for value in second.tolist()]
    for place in np.flatnonzero(second > ORDINARY).tolist():
        if np.isfinite(alone[place]).all():
            apart = together = _sensitivity(rows[place], rates[place], alone[place])
            labels = copies[place]
            if labels is not None:
                _, first, counts = np.unique(labels, return_index=True, return_counts=True)
                together = _sensitivity(rows[place][:, first], rates[place][first] * counts, alone[place][first])
            found[place] = Sensitivity(apart, together)
    return found


def _sensitivity(
    rows: Float[np.ndarray, "r g"], rates: Float[np.ndarray, " g"], alone: Float[np.ndarray, " g"]
) -> float:
    """The largest of alone_j / (1 + ||C_j||^2) over columns j that are no pivots; 0 if all are.

    The columns of Q diag(K)^{1/2} are factorised by QR with pivots, and C_j solves (pivots) C_j = (column j). Then
    1 / (1 + ||C_j||^2) is about the diagonal entry of P at j, without a difference of large numbers.

    Args:
        rows: Q.
        rates: K, shape (g,).
        alone: K_j |nu_j| / ||rho||, the sensitivity of each coordinate if it were free, shape (g,).
    """
    left = rows * np.sqrt(rates / rates.max())
    least = DEPENDENT * np.linalg.norm(left, axis=0)
    waiting, pivots, triangle = least > 0, [], []
    for _ in range(len(rows)):
        sizes = np.linalg.norm(left, axis=0)
        waiting &= sizes > least
        if not waiting.any():
            break
        pivot = int(np.argmax(np.where(waiting, sizes, 0.0)))
        direction = left[:, pivot] / sizes[pivot]
        triangle.append(direction @ left)
        left = left - np.outer(direction, triangle[-1])
        waiting[pivot] = False
        pivots.append(pivot)
    others = np.setdiff1d(np.arange(len(rates)), pivots)
    if not others.size:
        return 0.0
    r = np.array(triangle)
    carried = scipy.linalg.solve_triangular(np.triu(r[:, pivots]), r[:, others])
    return float(np.max(alone[others] / (1 + np.sum(carried**2, axis=0))))
