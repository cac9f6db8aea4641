"""min sum_j w_j |rho_j| subject to Z rho >= 1 for many weights w and one real Z, by the dual simplex method.

With rho = p - q, p, q >= 0, and the slacks s = Z rho - 1 the tableau begins with the basis s, which is dual feasible
because w > 0. All problems pivot at once, each on its own entry. What is returned is computed anew from the last basis:
rho of its support from the equations of the samples without slack, and the multipliers from those of the support. So
nothing depends on how the tableau was rounded, and the caller's certificate says whether the basis was the right one.

Source: Lemke, Naval Research Logistics Quarterly 1 (1954).
"""

import numpy as np
from jaxtyping import Float, Int

from kernels.theory.optimisers.stacked_newton import solutions

PIVOTS = 20
"""Most pivots for each row of the tableau."""
SHORT = 1e-11
"""A slack is negative if it is below minus this share of the least bound."""
PIVOT = 1e-9
"""Least pivot, relative to the largest entry of its row."""


@np.errstate(all="ignore")
def least_sums(
    signed: Float[np.ndarray, "n m"], weights: Float[np.ndarray, "b m"]
) -> tuple[Float[np.ndarray, "b m"], Float[np.ndarray, "b n"]]:
    """(rho, mu) of each of b problems; NaN where a problem was not solved.

    Args:
        signed: Z.
        weights: w > 0.
    """
    (samples, size), count = signed.shape, len(weights)
    heights = np.abs(signed).max(axis=1)
    scaled = signed / heights[:, None] / weights[:, None]
    widths = np.abs(scaled).max(axis=(1, 2), keepdims=True)
    scaled = scaled / widths
    tableau = np.zeros((count, samples + 1, 2 * size + samples + 1))
    tableau[:, :-1, :size], tableau[:, :-1, size : 2 * size] = -scaled, scaled
    tableau[:, :-1, 2 * size : -1] = np.eye(samples)
    tableau[:, :-1, -1] = -heights.min() / heights
    tableau[:, -1, : 2 * size] = 1.0
    basis = np.tile(np.arange(2 * size, 2 * size + samples), (count, 1))
    last, going = np.full((count, samples), -1), np.arange(count)
    for _ in range(PIVOTS * samples):
        each, row = np.arange(len(going)), tableau[:, :-1, -1].argmin(axis=1)
        entries = tableau[each, row]
        done = entries[:, -1] >= -SHORT * heights.min() / heights.max()
        last[going[done]] = basis[done]
        fit = entries[:, :-1] < -PIVOT * np.abs(entries[:, :-1]).max(axis=1, keepdims=True)
        ratios = np.where(fit, tableau[:, -1, :-1] / np.where(fit, -entries[:, :-1], 1.0), np.inf)
        column = ratios.argmin(axis=1)
        kept = np.flatnonzero(~done & np.isfinite(ratios[each, column]))
        if len(kept) < len(going):
            going, tableau, basis = going[kept], tableau[kept], basis[kept]
            row, column, entries, each = row[kept], column[kept], entries[kept], np.arange(len(kept))
        if not len(going):
            break
        entries = entries / entries[each, column][:, None]
        tableau -= tableau[each, :, column][:, :, None] * entries[:, None, :]
        tableau[each, row] = entries
        basis[each, row] = column
    return _vertices(signed, weights, last)


def _vertices(
    signed: Float[np.ndarray, "n m"], weights: Float[np.ndarray, "b m"], basis: Int[np.ndarray, "b n"]
) -> tuple[Float[np.ndarray, "b m"], Float[np.ndarray, "b n"]]:
    """rho and mu of each basis, from a square system: as many samples are without slack as coordinates are not zero.

    Problems with equally many of them are solved together.
    """
    (samples, size), count = signed.shape, len(weights)
    known = basis[:, 0] >= 0
    support, slack = np.zeros((count, 2 * size), dtype=bool), np.zeros((count, samples), dtype=bool)
    for k in np.flatnonzero(known).tolist():
        slack[k, basis[k, basis[k] >= 2 * size] - 2 * size] = True
        support[k, basis[k, basis[k] < 2 * size]] = True
    signs = support[:, :size].astype(float) - support[:, size:]
    rho, mu = np.full((count, size), np.nan), np.full((count, samples), np.nan)
    for held in np.unique((signs != 0).sum(axis=1)[known]).tolist():
        some = np.flatnonzero(known & ((signs != 0).sum(axis=1) == held) & ((~slack).sum(axis=1) == held))
        columns = np.nonzero(signs[some])[1].reshape(len(some), held)
        rows = np.nonzero(~slack[some])[1].reshape(len(some), held)
        block = signed[rows[:, :, None], columns[:, None, :]]
        rho[some], mu[some] = 0.0, 0.0
        costs = np.take_along_axis(weights[some] * signs[some], columns, axis=1)
        rho[some[:, None], columns] = solutions(block, np.ones((len(some), held)))
        mu[some[:, None], rows] = solutions(block.transpose(0, 2, 1), costs)
    return rho, mu
