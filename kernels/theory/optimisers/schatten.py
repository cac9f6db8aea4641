"""The stationary point of min sum_r w_r ||F_r||_p^p subject to margins that is next to a given one, p <= 1.

It is for blocks what `stationary` is for numbers: Newton's method on the ranks and active samples of the end. A run
that was stopped has small singular values that may or may not tend to zero. So several ranks are tried, cut where
consecutive singular values differ most, and the nearest point with a small certificate is taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from kernels.theory.optimisers.blocks import Blocks, conditions, newton
from kernels.theory.optimisers.certificates import ratio, worst
from kernels.theory.optimisers.nonnegative import nonnegative
from kernels.theory.optimisers.stationary import CLOSE, EQUAL

CUTS = 8
"""Most cuts of the ranks that are tried."""

ROUNDS = 4
"""Most sets of active samples that are tried with one cut, as long as the certificate falls."""

GOOD = 1e-11
"""A certificate that ends the search for a better set of active samples."""


@dataclass(frozen=True)
class Stationary:
    """A point, and as its certificate the largest residual of its conditions, relative to their terms."""

    beta: Float[np.ndarray, " n"]
    certificate: float


def nearby(
    blocks: Blocks, signed: Float[np.ndarray, "s n"], beta: Float[np.ndarray, " n"], active: Bool[np.ndarray, " s"],
    power: float,
) -> Stationary:  # fmt: skip
    """The stationary point next to beta, by Newton's method; the certificate is 1 or more where none was found.

    Args:
        blocks: the Fourier transform of the group of n elements.
        signed: Z, rows y_i x_i, shape (s, n).
        beta: where the flow ended, at any scale, shape (n,).
        active: samples that may have a multiplier, shape (s,).
        power: p in (0, 1].
    """
    margin = float((signed @ beta).min())
    if not margin > 0:
        return Stationary(beta, 1.0)
    beta = beta / margin
    best, nearest = Stationary(beta, 1.0), np.inf
    for floor in _floors(blocks, beta, len(signed)):
        mu = _multipliers(blocks, signed, beta, active, floor, power)
        found = _settled(blocks, signed, beta, mu, floor, power)
        away = float(np.linalg.norm(found.beta / np.linalg.norm(found.beta) - beta / np.linalg.norm(beta)))
        distance = away if found.certificate <= GOOD else np.inf
        if distance < nearest or (nearest == np.inf and found.certificate < best.certificate):
            best, nearest = found, distance
        if nearest <= CLOSE:
            break
    return best


def _floors(blocks: Blocks, beta: Float[np.ndarray, " n"], most: int) -> Iterator[float]:
    """Thresholds below which singular values are set to zero, in the widest gaps, with at most `most` values above.

    `most` is the number of samples: with more values some change of them keeps all margins, and the concave norm falls
    along it. Equal values count once, as in `stationary`.
    """
    values = np.concatenate([np.linalg.svd(f, compute_uv=False) for f in blocks.transform(beta)])
    present = np.append(np.sort(values[values > 0])[::-1], 0.0)
    ratios = present[1:] / present[:-1]
    gaps = np.flatnonzero(ratios < 1 - EQUAL)[:most]
    for place in gaps[np.argsort(ratios[gaps], kind="stable")][:CUTS]:
        yield float(np.sqrt(present[place] * max(present[place + 1], 1e-30 * present[place])))


def _settled(
    blocks: Blocks, signed: Float[np.ndarray, "s n"], beta: Float[np.ndarray, " n"], mu: Float[np.ndarray, " s"],
    floor: float, power: float,
) -> Stationary:  # fmt: skip
    """The best result of Newton's method, while samples of negative multipliers leave and violated ones enter."""
    best = Stationary(beta, np.inf)
    for _ in range(ROUNDS):
        held = mu > 1e-9 * mu.max()
        if not held.any():
            break
        beta, mu = newton(blocks, signed, beta, np.where(held, mu, 0.0), held, floor, power)
        if not np.isfinite(beta).all():
            break
        residual = _residual(blocks, signed, beta, mu, floor, power)
        if not residual < best.certificate:
            break
        best = Stationary(beta, residual)
        if residual <= GOOD:
            break
        margins, mu = signed @ beta, np.maximum(mu, 0)
        if margins.min() < 1 - GOOD:
            mu[int(np.argmin(margins))] += 1e-3 * mu.max()
    return best if np.isfinite(best.certificate) else Stationary(beta, 1.0)


def stationarity(
    blocks: Blocks, signed: Float[np.ndarray, "s n"], beta: Float[np.ndarray, " n"], power: float
) -> float:
    """min over mu >= 0 of the distance of (F F^*)^{1-p/2} G and of G (F^* F)^{1-p/2} from F, over ||F||.

    Both distances vanish with P_T(G - U Sigma^{p-1} V^*), and need no threshold below which values are zero.
    """
    size = float(np.linalg.norm(beta)) or 1.0
    whole = blocks.transform(beta / size)
    rows = blocks.transform(signed / blocks.size)
    columns, target = [], []
    for f, each, weight in zip(whole, rows, blocks.weights, strict=True):
        u, values, vh = np.linalg.svd(f)
        left, right = (u * values ** (2 - power)) @ u.conj().T, (vh.conj().T * values ** (2 - power)) @ vh
        for image in (left @ each, each @ right):
            columns.append(np.sqrt(weight / 2) * image.reshape(len(signed), -1))
            target.append(np.sqrt(weight / 2) * f.ravel())
    matrix, wanted = np.concatenate(columns, axis=1).T, np.concatenate(target)
    if np.iscomplexobj(matrix):
        matrix, wanted = np.concatenate([matrix.real, matrix.imag]), np.concatenate([wanted.real, wanted.imag])
    return ratio(nonnegative(matrix, wanted)[1], float(np.linalg.norm(wanted)))


def _multipliers(
    blocks: Blocks, signed: Float[np.ndarray, "s n"], beta: Float[np.ndarray, " n"], active: Bool[np.ndarray, " s"],
    floor: float, power: float,
) -> Float[np.ndarray, " s"]:  # fmt: skip
    """mu >= 0 on active samples that leaves the least residual of the conditions, shape (s,)."""
    mu = np.zeros(len(signed))
    rest = conditions(blocks, beta, np.zeros_like(beta), floor, power)
    rows = conditions(blocks, np.tile(beta, (int(active.sum()), 1)), signed[active], floor, power) - rest
    mu[active] = nonnegative(rows.T, -rest)[0]
    return mu


def _residual(
    blocks: Blocks, signed: Float[np.ndarray, "s n"], beta: Float[np.ndarray, " n"], mu: Float[np.ndarray, " s"],
    floor: float, power: float,
) -> float:  # fmt: skip
    """The largest violation of the conditions, relative to their terms."""
    gradient = mu @ signed
    size = float(np.linalg.norm(gradient)) / blocks.size
    margins, most = signed @ beta, float(np.abs(mu).max())
    gap = float(np.linalg.norm(conditions(blocks, beta, gradient, floor, power)))
    return worst(
        ratio(gap, size),
        float(np.abs(margins[mu != 0] - 1).max(initial=0.0)),
        max(0.0, 1 - float(margins.min())),
        ratio(max(0.0, -float(mu.min())), most),
    )
