"""Whether a data set can be run: some coefficients fit the targets, or separate the classes. Imports no JAX."""

from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.spec import InputError

FIT_TOLERANCE = 1e-11
"""Largest ||X beta - y|| / ||y|| of the least-squares solution that counts as a fit (the flow stops at 1e-10)."""

MOST_NUMBERS = 10_000_000
"""Of the inputs of one data set: 80 MB."""


def check(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], task: str) -> None:
    """Raise InputError unless gradient flow on these data can reach the loss's infimum, zero."""
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("data: x or y holds NaN or an infinity; write finite numbers")
    if task == "classification":
        _check_labels(y)
        _check_separable(x, y)
    else:
        _check_fit(x, y)


def _check_fit(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> None:
    """Rank test: the least-squares solution leaves no residual."""
    norm = np.linalg.norm(y)
    if norm == 0:
        raise InputError("data: every target is zero, so the flow starts at its end; write a target that is not zero")
    residual = np.linalg.norm(x @ np.linalg.lstsq(x, y, rcond=None)[0] - y) / norm
    if not residual <= FIT_TOLERANCE:
        n, d = x.shape
        raise InputError(
            f"data: no linear coefficients fit these targets: the best leave a relative residual of {residual:.2g}; "
            f"there are {n} samples in {d} dimensions (rank {np.linalg.matrix_rank(x)}): write fewer samples, "
            "more features, or targets without noise"
        )


def _check_labels(y: Float[np.ndarray, " n"]) -> None:
    labels = sorted({float(label) for label in y})
    if labels != [-1.0, 1.0]:
        shown = ", ".join(f"{label:g}" for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
        raise InputError(f"data: the labels are {shown}; classification needs -1 and +1, both of them present")


def _check_separable(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> None:
    """y_i x_i^T w >= 1 has a solution w (a hyperplane through the origin: the model has no bias term)."""
    zero = np.flatnonzero(~x.any(axis=1))
    if zero.size:
        raise InputError(
            f"data: sample {zero[0] + 1} is the zero vector, which no hyperplane through the origin separates; "
            "remove it, or add a constant feature (a column of ones) for a bias"
        )
    if _separable(x, y):
        return
    n, d = x.shape
    message = f"data: the classes are not separable by a hyperplane through the origin ({n} samples, {d} features)"
    if _separable(np.column_stack([x, np.full(n, np.abs(x).max())]), y):
        raise InputError(f"{message}; with a bias they are: add a constant feature (a column of ones)")
    raise InputError(f"{message}; write fewer samples (n <= d is enough where they are independent) or more features")


def _separable(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> bool:
    signed = y[:, None] * x / np.abs(x).max(axis=1, keepdims=True)
    if _newton(signed):
        return True
    from scipy.optimize import linprog

    n, d = signed.shape
    answer = linprog(np.zeros(d), A_ub=-signed, b_ub=-np.ones(n), bounds=(None, None), method="highs")
    return answer.status == 0 and bool(np.min(signed @ answer.x) > 0)


def _newton(signed: Float[np.ndarray, "n d"], steps: int = 12) -> bool:
    """Whether Newton's method on sum_i max(0, 1 - s_i^T w)^2 meets a separating w: a tenth of a linear program's time.

    One step where the samples are independent. False says nothing.
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
