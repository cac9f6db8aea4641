"""What an implicit step damps: the stiff part of a flow that few forces drive, frozen at the step's start."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from kernels.flows.parametrisation import Forces, Vector
from kernels.x64 import jax

Lengths = Float[Array, " K"]
Bend = Callable[[Vector, Forces], tuple[Forces, Forces]]
Noise = Callable[[Any, Any], Vector]


class Damping(NamedTuple):
    """How substeps of K lengths are damped.

    Attributes:
        columns: arrays with a leading axis of K; the functions take the entry of one length.
        forces: (entry, g) -> damped forces.
        change: (entry, v) -> damped change of the parameters.
    """

    columns: Any
    forces: Callable[[Any, Forces], Forces]
    change: Callable[[Any, Vector], Vector]


class Stiffness(ABC):
    """The stiff part -J^T D J of a flow's Jacobian, with -dg/d(outputs) = D = C^T C >= 0 for its forces g.

    Attributes:
        bend: (v, g) -> D times (half the second derivative of the outputs along v, derivative of J J^T g along v with g
            held); None to leave both out.
        noise: (length of a substep, its entry of `Damping.columns`) -> what rounding of the forces leaves in each entry
            of theta; None for nothing.
        args: arguments with which the forces of this step are evaluated, such as turned samples.
        cancels: whether outputs may be small sums of large terms, so that rounding may outweigh what many columns gain;
            False, where that cannot be.
    """

    cancels: Bool[Array, ""] | bool = False
    bend: Bend | None
    noise: Noise | None
    args: Any

    @abstractmethod
    def damping(self, lengths: Lengths) -> Damping:
        """How substeps of these lengths are damped."""


@final
class Axes(Stiffness):
    """Damping by C J J^T C^T = Q diag(rates) Q^T, one eigendecomposition for all lengths.

    Args:
        rates: the eigenvalues.
        mixing: (C^T Q, Q^T C J J^T); None where C = I and the forces are those of samples turned by Q.
        basis: Q^T C J to damp the change of the parameters, None to damp the forces.
    """

    def __init__(
        self,
        rates: Float[Array, " m"],
        mixing: tuple[Float[Array, "n m"], Float[Array, "m n"]] | None = None,
        basis: Float[Array, "m P"] | None = None,
        bend: Bend | None = None,
        noise: Noise | None = None,
        args: Any = None,
        cancels: Bool[Array, ""] | bool = False,
    ):
        self.rates, self.mixing, self.basis = rates, mixing, basis
        self.bend, self.noise, self.args = bend, noise, args
        self.cancels = cancels

    def damping(self, lengths: Lengths) -> Damping:
        return Damping(lengths, self._forces, self._change)

    def _forces(self, length: Any, g: Forces) -> Forces:
        """(I + c C^T C J J^T)^{-1} g."""
        if self.basis is not None:
            return g
        if self.mixing is None:
            return g / (1 + length * self.rates)
        left, right = self.mixing
        return g - left @ (length / (1 + length * self.rates) * (right @ g))

    def _change(self, length: Any, v: Vector) -> Vector:
        """(I + c J^T C^T C J)^{-1} v."""
        if self.basis is None:
            return v
        return v - (length / (1 + length * self.rates) * (self.basis @ v)) @ self.basis


@final
class Inverses(Stiffness):
    """Damping by (I + c D J J^T)^{-1}, one inverse for each length c.

    It takes a tenth of an eigendecomposition's time. Where J J^T is graded (see `turned_samples`) it keeps small
    entries to their own precision: for D = I by Cholesky's method, else by elimination after columns have been scaled
    to size one.

    Args:
        gram: J J^T.
        curvature: D; None for the identity.
        push: g -> J^T g; None for no noise.
        rounding: size of the rounding of each force; None for no noise. Only for D = I.
    """

    def __init__(
        self,
        gram: Float[Array, "n n"],
        curvature: Float[Array, "n n"] | None = None,
        bend: Bend | None = None,
        push: Callable[[Forces], Vector] | None = None,
        rounding: Forces | None = None,
        args: Any = None,
        cancels: Bool[Array, ""] | bool = False,
    ):
        self.gram, self.curvature = gram, curvature
        self.cancels = cancels
        self.bend, self.args = bend, args
        self.noise = None if push is None or rounding is None else self._noise(push, rounding)

    def damping(self, lengths: Lengths) -> Damping:
        if self.curvature is None:
            return Damping(self._triangular(lengths), lambda inverse, g: inverse.T @ (inverse @ g), lambda _, v: v)
        return Damping(self._scaled(lengths, self.curvature), lambda inverse, g: inverse @ g, lambda _, v: v)

    def _triangular(self, lengths: Lengths) -> Float[Array, "K n n"]:
        """R^{-1} with R R^T = I + c J J^T."""
        identity = jnp.eye(self.gram.shape[0])[None]
        factors = jnp.linalg.cholesky(identity + lengths[:, None, None] * self.gram[None])
        return inverse_of_triangular(factors)

    def _scaled(self, lengths: Lengths, curvature: Float[Array, "n n"]) -> Float[Array, "K n n"]:
        """T (S T)^{-1} with S = I + c D J J^T and T = diag(1 / (1 + c |J_i|^2))."""
        identity = jnp.eye(self.gram.shape[0])[None]
        products = (curvature @ self.gram)[None]
        sizes = jnp.max(jnp.abs(products), axis=1)
        scales = 1 / (1 + lengths[:, None] * sizes)
        matrices = (identity + lengths[:, None, None] * products) * scales[:, None, :]
        return scales[:, :, None] * jnp.linalg.inv(matrices)

    def _noise(self, push: Callable[[Forces], Vector], rounding: Forces) -> Noise:
        """Root mean square of c J^T (I + c J J^T)^{-1} e over independent errors e of the size of each rounding."""

        def noise(length: Any, inverse: Float[Array, "n n"]) -> Vector:
            moved = jax.vmap(push)(rounding[:, None] * (inverse.T @ inverse))
            return length * jnp.sqrt(jnp.sum(moved**2, axis=0))

        return noise


BLOCK = 12
"""Largest triangle that LAPACK inverts; larger ones are inverted by halves, which are faster products."""


def inverse_of_triangular(factors: Float[Array, "K n n"]) -> Float[Array, "K n n"]:
    """The inverses of lower triangular matrices, by halves: [A 0; C D]^{-1} = [A' 0; -D' C A' D']."""
    n = factors.shape[-1]
    if n <= BLOCK:
        identity = jnp.broadcast_to(jnp.eye(n), factors.shape)
        return jax.scipy.linalg.solve_triangular(factors, identity, lower=True)
    half = n // 2
    first = inverse_of_triangular(factors[:, :half, :half])
    last = inverse_of_triangular(factors[:, half:, half:])
    corner = -(last @ (factors[:, half:, :half] @ first))
    above = jnp.concatenate([first, jnp.zeros((*first.shape[:-1], n - half))], axis=-1)
    return jnp.concatenate([above, jnp.concatenate([corner, last], axis=-1)], axis=-2)
