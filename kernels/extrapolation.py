"""Extrapolated linearly implicit Euler for gradient systems whose stiff part has low rank."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS, AbstractSolver, AbstractTerm, LocalLinearInterpolation
from jaxtyping import Array, Float

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
        lengths = (t1 - t0) / np.arange(1.0, self.columns + 1)
        factor = self.factor(t0, y0, args)
        eigenvalues, rotation = jnp.linalg.eigh(_contract(factor, factor))
        basis = rotation.T @ factor
        damping = lengths[:, None] / (1 + lengths[:, None] * jnp.maximum(eigenvalues, 0)[None, :])

        def increments(slopes: Float[Array, "c P"], first: int) -> Float[Array, "c P"]:
            right = lengths[first:, None] * slopes
            amplitudes = _contract(right, basis) * damping[first:]
            return right - _contract(amplitudes, basis.T)

        # column j takes j + 1 substeps; all columns still running advance together
        running = y0[None, :] + increments(jnp.broadcast_to(solver_state, (self.columns, y0.size)), 0)
        ends = [running[0]]
        for substep in range(1, self.columns):
            start = t0 + substep * lengths[substep:]
            slopes = jax.vmap(lambda t, y: terms.vf(t, y, args))(start, running[1:])
            running = running[1:] + increments(slopes, substep)
            ends.append(running[0])
        y1, error = _extrapolate(ends)
        return y1, error, {"y0": y0, "y1": y1}, terms.vf(t1, y1, args), RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: Vector, args: Any) -> Vector:
        return terms.vf(t0, y0, args)


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
