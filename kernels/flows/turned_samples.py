"""Turned samples: Q^T X in place of X, so that coordinates of very different rates are driven by different forces."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from kernels.x64 import jax

GRADED = 1e-10
"""Ratio of the rates of two directions below which rounding of sums over samples would decide the slower one."""
DEPENDENT = 64 * float(np.finfo(float).eps)
"""A column of which the pivots leave less than this share depends on them: what is left is rounding."""
NEAR = 0.1
"""Share of the largest rate that a pivot of an earlier turn must have still."""


class Turned(NamedTuple):
    """Q^T X, Q, the pivot of each row, and J J^T of Q^T X; X, I, -1 and J J^T where samples are not turned.

    Rows beyond the rank of X are zero; their pivots mean nothing.
    """

    x: Float[Array, "n m"]
    q: Float[Array, "n n"]
    pivots: Int[Array, " n"]
    gram: Float[Array, "n n"]


def turned_samples(
    x: Float[Array, "n m"],
    rates: Float[Array, " m"],
    before: Turned | None = None,
    awake: Bool[Array, ""] | bool = True,
) -> Turned:
    """Q^T X and Q where rates differ so much that rounding would couple coordinates; else X and I.

    With its columns in the order of the pivots, Q^T X is triangular with exact zeros (`triangular`). A slow coordinate
    is then driven by forces in which a fast one has no part, so that rounding of the forces on what has been fitted
    does not move it, even over times of 1e20. In that order J J^T is graded from large to small, so that products,
    Cholesky and LU factors keep its small eigenvalues to their own precision.

    Args:
        x: inputs X, shape (n, m).
        rates: K, with J J^T = X diag(K) X^T, shape (m,).
        before: samples as they were turned for other rates. They are kept while their pivots are still nearly the
            largest, because a turn takes longer than the rest of a step's stiffness.
        awake: false for a lane whose step nobody reads: it is not turned, because its batch would wait for that.
    """
    n = x.shape[0]
    strength = rates * jnp.sum(x * x, axis=0)
    strong = jnp.sum(strength >= GRADED * jnp.max(strength))
    rank = jnp.minimum(jnp.sum(jnp.any(x != 0, axis=1)), jnp.sum(jnp.any(x != 0, axis=0)))
    whole = Turned(x, jnp.eye(n), jnp.full(n, -1), _gram(x, rates))
    graded = awake & ((strong < rank) | _dependent(whole.gram))

    def turn(turned: Turned) -> Turned:
        # a lane that is not graded must not ask for a turn, which all lanes of its batch would wait for
        turned = _once(graded & ~_fits(turned, rates), lambda _: triangular(x, rates), turned)
        return turned._replace(gram=_gram(turned.x, rates))

    start = whole if before is None else jax.tree.map(lambda a, b: jnp.where(graded, a, b), before, whole)
    return _once(graded, turn, start)


def not_turned(x: Float[Array, "n m"]) -> Turned:
    """Samples before the first step turns them; J J^T is left out."""
    n = x.shape[0]
    return Turned(x, jnp.eye(n), jnp.full(n, -1), jnp.zeros((n, n)))


def _once(wanted: Bool[Array, ""], change: Callable[[Turned], Turned], turned: Turned) -> Turned:
    """Changed if that is wanted: by a loop, not a branch, so that it costs a batch nothing unless a lane needs it."""
    return jax.lax.while_loop(
        lambda state: state[1], lambda state: (change(state[0]), jnp.array(False)), (turned, wanted)
    )[0]


def _fits(turned: Turned, rates: Float[Array, " m"]) -> Bool[Array, ""]:
    """Whether what is left of each pivot has NEAR of the largest rate among all that is left: see `triangular`."""
    left = rates[None] * jnp.cumsum(turned.x[::-1] ** 2, axis=0)[::-1]
    own = jnp.take_along_axis(left, jnp.maximum(turned.pivots, 0)[:, None], axis=1)[:, 0]
    return (turned.pivots[0] >= 0) & jnp.all(own >= NEAR * jnp.max(left, axis=1))


def _gram(x: Float[Array, "n m"], rates: Float[Array, " m"]) -> Float[Array, "n n"]:
    return (x * rates[None]) @ x.T


def _dependent(gram: Float[Array, "n n"]) -> Bool[Array, ""]:
    """Whether some sample's gradient depends on those before it: they leave less than GRADED of its square.

    Args:
        gram: J J^T, shape (n, n).
    """
    sizes = jnp.diag(gram)
    roots = jnp.sqrt(jnp.where(sizes > 0, sizes, 1))
    scaled = jnp.where(jnp.eye(len(gram), dtype=bool), 1.0, gram / roots[:, None] / roots[None, :])
    return ~(jnp.min(jnp.diag(jnp.linalg.cholesky(scaled))) ** 2 >= GRADED)


def triangular(x: Float[Array, "n m"], rates: Float[Array, " m"]) -> Turned:
    """Q^T X, Q and its pivots of a QR factorisation by Householder's method, with pivots chosen by rate.

    After k pivots, what is left of column j are its rows from k on. The next pivot is the column of largest
    rate_j ||what is left||^2. Where less than DEPENDENT of a column is left, as of a twin of a pivot, what is left is
    set to zero: its rounding would couple the coordinate to a force that does not drive it, for as long as a saddle
    lasts. That changes X by a rounding of each column.

    Source: Demmel and Veselic, SIAM J. Matrix Anal. Appl. 13 (1992), on graded matrices; Cox and Higham, BIT 38 (1998).
    """
    n, m = x.shape
    rows, least = jnp.arange(n)[:, None], DEPENDENT**2 * jnp.sum(x * x, axis=0)

    def step(k: Array, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        r, q, pivots, waiting = state
        left = jnp.sum(jnp.where(rows >= k, r, 0.0) ** 2, axis=0)
        waiting = waiting & (left > least)
        r = jnp.where((rows >= k) & ~waiting[None, :], 0.0, r)
        pivot = jnp.argmax(jnp.where(waiting, rates * left, -1.0))
        column = jnp.where(rows[:, 0] >= k, r[:, pivot], 0.0)
        v = column + jnp.where(rows[:, 0] == k, jnp.where(r[k, pivot] < 0, -1.0, 1.0) * jnp.linalg.norm(column), 0.0)
        size = jnp.sum(v * v)
        v = v / jnp.sqrt(jnp.where(size > 0, size, 1))
        r = r - 2 * v[:, None] * (v @ r)[None, :]
        q = q - 2 * (q @ v)[:, None] * v[None, :]
        done = jnp.arange(m) == pivot
        r = jnp.where((rows > k) & done[None, :], 0.0, r)
        return r, q, pivots.at[k].set(pivot), waiting & ~done

    start = (x, jnp.eye(n), jnp.full(n, -1), jnp.ones(m, bool))
    r, q, pivots, _ = jax.lax.fori_loop(0, n, step, start)
    return Turned(r, q, pivots, jnp.zeros((n, n)))
