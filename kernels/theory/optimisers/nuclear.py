"""min sum_r w_r ||F_r||_1 subject to margins, ||.||_1 the nuclear norm: a convex problem, solved to rounding."""

import clarabel
import numpy as np
import scipy.sparse
from jaxtyping import Float, Inexact

from kernels.theory.optimisers.blocks import Blocks, newton
from kernels.theory.optimisers.certificates import ratio, worst
from kernels.theory.optimisers.margins import Margin, solve_conic

GOOD = 1e-11
"""A certificate that ends the search for better ranks and active samples."""

SHARES = (1e-7, 1e-5, 1e-3)
"""Singular values and multipliers below such a share of the largest are tried as zeros."""


def least_nuclear(blocks: Blocks, signed: Float[np.ndarray, "s n"]) -> Margin:
    """The optimum, by a semidefinite program (Clarabel), made exact by Newton's method on ranks and active samples."""
    size = np.linalg.norm(signed, axis=1)
    if not size.all():
        return Margin(np.full(signed.shape[1], np.nan), np.zeros(len(signed)), np.inf, np.inf)
    scale = float(size.max())
    beta, mu = _semidefinite(blocks, signed / scale)
    found = _certified(blocks, signed, beta / scale, mu / scale)
    if not np.isfinite(beta).all():
        return found
    values = np.sort(np.concatenate([np.linalg.svd(f, compute_uv=False) for f in blocks.transform(found.solution)]))
    for share in SHARES:
        held = found.multipliers > share * found.multipliers.max()
        tried = newton(blocks, signed, found.solution, found.multipliers, held, float(share * values[-1]), 1.0)
        made = _certified(blocks, signed, *tried)
        found = made if made.certificate < found.certificate else found
        if found.certificate < GOOD:
            break
    return found


def _certified(
    blocks: Blocks, signed: Float[np.ndarray, "s n"], beta: Float[np.ndarray, " n"], mu: Float[np.ndarray, " s"]
) -> Margin:
    """beta and mu with their certificate, by duality (G is the dual of blocks.py).

    The conditions are margins of at least 1, mu >= 0, ||G_r|| <= 1 in every block, and sum mu = sum_r w_r ||F_r||_1.
    mu is scaled so that the second and the third hold.
    """
    if not (np.isfinite(beta).all() and np.isfinite(mu).all()):
        return Margin(beta, mu, float("inf"), float("inf"))
    mu = np.maximum(mu, 0)
    mu = mu / max(1.0, largest(blocks, mu @ signed))
    values = [float(np.linalg.svd(f, compute_uv=False).sum()) for f in blocks.transform(beta)]
    value = float(np.dot(blocks.weights, values))
    short = max(0.0, 1 - float((signed @ beta).min()))
    return Margin(beta, mu, value, worst(short, ratio(abs(float(mu.sum()) - value), value)))


def largest(blocks: Blocks, gradient: Float[np.ndarray, " n"]) -> float:
    """max_r ||G_r||, the norm dual to the sum of nuclear norms, of a gradient by beta."""
    return max(float(np.linalg.norm(g, 2)) for g in blocks.transform(gradient / blocks.size))


def outside(blocks: Blocks, signed: Float[np.ndarray, "s n"], found: Margin) -> float:
    """max_r ||(1 - U U^*) G_r (1 - V V^*)||, where U and V are the left and right singular vectors of F_r != 0."""
    values, gradient = 0.0, blocks.transform(found.multipliers @ signed / blocks.size)
    parts = [np.linalg.svd(f) for f in blocks.transform(found.solution)]
    floor = 1e-6 * max(float(part.S[0]) for part in parts)
    for (u, singular, vh), g in zip(parts, gradient, strict=True):
        zero = singular <= floor
        inner = u[:, zero].conj().T @ g @ vh[zero].conj().T
        values = max(values, float(np.linalg.norm(inner, 2))) if zero.any() else values
    return values


