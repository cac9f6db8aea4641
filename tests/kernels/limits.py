"""Where the flow of a real decomposable network ends, in 160-digit arithmetic; shares nothing with kernels/.

Coordinate j moves along one curve, dw_l/dnu = prod_{k != l} w_k from w_l(0), and ends at nu_j = [A^T lambda]_j with
A rho = y: the minimum of a strictly convex function, so that Newton's method finds the one end from wherever it begins.
Numbers are Python's decimals, with an exponent as large as weights of 1e-8 in six layers need.
"""

import decimal
import functools
from decimal import Decimal
from typing import Any

import numpy as np
import scipy.linalg

NODES = 40
"""Of Gauss's rule on panels of length one: it integrates dnu/du, analytic in |Im u| < pi/2, to 1e-60."""
MOST_STEPS = 150
FAR = Decimal(2)
"""Largest Newton step of a coordinate, in its chart."""
DEPENDENT = 1e-12
DIGITS = (70, 160)
"""Tried in turn: of a potential with fewer large coordinates than samples Newton's matrix is graded over 1e100."""


def context(digits: int) -> decimal.Context:
    return decimal.Context(prec=digits, Emin=-(10**9), Emax=10**9)


exact = np.vectorize(Decimal, otypes=[object])


class NotSettledError(Exception):
    """Newton's method did not settle."""


def limit_of(a: Any, y: np.ndarray, w: Any, near: np.ndarray) -> np.ndarray:
    """rho at the end of the flow.

    Args:
        a: A = X S^T, floats or decimals, shape (n, m).
        y: targets, which A reaches, shape (n,).
        w: w_l(0), floats or decimals, shape (L, m), L >= 2, at most one zero in a coordinate.
        near: the layer of least modulus in each coordinate, times the signs of the others, where Newton's method
            begins, shape (m,).
    """
    rows = independent(np.array(a, dtype=float))
    for digits in DIGITS:
        with decimal.localcontext(context(digits)):
            curves = [CurveOf([Decimal(value) for value in column]) for column in np.array(w).T.tolist()]
            for curve, q in zip(curves, near.tolist(), strict=True):
                curve.begin(Decimal(q))
            try:
                return np.asarray(_newton(exact(np.array(a)[rows]), exact(y[rows]), curves).astype(float))
            except (NotSettledError, ArithmeticError):
                continue
    raise NotSettledError(f"not within {DIGITS[-1]} digits")


def _newton(a: Any, y: Any, curves: list["CurveOf"]) -> Any:
    multipliers, largest = np.array([Decimal(0)] * len(y)), Decimal(1)
    for _ in range(MOST_STEPS):
        nu, dnu, rho, drho = (np.array(values) for values in zip(*(curve.state() for curve in curves), strict=True))
        if largest < Decimal("1e-15"):  # of which the step after leaves the square
            return rho
        rates, off = drho / dnu, nu - a.T @ multipliers
        change = np.array(solved((a * rates) @ a.T, y - a @ rho + a @ (rates * off)))
        steps = (a.T @ change - off) / dnu
        multipliers, largest = multipliers + change, max(map(abs, steps))
        for curve, step in zip(curves, steps, strict=True):
            curve.move(curve.u + max(-FAR, min(FAR, step)))
    raise NotSettledError(f"after {MOST_STEPS} Newton steps the last one was {float(largest):.1g}")


