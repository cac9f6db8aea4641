"""Solvers of margin problems: least norms subject to y_i x_i^T S^T rho >= 1, and the best of the quasi-norms known."""

from dataclasses import dataclass

import clarabel
import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Inexact
from scipy.optimize import linprog

from kernels.theory.optimisers import certificates


@dataclass(frozen=True)
class Margin:
    """A minimiser with margin 1, its multipliers mu >= 0, objective and the residual of its optimality conditions."""

    solution: Inexact[np.ndarray, " m"]
    multipliers: Float[np.ndarray, " n"]
    objective: float
    certificate: float


def least_norm(signed: Float[np.ndarray, "n d"]) -> Margin:
    """min ||beta|| subject to Z beta >= 1, the hard-margin SVM: clarabel's interior point, exact on its active set."""
    scale = float(np.linalg.norm(signed, axis=1).max())
    q, r, order = scipy.linalg.qr(signed.T / scale, mode="economic", pivoting=True)
    reduced = np.empty_like(r.T)
    reduced[order] = r.T
    size = reduced.shape[1]
    found, dual = _conic(
        scipy.sparse.identity(size, format="csc"),
        np.zeros(size),
        -reduced,
        -np.ones(len(signed)),
        [clarabel.NonnegativeConeT(len(signed))],
    )
    mu = _active_multipliers(reduced, found, dual)
    beta = q @ (reduced.T @ mu) / scale
    mu = mu / scale**2
    return Margin(beta, mu, float(np.linalg.norm(beta)), certificates.margin_norm(signed, beta, mu))


