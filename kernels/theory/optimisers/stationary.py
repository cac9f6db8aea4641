"""The stationary point of min ||rho||_p subject to Re(Z rho) >= 1, p < 1, that is next to a given rho.

With 1/p sum |rho_j|^p for the norm (the same stationary points), on the support S and with the active samples A:

    |rho_j|^{p-2} rho_j = [Z^H mu]_j on S,   Re(z_i rho) = 1 on A,   mu_i >= 0,   Re(z_i rho) >= 1 everywhere.

The first two are as many real equations as unknowns and are solved by Newton's method, in steps of d rho_j / |rho_j|.
Nothing is asked of coordinates off the support, where |.|^p has an infinite slope. A flow on its way has small
coordinates of which it cannot be told whether they will stay: supports are cut where moduli part most, and the nearest
point with a certificate is taken.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Inexact
from scipy.optimize import nnls

STEPS = 40
CUTS = 4
"""Supports that are tried."""

GOOD = 1e-10
"""A certificate that ends the search for a better set of active samples."""


@dataclass(frozen=True)
class Stationary:
    """A point that was reached; certificate is the residual of all four conditions, each relative to its own terms."""

    rho: Inexact[np.ndarray, " m"]
    certificate: float


def nearby(
    signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], active: Bool[np.ndarray, " n"], power: float
) -> Stationary:
    """Newton's method from rho; the certificate is 1 or more where there is nothing to start from.

    Args:
        signed: Z, rows y_i a_i, shape (n, m).
        rho: where the flow ended, at any scale, shape (m,).
        active: samples that may have a multiplier, shape (n,).
        power: p in (0, 1).
    """
    margin = float((signed @ rho).real.min())
    if not margin > 0:
        return Stationary(rho, 1.0)
    rho = rho / margin
    points = [_on_support(signed, rho, support, active, power) for support in _supports(np.abs(rho))]
    good = [point for point in points if point.certificate <= GOOD]
    if good:
        return min(good, key=lambda point: float(np.linalg.norm(_unit(point.rho) - _unit(rho))))
    return min(points, key=lambda point: point.certificate)


def _unit(rho: Inexact[np.ndarray, " m"]) -> Inexact[np.ndarray, " m"]:
    return rho / np.linalg.norm(rho)


def _supports(modulus: Float[np.ndarray, " m"]) -> list[Bool[np.ndarray, " m"]]:
    """All that is not zero, and what lies above the widest gaps of the moduli."""
    present = np.sort(modulus[modulus > 0])[::-1]
    wide = np.argsort(present[1:] / present[:-1], kind="stable")[:CUTS]
    floors = [present[-1], *(present[place] for place in wide)]
    return [modulus >= floor for floor in dict.fromkeys(floors)]


def _on_support(
    signed: Inexact[np.ndarray, "n m"],
    rho: Inexact[np.ndarray, " m"],
    support: Bool[np.ndarray, " m"],
    active: Bool[np.ndarray, " n"],
    power: float,
) -> Stationary:
    """The best of Newton's results while samples of negative multipliers leave and violated ones enter."""
    z, start = signed[:, support], rho[support]
    if np.iscomplexobj(signed):
        rows, values = np.stack([z.real, -z.imag], axis=1), np.stack([start.real, start.imag])
    else:
        rows, values = z[:, None], start[None]
    mu = _multipliers(rows, values, active, power)
    best, least = values, np.inf
    for _ in range(8):
        held = mu > 1e-9 * mu.max()
        if not held.any():
            break
        values, mu = _newton(rows, values, np.where(held, mu, 0.0), held, power)
        residual = _residual(rows, values, mu, power)
        if residual < least:
            best, least = values, residual
        if least <= GOOD or not np.isfinite(residual):
            break
        margins = _margins(rows, values)
        mu = np.maximum(mu, 0)
        if margins.min() < 1 - GOOD:
            mu[np.argmin(margins)] += 1e-3 * mu.max()
    if not np.isfinite(least):
        return Stationary(rho, 1.0)
    whole = np.zeros_like(rho)
    whole[support] = best[0] + 1j * best[1] if len(best) == 2 else best[0]
    return Stationary(whole, least)


