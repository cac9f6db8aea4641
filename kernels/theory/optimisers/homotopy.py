"""The saddles that gradient flow visits from ever smaller weights, and the clock of its jumps.

Every coordinate has a dual variable s_j in an interval (-t_j^-, t_j^+), with ds/dclock = A^T (y - A rho); for L >= 3
s_j = alpha^{L-2} nu_j (kernels/theory/domains.py). rho_j is zero while s_j is inside, and where rho_j is not zero s_j
is at an end. So the flow rests at a saddle k, while s moves along the line u = A^T (y - A k), until the first s_j meets
an end. Then, in no time on this clock, it falls to the next saddle: the least squares solution in which rho_j may grow
and the coordinates that are not zero keep their signs or vanish.

Source: Pesme and Flammarion, arXiv:2304.00488, for L = 2; Zhao et al., arXiv:2607.12332, for every depth.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

ROUNDING = 1e-12
"""A force |u_j| below this share of ||a_j|| ||y|| is rounding, and counts as zero."""

TIE = 1e-9
"""Two jumps this near on the clock, relatively, count as one jump of two coordinates, where the sequence breaks off."""

MOST = 128
"""Most saddles, so that they take a fraction of a second. The last saddle has as many non-zero coordinates as there are
samples, so that no sequence is tried for more samples than this."""


@dataclass(frozen=True, eq=False)
class Sequence:
    """Saddles 1, 2, ... of one problem; the origin, where the flow starts, is not among them.

    Attributes:
        rho: the saddles, shape (k, m).
        clock: clock of the jump to each saddle, shape (k,).
        ends: s = A^T lambda at the last saddle, shape (m,).
        residual: the largest, over the saddles, of the relative forces on coordinates that are not zero and of the
            relative difference of s_j from the end at which it must be. It is infinite where the sequence breaks off:
            two coordinates jump at once, columns are dependent, there are more than MOST saddles, or a force pulls no
            coordinate towards a finite end.
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
    """The saddles from rho = 0, s = 0, for t^+ = upper and t^- = lower, both > 0, infinite where there is no end."""
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
        # a coordinate that has fallen to zero starts at its end of the interval, and moves inwards
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
    """argmin ||A k - y|| over k_j of sign signs_j or zero, zero where signs_j is; None where it is not unique."""
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
