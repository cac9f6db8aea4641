"""The stationary point of min ||rho||_p subject to Re(Z rho) >= 1, p < 1, that is next to a given rho.

With 1/p sum |rho_j|^p for the norm (the same stationary points), on the support S and with the active samples A:

    |rho_j|^{p-2} rho_j = [Z^H mu]_j on S,   Re(z_i rho) = 1 on A,   mu_i >= 0,   Re(z_i rho) >= 1 everywhere.

The first two are as many real equations as unknowns, and Newton's method solves them in steps of d rho_j / |rho_j|.
There is no condition on coordinates off the support, because |.|^p has an infinite slope at zero. A run that was
stopped has small coordinates that may or may not tend to zero. So several supports are tried, cut where consecutive
moduli differ most, and the nearest point with a small certificate is taken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Inexact
from scipy.optimize import nnls

from kernels.theory.optimisers.stationary_newton import Equations, newton

CUTS = 16
"""Most supports that are tried."""
WAVES = (1, 4, CUTS)
"""Supports that are tried together, up to these places in the order of their gaps. Runs share the arithmetic; a later
wave leaves out the supports on which no point can be nearer than one that is known."""

ROUNDS = 8
"""Most sets of active samples that are tried on one support."""

EQUAL = 1e-6
"""Two moduli that differ by less than this, relatively, count as equal."""

CLOSE = 1e-3
"""A point whose direction is at most this far from the end's finishes the search on other supports."""

APART = 1e-2
"""A row whose distance from its projection, by normal equations, is a larger share of it is no combination."""

GOOD = 1e-10
"""A certificate that ends the search for a better set of active samples."""


@dataclass(frozen=True)
class Stationary:
    """A point, and as its certificate the largest residual of the four conditions, each relative to its terms."""

    rho: Inexact[np.ndarray, " m"]
    certificate: float


class End(NamedTuple):
    """Where a flow ended.

    Attributes:
        signed: Z, rows y_i a_i, shape (n, m).
        rho: at any scale, shape (m,).
        active: samples that may have a multiplier, shape (n,).
    """

    signed: Inexact[np.ndarray, "n m"]
    rho: Inexact[np.ndarray, " m"]
    active: Bool[np.ndarray, " n"]


def nearby(
    signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], active: Bool[np.ndarray, " n"], power: float
) -> Stationary:
    """The stationary point next to rho; the certificate is 1 or more where none was found.

    Args:
        signed, rho, active: as in `End`.
        power: p in (0, 1).
    """
    return nearby_all([End(signed, rho, active)], power)[0]


def nearby_all(ends: Sequence[End], power: float) -> list[Stationary]:
    """`nearby` of many ends, all of them real or all complex."""
    searches = [_Search(end) for end in ends]
    for wave in WAVES:
        attempts = [attempt for search in searches for attempt in search.ahead(wave, power)]
        while waiting := [attempt for attempt in attempts if attempt.held.any()]:
            answers = newton([attempt.equations for attempt in waiting], power)
            for attempt, answer in zip(waiting, answers, strict=True):
                attempt.take(*answer, power)
        for search in searches:
            search.settle()
    return [search.found for search in searches]


class _Search:
    """The search for the point next to one end, on one support after the other.

    Attributes:
        found: the best point so far.
        nearest: distance of its direction from the end's, infinite while none is GOOD.
        over: whether no other support will be tried.
    """

    def __init__(self, end: End):
        margin = float((end.signed @ end.rho).real.min())
        self.end, self.over = end, not margin > 0
        self.rho = end.rho if self.over else end.rho / margin
        self.found, self.nearest = Stationary(self.rho, 1.0), np.inf
        self._waiting: list[_Attempt] = []
        self._supports = [] if self.over else _supports(np.abs(self.rho), len(end.signed))
        self._place = 0

    def ahead(self, place: int, power: float) -> list["_Attempt"]:
        """Attempts on the next supports, up to this place, but for those that are too far away."""
        some = [] if self.over else self._supports[self._place : place]
        self._place = place
        self._waiting = [_Attempt(self.end, self.rho, each, power) for each in some if not self._far(each)]
        return self._waiting

    def settle(self) -> None:
        """Take the answers of the attempts, in the order of their supports."""
        for attempt in self._waiting:
            if self.over or self._far(attempt.support):
                continue
            found = attempt.found
            apart = float(np.linalg.norm(_unit(found.rho) - _unit(self.rho)))
            distance = apart if found.certificate <= GOOD else np.inf
            if distance < self.nearest or (self.nearest == np.inf and found.certificate < self.found.certificate):
                self.found, self.nearest = found, distance
            self.over = self.nearest <= CLOSE

    def _far(self, support: Bool[np.ndarray, " m"]) -> bool:
        """Whether any point on this support is farther away than the nearest one known."""
        return bool(np.linalg.norm(self.rho[~support]) >= self.nearest * np.linalg.norm(self.rho))


