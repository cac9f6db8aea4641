"""The search for the active set of min sum_j D_j(rho_j) subject to Z rho >= b: the samples that have multipliers.

First come rounds of pivoting, in which all negative multipliers leave and all violated samples enter; these usually end
at once, but may cycle. Then samples enter and leave one at a time, as in the method of Lawson and Hanson for
non-negative least squares: mu moves towards the solution of the present set until a multiplier vanishes, whose sample
leaves; the most violated sample enters only where mu is that solution. The dual never falls, so that this ends. A
sample that depends on those present takes the place of the one whose multiplier vanishes first (Goldfarb and Idnani,
Mathematical Programming 27, 1983).
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from jaxtyping import Bool, Float

from kernels.theory.optimisers import separable, stacked
from kernels.theory.optimisers.curves import Curve

SHORT = 1e-11
"""A sample is violated if its margin falls short by more than this share of its terms."""
NEGATIVE = 1e-12
"""A multiplier is negative if it is below minus this share of the largest."""
DEPENDENT = 1e-10
"""A row of unit length depends on others if it is at most this far from their span."""
PIVOTS = 8
"""Most rounds of pivoting before samples enter one at a time."""
STEPS = 120
"""Most Newton steps of one equality problem."""
SOLVED = 1e-9
"""Largest residual of an equality problem on which the search relies."""
ALONE = 4
"""Up to this many problems of one shape are solved one by one."""


@dataclass
class Search:
    """The search for one problem's active set.

    Attributes:
        rows, bounds, proposed: Z, b, and the samples with which the search begins.
        active: independent samples whose equality problem comes next.
        base: mu >= 0, at which the dual has its largest value so far.
        rho, nu, multipliers: solution of the last equality problem.
        done: whether that is the answer, or the search has failed.
        rounds: equality problems solved so far.
        seen: sets that pivoting has tried, which show that it cycles.
    """

    rows: Float[np.ndarray, "n m"]
    bounds: Float[np.ndarray, " n"]
    proposed: Bool[np.ndarray, " n"]
    done: bool = False
    rounds: int = 0
    seen: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        count, size = self.rows.shape
        length = np.linalg.norm(self.rows, axis=1)
        self.length = np.where(length > 0, length, 1.0)
        self.units, self.heights = self.rows / self.length[:, None], self.bounds / self.length
        self.base, self.multipliers = np.zeros(count), np.zeros(count)
        self.rho, self.nu = np.full(size, np.nan), np.full(size, np.nan)
        self.active = self._independent(self.proposed)

    def take(self, rho: Float[np.ndarray, " m"], nu: Float[np.ndarray, " m"]) -> None:
        """Take the solution of the present equality problem; end if it solves the whole problem, else choose a next."""
        self.rounds += 1
        count = len(self.rows)
        if not np.isfinite(rho).all():
            if not self.rounds <= PIVOTS:
                self.done = True
                return
            self.rounds, self.active = PIVOTS + 1, []
            return
        mu = np.zeros(count)
        mu[self.active] = np.linalg.lstsq(self.units[self.active].T, nu, rcond=None)[0] if self.active else []
        self.rho, self.nu, self.multipliers = rho, nu, mu / self.length
        short = self.heights - self.units @ rho
        violated = short > SHORT * (np.abs(self.heights) + np.abs(self.units) @ np.abs(rho))
        violated[self.active] = False
        negative = mu < -NEGATIVE * np.abs(mu).max(initial=0.0)
        if not (violated.any() or negative.any()) or self.rounds > 4 * count + 50:
            self.done = True
            return
        present = np.zeros(count, dtype=bool)
        present[self.active] = True
        if not negative.any():
            self.base = np.maximum(mu, 0.0)
        if self.rounds <= PIVOTS:
            following = self._independent((present & ~negative) | violated)
            mark = np.array(sorted(following)).tobytes()
            if mark not in self.seen:
                self.seen.add(mark)
                self.active = following
                return
        if self.rounds <= PIVOTS or self.rounds == PIVOTS + 1:
            self.rounds = PIVOTS + 1
            if negative.any():  # go back to the last mu >= 0
                self.active = np.flatnonzero(self.base > 0).tolist()
                if set(self.active) != set(np.flatnonzero(present).tolist()):
                    self.rounds += 1
                    return
        if negative.any():
            self._leave(mu, negative)
        else:
            self._enter(int(np.argmax(np.where(violated, short, -np.inf))))

    def _leave(self, mu: Float[np.ndarray, " n"], negative: Bool[np.ndarray, " n"]) -> None:
        """Move from base towards mu until the first multiplier vanishes; its sample leaves."""
        shares = np.full(len(mu), np.inf)
        shares[negative] = self.base[negative] / (self.base[negative] - mu[negative])
        leaving = int(np.argmin(shares))
        self.base = np.maximum(self.base + shares[leaving] * (mu - self.base), 0.0)
        self.base[leaving] = 0.0
        self.active = [sample for sample in self.active if sample != leaving]

    def _enter(self, entering: int) -> None:
        """Add a sample; if it depends on those present, it takes the place of one of them."""
        if self.active:
            present, row = self.units[self.active].T, self.units[entering]
            shares = np.linalg.lstsq(present, row, rcond=None)[0]
            if np.linalg.norm(row - present @ shares) <= DEPENDENT:
                held = self.base[self.active]
                steps = np.where(shares > NEGATIVE, held / np.where(shares > NEGATIVE, shares, 1.0), np.inf)
                place = int(np.argmin(steps))
                if not np.isfinite(steps[place]):
                    self.done = True  # no rho has these margins
                    return
                self.base[self.active] = np.maximum(held - steps[place] * shares, 0.0)
                self.base[entering] = steps[place]
                self.base[self.active[place]] = 0.0
                del self.active[place]
        self.active = [*self.active, entering]

    def _independent(self, wanted: Bool[np.ndarray, " n"]) -> list[int]:
        """The wanted samples, without those that depend on others."""
        places = np.flatnonzero(wanted)
        if len(places) < 2:
            return [int(place) for place in places]
        triangle, order = scipy.linalg.qr(self.units[places].T, mode="r", pivoting=True)
        rank = int((np.abs(np.diag(triangle)) > DEPENDENT).sum())
        return sorted(int(places[place]) for place in order[:rank])


def equality_minima(
    curve: Curve, searches: list[Search], count: int
) -> tuple[Float[np.ndarray, "b m"], Float[np.ndarray, "b m"]]:
    """(rho, nu) of min D(rho) subject to Z_P rho = b_P, P the active samples of each search; NaN where not solved."""
    start = np.zeros_like(curve.start)
    if not count:
        return curve.at(start).rho, start
    factors = [scipy.linalg.qr(each.units[each.active].T, mode="economic") for each in searches]
    rows = [np.ascontiguousarray(q.T) for q, _ in factors]
    target = np.array(
        [
            scipy.linalg.solve_triangular(r, each.heights[each.active], trans=1)
            for (_, r), each in zip(factors, searches, strict=True)
        ]
    )
    if curve.depth == 1:
        origin = curve.at(start).rho
        found = [q.T @ (t - q @ begin) for q, t, begin in zip(rows, target, origin, strict=True)]
        return origin + np.array(found), np.array(found)
    if len(searches) <= ALONE:
        minima = [separable.minimise(curve.of(k), rows[k], target[k], STEPS) for k in range(len(searches))]
        rho, residual = np.array([each.rho for each in minima]), np.array([each.residual for each in minima])
    else:
        stack = stacked.minimise(curve, rows, target, STEPS)
        rho, residual = stack.rho, stack.residual
    rho = np.where((residual <= SOLVED)[:, None], rho, np.nan)
    with np.errstate(all="ignore"):
        return rho, curve.nu(curve.chart(rho))
