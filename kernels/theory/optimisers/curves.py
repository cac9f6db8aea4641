"""The curve along which a coordinate of an orthogonally decomposable network moves, in a chart where nothing overflows.

Coordinate j of the flow is dw_l/dnu = prod_{k != l} w_k. Its invariants w_l^2 - w_k^2 leave one degree of freedom,
the layer x of least modulus (times the signs of the others); with the gaps d_k = w_k^2 - x^2 >= 0 of the others

    rho = x prod_k sqrt(x^2 + d_k),   dnu/dx = prod_k (x^2 + d_k)^{-1/2},   drho/dnu = sum_l prod_{k != l} w_k^2.

Chart: x = g sinh(z_0 + z) with g^2 the least gap, where dnu/dz = prod_{k >= 2} (x^2 + d_k)^{-1/2} is analytic in
|Im z| < pi/2 whatever the other gaps are. x, rho and drho/dnu grow like powers of e^z: thirty orders of magnitude are
|z| < 10. z = 0 at the initialisation, where nu = 0, so that small changes keep all their digits.
If the least gap is zero, x keeps its sign and x = x_0 e^{+-z}.
"""

import itertools
from abc import ABC, abstractmethod
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float

Coordinates = Float[np.ndarray, " m"]


class Point(NamedTuple):
    """rho and its derivatives at chart values z, all of shape (m,)."""

    rho: Coordinates
    drho: Coordinates
    """drho/dz > 0."""
    dnu: Coordinates
    """dnu/dz > 0."""


class Curve(ABC):
    """The curves of all m coordinates, of L factors each.

    Attributes:
        depth: L.
        start: z_0, where the initialisation lies from the point x = 0.
    """

    depth: int
    start: Coordinates

    @abstractmethod
    def at(self, z: Coordinates) -> Point:
        """rho, drho/dz and dnu/dz."""

    @abstractmethod
    def nu(self, z: Coordinates) -> Coordinates:
        """nu(z), without the help of a nearby value."""

    @abstractmethod
    def advance(self, nu: Coordinates, old: Coordinates, new: Coordinates) -> Coordinates:
        """nu(new) from nu = nu(old), for |new - old| <= 2."""

    @abstractmethod
    def potential(self, z: Coordinates) -> float:
        """D(rho) = sum_j integral of nu_j drho_j from the initialisation."""


@final
class StructuredCurve(Curve):
    """w_l(0) = c for l < L, w_L(0) = 0: rho = c^L sinh z cosh^{L-1} z, nu = c^{2-L} integral_0^z cosh^{2-L}.

    With k copies of a coordinate taken together, rho and nu are sqrt(k) times one copy's.
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

    def potential(self, z: Coordinates) -> float:
        # integral nu drho = nu rho - integral rho dnu, and d(x^2)/dnu = 2 rho
        sinh = np.sinh(z)
        return float((self.nu(z) * self.at(z).rho - self._square * sinh * sinh / 2).sum())


def sech_integral(z: Coordinates, power: int) -> Coordinates:
    """integral_0^z cosh^{-power}, power >= -1: cosh^{-p} tanh / p + (p-1)/p ... all terms of one sign."""
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


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
"""Integrates a function analytic in |Im z| < pi/2 over length 2 to 1e-16: the ellipse of 1.57 + sqrt(1.57^2 + 1)."""


@final
class GeneralCurve(Curve):
    """Any start with at most one zero in a coordinate; L >= 2."""

    def __init__(self, w: Float[np.ndarray, "L m"]):
        self.depth = len(w)
        modulus = np.abs(w)
        columns = np.arange(w.shape[1])
        least = modulus.argmin(axis=0)
        others = np.where(w < 0, -1.0, 1.0).prod(axis=0) * np.where(w[least, columns] < 0, -1.0, 1.0)
        first = modulus[least, columns]
        self._x = others * w[least, columns]
        self._gaps = np.sort((modulus - first) * (modulus + first), axis=0)[1:]
        self._gap = np.sqrt(self._gaps[0])
        # a gap below rounding is a tie: there the chart's origin would lie beyond z = 20
        self._tied = self._gap <= 1e-8 * first
        self._gaps[0, self._tied] = 0.0
        self._side = np.where(self._x < 0, -1.0, 1.0)
        chart = np.arcsinh(self._x / np.where(self._tied, 1.0, self._gap))
        # a tied coordinate counts as far out: it tends to zero without reaching it
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
        panels = max(1, int(np.ceil(np.abs(z).max() / 2)))
        edges = np.linspace(0, 1, panels + 1)[:, None] * z
        return np.sum([self._integral(a, b) for a, b in itertools.pairwise(edges)], axis=0)

    def advance(self, nu: Coordinates, old: Coordinates, new: Coordinates) -> Coordinates:
        return new if self.depth == 2 else nu + self._integral(old, new)

    def potential(self, z: Coordinates) -> float:
        x = self._least(z)
        return float((self.nu(z) * self.at(z).rho - (x - self._x) * (x + self._x) / 2).sum())

    def _least(self, z: Float[np.ndarray, "*p m"]) -> Float[np.ndarray, "*p m"]:
        if not self._tied.any():
            return self._gap * np.sinh(self.start + z)
        return np.where(self._tied, self._x * np.exp(self._side * z), self._gap * np.sinh(self.start + z))

    def _integral(self, a: Coordinates, b: Coordinates) -> Coordinates:
        """integral_a^b dnu/dz, by 16 Gauss points."""
        half = (b - a) / 2
        x = self._least((a + b) / 2 + _NODES[:, None] * half)
        squares = (x * x)[:, None] + self._gaps[1:]
        return half * (_WEIGHTS @ (1 / np.sqrt(squares)).prod(axis=1))