def _unit(rho: Inexact[np.ndarray, " m"]) -> Inexact[np.ndarray, " m"]:
    return rho / np.linalg.norm(rho)


def _supports(modulus: Float[np.ndarray, " m"], most: int) -> list[Bool[np.ndarray, " m"]]:
    """Supports of the coordinates above one of the widest gaps between moduli, of at most `most` different moduli.

    `most` is the number of samples: with more moduli than samples some change of them keeps all margins, and the
    concave norm falls along it, so that no flow ends there. Equal moduli count once, because conjugates, or a symmetry
    of data and start, keep them equal.
    """
    present = np.append(np.sort(modulus[modulus > 0])[::-1], 0.0)
    ratios = present[1:] / present[:-1]
    gaps = np.flatnonzero(ratios < 1 - EQUAL)[:most]
    wide = gaps[np.argsort(ratios[gaps], kind="stable")[:CUTS]]
    return [modulus >= (1 - EQUAL) * present[place] for place in wide]


class _Attempt:
    """Newton's method on one support, again and again, while samples of negative multipliers leave and violated ones
    enter. Complex numbers are pairs of real ones: axes are (sample, part, coordinate).

    Attributes:
        support: coordinates that are not zero.
        held: samples of the present equations; none where the attempt is over.
    """

    def __init__(self, end: End, rho: Inexact[np.ndarray, " m"], support: Bool[np.ndarray, " m"], power: float):
        z, start = end.signed[:, support], rho[support]
        if np.iscomplexobj(z):
            self.rows, self.values = np.stack([z.real, -z.imag], axis=1), np.stack([start.real, start.imag])
        else:
            self.rows, self.values = z[:, None], start[None]
        self.rho, self.support = rho, support
        self._best, self._least, self._rounds = self.values, np.inf, 0
        self.mu = _multipliers(self.rows, self.values, end.active, power)
        self.held = _held(self.mu)

    @property
    def equations(self) -> Equations:
        return Equations(self.rows[self.held], self.values, self.mu[self.held])

    @property
    def found(self) -> Stationary:
        """The best answer; its certificate is 1 where there is none."""
        if not np.isfinite(self._least):
            return Stationary(self.rho, 1.0)
        whole, best = np.zeros_like(self.rho), self._best
        whole[self.support] = best[0] + 1j * best[1] if len(best) == 2 else best[0]
        return Stationary(whole, self._least)

    def take(self, values: Float[np.ndarray, "c s"], multipliers: Float[np.ndarray, " a"], power: float) -> None:
        """Take the solution of the present equations, and choose the samples of the next ones."""
        mu = np.zeros(len(self.rows))
        mu[self.held] = multipliers
        self.values, self._rounds = values, self._rounds + 1
        margins = _margins(self.rows, values)
        residual = _residual(self.rows[self.held], margins, values, (mu, multipliers), power)
        if residual < self._least:
            self._best, self._least = values, residual
        if self._least <= GOOD or not np.isfinite(residual) or self._rounds == ROUNDS:
            self.held = np.zeros_like(self.held)
            return
        mu = np.maximum(mu, 0)
        if margins.min() < 1 - GOOD and mu.any():
            mu = _entered(self.rows, np.sqrt((values**2).sum(axis=0)), mu, int(np.argmin(margins)))
        self.mu, self.held = mu, _held(mu)


