"""The curve along which a coordinate of an orthogonally decomposable network moves, in a chart where nothing overflows.

In each coordinate the flow is dw_l/dnu = prod_{k != l} w_k, nu being its dual variable. The invariants w_l^2 - w_k^2
leave one degree of freedom, the layer x of least modulus (times the signs of the others). With the gaps
d_k = w_k^2 - x^2 >= 0 of the other layers

    rho = x prod_k sqrt(x^2 + d_k),   dnu/dx = prod_k (x^2 + d_k)^{-1/2},   drho/dnu = sum_l prod_{k != l} w_k^2.

The chart is x = g sinh(z_0 + z) with g^2 the least gap. In it dnu/dz = prod_{k >= 2} (x^2 + d_k)^{-1/2} is analytic in
|Im z| < pi/2, whatever the other gaps are. x, rho and drho/dnu grow like powers of e^z, so that thirty orders of
magnitude are |z| < 10. At the initialisation z = 0 and nu = 0, so that small changes keep all their digits. If the
least gap is zero, x keeps its sign, and x = x_0 e^{+-z}.

Arrays of problems that are solved together have a leading axis b of problems in front of the axis of the m coordinates;
those of a single problem have none.
"""

import copy
import itertools
from abc import ABC, abstractmethod
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float, Integer

Coordinates = Float[np.ndarray, "*b m"]
Index = int | Integer[np.ndarray, " a"]


class Point(NamedTuple):
    """rho and its derivatives at chart values z, all of the shape of z."""

    rho: Coordinates
    drho: Coordinates
    """drho/dz > 0."""
    dnu: Coordinates
    """dnu/dz > 0."""


class Curve(ABC):
    """The curves of all m coordinates, of L factors each, of one problem or of b problems.

    Attributes:
        depth: L.
        start: z_0, the distance in z from the point x = 0 to the initialisation.
    """

    depth: int
    start: Coordinates

    @abstractmethod
    def at(self, z: Coordinates) -> Point:
        """rho, drho/dz and dnu/dz."""

    @abstractmethod
    def nu(self, z: Coordinates) -> Coordinates:
        """nu(z), computed from z alone."""

    @abstractmethod
    def advance(self, nu: Coordinates, old: Coordinates, new: Coordinates) -> Coordinates:
        """nu(new) from nu = nu(old), for |new - old| <= 2."""

    def potential(self, z: Coordinates) -> Float[np.ndarray, "*b"]:
        """D(rho) = sum_j integral of nu_j drho_j from the initialisation.

        By parts, nu rho - integral rho dnu, and d(x^2)/dnu = 2 rho.
        """
        return self.potential_at(z, self.nu(z), self.at(z).rho)

    @abstractmethod
    def potential_at(self, z: Coordinates, nu: Coordinates, rho: Coordinates) -> Float[np.ndarray, "*b"]:
        """The potential where nu and rho are known."""

    @abstractmethod
    def of(self, index: Index) -> "Curve":
        """The curves of some of the b problems."""

    @abstractmethod
    def unit(self) -> Coordinates:
        """A size of rho in each coordinate, such that asinh(rho / unit) has a slope between 1 and L in z."""

    def chart(self, rho: Coordinates) -> Coordinates:
        """z with rho(z) = rho, by Newton's method in asinh(rho / unit), kept within a bracket.

        Where rho has a sign that the coordinate never takes, it is the end of the bracket.
        """
        far = max(60.0, 300.0 / self.depth)
        low, high = -far - self.start, far - self.start
        z, unit = np.zeros_like(rho), self.unit()
        goal = np.arcsinh(rho / unit)
        with np.errstate(all="ignore"):
            for _ in range(200):
                point = self.at(z)
                above = point.rho > rho
                low, high = np.where(above, low, z), np.where(above, z, high)
                off = np.arcsinh(point.rho / unit) - goal
                new = z - off * np.hypot(point.rho, unit) / point.drho
                new = np.where((new > low) & (new < high), new, (low + high) / 2)
                step = np.abs(new - z)
                z = new
                if not (step > 4e-16 * (1 + np.abs(z))).any():
                    break
        return z


@final
class StraightCurve(Curve):
    """One layer: rho = rho(0) + nu."""

    depth = 1

    def __init__(self, start: Coordinates):
        self.start = np.zeros_like(start)
        self._rho = start

    def at(self, z: Coordinates) -> Point:
        return Point(self._rho + z, np.ones_like(z), np.ones_like(z))

    def nu(self, z: Coordinates) -> Coordinates:
        return z

    def advance(self, nu: Coordinates, old: Coordinates, new: Coordinates) -> Coordinates:
        return new

    def potential_at(self, z: Coordinates, nu: Coordinates, rho: Coordinates) -> Float[np.ndarray, "*b"]:
        return np.asarray((z * z / 2).sum(axis=-1))

    def of(self, index: Index) -> "Curve":
        return StraightCurve(self._rho[index])

    def unit(self) -> Coordinates:
        return np.ones_like(self._rho)

    def chart(self, rho: Coordinates) -> Coordinates:
        return rho - self._rho


