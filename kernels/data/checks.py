"""Whether a data set can be run: some coefficients fit the targets, or separate the classes. Imports no JAX.

Samples may differ in size by many orders of magnitude, and each must be fitted, or separated, on its own scale. So
every row is divided by its norm, and its target with it, before anything is decided. `fits` and `separates` decide the
same for coefficients of which some keep a sign, as those that a network can reach (kernels/validate.py).
"""

from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float, Inexact

from kernels.losses import labels_of
from kernels.spec import InputError

FIT_TOLERANCE = 1e-11
"""Largest ||D (X beta - y)|| / ||D y||, D^{-1} = diag ||x_i||, of the least-squares solution that counts as a fit (the
flow stops at 1e-10)."""

UNREACHABLE = 1e-9
"""Largest such residual that coefficients of given signs may leave before they count as unable to fit.

A larger one is a proof: by the conditions of non-negative least squares the residual separates the targets from all
that coefficients of these signs can give (Farkas' lemma).
"""

MOST_NUMBERS = 10_000_000
"""Most numbers in the inputs of one data set: 80 MB."""


def check(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], task: str) -> None:
    """Raise InputError unless gradient flow on these data can reach the loss's infimum, zero."""
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("data: x or y holds NaN or an infinity; write finite numbers")
    if labels_of(task) == "signs":
        _check_labels(y)
        _check_separable(x, y)
    else:
        _check_fit(x, y)


