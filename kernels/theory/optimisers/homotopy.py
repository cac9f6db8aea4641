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

ROUNDING = 1e-12
"""A force |u_j| below this share of ||a_j|| ||y|| is rounding, and counts as zero."""

TIE = 1e-9
"""Two jumps this near on the clock, relatively, count as one jump of two coordinates, where the sequence breaks off."""

DEPENDENT = 1e-8
"""Columns of which QR leaves at most this share of the largest are fitted by the singular values instead."""

SMALL = 1e-3
"""Residuals below this share of ||y|| are computed in extended precision."""

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
        worst=np.zeros(count), unsure=np.zeros(count),
    )  # fmt: skip
    found: list[list[np.ndarray]] = [[] for _ in range(count)]
    clocks: list[list[float]] = [[] for _ in range(count)]
    ends: list[Sequence | None] = [None] * count

    def finish(broken: Bool[np.ndarray, " r"], ended: Bool[np.ndarray, " r"]) -> None:
        for row in np.flatnonzero(broken | ended).tolist():
            place = int(runs.place[row])
            rho, residual = np.array(found[place]).reshape(-1, size), np.inf if broken[row] else runs.worst[row]
            ends[place] = Sequence(rho, np.array(clocks[place]), runs.s[row].copy(), float(residual))

    for jumps in itertools.count():
        force = runs.residual @ a
        moving = (runs.signs == 0) & (np.abs(force) > rest)
        ended = ~moving.any(axis=1)
        room = np.where(force > 0, runs.upper - runs.s, runs.lower + runs.s)
        waits = np.where(moving, room / np.where(moving, np.abs(force), 1.0), np.inf)
        two = np.sort(waits, axis=1)[:, :2] if size > 1 else np.column_stack([waits, np.full(len(waits), np.inf)])
        wait = two[:, 0]
        with np.errstate(invalid="ignore"):
            broken = ~(wait < np.inf) | (two[:, 1] - wait <= TIE * (runs.clock + wait))
        broken = (broken | (jumps == most)) & ~ended
        if (broken | ended).any():
            finish(broken, ended)
            left = np.flatnonzero(~(broken | ended))
            runs, force, waits, wait = runs.of(left), force[left], waits[left], wait[left]
        if not len(wait):
            break
        runs.worst = np.maximum(runs.worst, runs.unsure)
        runs.clock = runs.clock + wait
        runs.multipliers = runs.multipliers + wait[:, None] * runs.residual
        each, j = np.arange(len(wait)), waits.argmin(axis=1)
        runs.signs[each, j] = np.sign(force[each, j])
        fitted = _fits(a, y, runs.signs)
        lost = np.isnan(fitted).any(axis=1)
        if lost.any():
            finish(lost, np.zeros_like(lost))
            left = np.flatnonzero(~lost)
            runs, fitted = runs.of(left), fitted[left]
        # a coordinate that has fallen to zero starts at its end of the interval, and moves inwards
        s = runs.multipliers @ a
        held = runs.signs != 0
        at = np.where(runs.signs > 0, runs.upper, -runs.lower)
        apart = np.divide(np.abs(s - at), np.abs(at), out=np.zeros_like(s), where=held)
        runs.s = np.where(held, at, s)
        runs.signs = np.sign(fitted)
        runs.residual, runs.unsure = _residuals(a, y, fitted)
        pull = np.where(runs.signs != 0, np.abs(runs.residual @ a) / norms, 0.0)
        runs.worst = np.max([runs.worst, apart.max(axis=1), pull.max(axis=1)], axis=0)
        for place, rho, clock in zip(runs.place.tolist(), fitted, runs.clock.tolist(), strict=True):
            found[place].append(rho)
            clocks[place].append(clock)
    return [end for end in ends if end is not None]


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

    def of(self, index: Int[np.ndarray, " a"]) -> "_Runs":
        return _Runs(**{name: values[index] for name, values in vars(self).items()})