@final
class StructuredCurve(Curve):
    """w_l(0) = c for l < L, w_L(0) = 0: rho = c^L sinh z cosh^{L-1} z, nu = c^{2-L} integral_0^z cosh^{2-L}.

    For a coordinate that stands for k copies, rho and nu are sqrt(k) times those of one copy.
    """

    def __init__(self, c: Coordinates, depth: int, copies: Coordinates | None = None):
        root = np.ones_like(c) if copies is None else np.sqrt(copies)
        self.depth = depth
        self.start = np.zeros_like(c)
        self._square = (root * c) ** 2
        self._rho = root * c**depth
        self._nu = root * c ** (2 - depth)

    def at(self, z: Coordinates) -> Point:
        sinh, cosh = np.sinh(z), np.cosh(z)
        power = cosh ** (self.depth - 2)
        rho = self._rho * sinh * cosh * power
        drho = self._rho * power * (cosh * cosh + (self.depth - 1) * sinh * sinh)
        return Point(rho, drho, self._nu / power)

    def nu(self, z: Coordinates) -> Coordinates:
        return self._nu * sech_integral(z, self.depth - 2)

    def advance(self, nu: Coordinates, old: Coordinates, new: Coordinates) -> Coordinates:
        return self.nu(new)

    def potential_at(self, z: Coordinates, nu: Coordinates, rho: Coordinates) -> Float[np.ndarray, "*b"]:
        sinh = np.sinh(z)
        return np.asarray((nu * rho - self._square * sinh * sinh / 2).sum(axis=-1))

    def of(self, index: Index) -> "Curve":
        some = copy.copy(self)
        some.start, some._square, some._rho, some._nu = (
            values[index] for values in (self.start, self._square, self._rho, self._nu)
        )
        return some

    def unit(self) -> Coordinates:
        return self._rho


def sech_integral(z: Coordinates, power: int) -> Coordinates:
    """integral_0^z cosh^{-p}, p = power >= -1, by the recurrence in steps of 2, all of whose terms have one sign:

    I_{p+2} = (cosh^{-p} tanh + p I_p) / (p + 1).
    """
    if power == -1:
        return np.sinh(z)
    if power == 0:
        return z
    tanh, sech = np.tanh(z), 1 / np.cosh(z)
    square = sech * sech
    value, done, factor = (2 * np.arctan(np.tanh(z / 2)), 1, sech) if power % 2 else (tanh, 2, square)
    while done < power:
        value = (factor * tanh + done * value) / (done + 1)
        factor = factor * square
        done += 2
    return value


TIED = 1e-8
"""The two least layers count as equal if the root of the difference of their squares is at most this share of them."""

Rule = tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]

_RULES = [(length, np.polynomial.legendre.leggauss(count)) for length, count in ((0.06, 4), (0.5, 8), (2.0, 16))]
"""(length, Gauss's points and weights) that integrate a function analytic in |Im z| < pi/2 over that length to 1e-16.

With n points the error is of order r^{-2n}, r = p + sqrt(p^2 + 1), p = pi / length (16 points over 2: p = 1.57,
r = 3.43).
"""


