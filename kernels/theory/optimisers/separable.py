"""min sum_j D_j(rho_j) subject to Q rho = t, where rho_j and D_j'(rho_j) = nu_j are functions along a known curve.

The unknowns are the chart values z (curves.py) and the multipliers lambda: nu(z) = Q^T lambda, Q rho(z) = t.

Newton's linear system has the form [[dnu/drho, -Q^T], [Q, S]], where S comes from coordinates that were eliminated.
From small initialisations dnu/drho ranges over a hundred orders of magnitude. On the support nu is saturated: it is
constant to rounding near the end of its domain. Eliminating such a coordinate would lose every digit of its rho, so
that only coordinates far from saturation are eliminated.

Continuation: t(g) = t_0 + g (t - t_0). At g = 0 the initialisation is the exact solution, and g grows to 1 by growing
factors.
"""

import operator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg.lapack import dgesv

from kernels.theory.optimisers.certificates import optimality, ratio
from kernels.theory.optimisers.curves import Coordinates, Curve, Point

DENSE = 100
"""Up to this many unknowns no coordinate is eliminated, because the larger system costs less than choosing."""
SATURATED = 1e-6
"""A coordinate is saturated, and not eliminated, if dnu/dz is below this share of max |nu|."""
REGULARISATION = 1e-15
"""Added to the diagonal of the multipliers, because fewer coordinates on the support than samples leave them open."""
REACHED = 1e-12
"""Residual at which a problem counts as solved; Newton's method goes on below it while it still gains."""
LOOSE = 1e-2
"""Accuracy of the continuation before g = 1."""
PACES = (1e3, 3.0)
"""Growth of g at first, which then grows itself; and its constant growth in a second attempt if the first failed."""


@dataclass(frozen=True)
class Minimum:
    """rho, its objective sum D_j, the residual of the optimality conditions, and Newton steps taken."""

    rho: Coordinates
    objective: float
    residual: float
    steps: int


class _State(NamedTuple):
    z: Coordinates
    nu: Coordinates
    multipliers: Float[np.ndarray, " r"]


class _Units(NamedTuple):
    """Sizes that count as one: of rho, g times the distance from Q rho(0) to t; of nu, its largest value so far."""

    rho: float
    nu: float


def minimise(
    curve: Curve, rows: Float[np.ndarray, "r m"], target: Float[np.ndarray, " r"], steps: int = 400
) -> Minimum:
    """The minimum. Failure does not raise: `residual` says whether it was reached.

    Problems with as many rows as coordinates and a large scale may stay above 1e-12 by rounding.

    Args:
        curve: the curves of all coordinates.
        rows: Q, orthonormal rows, shape (r, m).
        target: t, shape (r,).
        steps: most Newton steps.
    """
    with np.errstate(all="ignore"):
        found = [_attempt(curve, rows, target, steps, PACES[0])]
        if found[0].residual > REACHED:
            found.append(_attempt(curve, rows, target, 4 * steps, PACES[1]))
        return min(found, key=operator.attrgetter("residual"))


def _attempt(
    curve: Curve, rows: Float[np.ndarray, "r m"], target: Float[np.ndarray, " r"], steps: int, pace: float
) -> Minimum:
    solver = _Solver(curve, rows, target, steps, pace)
    z = solver.solve()
    rho, nu = curve.at(z).rho, curve.nu(z)
    objective = float(curve.potential_at(z, nu, rho))
    return Minimum(rho, objective, optimality(rows, target, rho, nu), steps - solver.left)


