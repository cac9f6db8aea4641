"""The lasso with a weight for each sign, min 1/2 ||A r - y||^2 + sum_j (p_j^+ r_j^+ + p_j^- r_j^-), at many penalties.

Its dual is a projection: u = y - A r is the point nearest to y with -p_j^- <= a_j.u <= p_j^+, and r are the
multipliers. So it is the problem of above.py with one straight line a sample.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kernels.theory.optimisers.above import searched
from kernels.theory.optimisers.curves import StraightCurve

NEARLY = 0.98
"""Share of a penalty from which on a correlation is thought to reach it."""


class Lasso(NamedTuple):
    """r and the fits A r of each problem, its objective, and the worst of the conditions below.

    Certificate: -p^- <= A^T (y - A r) <= p^+, with the bound of its sign where r_j is not zero, each violation
    relative to ||a_j|| ||y||, the latter times |r_j| ||a_j|| relative to the whole fit's.
    """

    r: Float[np.ndarray, "b m"]
    fits: Float[np.ndarray, "b n"]
    objective: Float[np.ndarray, " b"]
    certificate: Float[np.ndarray, " b"]


def lasso(
    a: Float[np.ndarray, "n m"],
    y: Float[np.ndarray, " n"],
    plus: Float[np.ndarray, "b m"],
    minus: Float[np.ndarray, "b m"],
    near: Float[np.ndarray, "b n"] | None = None,
) -> Lasso:
    """The lasso at b penalties.

    Args:
        a, y: A and y.
        plus, minus: p^+ and p^-, > 0; infinite for a sign that r_j may not take.
        near: residuals y - A r that are thought to be near; y itself without.
    """
    count, size = plus.shape
    most = 2 * np.linalg.norm(a, axis=0) * np.linalg.norm(y)  # no correlation is larger
    high, low = np.minimum(plus, most), np.minimum(minus, most)
    rows = np.repeat(np.vstack([-a.T, a.T])[None], count, axis=0)
    bounds = -np.hstack([high, low])
    slopes = (np.repeat(y[None], count, axis=0) if near is None else near) @ a
    proposed = np.hstack([slopes >= NEARLY * high, -slopes >= NEARLY * low]) & (np.linalg.norm(rows, axis=2) > 0)
    found = searched(StraightCurve(np.repeat(y[None], count, axis=0)), rows, bounds, proposed)
    mu = np.maximum(found.multipliers, 0.0)
    r = mu[:, :size] - mu[:, size:]
    fits = r @ a.T
    paid = np.where(r > 0, high, low) * np.abs(r)
    objective = 0.5 * ((fits - y) ** 2).sum(axis=1) + paid.sum(axis=1)
    return Lasso(r, fits, objective, _certificate(a, y, (high, low), r))


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