def _held(mu: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    held: Bool[np.ndarray, " n"] = mu > 1e-9 * mu.max()
    return held


def _margins(rows: Float[np.ndarray, "n c s"], values: Float[np.ndarray, "c s"]) -> Float[np.ndarray, " n"]:
    return rows.reshape(len(rows), -1) @ values.ravel()


def _multipliers(
    rows: Float[np.ndarray, "n c s"], values: Float[np.ndarray, "c s"], active: Bool[np.ndarray, " n"], power: float
) -> Float[np.ndarray, " n"]:
    """mu >= 0 on active samples of least || rho - |rho|^{2-p} Z^H mu ||."""
    modulus = np.sqrt((values**2).sum(axis=0))
    mu = np.zeros(len(rows))
    if not active.any():
        return mu
    matrix = (rows[active] * modulus ** (2 - power)).reshape(int(active.sum()), -1).T
    try:
        mu[active] = nnls(matrix, values.ravel())[0]
    except RuntimeError:
        mu[active] = np.linalg.lstsq(matrix, values.ravel(), rcond=None)[0]
    return mu


def _entered(
    rows: Float[np.ndarray, "n c s"], modulus: Float[np.ndarray, " s"], mu: Float[np.ndarray, " n"], entering: int
) -> Float[np.ndarray, " n"]:
    """mu after a violated sample has entered; if its row is a combination of those held, one of these leaves."""
    held = np.flatnonzero(_held(mu))
    matrix = (rows[held] * modulus).reshape(len(held), -1).T
    row = (rows[entering] * modulus).ravel()
    rates = _shares(matrix, row)
    times = np.where(rates > 1e-12, mu[held] / np.where(rates > 1e-12, rates, 1), np.inf)
    step = min(float(times.min()), float(mu.max())) if np.isfinite(times).any() else 1e-3 * float(mu.max())
    moved = mu.copy()
    moved[held] = np.maximum(mu[held] - step * rates, 0)
    if np.isfinite(times).any():
        moved[held[np.argmin(times)]] = 0
    moved[entering] += step
    return moved


def _shares(matrix: Float[np.ndarray, "k a"], row: Float[np.ndarray, " k"]) -> Float[np.ndarray, " a"]:
    """c with M c = row; zero where the row is no combination of the columns.

    The normal equations, which are cheaper, say so where the row is far from all combinations.
    """
    size, count = float(np.linalg.norm(row)), matrix.shape[1]
    try:
        near = matrix @ np.linalg.solve(matrix.T @ matrix, matrix.T @ row)
        if APART * size < np.linalg.norm(near - row) <= size:
            return np.zeros(count)
    except np.linalg.LinAlgError:
        pass
    shares: Float[np.ndarray, " a"] = np.linalg.lstsq(matrix, row, rcond=None)[0]
    return shares if np.linalg.norm(matrix @ shares - row) <= 1e-9 * size else np.zeros(count)


def _residual(
    own: Float[np.ndarray, "a c s"],
    margins: Float[np.ndarray, " n"],
    values: Float[np.ndarray, "c s"],
    multipliers: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " a"]],
    power: float,
) -> float:
    """The largest violation of the four conditions.

    Args:
        own: rows of the held samples.
        margins: of all samples.
        values: rho.
        multipliers: mu of all samples, and of those held.
        power: p.
    """
    mu, some = multipliers
    modulus, largest = np.sqrt((values**2).sum(axis=0)), float(np.abs(some).max())
    # rho / |rho| - |rho|^{1-p} Z^H mu: of size one away from a stationary point
    equations = values / modulus - modulus ** (1 - power) * (some @ own.reshape(len(own), -1)).reshape(values.shape)
    residuals = (
        float(np.abs(equations).max()),
        float(np.abs(margins[mu != 0] - 1).max(initial=0.0)),
        max(0.0, 1 - float(margins.min())),
        max(0.0, -float(some.min()) / largest) if largest > 0 else math.inf,
    )
    return max(residuals) if all(map(math.isfinite, residuals)) else math.inf
