"""The norms that small and large initialisations minimise among all solutions of A rho = y."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Inexact
from scipy.optimize import linprog

from kernels.datasets import Dataset
from kernels.theory import certificates
from kernels.theory.base import Problem
from kernels.theory.networks import Key, decomposition_by_key, key
from kernels.theory.systems import System, fold


@dataclass(frozen=True)
class Solution:
    """rho, its objective and the residual of its optimality conditions."""

    rho: Inexact[np.ndarray, " m"]
    objective: float
    certificate: float


def weighted_l1(system: System, weights: Float[np.ndarray, " m"]) -> Solution:
    """min sum_j w_j |rho_j|: a linear program by HiGHS, then exact on its support. Kept, as it is free of alpha."""
    return _weighted_l1(system, weights.tobytes())


@lru_cache(maxsize=256)
def _weighted_l1(system: System, buffer: bytes) -> Solution:
    folded = fold(system, np.frombuffer(buffer))
    rows, target, weights = folded.rows, system.target, folded.c * np.sqrt(folded.copies)
    scale = float(np.abs(target).max()) or 1.0
    answer = linprog(
        np.concatenate([weights, weights]),
        A_eq=np.hstack([rows, -rows]),
        b_eq=target / scale,
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.x is None:
        return Solution(np.full(len(folded.index), np.nan), np.nan, np.inf)
    positive, negative = np.split(scale * answer.x, 2)
    rho, multipliers = _polish(rows, target, weights, positive - negative, answer.eqlin.marginals)
    certificate = certificates.weighted_l1(rows, target, weights, rho, multipliers)
    return Solution(folded.unfold(rho), float(weights @ np.abs(rho)), certificate)


def _polish(
    rows: Float[np.ndarray, "r m"],
    target: Float[np.ndarray, " r"],
    weights: Float[np.ndarray, " m"],
    rho: Float[np.ndarray, " m"],
    multipliers: Float[np.ndarray, " r"],
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " r"]]:
    """Q_S rho_S = t and Q_S^T lambda = w_S sign(rho_S), solved on the support of the vertex that was found."""
    support = np.abs(rho) > 1e-9 * (np.abs(rho).max() or 1.0)
    exact = np.zeros_like(rho)
    exact[support] = np.linalg.lstsq(rows[:, support], target, rcond=None)[0]
    slope = weights[support] * np.sign(rho[support]) - rows[:, support].T @ multipliers
    return exact, multipliers + np.linalg.lstsq(rows[:, support].T, slope, rcond=None)[0]


def weighted_l2(problem: Problem, weights: Float[np.ndarray, " m"]) -> Solution:
    """min sum_j w_j |rho_j|^2 subject to A rho = y, real or complex, by least squares in sqrt(w) rho. Kept."""
    return _weighted_l2(problem.dataset, key(problem.architecture), weights.tobytes())


@lru_cache(maxsize=256)
def _weighted_l2(dataset: Dataset, network: Key, buffer: bytes) -> Solution:
    weights = np.frombuffer(buffer)
    decomposition = decomposition_by_key(network)
    assert decomposition is not None
    rows, target = dataset.x @ decomposition.s.T, dataset.y
    scaled = rows / np.sqrt(weights)
    solution = np.linalg.lstsq(scaled, target, rcond=None)[0]
    in_rows = scaled.conj().T @ np.linalg.lstsq(scaled.conj().T, solution, rcond=None)[0]
    rho = solution / np.sqrt(weights)
    certificate = certificates.worst(
        certificates.interpolation(rows, target, rho),
        certificates.ratio(float(np.linalg.norm(solution - in_rows)), float(np.linalg.norm(solution))),
    )
    return Solution(rho, float(weights @ np.abs(rho) ** 2), certificate)


@lru_cache(maxsize=256)
def minimum_norm(dataset: Dataset) -> Solution:
    """min ||beta|| subject to X beta = y; in place of rho, beta. Kept, as it is the same for all networks."""
    beta = np.linalg.lstsq(dataset.x, dataset.y, rcond=None)[0]
    in_rows = dataset.x.T @ np.linalg.lstsq(dataset.x.T, beta, rcond=None)[0]
    certificate = certificates.worst(
        certificates.interpolation(dataset.x, dataset.y, beta),
        certificates.ratio(float(np.linalg.norm(beta - in_rows)), float(np.linalg.norm(beta))),
    )
    return Solution(beta, float(np.linalg.norm(beta)), certificate)
