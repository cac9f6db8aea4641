"""The saddles that gradient flow visits from ever smaller weights, and the clock of its jumps.

Every coordinate has a dual variable s_j in an interval (-t_j^-, t_j^+), with ds/dclock = A^T (y - A rho); for L >= 3
s_j = alpha^{L-2} nu_j (kernels/theory/domains.py). rho_j is zero while s_j is inside, and where rho_j is not zero s_j
is at an end. So the flow rests at a saddle k, while s moves along the line u = A^T (y - A k), until the first s_j meets
an end. Then, in no time on this clock, it falls to the next saddle: the least squares solution in which rho_j may grow
and the coordinates that are not zero keep their signs or vanish.

Source: Pesme and Flammarion, arXiv:2304.00488, for L = 2; Zhao et al., arXiv:2607.12332, for every depth.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import nnls

from kernels.theory.optimisers.column_fits import ColumnFits

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
        residual: the largest, over the saddles, of the relative forces on coordinates that are not zero, of the
            relative difference of s_j from the end at which it must be, and of the rounding of y - A rho, relative,
            which turns s. It is infinite where the sequence breaks off: two coordinates jump at once, columns are
            dependent, there are more than MOST saddles, or a force pulls no coordinate towards a finite end.
    """

    rho: Float[np.ndarray, "k m"]
    clock: Float[np.ndarray, " k"]
    ends: Float[np.ndarray, " m"]
    residual: float


def visited(
    a: Float[np.ndarray, "n m"],
    y: Float[np.ndarray, " n"],
    upper: Float[np.ndarray, "b m"],
    lower: Float[np.ndarray, "b m"],
    most: int = MOST,
) -> list[Sequence]:
    """The saddles from rho = 0, s = 0, of one A and y for b pairs of ends, all from saddle to saddle together.

    Args:
        a, y: A and y.
        upper, lower: t^+ and t^-, both > 0, infinite where there is no end.
        most: saddles at which a sequence breaks off.
    """
    count, size = upper.shape
    norms = np.linalg.norm(a, axis=0)
    norms = np.where(norms > 0, norms, 1.0) * (float(np.linalg.norm(y)) or 1.0)
    rest = ROUNDING * norms
    most = most if len(y) <= most else 0
    runs = _Runs(
        place=np.arange(count), upper=upper, lower=lower, signs=np.zeros((count, size)), s=np.zeros((count, size)),
        residual=np.repeat(y[None], count, axis=0), multipliers=np.zeros((count, len(y))), clock=np.zeros(count),
        worst=np.zeros(count), unsure=np.zeros(count), rho=np.zeros((count, size)),
        fits=ColumnFits.empty(a, y, count),
    )  # fmt: skip
    saddles: list[Float[np.ndarray, "b m"]] = []
    clocks: list[Float[np.ndarray, " b"]] = []
    ends: dict[int, tuple[int, Float[np.ndarray, " m"], float]] = {}  # number of saddles, s, residual

    def finish(broken: Bool[np.ndarray, " r"], ended: Bool[np.ndarray, " r"]) -> None:
        for row in np.flatnonzero(broken | ended).tolist():
            residual = float(np.inf if broken[row] else runs.worst[row])
            ends[int(runs.place[row])] = (len(saddles), runs.s[row].copy(), residual)

    force = runs.residual @ a
    for jumps in itertools.count():
        moving = (runs.signs == 0) & (np.abs(force) > rest)
        ended = ~moving.any(axis=1)
        room = np.where(force > 0, runs.upper - runs.s, runs.lower + runs.s)
        waits = np.where(moving, room / np.where(moving, np.abs(force), 1.0), np.inf)
        each, j = np.arange(len(waits)), waits.argmin(axis=1)
        wait = waits[each, j]
        waits[each, j] = np.inf
        with np.errstate(invalid="ignore"):
            broken = ~(wait < np.inf) | (waits.min(axis=1) - wait <= TIE * (runs.clock + wait))
        broken = (broken | (jumps == most)) & ~ended
        if (broken | ended).any():
            finish(broken, ended)
            left = np.flatnonzero(~(broken | ended))
            runs, force, j, wait = runs.of(left), force[left], j[left], wait[left]
        if not len(wait):
            break
        each = np.arange(len(wait))
        runs.worst = np.maximum(runs.worst, runs.unsure)
        runs.clock = runs.clock + wait
        runs.multipliers = runs.multipliers + wait[:, None] * runs.residual
        runs.signs[each, j] = np.sign(force[each, j])
        lost = _jump(runs, j, rest)
        if lost.any():
            finish(lost, np.zeros_like(lost))
            runs = runs.of(np.flatnonzero(~lost))
        # a coordinate that has fallen to zero starts at its end of the interval, and moves inwards
        s = runs.multipliers @ a
        held = runs.signs != 0
        at = np.where(runs.signs > 0, runs.upper, -runs.lower)
        apart = np.divide(np.abs(s - at), np.abs(at), out=np.zeros_like(s), where=held)
        runs.s = np.where(held, at, s)
        runs.signs = np.sign(runs.rho)
        force = runs.residual @ a
        pull = np.where(runs.signs != 0, np.abs(force) / norms, 0.0)
        runs.worst = np.max([runs.worst, apart.max(axis=1), pull.max(axis=1)], axis=0)
        saddles.append(np.zeros((count, size)))
        clocks.append(np.zeros(count))
        saddles[-1][runs.place], clocks[-1][runs.place] = runs.rho, runs.clock
    rho, clock = np.array(saddles).reshape(-1, count, size), np.array(clocks).reshape(-1, count)
    return [
        Sequence(rho[:number, place].copy(), clock[:number, place].copy(), s, residual)
        for place, (number, s, residual) in sorted(ends.items())
    ]


