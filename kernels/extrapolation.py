"""Extrapolated linearly implicit Euler for gradient systems whose stiff part has low rank."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS, AbstractSolver, AbstractTerm, LocalLinearInterpolation
from jaxtyping import Array, Float, Int

from kernels.x64 import jax

SMALL_CONTRACTION = 4096

Vector = Float[Array, " P"]


class ExtrapolatedEuler(AbstractSolver[Vector]):
    """Linearly implicit Euler with 1, 2, ..., K substeps, extrapolated to order K; L-stable in the stiff directions.

    For dy/dt = f(t, y) on flat vectors, where the stiff part of df/dy is -B^T B with B of shape (n, P), n << P.
    A substep of length c is y + (I - c W)^{-1} c f(y), with W = -B^T B frozen over the step: the order is K for any
    W (a W-method), W only has to damp what is stiff. One eigendecomposition of the n x n matrix B B^T a step serves
    all substeps, by (I + c B^T B)^{-1} = I - C^T diag(c / (1 + c lambda)) C with C = Q^T B, hence O(K^2 n P) a step
    and no P x P matrix. The error estimate is the difference of the last two entries of the extrapolation table.

    The solver's state is f(t0, y0), so that the last evaluation of a step is the first of the next.

    Reference: Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.9 (SEULEX), with the harmonic
    sequence and an inexact Jacobian.

    Attributes:
        factor: (t, y, args) -> B.
        columns: K >= 2.
    """

    factor: Callable[[Any, Vector, Any], Float[Array, "n P"]]
    columns: int = 8

    term_structure: ClassVar = AbstractTerm
    interpolation_cls: ClassVar[Callable[..., LocalLinearInterpolation]] = LocalLinearInterpolation

    def order(self, terms: Any) -> int:
        return self.columns

    def init(self, terms: Any, t0: Any, t1: Any, y0: Vector, args: Any) -> Vector:
        return terms.vf(t0, y0, args)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Vector, args: Any, solver_state: Vector, made_jump: Any
    ) -> tuple[Vector, Vector, dict[str, Vector], Vector, Any]:
        lengths = (t1 - t0) / jnp.arange(1.0, self.columns + 1)
        factor = self.factor(t0, y0, args)
        eigenvalues, rotation = jnp.linalg.eigh(_contract(factor, factor))
        basis = rotation.T @ factor
        damping = lengths[:, None] / (1 + lengths[:, None] * jnp.maximum(eigenvalues, 0)[None, :])

        def move(slopes: Float[Array, "r P"], column: Int[Array, " r"]) -> Float[Array, "r P"]:
            right = lengths[column][:, None] * slopes
            return right - _contract(_contract(right, basis) * damping[column], basis.T)

        firsts = move(jnp.broadcast_to(solver_state, (self.columns, y0.size)), jnp.arange(self.columns))
        schedule = _schedule(self.columns)

        # increments, not states: the table's weights, of order e^K, then amplify the rounding of the change alone
        def substep(z: Float[Array, "r P"], row: tuple[Any, ...]) -> tuple[Float[Array, "r P"], Float[Array, "r P"]]:
            column, number = row
            z = jnp.where((number == 1)[:, None], firsts[column], z)
            times = t0 + number.astype(float) * lengths[column]
            z = z + move(jax.vmap(lambda t, z: terms.vf(t, y0 + z, args))(times, z), column)
            return z, z

        _, history = jax.lax.scan(substep, firsts[schedule.column[0]], (schedule.column, schedule.number))
        increment, error = _extrapolate([firsts[0], *(history[place] for place in schedule.ends)])
        y1 = y0 + increment
        return y1, error, {"y0": y0, "y1": y1}, terms.vf(t1, y1, args), RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: Vector, args: Any) -> Vector:
        return terms.vf(t0, y0, args)


class _Schedule(NamedTuple):
    """Which substep each row takes when: columns of j + 1 and of K - j substeps share a row, so that none idles.

    Attributes:
        column: column that row r works on in iteration i, shape (i, r).
        number: substeps of it done before, shape (i, r); 1 where the column starts (its first is shared by all).
        ends: (iteration, row) in which columns 1, 2, ... end.
    """

    column: Int[np.ndarray, "i r"]
    number: Int[np.ndarray, "i r"]
    ends: tuple[tuple[int, int], ...]


@functools.cache
def _schedule(columns: int) -> _Schedule:
    last = columns - 1
    pairs = [(column, last - column) for column in range(last, (last - 1) // 2, -1)]
    rows = [[column] if other in (0, column) else [column, other] for column, other in pairs]
    work = [[(column, number) for column in row for number in range(1, column + 1)] for row in rows]
    # a row with nothing left repeats its last substep, which nobody reads
    padded = np.array([row + row[-1:] * (last - len(row)) for row in work])
    place = {step: (i, r) for r, row in enumerate(work) for i, step in enumerate(row)}
    ends = tuple(place[column, column] for column in range(1, columns))
    return _Schedule(padded[:, :, 0].T, padded[:, :, 1].T, ends)


def _contract(left: Float[Array, "i k"], right: Float[Array, "j k"]) -> Float[Array, "i j"]:
    """left right^T; small ones as multiply and sum, which XLA fuses where it would call GEMM for each of a batch."""
    if left.shape[1] * right.size < SMALL_CONTRACTION:
        return jnp.sum(left[:, None, :] * right[None, :, :], axis=-1)
    return left @ right.T


def _extrapolate(ends: list[Vector]) -> tuple[Vector, Vector]:
    """Aitken-Neville to zero substep length; the last entry and its difference from the one before."""
    table, last = list(ends), ends[-1]
    for order in range(1, len(ends)):
        last = table[-1]
        table = [table[i + 1] + (table[i + 1] - table[i]) * ((i + 1) / order) for i in range(len(table) - 1)]
    return table[0], table[0] - last
