"""The problems of separable.py, many at once: the same Newton method and continuation on stacks of arrays.

Every problem has its own place g on the continuation, its own step count and phase. A round evaluates the curves of all
problems, moves those that converged or failed to their next phase or g, and takes one Newton step of the others, with
one stack of linear systems. Solved problems leave the stack. Problems that end with a residual above REACHED are solved
by `separable.minimise`, one by one, and so are large ones, which would gain nothing from a stack.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from kernels.theory.optimisers import separable
from kernels.theory.optimisers.curves import Coordinates, Curve, Point
from kernels.theory.optimisers.separable import LOOSE, PACES, REACHED
from kernels.theory.optimisers.stacked_newton import Multipliers, Numbers, Units, combined, newton_direction, times

FIRST, CONTINUED, FINISHING, UNIFORM, DONE = range(5)
"""Phases: the first g; larger g; g = 1 with each coordinate damped by itself; g = 1 with one factor for all; done."""
LIMITS = np.array([50, 12, 60, 60, 0])
"""Most Newton steps at one g, by phase."""
TIGHT = 1e-13
ENTRIES = 1 << 18
"""Most entries of Q, or of linear systems, in one stack: stacks that stay in the cache are faster than fewer calls."""
WORTHWHILE = 16
"""Problems so large that a stack would hold fewer than this are solved one by one, because arithmetic dominates."""


class Minima(NamedTuple):
    """The fields of `separable.Minimum`, one row a problem."""

    rho: Float[np.ndarray, "b m"]
    objective: Numbers
    residual: Numbers
    steps: Int[np.ndarray, " b"]


def minimise(curve: Curve, rows: Sequence[Float[np.ndarray, "r m"]], target: Multipliers, steps: int = 400) -> Minima:
    """The minima of b problems, each as `separable.minimise` finds it.

    Args:
        curve: the curves of all coordinates of all problems.
        rows: Q of each problem, orthonormal rows, all of one shape.
        target: t of each problem, shape (b, r).
        steps: most Newton steps of a problem.
    """
    count, size = len(rows), rows[0].shape[1]
    if _width(rows) < WORTHWHILE:
        minima = Minima(np.zeros((count, size)), np.zeros(count), np.full(count, np.nan), np.zeros(count, int))
    else:
        minima = _attempts(curve, rows, target, steps, None)
    for index in np.flatnonzero(~(minima.residual <= REACHED)).tolist():
        again = separable.minimise(curve.of(index), rows[index], target[index], steps)
        if not minima.residual[index] <= again.residual:
            for values, value in zip(minima, (again.rho, again.objective, again.residual, again.steps), strict=True):
                values[index] = value
    return minima


def minimise_from(
    curve: Curve, rows: Sequence[Float[np.ndarray, "r m"]], target: Multipliers, guess: Coordinates, steps: int
) -> Minima:
    """The minima near chart values that are guessed, without continuation; a `residual` above REACHED where not found.

    Args:
        curve, rows, target: as in `minimise`.
        guess: chart values of each problem.
        steps: most Newton steps of a problem.
    """
    return _attempts(curve, rows, target, steps, guess)


def _width(rows: Sequence[Float[np.ndarray, "r m"]]) -> int:
    """How many problems one stack may hold."""
    rank, size = rows[0].shape
    return ENTRIES // max(rank * size, (rank + min(size, 2 * rank)) ** 2)


@np.errstate(all="ignore")
def _attempts(
    curve: Curve,
    rows: Sequence[Float[np.ndarray, "r m"]],
    target: Multipliers,
    steps: int,
    guess: Coordinates | None,
) -> Minima:
    """The minima of all problems, in stacks that are not too large."""
    count, width = len(rows), max(1, _width(rows))
    parts = [np.arange(begin, min(begin + width, count)) for begin in range(0, count, width)]
    found = []
    for part in parts:
        near = None if guess is None else guess[part]
        found.append(_attempt(curve.of(part), np.array([rows[k] for k in part.tolist()]), target[part], steps, near))
    return Minima(*(np.concatenate(values) for values in zip(*found, strict=True)))


def _attempt(
    curve: Curve, rows: Float[np.ndarray, "b r m"], target: Multipliers, steps: int, guess: Coordinates | None
) -> Minima:
    stack = _Stack(curve, rows, target, steps)
    if guess is not None:
        stack.finish_from(guess)
    z, left = stack.solve()
    rho, nu = curve.at(z).rho, curve.nu(z)
    return Minima(rho, curve.potential_at(z, nu, rho), optimality(rows, target, rho, nu), steps - left)


@dataclass
class _Runs:
    """The state of each problem in a stack, one row a problem.

    Attributes:
        owner: position among all problems.
        curve, rows: its curves and Q.
        origin, change: Q rho(0), and t - Q rho(0).
        distance: ||t - Q rho(0)||.
        z, nu, multipliers: the Newton iterate.
        last_z, last_nu, last_multipliers: the solution at the last g that was reached.
        log_g, ahead: log of the last g that was reached, and of the one that is tried.
        factor: log of the growth of g.
        phase: FIRST, ..., or DONE.
        count, left: Newton steps taken at this g, and steps that are left in all.
        error, best, best_z: at g = 1, the error of the iterate before, the least error so far, and its z.
    """

    owner: Int[np.ndarray, " b"]
    curve: Curve
    rows: Float[np.ndarray, "b r m"]
    origin: Multipliers
    change: Multipliers
    distance: Numbers
    z: Coordinates
    nu: Coordinates
    multipliers: Multipliers
    last_z: Coordinates
    last_nu: Coordinates
    last_multipliers: Multipliers
    log_g: Numbers
    ahead: Numbers
    factor: Numbers
    phase: Int[np.ndarray, " b"]
    count: Int[np.ndarray, " b"]
    left: Int[np.ndarray, " b"]
    error: Numbers
    best: Numbers
    best_z: Coordinates

    def of(self, index: Int[np.ndarray, " a"]) -> "_Runs":
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        curve = parts.pop("curve").of(index)
        return _Runs(curve=curve, **{name: values[index] for name, values in parts.items()})


class _Stack:
    def __init__(self, curve: Curve, rows: Float[np.ndarray, "b r m"], target: Multipliers, steps: int):
        count, rank, size = rows.shape
        self.z: Coordinates = np.zeros((count, size))
        self.left = np.full(count, steps)
        self.depth = curve.depth
        start = curve.at(self.z)
        origin = times(rows, start.rho)
        change = target - origin
        distance = _norm(change)
        self.runs = _Runs(
            owner=np.arange(count), curve=curve, rows=rows, origin=origin, change=change, distance=distance,
            z=np.zeros((count, size)), nu=np.zeros((count, size)), multipliers=np.zeros((count, rank)),
            last_z=np.zeros((count, size)), last_nu=np.zeros((count, size)), last_multipliers=np.zeros((count, rank)),
            log_g=np.zeros(count), ahead=np.zeros(count), factor=np.full(count, np.log(PACES[0])),
            phase=np.full(count, FIRST), count=np.zeros(count, int), left=np.full(count, steps),
            error=np.full(count, np.inf), best=np.full(count, np.inf), best_z=np.zeros((count, size)),
        )  # fmt: skip
        self._keep(distance > 1e-15 * (_norm(start.rho) + _norm(target)))

    def solve(self) -> tuple[Coordinates, Int[np.ndarray, " b"]]:
        """Chart values of the minima, and Newton steps that are left."""
        if (self.runs.phase == FIRST).any():
            self._begin()
        while len(self.runs.owner):
            self._round()
        return self.z, self.left

    def finish_from(self, guess: Coordinates) -> None:
        """Begin at g = 1, at these chart values of all problems."""
        runs = self.runs
        runs.z = guess[runs.owner]
        runs.nu = runs.curve.nu(runs.z)
        runs.multipliers = times(runs.rows, runs.nu)
        runs.last_z, runs.last_nu, runs.last_multipliers = runs.z.copy(), runs.nu.copy(), runs.multipliers.copy()
        runs.phase = np.full(len(runs.owner), FINISHING)

    def _keep(self, kept: Bool[np.ndarray, " b"]) -> None:
        if not kept.all():
            self.runs = self.runs.of(np.flatnonzero(kept))

    def _begin(self) -> None:
        """Set the first g of every problem: the one at which the tangent at g = 0 has length 1, at most 1."""
        runs = self.runs
        point = runs.curve.at(runs.z)
        units = Units(runs.distance, (point.dnu / point.drho).min(axis=1) * runs.distance)
        step, _ = newton_direction(runs.rows, point, runs.nu, runs.change / runs.distance[:, None], units)
        length = np.abs(step).max(axis=1)
        sensible = (length > 0) & (length < np.inf)
        runs.ahead = np.where(sensible, -np.log(np.maximum(np.where(sensible, length, 1.0), 1.0)), 0.0)

    def _round(self) -> None:
        """Evaluate all problems, then move each to its next phase or g, or by one Newton step."""
        runs = self.runs
        point = runs.curve.at(runs.z)
        g = np.exp(runs.ahead)
        units = _units(runs, point, g * runs.distance)
        dual = runs.nu - combined(runs.rows, runs.multipliers)
        gap = runs.origin + g[:, None] * runs.change - times(runs.rows, point.rho)
        off, feasible = np.abs(dual).max(axis=1), _norm(gap)
        rounding = np.maximum(4e-14 * units.rho, 2e-15 * _norm(point.rho))
        tight = runs.phase >= FINISHING
        met = (off <= np.where(tight, TIGHT, LOOSE) * units.nu) & (
            feasible <= np.where(tight, rounding, LOOSE * units.rho)
        )
        stalled = self._noted(tight & ~met, np.maximum(off / units.nu, feasible / units.rho))
        # "not <=" is also true after a step from a singular matrix, which is not a number
        lost = (runs.count == LIMITS[runs.phase]) | (runs.left <= 0) | ~(feasible <= 1e3 * units.rho)
        lost &= ~(met | stalled)
        moving = np.flatnonzero(~(met | stalled | lost))
        if moving.size:
            # a gap of rounding size is set to zero, because it would only move undetermined multipliers
            gap = np.where((feasible > rounding)[:, None], gap / units.rho[:, None], 0.0)
            met[moving] = self._step(moving, point, dual, gap, units)
        self._proceed(met, stalled, lost)

    def _noted(self, asked: Bool[np.ndarray, " b"], error: Numbers) -> Bool[np.ndarray, " b"]:
        """Keep the best state at g = 1. True for problems whose best error is below REACHED and no longer falls."""
        runs = self.runs
        better = asked & (error < runs.best)
        runs.best = np.where(better, error, runs.best)
        runs.best_z[better] = runs.z[better]
        stalled: Bool[np.ndarray, " b"] = asked & (runs.best <= REACHED) & (runs.best > runs.error / 2)
        runs.error = np.where(asked, error, runs.error)
        return stalled

    def _step(
        self, moving: Int[np.ndarray, " a"], point: Point, dual: Coordinates, gap: Multipliers, units: Units
    ) -> Bool[np.ndarray, " a"]:
        """Take a damped Newton step of some problems. True for those that stay, because no double is nearer."""
        runs, every = self.runs, len(moving) == len(self.runs.owner)
        some = runs if every else runs.of(moving)
        if not every:
            point, units = Point(*(value[moving] for value in point)), Units(*(value[moving] for value in units))
            dual, gap = dual[moving], gap[moving]
        step, move = newton_direction(some.rows, point, dual, gap, units)
        length = np.abs(step).max(axis=1)
        still = (some.phase >= FINISHING) & ~gap.any(axis=1) & (length <= 1e-15 * np.abs(some.z).max(axis=1))
        uniform = some.phase == UNIFORM
        damped = tempered(some.curve.start + some.z, step, self.depth)
        if uniform.any():
            factor = np.minimum(1.0, 1 / length)[:, None]
            damped = np.where(uniform[:, None], factor * step, damped)
            move = np.where(uniform[:, None], factor * move, move)
        z = some.z + damped
        nu, multipliers = some.curve.advance(some.nu, some.z, z), some.multipliers + move
        if still.any():
            z, nu = np.where(still[:, None], some.z, z), np.where(still[:, None], some.nu, nu)
        runs.z[moving], runs.nu[moving], runs.multipliers[moving] = z, nu, multipliers
        runs.left[moving] -= 1
        runs.count[moving] += ~still
        return still

    def _proceed(
        self, met: Bool[np.ndarray, " b"], stalled: Bool[np.ndarray, " b"], lost: Bool[np.ndarray, " b"]
    ) -> None:
        """Move problems that succeeded or failed to their next phase or g."""
        runs = self.runs
        if not (met.any() or stalled.any() or lost.any()):
            return
        before = runs.phase
        early = before < FINISHING
        reached = np.flatnonzero(early & met)
        runs.last_z[reached], runs.last_nu[reached] = runs.z[reached], runs.nu[reached]
        runs.last_multipliers[reached] = runs.multipliers[reached]
        onwards = (before == CONTINUED) & met
        runs.log_g = np.where(onwards | ((before == FIRST) & (met | lost)), runs.ahead, runs.log_g)
        runs.factor = np.where(onwards & (runs.count <= 4), 2 * runs.factor, runs.factor)
        runs.factor = np.where((before == CONTINUED) & lost, runs.factor / 3, runs.factor)
        more = (runs.log_g < 0) & (runs.left > 0) & (runs.factor > 1e-3)
        late = np.where(met | stalled, DONE, np.where(lost, before + 1, before))
        runs.phase = np.where(early, np.where(met | lost, np.where(more, CONTINUED, FINISHING), before), late)
        again = np.flatnonzero((met | stalled | lost) & (runs.phase < DONE))
        runs.ahead[again] = np.where(more, np.minimum(0.0, runs.log_g + runs.factor), 0.0)[again]
        runs.ahead[runs.phase >= FINISHING] = 0.0
        runs.z[again], runs.nu[again] = runs.last_z[again], runs.last_nu[again]
        runs.multipliers[again] = runs.last_multipliers[again]
        runs.count[again], runs.error[again] = 0, np.inf
        done = runs.phase == DONE
        if done.any():
            worse = done & ~met
            runs.z[worse] = runs.best_z[worse]
            self.z[runs.owner[done]], self.left[runs.owner[done]] = runs.z[done], runs.left[done]
            self._keep(~done)


def _units(runs: _Runs, point: Point, rho: Numbers) -> Units:
    unsaturated = np.minimum(point.dnu.min(axis=1), (point.dnu / point.drho).min(axis=1) * rho)
    return Units(rho, np.maximum(np.abs(runs.nu).max(axis=1), unsaturated))


def tempered(place: Coordinates, step: Coordinates, depth: int) -> Coordinates:
    """`separable._Solver._tempered` of many problems: the step in a variable in which the curve is nearly linear."""
    length = np.abs(step)
    outwards = np.log1p(depth * length) / depth
    inwards = np.log1p((depth - 2) * length) / (depth - 2) if depth > 2 else length
    return np.copysign(np.minimum(np.where(step * place >= 0, outwards, inwards), 2.0), step)


def _norm(vectors: Float[np.ndarray, "b k"]) -> Numbers:
    return np.sqrt(np.einsum("bk,bk->b", vectors, vectors))


def optimality(
    rows: Float[np.ndarray, "b r m"], target: Multipliers, rho: Coordinates, gradient: Coordinates
) -> Numbers:
    """`certificates.optimality` of each problem."""
    feasible = _ratio(_norm(times(rows, rho) - target), _norm(target))
    outside = _ratio(_norm(gradient - combined(rows, times(rows, gradient))), _norm(gradient))
    largest = np.maximum(feasible, outside)
    return np.where(np.isnan(largest), np.inf, largest)


def _ratio(numerator: Numbers, denominator: Numbers) -> Numbers:
    """numerator / denominator, and 0 for 0 / 0."""
    return np.where(numerator == 0, 0.0, numerator / np.where(numerator == 0, 1.0, denominator))