@final
class GeneralCurve(Curve):
    """Any real start with at most one zero layer in a coordinate, L >= 2.

    Args:
        w: w_l(0), the axis of layers first.
    """

    def __init__(self, w: Float[np.ndarray, "L *b m"]):
        self.depth = len(w)
        modulus = np.abs(w)
        least = modulus.argmin(axis=0)[None]
        lead = np.take_along_axis(w, least, axis=0)[0]
        others = np.where(w < 0, -1.0, 1.0).prod(axis=0) * np.where(lead < 0, -1.0, 1.0)
        first = np.abs(lead)
        self._x = others * lead
        self._gaps = np.sort((modulus - first) * (modulus + first), axis=0)[1:]
        self._gap = np.sqrt(self._gaps[0])
        # a gap below rounding counts as zero, because the chart's origin would lie beyond z = 20
        self._tied = self._gap <= TIED * first
        self._gaps[0, self._tied] = 0.0
        self._side = np.where(self._x < 0, -1.0, 1.0)
        chart = np.arcsinh(self._x / np.where(self._tied, 1.0, self._gap))
        # a tied coordinate tends to zero without reaching it, so that its origin is taken to be far away
        self.start = np.where(self._tied, self._side * 20.0, chart)

    def at(self, z: Coordinates) -> Point:
        x = self._least(z)
        square = x * x
        factors = np.sqrt(square + self._gaps)
        product = factors.prod(axis=0)
        inner = product / factors[0]
        drho = product * factors[0] * (1 + (square / (factors * factors)).sum(axis=0))
        return Point(x * product, drho, 1 / inner)

    def nu(self, z: Coordinates) -> Coordinates:
        if self.depth == 2:
            return z
        panels = np.maximum(1, np.ceil(np.abs(z).max(axis=-1) / 2)).astype(int)
        if panels.ndim == 0:
            return self._panelled(z, int(panels))
        nu = np.empty_like(z)
        for count in np.unique(panels):
            index = np.flatnonzero(panels == count)
            nu[index] = self.of(index)._panelled(z[index], int(count))
        return nu

    def advance(self, nu: Coordinates, old: Coordinates, new: Coordinates) -> Coordinates:
        if self.depth == 2:
            return new
        length = np.abs(new - old).max(axis=-1)
        if length.ndim == 0:
            return nu + self._integral(old, new)
        ahead = np.copy(nu)
        rules = np.sum([length > longest for longest, _ in _RULES[:-1]], axis=0)
        for rule in np.unique(rules):
            index = np.flatnonzero(rules == rule)
            ahead[index] += self.of(index)._integral(old[index], new[index], _RULES[rule][1])
        return ahead

    def potential_at(self, z: Coordinates, nu: Coordinates, rho: Coordinates) -> Float[np.ndarray, "*b"]:
        x = self._least(z)
        return np.asarray((nu * rho - (x - self._x) * (x + self._x) / 2).sum(axis=-1))

    def of(self, index: Index) -> "GeneralCurve":
        some = copy.copy(self)
        some.start, some._x, some._gap, some._tied, some._side = (
            values[index] for values in (self.start, self._x, self._gap, self._tied, self._side)
        )
        some._gaps = self._gaps[:, index]
        return some

    def ends(self) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """(nu at rho = inf, -nu at rho = -inf) of one problem; inf for L = 2, and where rho keeps the other sign.

        The integral is cut where e^{-(L-2) z}, the size of what follows, is 1e-17 of it.
        """
        infinite = np.full_like(self._x, np.inf)
        if self.depth == 2:
            return infinite, infinite
        scale = np.where(self._tied, np.abs(self._x), self._gap)
        far = np.abs(np.where(self._tied, 0.0, self.start)) + np.log1p(np.sqrt(self._gaps[-1]) / scale)
        reach = far + 40.0 / (self.depth - 2)
        edges = np.linspace(0.0, 1.0, int(np.ceil(reach.max(initial=0.0) / 2)) + 1)[:, None]
        upper, lower = (
            np.where(self._tied & (self._side == -side), np.inf, side * self._summed(edges * side * reach))
            for side in (1.0, -1.0)
        )
        return upper, lower

    def _summed(self, edges: Float[np.ndarray, "p m"]) -> Float[np.ndarray, " m"]:
        """The integral of dnu/dz over consecutive panels."""
        return np.asarray(self._integral(edges[:-1], edges[1:]).sum(axis=0))

    def unit(self) -> Coordinates:
        """drho/dz where the least layer is zero; tiny for a tied coordinate, whose least layer is never zero."""
        return np.where(self._tied, 1e-200, np.sqrt(self._gaps).prod(axis=0))

    def _least(self, z: Float[np.ndarray, "*p m"]) -> Float[np.ndarray, "*p m"]:
        if not self._tied.any():
            return self._gap * np.sinh(self.start + z)
        return np.where(self._tied, self._x * np.exp(self._side * z), self._gap * np.sinh(self.start + z))

    def _panelled(self, z: Coordinates, panels: int) -> Coordinates:
        edges = [share * z for share in np.linspace(0, 1, panels + 1)]
        return np.sum([self._integral(a, b) for a, b in itertools.pairwise(edges)], axis=0)

    def _integral(self, a: Coordinates, b: Coordinates, rule: Rule = _RULES[-1][1]) -> Coordinates:
        """integral_a^b dnu/dz by Gauss's rule."""
        half = (b - a) / 2
        nodes, weights = rule
        x = self._least((a + b) / 2 + np.multiply.outer(nodes, half))
        square = x * x
        product = np.sqrt(square + self._gaps[1])
        for gap in self._gaps[2:]:
            product = product * np.sqrt(square + gap)
        return half * np.tensordot(weights, 1 / product, axes=1)
