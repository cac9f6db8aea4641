"""The lasso with a weight for each sign, min 1/2 ||A r - y||^2 + lambda sum_j (T_j^+ r_j^+ + T_j^- r_j^-), lambda > 0.

The path of r is piecewise linear in lambda. It is followed from the lambda at which r = 0 down to zero, once for given
T. Where it breaks off (equal columns, or several coefficients that change at once), single points are found from the
dual, a projection: u = y - A r is the point nearest to y with -p_j^- <= a_j.u <= p_j^+, p = lambda T, and r are its
multipliers. That is the problem of above.py with a straight curve for each sample.

Source: Osborne, Presnell and Turlach, IMA J. Numer. Anal. 20 (2000); Efron et al., Ann. Statist. 32 (2004).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kernels.theory.optimisers.above import searched
from kernels.theory.optimisers.curves import StraightCurve

NEARLY = 0.98
"""A correlation of at least this share of its penalty is thought to reach it, when a projection begins."""


class Lasso(NamedTuple):
    """The solutions of b problems: r, the fits A r, the objective, and the certificate.

    The conditions are -p^- <= A^T (y - A r) <= p^+, and equality with the bound of the sign of r_j where r_j is not
    zero. The certificate is the largest violation over ||a_j|| ||y||; one of the second kind also counts only by its
    share |r_j| ||a_j|| of sum_k |r_k| ||a_k||.
    """

    r: Float[np.ndarray, "b m"]
    fits: Float[np.ndarray, "b n"]
    objective: Float[np.ndarray, " b"]
    certificate: Float[np.ndarray, " b"]


GOOD = 1e-10
"""Largest certificate with which a point of the path is taken without a projection."""

STEPS = 8
"""Most pieces of a path for each coordinate and sign."""


@dataclass(frozen=True, eq=False)
class Path:
    """The path of r, by the ends of its linear pieces.

    Attributes:
        penalties: lambda at the ends, falling, shape (k,).
        sides: T_j^+ r_j^+, then T_j^- r_j^-, at the ends, shape (k, 2 m).
    """

    penalties: Float[np.ndarray, " k"]
    sides: Float[np.ndarray, "k s"]

    def at(self, penalties: Float[np.ndarray, " b"]) -> Float[np.ndarray, "b s"]:
        """`sides` at these lambda, shape (b, 2 m); below the last end, the values there."""
        rising = self.penalties[::-1]
        if len(rising) < 2:
            return np.repeat(self.sides[:1], len(penalties), axis=0)
        above = np.clip(np.searchsorted(rising, penalties), 1, len(rising) - 1)
        low, high = rising[above - 1], rising[above]
        # two ends have one lambda where two coefficients appear at once: the later one, at `low`, holds there
        share = np.divide(penalties - low, high - low, out=np.zeros_like(low), where=high > low)
        share = np.clip(share, 0.0, 1.0)[:, None]
        sides: Float[np.ndarray, "k s"] = self.sides[::-1]
        return sides[above - 1] + share * (sides[above] - sides[above - 1])


def lasso_path(
    a: Float[np.ndarray, "n m"],
    y: Float[np.ndarray, " n"],
    plus: Float[np.ndarray, " m"],
    minus: Float[np.ndarray, " m"],
) -> Path:
    """The path for T^+ = plus and T^- = minus, both > 0, up to lambda = 0 or to where it breaks off.

    An infinite T forbids r_j that sign.
    """
    columns = np.hstack([a / plus, -a / minus])
    size, r = columns.shape[1], np.zeros(columns.shape[1])
    slopes = columns.T @ y
    active, penalty = [int(slopes.argmax())], float(slopes.max())
    penalties, sides = [penalty], [r]
    while penalty > 0 and len(penalties) < STEPS * size:
        block = columns[:, active]
        factor = np.asarray(np.linalg.qr(block, mode="r"))
        if len(active) > len(y) or np.abs(np.diagonal(factor)).min() <= 1e-12 * np.abs(factor).max():
            break
        change = np.linalg.solve(factor, np.linalg.solve(factor.T, np.ones(len(active))))
        falls = columns.T @ (block @ change)
        inside = np.ones(size, dtype=bool)
        inside[active] = False
        with np.errstate(all="ignore"):
            joins = np.where(inside & (falls < 1), (penalty - slopes) / (1 - falls), np.inf)
            leaves = np.where(change < 0, -r[active] / change, np.inf)
        joins = np.maximum(joins, 0.0)
        step = min(float(joins.min()), float(leaves.min()), penalty)
        r = r.copy()
        r[active] += step * change
        penalty -= step
        if step == leaves.min():
            r[active.pop(int(leaves.argmin()))] = 0.0
        elif step == joins.min():
            active.append(int(joins.argmin()))
        slopes = columns.T @ (y - columns @ r)
        penalties.append(penalty)
        sides.append(r)
    return Path(np.array(penalties), np.array(sides))


def lasso(
    a: Float[np.ndarray, "n m"],
    y: Float[np.ndarray, " n"],
    plus: Float[np.ndarray, "b m"],
    minus: Float[np.ndarray, "b m"],
    sides: Float[np.ndarray, "b s"] | None = None,
) -> Lasso:
    """The lasso at b penalties.

    Args:
        a, y: A, shape (n, m), and y, shape (n,).
        plus, minus: p^+ and p^-, both > 0, shape (b, m); an infinite one forbids r_j that sign.
        sides: r from a path, positive parts, then negative ones, shape (b, 2 m); None if unknown. Where its certificate
            is above GOOD, r is found by a projection.
    """
    size = plus.shape[1]
    most = 2 * np.linalg.norm(a, axis=0) * np.linalg.norm(y)  # no correlation is larger
    high, low = np.minimum(plus, most), np.minimum(minus, most)
    r = np.full(plus.shape, np.nan) if sides is None else sides[:, :size] - sides[:, size:]
    certificate = _certificate(a, y, (high, low), r)
    missed = ~(certificate <= GOOD)
    if missed.any():
        r[missed] = _projected(a, y, high[missed], low[missed])
        certificate[missed] = _certificate(a, y, (high[missed], low[missed]), r[missed])
    fits = r @ a.T
    paid = np.where(r > 0, high, low) * np.abs(r)
    objective = 0.5 * ((fits - y) ** 2).sum(axis=1) + paid.sum(axis=1)
    return Lasso(r, fits, objective, certificate)


def _projected(
    a: Float[np.ndarray, "n m"],
    y: Float[np.ndarray, " n"],
    high: Float[np.ndarray, "b m"],
    low: Float[np.ndarray, "b m"],
) -> Float[np.ndarray, "b m"]:
    count, size = high.shape
    rows = np.repeat(np.vstack([-a.T, a.T])[None], count, axis=0)
    slopes = np.repeat((y @ a)[None], count, axis=0)
    proposed = np.hstack([slopes >= NEARLY * high, -slopes >= NEARLY * low]) & (np.linalg.norm(rows, axis=2) > 0)
    found = searched(StraightCurve(np.repeat(y[None], count, axis=0)), rows, -np.hstack([high, low]), proposed)
    mu = np.maximum(found.multipliers, 0.0)
    difference: Float[np.ndarray, "b m"] = mu[:, :size] - mu[:, size:]
    return difference


def _certificate(
    a: Float[np.ndarray, "n m"],
    y: Float[np.ndarray, " n"],
    bounds: tuple[Float[np.ndarray, "b m"], Float[np.ndarray, "b m"]],
    r: Float[np.ndarray, "b m"],
) -> Float[np.ndarray, " b"]:
    (high, low), size = bounds, np.linalg.norm(a, axis=0)
    scale = np.where(size > 0, size, 1.0) * (float(np.linalg.norm(y)) or 1.0)
    slopes = (y - r @ a.T) @ a
    beyond = np.maximum(np.maximum(slopes - high, -low - slopes), 0.0) / scale
    apart = np.abs(slopes - np.where(r > 0, high, -low)) / scale
    share = np.abs(r) * size
    share = share / np.maximum(share.sum(axis=1), 1e-300)[:, None]
    worst = np.maximum(beyond.max(axis=1), (share * apart).max(axis=1))
    return np.where(np.isfinite(worst), worst, np.inf)