def _margins(rows: Float[np.ndarray, "n c s"], values: Float[np.ndarray, "c s"]) -> Float[np.ndarray, " n"]:
    return np.einsum("ncs,cs->n", rows, values)


def _multipliers(
    rows: Float[np.ndarray, "n c s"], values: Float[np.ndarray, "c s"], active: Bool[np.ndarray, " n"], power: float
) -> Float[np.ndarray, " n"]:
    """mu >= 0 on active samples of least || rho - |rho|^{2-p} Z^H mu ||."""
    modulus = np.sqrt((values**2).sum(axis=0))
    matrix = (rows[active] * modulus ** (2 - power)).reshape(int(active.sum()), -1).T
    mu = np.zeros(len(rows))
    try:
        mu[active] = nnls(matrix, values.ravel())[0]
    except RuntimeError:
        mu[active] = np.linalg.lstsq(matrix, values.ravel(), rcond=None)[0]
    return mu


def _equations(
    rows: Float[np.ndarray, "n c s"], values: Float[np.ndarray, "c s"], mu: Float[np.ndarray, " n"], power: float
) -> Float[np.ndarray, "c s"]:
    """rho / |rho| - |rho|^{1-p} Z^H mu: zero where stationary, of size one where not."""
    modulus = np.sqrt((values**2).sum(axis=0))
    return values / modulus - modulus ** (1 - power) * np.einsum("ncs,n->cs", rows, mu)


def _newton(
    rows: Float[np.ndarray, "n c s"],
    values: Float[np.ndarray, "c s"],
    mu: Float[np.ndarray, " n"],
    held: Bool[np.ndarray, " n"],
    power: float,
) -> tuple[Float[np.ndarray, "c s"], Float[np.ndarray, " n"]]:
    """Both equations on the held samples, in steps that change no modulus by more than half."""
    parts, size = values.shape
    count, rank = int(held.sum()), parts * size
    for _ in range(STEPS):
        modulus = np.sqrt((values**2).sum(axis=0))
        phase, scale = values / modulus, float(mu.max()) or 1.0
        matrix = np.zeros((rank + count, rank + count))
        block = np.zeros((parts, size, parts, size))
        each = np.arange(size)
        block[:, each, :, each] = np.eye(parts) + (power - 2) * np.einsum("as,bs->sab", phase, phase)
        matrix[:rank, :rank] = block.reshape(rank, rank)
        matrix[:rank, rank:] = -scale * (rows[held] * modulus ** (1 - power)).reshape(count, rank).T
        matrix[rank:, :rank] = (rows[held] * modulus).reshape(count, rank)
        gaps = np.concatenate([_equations(rows, values, mu, power).ravel(), _margins(rows, values)[held] - 1])
        if not np.isfinite(matrix).all() or np.abs(gaps).max() < 1e-15:
            break
        step = np.linalg.lstsq(matrix, -gaps, rcond=1e-14)[0]
        move = step[:rank].reshape(parts, size)
        damping = min(1.0, 0.5 / max(float(np.sqrt((move**2).sum(axis=0)).max()), 1e-300))
        values = values + damping * modulus * move
        mu = mu.copy()
        mu[held] += damping * scale * step[rank:]
        if np.abs(step).max() < 1e-15:
            break
    return values, mu


def _residual(
    rows: Float[np.ndarray, "n c s"], values: Float[np.ndarray, "c s"], mu: Float[np.ndarray, " n"], power: float
) -> float:
    """The largest violation of the four conditions."""
    margins, largest = _margins(rows, values), float(np.abs(mu).max())
    residuals = (
        float(np.abs(_equations(rows, values, mu, power)).max()),
        float(np.abs(margins[mu != 0] - 1).max(initial=0.0)),
        max(0.0, 1 - float(margins.min())),
        max(0.0, -float(mu.min()) / largest) if largest > 0 else np.inf,
    )
    return max(residuals) if all(np.isfinite(residuals)) else float("inf")