def _active_multipliers(
    signed: Float[np.ndarray, "n r"], found: Float[np.ndarray, " r"], dual: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """mu >= 0 of Z_A Z_A^T mu_A = 1, samples of negative mu dropped and violated ones added until neither is left."""
    best, least = np.maximum(dual, 0), np.inf
    active = dual > 1e-6 * dual.max()
    for _ in range(len(dual) + 8):
        mu = np.zeros_like(dual)
        mu[active] = np.linalg.lstsq(signed[active] @ signed[active].T, np.ones(int(active.sum())), rcond=None)[0]
        residual = certificates.margin_norm(signed, signed.T @ mu, mu)
        if residual < least:
            best, least = np.maximum(mu, 0), residual
        margins = signed @ (signed.T @ mu)
        if mu.min() < 0:
            active[np.argmin(mu)] = False
        elif margins.min() < 1 - 1e-12:
            active[np.argmin(margins)] = True
        else:
            break
        if not active.any():
            break
    return best


def least_sum(signed: Inexact[np.ndarray, "n m"], weights: Float[np.ndarray, " m"] | None = None) -> Margin:
    """min sum_j w_j |rho_j| subject to Re(Z rho) >= 1: a linear program (HiGHS), if complex second-order cones."""
    w = np.ones(signed.shape[1]) if weights is None else weights
    scaled = signed / w
    size = float(np.abs(scaled).max())
    solve = _complex_sum if np.iscomplexobj(signed) else _real_sum
    rho, mu = solve(scaled / size)
    rho, mu = rho / size, mu / size
    certificate = certificates.margin_modulus(scaled, rho, mu)
    return Margin(rho / w, mu, float(np.abs(rho).sum()), certificate)


def least_euclidean(signed: Inexact[np.ndarray, "n m"]) -> Margin:
    """min ||rho||_2 subject to Re(Z rho) >= 1, as a real problem in (Re rho, Im rho)."""
    if not np.iscomplexobj(signed):
        return least_norm(signed)
    found = least_norm(np.hstack([signed.real, -signed.imag]))
    real, imaginary = np.split(found.solution, 2)
    return Margin(real + 1j * imaginary, found.multipliers, found.objective, found.certificate)


def _real_sum(signed: Float[np.ndarray, "n m"]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    count, size = signed.shape
    answer = linprog(np.ones(2 * size), A_ub=np.hstack([-signed, signed]), b_ub=-np.ones(count), method="highs-ds")
    if answer.x is None:
        return np.full(size, np.nan), np.zeros(count)
    positive, negative = np.split(answer.x, 2)
    return positive - negative, -answer.ineqlin.marginals


def _complex_sum(signed: Inexact[np.ndarray, "n m"]) -> tuple[Inexact[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    """Variables (t_j, Re rho_j, Im rho_j) in second-order cones, objective sum t_j."""
    count, size = signed.shape
    margins = np.zeros((count, size, 3))
    margins[:, :, 1], margins[:, :, 2] = -signed.real, signed.imag
    constraint = scipy.sparse.vstack(
        [scipy.sparse.csc_matrix(margins.reshape(count, -1)), -scipy.sparse.identity(3 * size)], format="csc"
    )
    cones = [clarabel.NonnegativeConeT(count), *[clarabel.SecondOrderConeT(3)] * size]
    found, dual = _conic(
        scipy.sparse.csc_matrix((3 * size, 3 * size)),
        np.tile([1.0, 0.0, 0.0], size),
        constraint,
        np.concatenate([-np.ones(count), np.zeros(3 * size)]),
        cones,
    )
    _, real, imaginary = found.reshape(size, 3).T
    return real + 1j * imaginary, dual[:count]


def _conic(
    quadratic: scipy.sparse.csc_matrix,
    linear: Float[np.ndarray, " k"],
    constraint: scipy.sparse.csc_matrix | Float[np.ndarray, "c k"],
    right: Float[np.ndarray, " c"],
    cones: list[object],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " c"]]:
    """min 1/2 x.P x + q.x subject to b - A x in the cones; the primal and dual solution."""
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    solver = clarabel.DefaultSolver(
        scipy.sparse.csc_matrix(quadratic), linear, scipy.sparse.csc_matrix(constraint), right, cones, settings
    )
    answer = solver.solve()
    return np.array(answer.x), np.array(answer.z)


def best_known(signed: Inexact[np.ndarray, "n m"], power: float, starts: int) -> Margin:
    """The least ||rho||_p, p < 1, among those found by reweighted least sums from `starts` weights of a fixed seed.

    Each step solves min sum_j w_j |rho_j|, w_j = (|rho_j| + e)^{p-1} of the step before: |.|^p is concave, so it lies
    below its tangent. The problem is not convex, so this is an upper bound of the optimum; starting weights over three
    decades and 32 starts found the best vertex in all of 36 problems small enough to try every one.
    """
    rng = np.random.default_rng(0)
    size = signed.shape[1]
    best: Margin | None = None
    for start in range(starts):
        weights: Float[np.ndarray, " m"] = 10.0 ** rng.uniform(-3, 0, (size,)) if start else np.ones(size)
        found = _reweighted(signed, power, weights)
        if best is None or not found.objective >= best.objective:
            best = found
    assert best is not None
    return best


def _reweighted(signed: Inexact[np.ndarray, "n m"], power: float, weights: Float[np.ndarray, " m"]) -> Margin:
    best, value = None, np.inf
    for step in range(8):
        found = least_sum(signed, weights)
        objective = quasi_norm(signed, found.solution, power)
        if best is not None and not objective < value * (1 - 1e-9):
            break
        best, value = found, objective
        modulus = np.abs(found.solution)
        weights = (modulus / modulus.max() + 10.0 ** -(step + 1)) ** (power - 1)
        weights = weights / weights.max()
    assert best is not None
    return Margin(best.solution, best.multipliers, value, best.certificate)


def quasi_norm(signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], power: float) -> float:
    """(sum_j |rho_j|^p)^{1/p} of rho scaled to minimum margin 1; inf if its margin is not positive."""
    margin = float((signed @ rho).real.min())
    if not margin > 0:
        return float("inf")
    modulus = np.abs(rho)
    largest = float(modulus.max())
    return float(largest / margin * ((modulus / largest) ** power).sum() ** (1 / power))
