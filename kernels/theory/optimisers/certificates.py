"""Certificates: residuals that vanish at a predicted point and nowhere else, whatever solver found it."""

import numpy as np
from jaxtyping import Float, Inexact

SAME = 1e-13
"""Unit vectors at a smaller angle count as one sample that was written twice."""


def ratio(numerator: float, denominator: float) -> float:
    """numerator / denominator, and 0 for 0 / 0."""
    if numerator == 0:
        return 0.0
    return float(numerator / denominator) if denominator else float("inf")


def interpolation(
    rows: Inexact[np.ndarray, "r m"], target: Float[np.ndarray, " r"], rho: Inexact[np.ndarray, " m"]
) -> float:
    """||Q rho - t|| / ||t||."""
    return ratio(float(np.linalg.norm(rows @ rho - target)), float(np.linalg.norm(target)))


def row_space(rows: Float[np.ndarray, "r m"], dual: Float[np.ndarray, " m"]) -> float:
    """||nu - Q^T Q nu|| / ||nu||: zero if and only if nu lies in the span of the orthonormal rows of Q."""
    return ratio(float(np.linalg.norm(dual - rows.T @ (rows @ dual))), float(np.linalg.norm(dual)))


def optimality(
    rows: Float[np.ndarray, "r m"],
    target: Float[np.ndarray, " r"],
    rho: Float[np.ndarray, " m"],
    gradient: Float[np.ndarray, " m"],
) -> float:
    """The worse of ||Q rho - t|| / ||t|| and the part of D'(rho) outside the rows of Q, relative.

    Both vanish at the minimum of a convex D(rho) subject to Q rho = t.

    Args:
        gradient: D'(rho), computed from rho.
    """
    return worst(interpolation(rows, target, rho), row_space(rows, gradient))


def margin_norm(
    signed: Float[np.ndarray, "n d"], beta: Float[np.ndarray, " d"], multipliers: Float[np.ndarray, " n"]
) -> float:
    """KKT residual of min 1/2 ||beta||^2 s.t. Z beta >= 1, as an error of the direction d = beta / ||beta||.

    Let u_i = z_i / ||z_i||. A margin that is short by e_i turns d by about s_i = e_i / (||z_i|| ||beta||) if sample i
    is the only active one. Active samples, those with mu_i > 0 or at the margin, determine d together, by
    [U_A d]_i = 1 / (||z_i|| ||beta||). So shortfalls s_A turn d by T s_A, T = (I - d d^T) U_A^+, and their rounding, of
    about r_i = eps |u_i|.|d|, by up to |T| r.

    The certificate is the largest of: s_i > 0 of all samples; ||T s|| of those with mu_i > 0; || |T| r ||; the part of
    d outside the span of the u_i with mu_i > 0; negative multipliers (U_A^+)^T d of these, relative to the largest,
    unless rounding decides their sign.
    """
    size, length = np.linalg.norm(signed, axis=1), float(np.linalg.norm(beta))
    if not (np.isfinite(beta).all() and length > 0 and size.all() and (multipliers > 0).any()):
        return float("inf")
    units, direction, held = signed / size[:, None], beta / length, multipliers > 0
    short = 1 / (size * length) - units @ direction
    unknown = float(np.finfo(float).eps) * (np.abs(units) @ np.abs(direction))
    near = held | (short > -8 * unknown)
    inverse = np.linalg.pinv(units[held], rcond=SAME)
    mu = direction @ inverse
    lost = 8 * float(np.finfo(float).eps) * np.linalg.norm(inverse, axis=0) * np.linalg.norm(inverse)
    return worst(
        max(0.0, float(short.max())),
        float(np.linalg.norm(_turning(units[held], direction) @ short[held])),
        float(np.linalg.norm(np.abs(_turning(units[near], direction)) @ unknown[near])),
        float(np.linalg.norm(direction - inverse @ (units[held] @ direction))),
        max(0.0, float((-mu - lost).max())) / float(np.abs(mu).max()),
    )


def _turning(units: Float[np.ndarray, "a d"], direction: Float[np.ndarray, " d"]) -> Float[np.ndarray, "d a"]:
    """T = (I - d d^T) U^+."""
    inverse = np.linalg.pinv(units, rcond=SAME)
    return inverse - np.outer(direction, direction @ inverse)


def margin_modulus(
    signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], multipliers: Float[np.ndarray, " n"]
) -> float:
    """The worse of the missing margin and the relative duality gap of min sum_j |rho_j| s.t. Re(Z rho) >= 1.

    mu is first made feasible, mu >= 0 and |[Z^H mu]_j| <= 1; the gap is |sum mu - sum_j |rho_j||.
    """
    mu = np.maximum(multipliers, 0)
    mu = mu / max(1.0, float(np.abs(signed.T @ mu).max()))
    value = float(np.abs(rho).sum())
    violation = max(0.0, 1 - float((signed @ rho).real.min()))
    return worst(violation, ratio(abs(float(mu.sum()) - value), value))


def worst(*residuals: float) -> float:
    """The largest of the residuals; inf if one is NaN."""
    largest = max(residuals)
    return float(largest) if all(residual == residual for residual in residuals) else float("inf")
