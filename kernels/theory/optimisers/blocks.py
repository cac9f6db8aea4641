"""Blocks of a function on a group, and the stationary points of min sum_r w_r ||F_r||_p^p subject to Z beta >= 1.

The blocks F_r are the Fourier coefficients of beta, and w_r is the size of a block times its copies
(`Irrep.weight`), so that <g, beta> = 1/n sum_r w_r Re <G_r, F_r>. Let mu >= 0 be multipliers of the active samples, and
G_r the blocks of Z^T mu, over n. A stationary point of 1/p times the sum has in every block

    P_T(G_r - U Sigma^{p-1} V^*) = 0,   F_r = U Sigma V^* without its zeros,   P_T(X) = X - (1 - U U^*) X (1 - V V^*).

For p = 1 the problem is convex, and such a point is its optimum if ||G_r|| <= 1 in every block. For p < 1 there is no
condition outside of P_T, because the quasi-norm has an infinite slope towards higher rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Inexact

STEPS = 12
PATIENCE = 3
"""Newton's method gives up after this many steps in which the residual was not halved."""
DIFFERENCE = 1e-7
"""Length of a finite difference, relative to ||beta||."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """The Fourier transform beta -> F_r = sum_g beta(g) r(g) for every irreducible representation r, and its inverse.

    Attributes:
        matrices: r(g), shape (n, k, k), one array a block.
        weights: w_r, one a block.
    """

    matrices: tuple[Inexact[np.ndarray, "n _ _"], ...]
    weights: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.matrices[0])

    def transform(self, beta: Float[np.ndarray, "*b n"]) -> list[Inexact[np.ndarray, "*b _ _"]]:
        """F_r of one function or of many, one a row."""
        return [np.tensordot(beta, each, 1) for each in self.matrices]

    def back(self, blocks: Sequence[Inexact[np.ndarray, "*b _ _"]]) -> Float[np.ndarray, "*b n"]:
        """The function with these coefficients: 1/n sum_r w_r Re <r(g), F_r>."""
        parts = [
            weight * np.tensordot(block, each.conj(), ([-2, -1], [1, 2])).real
            for block, each, weight in zip(blocks, self.matrices, self.weights, strict=True)
        ]
        return np.asarray(sum(parts)) / self.size


def schatten(blocks: Blocks, signed: Float[np.ndarray, "s n"], beta: Float[np.ndarray, " n"], power: float) -> float:
    """(sum_r w_r ||F_r||_p^p)^{1/p} of beta scaled to minimum margin 1; inf if its margin is not positive."""
    margin = float((signed @ beta).min())
    if not margin > 0:
        return float("inf")
    values = [np.linalg.svd(block, compute_uv=False) for block in blocks.transform(beta / margin)]
    largest = max(float(value[0]) for value in values)
    total = sum(w * float(((value / largest) ** power).sum()) for w, value in zip(blocks.weights, values, strict=True))
    return float(largest * total ** (1 / power))


def conditions(
    blocks: Blocks, beta: Float[np.ndarray, "*b n"], gradient: Float[np.ndarray, "*b n"], floor: float, power: float
) -> Float[np.ndarray, "*b n"]:
    """The functions with blocks P_T(G - U Sigma^{p-1} V^*) + (1 - U U^*) F (1 - V V^*), one a row.

    These are n equations for each beta, all zero at a stationary point. Singular values up to `floor` count as zeros.
    """
    found = []
    for f, g in zip(blocks.transform(beta), blocks.transform(gradient / blocks.size), strict=True):
        u, values, vh = np.linalg.svd(f)
        kept = values > floor
        slope = np.where(kept, np.where(kept, values, 1.0) ** (power - 1), 0.0)
        inner = np.swapaxes(u.conj(), -1, -2) @ g @ np.swapaxes(vh.conj(), -1, -2)
        tangent = kept[..., :, None] | kept[..., None, :]
        each = np.eye(values.shape[-1])
        inner = np.where(tangent, inner - slope[..., None] * each, (values * ~kept)[..., None] * each)
        found.append(u @ inner @ vh)
    return blocks.back(found)


def newton(
    blocks: Blocks, signed: Float[np.ndarray, "s n"], beta: Float[np.ndarray, " n"], mu: Float[np.ndarray, " s"],
    held: Bool[np.ndarray, " s"], floor: float, power: float,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " s"]]:  # fmt: skip
    """(beta, mu) after Newton's method for the conditions and for margins of one on the held samples.

    The Jacobian is taken by finite differences. The best iterate is returned.
    """
    size, rows = len(beta), signed[held]
    mu = np.where(held, mu, 0.0)
    best, least, halved, waited = (beta, mu), np.inf, np.inf, 0
    for _ in range(STEPS):
        length = DIFFERENCE * float(np.linalg.norm(beta))
        moved = np.concatenate([beta[None], beta + length * np.eye(size)])
        values = conditions(blocks, moved, np.tile(mu @ signed, (size + 1, 1)), floor, power)
        by_mu = conditions(blocks, np.tile(beta, (len(rows), 1)), rows, floor, power)
        by_mu = by_mu - conditions(blocks, beta, np.zeros(size), floor, power)
        matrix = np.block([[(values[1:] - values[0]).T / length, by_mu.T], [rows, np.zeros((len(rows),) * 2)]])
        gaps = np.concatenate([values[0], rows @ beta - 1])
        gap = float(np.abs(gaps).max())
        if not (np.isfinite(matrix).all() and np.isfinite(gaps).all()):
            break
        if gap < least:
            best, least = (beta, mu), gap
        halved, waited = (gap, 0) if gap < halved / 2 else (halved, waited + 1)
        if waited > PATIENCE:
            break
        step = np.linalg.lstsq(matrix, -gaps, rcond=1e-13)[0]
        damping = min(1.0, 0.5 * float(np.linalg.norm(beta)) / max(float(np.linalg.norm(step[:size])), 1e-300))
        beta = beta + damping * step[:size]
        mu = mu.copy()
        mu[held] += damping * step[size:]
        if np.linalg.norm(step[:size]) < 1e-15 * np.linalg.norm(beta):
            break
    return best
