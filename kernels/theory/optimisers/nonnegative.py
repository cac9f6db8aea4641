"""Non-negative least squares: the multipliers mu >= 0 that leave the least residual of a condition."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls


def nonnegative(
    matrix: Float[np.ndarray, "k n"], target: Float[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " n"], float]:
    """(mu, norm): mu >= 0 that minimises ||M mu - t||, and that norm, which is NaN where no answer was found."""
    count = matrix.shape[1]
    if len(matrix) > 2 * count:
        # the span of (M, t) contains all residuals, so that a smaller problem within it has the same solution
        triangle: Float[np.ndarray, "n+1 n+1"] = np.linalg.qr(np.column_stack([matrix, target])).R
        matrix, target = triangle[:, :count], triangle[:, count]
    try:
        mu, residual = nnls(matrix, target)
        return mu, float(residual)
    except RuntimeError:
        return np.zeros(count), float("nan")
