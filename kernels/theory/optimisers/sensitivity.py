"""By how much the minimum of a separable potential moves when its dual variables do.

Where nu is replaced by nu + e, the minimum subject to Q rho = t moves by diag(K)^{1/2} P diag(K)^{1/2} e, with
K = drho/dnu and P the orthogonal projection onto the kernel of Q diag(K)^{1/2}. For three and more layers from small
weights nu of every large rho is next to an end of its domain, and K is huge. If no more coordinates are large than Q
has independent columns for, P leaves nothing of them. If more are, as where several solutions have the same least norm,
nu decides between them by digits that it may not have.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from kernels.theory.optimisers.curves import Coordinates, Curve

ORDINARY = 1e2
"""A sensitivity that is not looked into: each coordinate by itself moves by less."""
LARGE = 0.1
"""Share of ||rho|| at which a coordinate is large: K is the secant to there where that is steeper."""
DEPENDENT = 1e-13
"""What other columns leave of a column, relative to it, if it depends on them."""
EPSILON = float(np.finfo(float).eps)


class Sensitivity(NamedTuple):
    """Change of rho over ||rho||, for each relative change of nu, of the coordinate that moves it most.

    Attributes:
        apart: where each coordinate has an error of its own, as in an optimiser.
        together: where copies have the same, as in a flow, which keeps them equal.

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
    """Of b minima: what is no minimum, or zero, has none.

    Args:
        curve: of b problems.
        rows: Q of each, orthonormal.
        rho: the minima, shape (b, m).
        copies: the same label for coordinates with equal columns, up to sign, and equal starts; None without any.
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
    # a single coordinate cannot move along a constraint that it is part of
    second = np.where(np.isnan(alone).any(axis=1), np.inf, np.sort(alone, axis=1)[:, -2])
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
    """By a QR factorisation of Q diag(K)^{1/2} with pivots, so that no difference of large numbers is taken.

    A coordinate that is no pivot moves by itself, and pivots with it by C, (pivots) C = (column): the more, the less.
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
