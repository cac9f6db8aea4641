"""The stationary point of min ||rho||_p subject to Re(Z rho) >= 1, p < 1, that is next to a given rho.

With 1/p sum |rho_j|^p for the norm (the same stationary points), on the support S and with the active samples A:

    |rho_j|^{p-2} rho_j = [Z^H mu]_j on S,   Re(z_i rho) = 1 on A,   mu_i >= 0,   Re(z_i rho) >= 1 everywhere.

The first two are as many real equations as unknowns, and Newton's method solves them in steps of d rho_j / |rho_j|.
There is no condition on coordinates off the support, because |.|^p has an infinite slope at zero. A run that was
stopped has small coordinates that may or may not tend to zero. So several supports are tried, cut where consecutive
moduli differ most, and the nearest point with a small certificate is taken.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Inexact
from scipy.optimize import nnls

STEPS = 40
PATIENCE = 6
"""Newton's method gives up after this many steps in which the residual was not halved."""

CUTS = 16
"""Most supports that are tried."""

EQUAL = 1e-6
"""Two moduli that differ by less than this, relatively, count as equal."""

CLOSE = 1e-3
"""A point whose direction is at most this far from the end's finishes the search on other supports."""

GOOD = 1e-10
"""A certificate that ends the search for a better set of active samples."""


@dataclass(frozen=True)
class Stationary:
    """A point, and as its certificate the largest residual of the four conditions, each relative to its terms."""

    rho: Inexact[np.ndarray, " m"]
    certificate: float


def nearby(
    signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], active: Bool[np.ndarray, " n"], power: float
) -> Stationary:
    """The stationary point next to rho; the certificate is 1 or more where none was found.

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
    best, nearest = Stationary(rho, np.inf), np.inf
    for support in _supports(np.abs(rho), len(signed)):
        if np.linalg.norm(rho[~support]) >= nearest * np.linalg.norm(rho):
            continue  # any point on this support is farther away
        found = _on_support(signed, rho, support, active, power)
        distance = float(np.linalg.norm(_unit(found.rho) - _unit(rho))) if found.certificate <= GOOD else np.inf
        if distance < nearest or (nearest == np.inf and found.certificate < best.certificate):
            best, nearest = found, distance
        if nearest <= CLOSE:
            break
    return best if np.isfinite(best.certificate) else Stationary(rho, 1.0)


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


def _on_support(
    signed: Inexact[np.ndarray, "n m"],
    rho: Inexact[np.ndarray, " m"],
    support: Bool[np.ndarray, " m"],
    active: Bool[np.ndarray, " n"],
    power: float,
) -> Stationary:
    """The best result of Newton's method, while samples of negative multipliers leave and violated ones enter."""
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
        if margins.min() < 1 - GOOD and mu.any():
            mu = _entered(rows * np.sqrt((values**2).sum(axis=0)), mu, int(np.argmin(margins)))
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
    mu = np.zeros(len(rows))
    if not active.any():
        return mu
    matrix = (rows[active] * modulus ** (2 - power)).reshape(int(active.sum()), -1).T
    try:
        mu[active] = nnls(matrix, values.ravel())[0]
    except RuntimeError:
        mu[active] = np.linalg.lstsq(matrix, values.ravel(), rcond=None)[0]
    return mu


def _entered(rows: Float[np.ndarray, "n c s"], mu: Float[np.ndarray, " n"], entering: int) -> Float[np.ndarray, " n"]:
    """mu after a violated sample has entered; if its row is a combination of those held, one of these leaves."""
    held = np.flatnonzero(mu > 1e-9 * mu.max())
    matrix = rows[held].reshape(len(held), -1).T
    row = rows[entering].ravel()
    rates = np.linalg.lstsq(matrix, row, rcond=None)[0]
    if np.linalg.norm(matrix @ rates - row) > 1e-9 * np.linalg.norm(row):
        rates = np.zeros(len(held))
    times = np.where(rates > 1e-12, mu[held] / np.where(rates > 1e-12, rates, 1), np.inf)
    step = min(float(times.min()), float(mu.max())) if np.isfinite(times).any() else 1e-3 * float(mu.max())
    moved = mu.copy()
    moved[held] = np.maximum(mu[held] - step * rates, 0)
    if np.isfinite(times).any():
        moved[held[np.argmin(times)]] = 0
    moved[entering] += step
    return moved


def _equations(
    rows: Float[np.ndarray, "n c s"], values: Float[np.ndarray, "c s"], mu: Float[np.ndarray, " n"], power: float
) -> Float[np.ndarray, "c s"]:
    """rho / |rho| - |rho|^{1-p} Z^H mu: zero at a stationary point, of size one elsewhere."""
    modulus = np.sqrt((values**2).sum(axis=0))
    return values / modulus - modulus ** (1 - power) * np.einsum("ncs,n->cs", rows, mu)


def _newton(
    rows: Float[np.ndarray, "n c s"],
    values: Float[np.ndarray, "c s"],
    mu: Float[np.ndarray, " n"],
    held: Bool[np.ndarray, " n"],
    power: float,
) -> tuple[Float[np.ndarray, "c s"], Float[np.ndarray, " n"]]:
    """(rho, mu) after Newton's method for both equations on the held samples.

    No step changes a modulus by more than half.
    """
    parts, size = values.shape
    count, rank = int(held.sum()), parts * size
    own, each = rows[held], np.arange(size)
    matrix = np.zeros((rank + count, rank + count))
    block = np.zeros((parts, size, parts, size))
    least, waited = np.inf, 0
    for _ in range(STEPS):
        modulus = np.sqrt((values**2).sum(axis=0))
        phase, scale = values / modulus, float(mu.max()) or 1.0
        raised = own * modulus ** (1 - power)
        block[:, each, :, each] = np.eye(parts) + (power - 2) * phase.T[:, :, None] * phase.T[:, None, :]
        matrix[:rank, :rank] = block.reshape(rank, rank)
        matrix[:rank, rank:] = -scale * raised.reshape(count, rank).T
        matrix[rank:, :rank] = (own * modulus).reshape(count, rank)
        # mu is zero off the held samples
        gaps = np.concatenate(
            [phase.ravel() - mu[held] @ raised.reshape(count, rank), own.reshape(count, rank) @ values.ravel() - 1]
        )
        gap = float(np.abs(gaps).max())
        least, waited = (gap, 0) if gap < least / 2 else (least, waited + 1)
        if not np.isfinite(matrix).all() or gap < 1e-15 or waited > PATIENCE:
            break
        step = _solved(matrix, -gaps)
        move = step[:rank].reshape(parts, size)
        damping = min(1.0, 0.5 / max(float(np.sqrt((move**2).sum(axis=0)).max()), 1e-300))
        values = values + damping * modulus * move
        mu = mu.copy()
        mu[held] += damping * scale * step[rank:]
        if np.abs(step).max() < 1e-15:
            break
    return values, mu


def _solved(matrix: Float[np.ndarray, "k k"], right: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """The solution by elimination; by least squares where the matrix is singular, as for repeated samples."""
    try:
        solution = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        solution = np.full(len(right), np.inf)
    if np.isfinite(solution).all() and np.abs(matrix @ solution - right).max() <= 1e-6 * np.abs(right).max():
        return solution
    return np.linalg.lstsq(matrix, right, rcond=1e-14)[0]


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
