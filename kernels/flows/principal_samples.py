"""Samples turned so that the gradients of their outputs are orthogonal, however different in size these are."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from kernels.x64 import jax

GRADED = 1e-14
"""Ratio of the rates of two samples below which an eigendecomposition of J J^T leaves the smaller one to rounding."""
ORTHOGONAL = 1e-8
"""Cosine of two gradients, relative to their sizes, at which rotations end."""
MOST_SWEEPS = 10
Rows = Float[Array, "n P"]


class Samples(NamedTuple):
    """Inputs, targets, and the gradients of the outputs."""

    x: Float[Array, "n d"]
    y: Float[Array, " n"]
    rows: Rows


_State = tuple[Samples, Bool[Array, ""], Int[Array, ""]]


def principal_samples(
    jacobian: Callable[[Float[Array, "n d"]], Rows], x: Float[Array, "n d"], y: Float[Array, " n"]
) -> Samples:
    """(Q^T X, Q^T y, J(Q^T X)) with Q orthogonal and the rows of J(Q^T X) orthogonal to one another.

    The eigenvectors Q of J J^T make the rows orthogonal up to eps ||J||^2. At saddles of deep networks that is not
    enough. Beside gradients of order one there are gradients of order alpha^{L-1} whose forces are still large. By
    rounding, these forces would push on what has been fitted, undamped, for times of order alpha^{2-L}; and rates below
    eps ||J||^2 would be noise. There one-sided Jacobi rotations go on until the rows are orthogonal relative to the
    size of each.

    Args:
        jacobian: X -> J(X), the gradients of the outputs as rows; linear in X.

    Reference: Demmel and Veselic, Jacobi's method is more accurate than QR, SIAM J. Matrix Anal. Appl. 13 (1992).
    """
    rows = jacobian(x)
    rates, axes = jnp.linalg.eigh(rows @ rows.T)
    if x.shape[0] == 1:
        return Samples(x, y, rows)
    # a loop, not a branch: in a batch it ends at once unless a lane needs it
    turned = Samples(axes.T @ x, axes.T @ y, axes.T @ rows)
    start = turned, rates[0] < GRADED * rates[-1], jnp.zeros((), int)

    def unfinished(state: _State) -> Bool[Array, ""]:
        return state[1] & (state[2] < MOST_SWEEPS)

    def sweep(state: _State) -> _State:
        samples, _, count = state
        samples, cosine = _sweep(samples._replace(rows=jacobian(samples.x)))
        return samples, cosine > ORTHOGONAL, count + 1

    return jax.lax.while_loop(unfinished, sweep, start)[0]


def _sweep(samples: Samples) -> tuple[Samples, Float[Array, ""]]:
    """One rotation for every pair of samples, and the largest cosine met."""
    count, parameters = samples.rows.shape
    pairs = np.array(list(itertools.combinations(range(count), 2)))

    def rotate(
        state: tuple[Float[Array, "n k"], Float[Array, ""]], pair: Int[Array, " 2"]
    ) -> tuple[tuple[Float[Array, "n k"], Float[Array, ""]], None]:
        table, largest = state
        a, b = table[pair[0]], table[pair[1]]
        one, other, both = ((u[:parameters] @ v[:parameters]) for u, v in ((a, a), (b, b), (a, b)))
        halves = (other - one) / (2 * jnp.where(both == 0, 1, both))
        tangent = jnp.where(halves < 0, -1, 1) / (jnp.abs(halves) + jnp.sqrt(1 + halves**2))
        tangent = jnp.where(both == 0, 0, tangent)
        c = 1 / jnp.sqrt(1 + tangent**2)
        s = c * tangent
        table = table.at[pair[0]].set(c * a - s * b).at[pair[1]].set(s * a + c * b)
        size = jnp.sqrt(one) * jnp.sqrt(other)
        return (table, jnp.maximum(largest, jnp.abs(both) / jnp.where(size == 0, 1, size))), None

    table = jnp.concatenate([samples.rows, samples.x, samples.y[:, None]], axis=1)
    (table, largest), _ = jax.lax.scan(rotate, (table, jnp.zeros(())), jnp.asarray(pairs))
    return Samples(table[:, parameters:-1], table[:, -1], table[:, :parameters]), largest