def _residuals(
    a: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"], fitted: Float[np.ndarray, "b m"]
) -> tuple[Float[np.ndarray, "b n"], Float[np.ndarray, " b"]]:
    """y - A k of b fits, and the rounding of each, relative to its norm; 0 where as many columns as samples fit all.

    Where little of y is left, as where targets are rounded, y - A k in doubles has few correct digits, and the jumps
    that follow take so long that s would drift from its ends. There it is computed in extended precision (where numpy
    has it), and what remains in the span of the columns, the rounding of k, is taken away.
    """
    residual: Float[np.ndarray, "b n"] = y - fitted @ a.T
    unsure, whole = np.zeros(len(fitted)), float(np.linalg.norm(y))
    small = (np.linalg.norm(residual, axis=1) <= SMALL * whole) & ((fitted != 0).sum(axis=1) < len(y))
    if small.any():
        k = fitted[small]
        exact = y.astype(np.longdouble) - k.astype(np.longdouble) @ a.T.astype(np.longdouble)
        left = exact.astype(float)
        found = left - _by_qr(a, left, np.sign(k))[0] @ a.T
        terms = np.linalg.norm(np.abs(y) + np.abs(k) @ np.abs(a.T), axis=1)
        size = np.linalg.norm(found, axis=1)
        residual[small] = found
        unsure[small] = np.finfo(np.longdouble).eps * terms / np.where(size > 0, size, np.inf)
    return residual, unsure


def _fits(
    a: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"], signs: Float[np.ndarray, "b m"]
) -> Float[np.ndarray, "b m"]:
    """argmin ||A k - y|| over k_j of sign signs_j or zero, zero where signs_j is, for b rows; NaN if it is not unique.

    All rows are fitted at once, then again without the coordinates that non-negative least squares leave at zero.
    """
    signs, fitted, left = signs.copy(), np.full(signs.shape, np.nan), np.arange(len(signs))
    while left.size:
        values, apart = _by_qr(a, np.broadcast_to(y, (len(left), len(y))), signs[left])
        kept = apart & ((values * signs[left] > 0) | (signs[left] == 0)).all(axis=1)
        fitted[left[kept]] = values[kept]
        again = []
        for row, alone in zip(left[~kept].tolist(), ~apart[~kept], strict=True):
            places = np.flatnonzero(signs[row])
            if alone:
                fitted[row] = _least_squares(a, y, signs[row])
                continue
            away = places[nnls(a[:, places] * signs[row, places], y)[0] == 0]
            signs[row, away] = 0
            again += [row] if away.size else []
        left = np.array(again, dtype=int)
    return fitted


def _by_qr(
    a: Float[np.ndarray, "n m"], y: Float[np.ndarray, "b n"], signs: Float[np.ndarray, "b m"]
) -> tuple[Float[np.ndarray, "b m"], Bool[np.ndarray, " b"]]:
    """Least squares of each y on the columns where signs are not zero, and whether these are far from dependent."""
    held = signs != 0
    count, along = held.sum(axis=1), np.arange(min(int(held.sum(axis=1).max()), y.shape[1]))
    order = np.argsort(~held, axis=1, kind="stable")[:, : len(along)]
    kept = along < count[:, None]
    block = np.where(kept[:, None, :], a.T[order].transpose(0, 2, 1), 0.0)
    beside = np.concatenate([block, y[:, :, None]], axis=2)
    factor = np.asarray(np.linalg.qr(beside, mode="r"))
    triangle, right = factor[:, : len(along), : len(along)], np.where(kept, factor[:, : len(along), len(along)], 0.0)
    sizes = np.abs(triangle[:, along, along])
    apart = (np.where(kept, sizes, np.inf).min(axis=1) > DEPENDENT * sizes.max(axis=1)) & (count <= y.shape[1])
    triangle[:, along, along] = np.where(kept & apart[:, None], triangle[:, along, along], 1.0)
    values = np.zeros_like(signs)
    np.put_along_axis(values, order, np.linalg.solve(triangle, right[:, :, None])[:, :, 0], axis=1)
    return np.where(held, values, 0.0), apart


def _least_squares(
    a: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"], signs: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    """One row of `_fits`, by singular values, which say whether columns are dependent."""
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
