"""Residuals that vanish at a prediction and nowhere else, whatever solver found it."""

import numpy as np
from jaxtyping import Float, Inexact


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
    """Conditions of a convex minimum of D(rho) subject to Q rho = t, with `gradient` = D'(rho) computed from rho."""
    return worst(interpolation(rows, target, rho), row_space(rows, gradient))


def weighted_l1(
    rows: Float[np.ndarray, "r m"],
    target: Float[np.ndarray, " r"],
    weights: Float[np.ndarray, " m"],
    rho: Float[np.ndarray, " m"],
    multipliers: Float[np.ndarray, " r"],
) -> float:
    """Duality of min sum_j w_j |rho_j| s.t. Q rho = t: feasible rho, |Q^T lambda| <= w, and t.lambda = sum w |rho|."""
    value = float(weights @ np.abs(rho))
    excess = float((np.abs(rows.T @ multipliers) / weights).max()) - 1
    gap = abs(float(target @ multipliers) - value)
    return worst(interpolation(rows, target, rho), max(excess, 0.0), ratio(gap, value))


def margin_norm(
    signed: Float[np.ndarray, "n d"], beta: Float[np.ndarray, " d"], multipliers: Float[np.ndarray, " n"]
) -> float:
    """KKT of min 1/2 ||beta||^2 s.t. Z beta >= 1: margins, beta = Z^T mu with mu >= 0, mu_i (z_i.beta - 1) = 0."""
    mu = np.maximum(multipliers, 0)
    square = float(beta @ beta)
    violation = max(0.0, 1 - float((signed @ beta).min()))
    stationarity = ratio(float(np.linalg.norm(beta - signed.T @ mu)), square**0.5)
    return worst(violation, stationarity, ratio(abs(float(mu.sum()) - square), square))


def margin_modulus(
    signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], multipliers: Float[np.ndarray, " n"]
) -> float:
    """Duality of min sum_j |rho_j| s.t. Re(Z rho) >= 1: margins, mu >= 0, |Z^H mu| <= 1 and sum mu = sum |rho|."""
    mu = np.maximum(multipliers, 0)
    mu = mu / max(1.0, float(np.abs(signed.T @ mu).max()))
    value = float(np.abs(rho).sum())
    violation = max(0.0, 1 - float((signed @ rho).real.min()))
    return worst(violation, ratio(abs(float(mu.sum()) - value), value))


def worst(*residuals: float) -> float:
    """The largest; inf if one is not a number."""
    largest = max(residuals)
    return float(largest) if all(residual == residual for residual in residuals) else float("inf")