def _check_fit(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> None:
    """Raise InputError unless the least-squares solution leaves a residual of at most FIT_TOLERANCE."""
    norm = np.linalg.norm(y)
    if norm == 0:
        raise InputError("data: every target is zero, so the flow starts at its end; write a target that is not zero")
    residual = least_residual(x, y)
    if not residual <= FIT_TOLERANCE:
        n, d = x.shape
        message = (
            f"data: no linear coefficients fit these targets: the best leave a relative residual of {residual:.2g}"
        )
        if least_residual(_with_constant(x), y) <= FIT_TOLERANCE:
            raise InputError(f"{message}; with a bias they fit: write bias: true (a last feature of ones)")
        raise InputError(
            f"{message}; there are {n} samples in {d} dimensions (rank {np.linalg.matrix_rank(x)}): write fewer "
            "samples, more features, or targets without noise"
        )


def least_residual(matrix: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"]) -> float:
    """The least ||D (A rho - y)|| / ||D y|| over rho, D^{-1} = diag ||a_i||; y must not be zero."""
    rows, target = _scaled(matrix, y)
    rest = rows @ np.linalg.lstsq(rows, target, rcond=None)[0] - target
    return float(np.linalg.norm(rest) / np.linalg.norm(target))


def fits(matrix: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"], signs: Float[np.ndarray, " m"]) -> bool:
    """Whether A rho = y has a solution with s_j rho_j >= 0 where s_j is not zero. In doubt, True.

    Args:
        matrix: A, shape (n, m).
        y: targets, not all zero, shape (n,).
        signs: +1 or -1 where rho_j keeps that sign, 0 where it may be anything, shape (m,).
    """
    if not signs.any():
        return least_residual(matrix, y) <= FIT_TOLERANCE
    from scipy.optimize import nnls

    rows, target = _scaled(matrix, y)
    free = signs == 0
    columns = np.hstack([rows * np.where(free, 1.0, signs), -rows[:, free]])
    try:
        residual = nnls(columns, target)[1]
    except RuntimeError:
        return True
    return bool(residual <= UNREACHABLE * np.linalg.norm(target))


def separates(signed: Float[np.ndarray, "n m"], signs: Float[np.ndarray, " m"]) -> bool:
    """Whether Z rho >= 1 has a solution with s_j rho_j >= 0 where s_j is not zero: a linear program.

    Args:
        signed: Z, rows y_i a_i, shape (n, m).
        signs: as in `fits`, shape (m,).
    """
    if not signed.any(axis=1).all():
        return False
    rows = _by_largest(signed)
    if not signs.any():
        return _separable(rows)
    from scipy.optimize import linprog

    bounds = [{0.0: (None, None), 1.0: (0, None), -1.0: (None, 0)}[float(sign)] for sign in signs]
    answer = linprog(np.zeros(len(signs)), A_ub=-rows, b_ub=-np.ones(len(rows)), bounds=bounds, method="highs")
    return bool(answer.status != 2)


def real_columns(matrix: Inexact[np.ndarray, "n m"]) -> Float[np.ndarray, "n k"]:
    """[Re A, -Im A], with which Re(A rho) is a real product with (Re rho, Im rho); A itself where it is real."""
    return np.hstack([matrix.real, -matrix.imag]) if np.iscomplexobj(matrix) else matrix


def condition(x: Float[np.ndarray, "n d"], s: Inexact[np.ndarray, "m d"] | scipy.sparse.sparray | None = None) -> float:
    """How ill-conditioned the data are for a network: sigma_1 / sigma_r of D A, A = X S^T, D^{-1} = diag ||a_i||.

    r is the numerical rank, so that a repeated sample counts once; rows that are zero are left out. The relative error
    of rho may be this many times the residual, measured on each sample's own scale.

    Args:
        x: X, shape (n, d).
        s: S of the network's orthogonal decomposition, real or complex, shape (m, d); None for the identity.
    """
    matrix = x if s is None else real_columns(x @ s.T)
    norms = np.linalg.norm(matrix, axis=1)
    if not norms.any():
        return float("inf")
    values = np.linalg.svd(matrix[norms > 0] / norms[norms > 0, None], compute_uv=False)
    kept = values[values > max(matrix.shape) * np.finfo(float).eps * values[0]]
    return float(values[0] / kept[-1])


def _scaled(
    matrix: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, " n"]]:
    """(rows, targets), each divided by the norm of its row; by |target| where the row is zero."""
    size = np.linalg.norm(matrix, axis=1)
    size = np.where(size > 0, size, np.abs(y))
    size = np.where(size > 0, size, 1.0)
    return matrix / size[:, None], y / size


def _check_labels(y: Float[np.ndarray, " n"]) -> None:
    labels = sorted({float(label) for label in y})
    if labels != [-1.0, 1.0]:
        shown = ", ".join(f"{label:g}" for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
        raise InputError(f"data: the labels are {shown}; classification needs -1 and +1, both of them present")


def _check_separable(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> None:
    """Raise InputError unless y_i x_i^T w >= 1 has a solution w. The hyperplane has no bias, as the model has none."""
    zero = np.flatnonzero(~x.any(axis=1))
    if zero.size:
        raise InputError(
            f"data: sample {zero[0] + 1} is the zero vector, which no hyperplane through the origin separates; "
            "remove it, or write bias: true (a last feature of ones)"
        )
    if _separable(_by_largest(y[:, None] * x)):
        return
    n, d = x.shape
    message = f"data: the classes are not separable by a hyperplane through the origin ({n} samples, {d} features)"
    if _separable(_by_largest(y[:, None] * _with_constant(x))):
        raise InputError(f"{message}; with a bias they are: write bias: true (a last feature of ones)")
    raise InputError(f"{message}; write fewer samples (n <= d is enough where they are independent) or more features")


def _with_constant(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d+1"]:
    return np.column_stack([x, np.full(len(x), np.abs(x).max())])


def _by_largest(signed: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    return signed / np.abs(signed).max(axis=1, keepdims=True)


def _separable(signed: Float[np.ndarray, "n d"]) -> bool:
    """Whether Z w >= 1 has a solution; the largest entry of each row must be one in modulus."""
    if _newton(signed):
        return True
    from scipy.optimize import linprog

    n, d = signed.shape
    answer = linprog(np.zeros(d), A_ub=-signed, b_ub=-np.ones(n), bounds=(None, None), method="highs")
    return answer.status == 0 and bool(np.min(signed @ answer.x) > 0)


def _newton(signed: Float[np.ndarray, "n d"], steps: int = 12) -> bool:
    """Whether Newton's method on sum_i max(0, 1 - s_i^T w)^2 comes upon a separating w; False decides nothing.

    It takes a tenth of a linear program's time, and a single step where the samples are independent.
    """
    active = np.ones(len(signed), dtype=bool)
    for _ in range(steps):
        rows = signed[active]
        margins = signed @ np.linalg.lstsq(rows, np.ones(len(rows)), rcond=None)[0]
        if margins.min() > 1e-3:
            return True
        active = margins < 1
    return False


def integer(key: str, value: Any, least: int) -> int:
    """The value, if it is an integer that large; else InputError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"data: {key} is {value!r}; write an integer >= {least}")
    return value