@dataclass
class _Runs:
    """Sequences at their present saddle, one row each.

    Attributes:
        place: position among all sequences.
        upper, lower: t^+ and t^-.
        signs: of rho, and of the coordinate that jumps.
        s, multipliers: s = A^T multipliers, but at its end where rho_j is not zero.
        residual: y - A rho.
        clock: of the last jump.
        worst: as `Sequence.residual`.
        unsure: the rounding of `residual`, relative, which counts if the sequence goes on.
        rho: the saddle.
        fits: least squares on the coordinates that are not zero.
    """

    place: Int[np.ndarray, " b"]
    upper: Float[np.ndarray, "b m"]
    lower: Float[np.ndarray, "b m"]
    signs: Float[np.ndarray, "b m"]
    s: Float[np.ndarray, "b m"]
    residual: Float[np.ndarray, "b n"]
    multipliers: Float[np.ndarray, "b n"]
    clock: Float[np.ndarray, " b"]
    worst: Float[np.ndarray, " b"]
    unsure: Float[np.ndarray, " b"]
    rho: Float[np.ndarray, "b m"]
    fits: ColumnFits

    def of(self, index: Int[np.ndarray, " a"]) -> "_Runs":
        rows = {name: values[index] for name, values in vars(self).items() if name != "fits"}
        return _Runs(**rows, fits=self.fits.of(index))


def _jump(runs: _Runs, j: Int[np.ndarray, " b"], rest: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " b"]:
    """Move each row to its next saddle, in which coordinate j may grow. True where that is not unique.

    The saddle is argmin ||A k - y|| over k_i of sign signs_i or zero, zero where signs_i is. From the last saddle k
    moves towards the fit without signs, drops the first coordinate that comes to zero, and goes on without it (the
    inner loop of Lawson and Hanson, 1974, ch. 23).
    """
    fits, every = runs.fits, np.arange(len(j))
    sound = fits.join(j)
    signs, before = fits.at_slots(runs.signs), fits.at_slots(runs.rho)
    values, residual = np.zeros_like(before), np.zeros_like(runs.residual)
    going = every[sound]
    while going.size:
        values[going], residual[going] = fits.fit(going)
        going = _shrunk(fits, going, values, before, signs)
    rho = fits.at_coordinates(values)
    # what was dropped must not be pulled back, and what jumped must be independent: else the row is fitted anew
    back = (runs.signs != 0) & (rho == 0) & (runs.signs * (residual @ fits.a) > rest)
    lost: Bool[np.ndarray, " b"] = ~np.isfinite(rho).all(axis=1)
    for row in np.flatnonzero(~sound | back.any(axis=1)).tolist():
        rho[row] = _least_squares(fits.a, fits.y, runs.signs[row])
        lost[row] = np.isnan(rho[row]).any()
        if not lost[row]:
            fits.set(row, np.flatnonzero(rho[row]))
            residual[row] = fits.fit(every[row : row + 1])[1][0]
    size = np.linalg.norm(residual, axis=1)
    runs.rho, runs.residual, runs.unsure = rho, residual, fits.rounding / np.where(size > 0, size, np.inf)
    return lost


def _shrunk(
    fits: ColumnFits,
    rows: Int[np.ndarray, " a"],
    values: Float[np.ndarray, "b s"],
    before: Float[np.ndarray, "b s"],
    signs: Float[np.ndarray, "b s"],
) -> Int[np.ndarray, " c"]:
    """Take coordinates away from these rows until no sign is wrong; those rows that lost some.

    Args:
        values: the fits, not refined where coordinates were taken away.
        before: the point that moves towards the fits.
        signs: of the coordinates in the slots; 0 for those that were taken away.
    """
    wrong = (values[rows] * signs[rows] <= 0) & (signs[rows] != 0)
    changed = rows = rows[wrong.any(axis=1)]
    while rows.size:
        fit, here, side, each = values[rows], before[rows], signs[rows], np.arange(len(rows))
        wrong = (fit * side <= 0) & (side != 0)
        way = fit - here
        share = np.where(wrong, -here / np.where(way != 0, way, 1.0), np.inf)
        slot = share.argmin(axis=1)
        here += share[each, slot, None] * way
        here[each, slot] = side[each, slot] = 0.0
        fit = fits.leave(rows, slot, fit)
        values[rows], before[rows], signs[rows] = fit, here, side
        rows = rows[((fit * side <= 0) & (side != 0)).any(axis=1)]
    return changed


def _least_squares(
    a: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"], signs: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    """The next saddle of one row, by singular values, which say whether columns are dependent; NaN if not unique."""
    fitted, places = np.zeros(len(signs)), np.flatnonzero(signs)
    while True:
        block = a[:, places]
        solution, _, rank, _ = np.linalg.lstsq(block, y, rcond=None)
        if rank < len(places):
            return np.full(len(signs), np.nan)
        if (solution * signs[places] > 0).all():
            fitted[places] = solution
            return fitted
        kept = nnls(block * signs[places], y)[0] > 0
        if kept.all():
            return np.full(len(signs), np.nan)
        places = places[kept]