class CurveOf:
    """One coordinate in a chart u: the least layer is q = c sinh u, c^2 the least gap, or c e^u where that is zero."""

    def __init__(self, w: list[Decimal]):
        least = min(range(len(w)), key=lambda layer: abs(w[layer]))
        others = w[:least] + w[least + 1 :]
        first = functools.reduce(lambda sign, value: -sign if value < 0 else sign, others, w[least])
        self.gaps = [value * value - first * first for value in others]
        self.tied = min(self.gaps) == 0
        self.c = first if self.tied else min(self.gaps).sqrt()
        self.u = self.chart(first)
        self.nu = Decimal(0)

    def begin(self, q: Decimal) -> None:
        """Newton's method starts from here; of a coordinate that keeps its sign, not from the other side."""
        self.move(self.chart(self.c / 1000 if self.tied and q * self.c <= 0 else q))

    def chart(self, q: Decimal) -> Decimal:
        if self.tied:
            return (q / self.c).ln()
        size = abs(q / self.c)
        u = (size + (size * size + 1).sqrt()).ln()
        return u if q >= 0 else -u

    def at(self, e: Decimal) -> tuple[Decimal, Decimal]:
        """q and dq/du at e = e^u."""
        return (self.c * e, self.c * e) if self.tied else (self.c * (e - 1 / e) / 2, self.c * (e + 1 / e) / 2)

    def product(self, q: Decimal) -> Decimal:
        """Of the other layers."""
        return functools.reduce(lambda all_, gap: all_ * (q * q + gap), self.gaps, Decimal(1)).sqrt()

    def state(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """nu, dnu/du, rho and drho/du."""
        q, dq = self.at(self.u.exp())
        product = self.product(q)
        rates = product * product * (1 + (q * q * sum(1 / (q * q + gap) for gap in self.gaps) if q else 0))
        return self.nu, dq / product, q * product, rates * dq / product

    def move(self, u: Decimal) -> None:
        """To u, and nu with it, panel by panel."""
        way, e = u - self.u, self.u.exp()
        whole = Decimal(1).copy_sign(way)
        for _ in range(int(abs(way))):
            self.nu += whole * self._panel(e, growths(whole))
            e *= whole.exp()
        rest = way - int(abs(way)) * whole
        self.nu += rest * self._panel(e, growths.__wrapped__(rest))
        self.u = u

    def _panel(self, e: Decimal, steps: list[Decimal]) -> Decimal:
        total = Decimal(0)
        for step, weight in zip(steps, gauss()[1], strict=True):
            q, dq = self.at(e * step)
            total += weight * dq / self.product(q)
        return total


@functools.cache
def growths(length: Decimal) -> list[Decimal]:
    """e^{s length} at the nodes s of Gauss's rule on [0, 1]."""
    return [(node * length).exp() for node in gauss()[0]]


@functools.cache
def gauss() -> tuple[list[Decimal], list[Decimal]]:
    """Nodes and weights on [0, 1], by Newton's method on Legendre's polynomial from those in doubles."""
    nodes, weights = [], []
    for x in map(Decimal, np.polynomial.legendre.leggauss(NODES)[0].tolist()):
        slope = Decimal(1)
        for _ in range(4):
            before, value = Decimal(1), x
            for k in range(2, NODES + 1):
                before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
            slope = NODES * (x * value - before) / (x * x - 1)
            x -= value / slope
        nodes.append((1 + x) / 2)
        weights.append(1 / ((1 - x * x) * slope * slope))
    return nodes, weights


def solved(matrix: Any, target: Any) -> list[Decimal]:
    """x with M x = t, M positive definite, by elimination with pivots from the diagonal."""
    table = [[*row, value] for row, value in zip(matrix.tolist(), target.tolist(), strict=True)]
    count, order = len(table), []
    waiting = list(range(count))
    for _ in range(count):
        pivot = max(waiting, key=lambda row: table[row][row])
        waiting.remove(pivot)
        order.append(pivot)
        for row in waiting:
            factor = table[row][pivot] / table[pivot][pivot]
            for column in (*waiting, count):
                table[row][column] -= factor * table[pivot][column]
    x = [Decimal(0)] * count
    for place in range(count - 1, -1, -1):
        pivot = order[place]
        known = sum((table[pivot][later] * x[later] for later in order[place + 1 :]), Decimal(0))
        x[pivot] = (table[pivot][count] - known) / table[pivot][pivot]
    return x


def independent(a: np.ndarray) -> np.ndarray:
    """Rows that span those of A."""
    sizes = np.linalg.norm(a, axis=1, keepdims=True)
    r, order = scipy.linalg.qr((a / np.where(sizes > 0, sizes, 1)).T, mode="r", pivoting=True)
    pivots = np.abs(np.diag(r[:, : min(r.shape)]))
    return np.sort(order[: len(pivots)][pivots > DEPENDENT * pivots[0]])