class _Solver:
    def __init__(
        self, curve: Curve, rows: Float[np.ndarray, "r m"], target: Float[np.ndarray, " r"], steps: int, pace: float
    ):
        self.curve, self.rows, self.left, self.pace = curve, rows, steps, pace
        self.columns = np.ascontiguousarray(rows.T)
        self.origin = rows @ curve.at(np.zeros(rows.shape[1])).rho
        self.change = target - self.origin
        self.distance = float(np.linalg.norm(self.change))
        self.size = float(np.linalg.norm(target))
        self._best = (np.inf, _State(np.zeros(rows.shape[1]), np.zeros(rows.shape[1]), np.zeros(rows.shape[0])))

    def solve(self) -> Coordinates:
        state = self._best[1]
        if self.distance <= 1e-15 * (float(np.linalg.norm(self.curve.at(state.z).rho)) + self.size):
            return state.z
        state, log_g = self._first(state)
        factor = np.log(self.pace)
        while log_g < 0 and self.left > 0 and factor > 1e-3:
            ahead = min(0.0, log_g + factor)
            found, count = self._newton(state, float(np.exp(ahead)), LOOSE, 12)
            if found is None:
                factor /= 3
                continue
            state, log_g = found, ahead
            factor *= 2 if count <= 4 and self.pace == PACES[0] else 1
        return self._finish(state).z

    def _first(self, state: _State) -> tuple[_State, float]:
        """(state, log g) of the first g: the one at which the tangent at g = 0 has length 1, at most 1."""
        point = self.curve.at(state.z)
        units = _Units(self.distance, float((point.dnu / point.drho).min()) * self.distance)
        step, _ = self._direction(state, point, self.change / self.distance, units)
        length = float(np.abs(step).max())
        g = min(1.0, 1 / length) if 0 < length < np.inf else 1.0
        found, _ = self._newton(state, g, LOOSE, 50)
        return found or state, float(np.log(g))

    def _finish(self, state: _State) -> _State:
        """The solution at g = 1 to rounding; if that is not reached, the best state that was met."""
        for uniform in (False, True):
            found, _ = self._newton(state, 1.0, 1e-13, 60, uniform)
            if found is not None:
                return found
        return self._best[1]

    def _newton(
        self, state: _State, g: float, tolerance: float, limit: int, uniform: bool = False
    ) -> tuple[_State | None, int]:
        """(state, steps) of Newton's method at one g; the state is None if it did not converge in `limit` steps."""
        error = np.inf
        for count in range(limit + 1):
            point = self.curve.at(state.z)
            units = self._units(state, point, g)
            dual = float(np.abs(state.nu - self.columns @ state.multipliers).max())
            gap = self.origin + g * self.change - self.rows @ point.rho
            feasible = float(np.linalg.norm(gap))
            allowed = tolerance * units.rho if tolerance == LOOSE else self._rounding(point, units)
            if dual <= tolerance * units.nu and feasible <= allowed:
                return state, count
            if tolerance != LOOSE:
                error, before = max(ratio(dual, units.nu), ratio(feasible, units.rho)), error
                self._best = min(self._best, (error, state), key=operator.itemgetter(0))
                if REACHED >= self._best[0] > before / 2:
                    return self._best[1], count
            # "not <=" also ends after a step from a singular matrix, which is not a number
            if count == limit or self.left <= 0 or not feasible <= 1e3 * units.rho:
                break
            self.left -= 1
            # a gap of rounding size is set to zero, because it would only move undetermined multipliers
            gap = gap / units.rho if feasible > self._rounding(point, units) else np.zeros_like(gap)
            step, move = self._direction(state, point, gap, units)
            if (
                tolerance != LOOSE
                and not gap.any()
                and float(np.abs(step).max()) <= 1e-15 * float(np.abs(state.z).max())
            ):
                return state, count  # no double is nearer
            state = self._moved(state, step, move, uniform)
        return None, limit

    def _rounding(self, point: Point, units: _Units) -> float:
        return max(4e-14 * units.rho, 2e-15 * float(np.linalg.norm(point.rho)))

    def _units(self, state: _State, point: Point, g: float) -> _Units:
        rho = g * self.distance
        unsaturated = min(float(point.dnu.min()), float((point.dnu / point.drho).min()) * rho)
        return _Units(rho, max(float(np.abs(state.nu).max()), unsaturated))

    def _direction(
        self, state: _State, point: Point, gap: Float[np.ndarray, " r"], units: _Units
    ) -> tuple[Coordinates, Float[np.ndarray, " r"]]:
        """Newton step (dz, dlambda) that closes `gap` (in units of rho) and nu - Q^T lambda."""
        rank, size = self.rows.shape
        dual = (state.nu - self.columns @ state.multipliers) / units.nu
        slope = point.dnu / units.nu
        stiffness = slope * (units.rho / point.drho)
        kept = np.arange(size) if rank + size <= DENSE else np.flatnonzero(slope < SATURATED)
        count = len(kept)
        rows = self.rows[:, kept]
        matrix = np.zeros((count + rank, count + rank))
        diagonal = matrix.reshape(-1)[:: count + rank + 1]
        matrix[:count, count:] = -rows.T
        matrix[count:, :count] = rows
        right = np.concatenate([-dual[kept], gap])
        if count < size:
            weights = 1 / stiffness
            weights[kept] = 0
            matrix[count:, count:] = (self.rows * weights) @ self.columns
            right[count:] += self.rows @ (weights * dual)
        diagonal[:count] = stiffness[kept]
        diagonal[count:] += REGULARISATION
        _, _, solution, _ = dgesv(matrix, right, overwrite_a=True, overwrite_b=True)
        move = solution[count:]
        step = (self.columns @ move - dual) / slope
        step[kept] = solution[:count] * (units.rho / point.drho[kept])
        return step, move * units.nu

    def _moved(self, state: _State, step: Coordinates, move: Float[np.ndarray, " r"], uniform: bool) -> _State:
        """The state after a damped step: all coordinates by one factor, or each as its own curve allows."""
        if uniform:
            factor = min(1.0, ratio(1.0, float(np.abs(step).max())))
            step, move = factor * step, factor * move
        else:
            step = self._tempered(self.curve.start + state.z, step)
        z = state.z + step
        return _State(z, self.curve.advance(state.nu, state.z, z), state.multipliers + move)

    def _tempered(self, place: Coordinates, step: Coordinates) -> Coordinates:
        """The step in z that a Newton step stands for in a variable in which the curve is nearly linear; at most 2.

        Outwards that variable is rho ~ e^{L|z|}, inwards nu_max - nu ~ e^{-(L-2)|z|}.

        Args:
            place: chart values counted from where the least layer is zero.
            step: Newton's step in z.
        """
        length = np.abs(step)
        depth = self.curve.depth
        outwards = np.log1p(depth * length) / depth
        inwards = np.log1p((depth - 2) * length) / (depth - 2) if depth > 2 else length
        return np.copysign(np.minimum(np.where(step * place >= 0, outwards, inwards), 2.0), step)
