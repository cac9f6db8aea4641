"""The saddles that gradient flow visits from ever smaller weights, and the clock of its jumps.

Every coordinate has s_j = alpha^{L-2} nu_j in an interval (-t_j^-, t_j^+), ds/dclock = A^T (y - A rho). It stays zero
while s_j is inside, and where it is not zero s_j is at an end. So the flow rests at a saddle k, where s moves along the
line u = A^T (y - A k), until the first s_j meets an end; then, in no time on this clock, it falls to the next saddle,
the least squares in which j may grow and those that are there keep their signs.

Source: Pesme and Flammarion, arXiv:2304.00488, for L = 2; Zhao et al., arXiv:2607.12332, for every depth.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

ROUNDING = 1e-12
"""A force |u_j| below this share of ||a_j|| ||y|| is one of rounding: at rest."""

TIE = 1e-9
"""Jumps that are so near on the clock, relatively, are one jump of two coordinates, of which this says nothing."""

MOST = 128
"""Saddles at most, so that they take a fraction of a second. The last one has as many coordinates as there are samples,
so that of more samples nothing is asked."""


@dataclass(frozen=True, eq=False)
class Sequence:
    """Saddles 1, 2, ... of one problem; the origin, where the flow starts, is not among them.

    Attributes:
        rho: shape (k, m).
        clock: of the jump to each saddle, shape (k,).
        ends: s = A^T lambda at the last one, shape (m,).
        residual: the worst, over the saddles, of forces on coordinates that are not zero, relative, and of s_j against
            the end of the interval at which it must be; infinite where the sequence breaks off: two coordinates at
            once, columns that depend on each other, more than MOST saddles, or a force that no coordinate may follow.
    """

    rho: Float[np.ndarray, "k m"]
    clock: Float[np.ndarray, " k"]
    ends: Float[np.ndarray, " m"]
    residual: float


def visited(
    a: Float[np.ndarray, "n m"],
    y: Float[np.ndarray, " n"],
    upper: Float[np.ndarray, " m"],
    lower: Float[np.ndarray, " m"],
    most: int = MOST,
) -> Sequence:
    """The saddles, from rho = 0 and s = 0, with t^+ = upper and t^- = lower, both > 0, inf where there is no end."""
    size = np.linalg.norm(a, axis=0) * float(np.linalg.norm(y))
    rest = ROUNDING * np.where(size > 0, size, 1.0)
    signs, multipliers = np.zeros(len(size)), np.zeros(len(y))
    force, s, clock, worst = a.T @ y, np.zeros(len(size)), 0.0, 0.0
    most = most if len(y) <= most else 0
    residual, times = y, list[float]()
    found: list[np.ndarray] = []
    while True:
        moving = (signs == 0) & (np.abs(force) > rest)
        if not moving.any():
            break
        room = np.where(force > 0, upper - s, lower + s)
        waits = np.where(moving, room / np.where(moving, np.abs(force), 1.0), np.inf)
        wait, j = float(waits.min()), int(waits.argmin())
        waits[j] = np.inf
        if not wait < np.inf or len(found) == most or waits.min() - wait <= TIE * (clock + wait):
            worst = np.inf
            break
        clock, multipliers = clock + wait, multipliers + wait * residual
        signs[j] = np.sign(force[j])
        fitted = _least_squares(a, y, signs)
        if fitted is None:
            worst = np.inf
            break
        # what has fallen to zero leaves its end from there, inwards
        s = a.T @ multipliers
        held = signs != 0
        at = np.where(signs > 0, upper, -lower)
        worst = max(worst, float((np.abs(s - at)[held] / np.abs(at[held])).max()))
        s[held] = at[held]
        signs, residual = np.sign(fitted), y - a @ fitted
        force = a.T @ residual
        worst = max(worst, float((np.abs(force) / np.where(size > 0, size, 1.0))[signs != 0].max(initial=0.0)))
        found.append(fitted)
        times.append(clock)
    return Sequence(np.array(found).reshape(-1, len(size)), np.array(times), s, worst)


def _least_squares(
    a: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"], signs: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " m"] | None:
    """min ||A k - y|| over k with these signs or zero, zero where the sign is; None where that is not one point."""
    fitted, places = np.zeros(len(signs)), np.flatnonzero(signs)
    while True:
        block = a[:, places]
        solution, _, rank, _ = np.linalg.lstsq(block, y, rcond=None)
        if rank < len(places):
            return None
        if (solution * signs[places] > 0).all():
            fitted[places] = solution
            return fitted
        kept = nnls(block * signs[places], y)[0] > 0
        if kept.all():
            return None
        places = places[kept]