def _semidefinite(
    blocks: Blocks, signed: Float[np.ndarray, "s n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " s"]]:
    """(beta, mu) of the semidefinite program.

    Its further variables are t_r >= |F_r| for a block that is a number, else A and B with [[A, F_r], [F_r^T, B]] >= 0,
    half of whose trace bounds ||F_r||_1.
    """
    count, size = signed.shape
    rows: list[scipy.sparse.csc_matrix] = [_margins(signed)]
    right, costs, cones = [-np.ones(count)], [np.zeros(size)], [clarabel.NonnegativeConeT(count)]
    own: list[scipy.sparse.csc_matrix] = []
    for each, weight in zip(blocks.matrices, blocks.weights, strict=True):
        parts = _real(each)
        dim = parts.shape[1]
        if each.shape[1] == 1:
            of_beta = np.concatenate([np.zeros((1, size)), parts[:, :, 0].T])
            variables, cost = np.eye(len(of_beta), 1), np.array([float(weight)])
            cones.append(clarabel.SecondOrderConeT(len(of_beta)))
        else:
            of_beta, variables, cost = _triangle(parts)
            cost = cost * weight * each.shape[1] / dim
            cones.append(clarabel.PSDTriangleConeT(2 * dim))
        rows.append(scipy.sparse.csc_matrix(-of_beta))
        own.append(scipy.sparse.csc_matrix(-variables))
        right.append(np.zeros(len(of_beta)))
        costs.append(cost)
    whole = scipy.sparse.hstack(
        [
            scipy.sparse.vstack(rows),
            scipy.sparse.vstack(
                [scipy.sparse.csc_matrix((count, sum(map(len, costs[1:])))), scipy.sparse.block_diag(own)]
            ),
        ],
        format="csc",
    )
    linear = np.concatenate(costs)
    found, dual = solve_conic(scipy.sparse.csc_matrix((len(linear),) * 2), linear, whole, np.concatenate(right), cones)
    return found[:size], dual[:count]


def _margins(signed: Float[np.ndarray, "s n"]) -> scipy.sparse.csc_matrix:
    return scipy.sparse.csc_matrix(-signed)


def _real(matrices: Inexact[np.ndarray, "n k k"]) -> Float[np.ndarray, "n i j"]:
    """Real matrices for complex ones: (Re, Im) for numbers, else [[Re, -Im], [Im, Re]], which has every singular value
    twice.
    """
    if not np.iscomplexobj(matrices):
        return matrices
    if matrices.shape[1] == 1:
        return np.concatenate([matrices.real, matrices.imag], axis=1)
    upper = np.concatenate([matrices.real, -matrices.imag], axis=2)
    return np.concatenate([upper, np.concatenate([matrices.imag, matrices.real], axis=2)], axis=1)


def _triangle(
    parts: Float[np.ndarray, "n k k"],
) -> tuple[Float[np.ndarray, "t n"], Float[np.ndarray, "t v"], Float[np.ndarray, " v"]]:
    """The upper triangle of [[A, F], [F^T, B]] as Clarabel takes it: column by column, times sqrt 2 off the diagonal.

    Returns:
        its matrix for beta, which gives F; its matrix for the variables A and B; half the trace as costs of A and B.
    """
    dim = parts.shape[1]
    places = [(i, j) for j in range(2 * dim) for i in range(j + 1)]
    free = [place for place in places if (place[0] < dim) == (place[1] < dim)]
    of_beta, variables = np.zeros((len(places), len(parts))), np.zeros((len(places), len(free)))
    for row, (i, j) in enumerate(places):
        factor = 1.0 if i == j else np.sqrt(2)
        if i < dim <= j:
            of_beta[row] = factor * parts[:, i, j - dim]
        else:
            variables[row, free.index((i, j))] = factor
    return of_beta, variables, np.array([0.5 * (i == j) for i, j in free])
