"""Orthogonally decomposable networks with one number a coordinate: every coordinate of the flow moves on a curve."""

import functools
import operator
from typing import Any, NamedTuple, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kernels.flows.parametrisation import Forces, Parametrisation, Push, RunData, Scalar, Theta
from kernels.flows.turned_samples import Turned, turned_samples


class Curve(NamedTuple):
    """The curve on which each coordinate moves: w_l^2 - q^2 of all layers l, fixed by the start. q is the least layer.

    The depth is data, not part of the program: slots for more layers are switched off, so that one compiled program
    serves every depth up to its room's.

    Attributes:
        gaps: w_l(0)^2 - q(0)^2 >= 0 of all layers, shape (L, m).
        others: the same of all layers but the least one, shape (L - 1, m); 1 in slots that are off.
        on: 1 for each of the L - 1 other layers, 0 for a slot that is off.
        side: sign of q where a second layer has the same modulus, because q then never changes its sign; else 0.
        degree: L.
        coordinates: how many there are, without those that fill up a room.
    """

    gaps: Float[Array, "L m"]
    others: Float[Array, "K m"]
    on: Float[Array, " K"]
    side: Float[Array, " m"]
    degree: Scalar
    coordinates: Scalar


@final
class Curves(Parametrisation):
    """theta = q, the layer of least modulus in each coordinate (times the signs of the others).

    Gradient flow conserves w_l^2 - q^2 = gap_l. So w_l = +- sqrt(q^2 + gap_l), and with A = X S^T and forces g

        dq/ds = M A^T g,   M = prod of the other |w_l|,   rho = q M,   outputs A rho,
        d outputs/ds = A diag(K) A^T g,   K = sum_l prod_{k != l} w_k^2 = M^2 (1 + q^2 sum_l 1/(q^2 + gap_l)).

    It is the flow of the layers itself, in other coordinates. The conserved quantities are exact, a step costs the same
    at every depth, and gaps as small as 1e-16 beside weights of order one keep their effect, which rounding would
    destroy if the layers were integrated.

    Source: the equations of motion of Yun, Krishnan, Mobahi, arXiv:2010.02501, section on decomposable networks.
    """

    def __init__(self, size: int, slots: int):
        """size: number m of coordinates; slots: number of other layers that the program has room for."""
        self.size, self.slots = size, slots

    @property
    def parameters(self) -> int:
        return self.size

    def count(self, data: RunData) -> Scalar:
        return data.constants.coordinates

    def degree(self, data: RunData) -> Scalar:
        return data.constants.degree

    def in_frame(self, data: RunData, log_norm: Scalar) -> RunData:
        """Gaps are squares of weights: e^{-2 log_norm} times as large."""
        curve, factor = data.constants, jnp.exp(-2 * log_norm)
        others = jnp.where(curve.on[:, None] > 0, factor * curve.others, 1.0)
        return data._replace(constants=curve._replace(gaps=factor * curve.gaps, others=others))

    def coefficients(self, theta: Theta, data: RunData) -> Float[Array, " m"]:
        """rho, the coefficients in the coordinates of the decomposition."""
        q = _kept_on_side(theta, data.constants)
        return q * self._product(q, data.constants)

    def push(self, theta: Theta, data: RunData) -> tuple[Forces, Push]:
        q = _kept_on_side(theta, data.constants)
        product = self._product(q, data.constants)
        return (q * product) @ data.x.T, lambda g: product * (g @ data.x)

    def gram(self, theta: Theta, data: RunData) -> Float[Array, "n n"]:
        return (data.x * self.rates(theta, data)[None]) @ data.x.T

    def rates(self, theta: Theta, data: RunData) -> Float[Array, " m"]:
        """K, shape (m,), from products of all layers but one, without a division, so that zeros need no care."""
        q = _kept_on_side(theta, data.constants)
        squares = self._squares(q, data.constants)
        before = [jnp.ones_like(q)]
        for square in squares:
            before.append(before[-1] * square)
        after, inner = jnp.ones_like(q), jnp.zeros_like(q)
        for place in range(self.slots - 1, -1, -1):
            inner = inner + data.constants.on[place] * before[place] * after
            after = after * squares[place]
        return before[-1] + q * q * inner

    def turned(self, theta: Theta, data: RunData) -> Turned:
        """The samples as this step has turned them; turned here, where there is no step."""
        return turned_samples(data.x, self.rates(theta, data)) if data.turned is None else data.turned

    def squared_speed(self, theta: Theta, velocity: Theta, data: RunData) -> Scalar:
        """sum_l (dw_l)^2 = dq^2 (1 + q^2 sum_l 1 / w_l^2)."""
        q = _kept_on_side(theta, data.constants)
        squares = self._squares(q, data.constants)
        stretch = [
            on * q * q / jnp.where(square > 0, square, 1) for on, square in zip(data.constants.on, squares, strict=True)
        ]
        return jnp.sum(velocity**2 * (1 + sum(stretch, jnp.zeros_like(q))))

    def squares(self, theta: Theta, data: RunData) -> Float[Array, " L"]:
        """Squared norm of each layer; 0 in slots that are off."""
        q = _kept_on_side(theta, data.constants)
        mask = jnp.concatenate([jnp.ones(1), data.constants.on])
        return mask * jnp.sum(jnp.square(q)[None] + data.constants.gaps, axis=1)

    def cosines(self, theta: Theta, velocity: Theta, sizes: Float[Array, " L"], data: RunData) -> Float[Array, " L"]:
        """w_l.dw_l / (||w_l|| ||dw_l||); 1 in slots that are off.

        w_l^2 - q^2 is conserved, so that dw_l = dq q / w_l, and w_l.dw_l = q.dq in every layer.
        """
        q = _kept_on_side(theta, data.constants)
        layers = jnp.sqrt(jnp.square(q)[None] + data.constants.gaps)
        slopes = velocity[None] * jnp.where(layers > 0, q[None] / jnp.where(layers > 0, layers, 1), 1.0)
        lengths = jnp.sqrt(jnp.sum(slopes**2, axis=1))
        whole = sizes * lengths
        cosines = jnp.sum(q * velocity) / jnp.where(whole > 0, whole, 1)
        return jnp.where(jnp.concatenate([jnp.ones(1), data.constants.on]) > 0, cosines, 1.0)

    def floor(self, theta: Theta, data: RunData) -> Theta:
        """The root of each coordinate's least gap, because q moves at a steady rate where it is smaller than that.

        For L = 1, which has no gaps, the root of the mean square of theta, as for layers.
        """
        single = jnp.full(theta.shape, jnp.sqrt(jnp.sum(theta**2) / data.constants.coordinates))
        if self.slots == 0:
            return single
        gaps = jnp.where(data.constants.on[:, None] > 0, data.constants.others, jnp.inf)
        return jnp.where(data.constants.degree > 1, jnp.sqrt(jnp.min(gaps, axis=0)), single)

    def _squares(self, q: Theta, curve: Curve) -> list[Float[Array, " m"]]:
        """w_l^2 of the other layers, 1 in slots that are off."""
        return [curve.on[place] * q * q + curve.others[place] for place in range(self.slots)]

    def _product(self, q: Theta, curve: Curve) -> Float[Array, " m"]:
        """M. Roots are taken one by one, because the product of the squares would underflow.

        A root of zero is replaced by 0 without a root, because its derivative would be infinite.
        """
        squares = self._squares(q, curve)
        roots = [jnp.where(s > 0, jnp.sqrt(jnp.where(s > 0, s, 1)), 0) for s in squares]
        return functools.reduce(operator.mul, roots, jnp.ones_like(q))


def _kept_on_side(q: Theta, curve: Curve) -> Theta:
    """q, set to zero where rounding has taken it across zero though it must keep its sign (`Curve.side`)."""
    return jnp.where(curve.side * q < 0, 0.0, q)


def curve_of(w: Float[np.ndarray, "L m"], slots: int | None = None) -> tuple[Float[np.ndarray, " m"], Curve]:
    """(q(0), curves) of coordinates that start at w_l(0), one row a layer.

    Gaps are computed as (a - b)(a + b), because a^2 - b^2 would lose small ones to rounding.

    Args:
        w: w_l(0), shape (L, m).
        slots: other layers that the program has room for; None for L - 1.
    """
    depth, size = w.shape
    room = depth - 1 if slots is None else slots
    modulus = np.abs(w)
    least, columns = modulus.argmin(axis=0), np.arange(size)
    signs = np.where(w < 0, -1.0, 1.0)
    smallest = modulus[least, columns]
    gaps = (modulus - smallest) * (modulus + smallest)
    q = signs.prod(axis=0) * smallest
    places = np.arange(depth)[:, None]
    rest = np.argsort(places == least, axis=0, kind="stable")[: depth - 1]
    others = np.take_along_axis(gaps, rest, axis=0)
    tied = np.zeros(size, dtype=bool) if depth == 1 else others.min(axis=0) == 0
    side = np.where(tied & (q != 0), np.sign(q), 0.0)
    empty = room - (depth - 1)
    arrays: dict[str, Any] = {
        "gaps": np.concatenate([gaps, np.zeros((empty, size))]),
        "others": np.concatenate([others, np.ones((empty, size))]),
        "on": np.concatenate([np.ones(depth - 1), np.zeros(empty)]),
        "side": side,
        "degree": np.float64(depth),
        "coordinates": np.float64(size),
    }
    return q, Curve(**arrays)


def layers_of(
    w: Float[np.ndarray, "L m"], q: Float[np.ndarray, " m"], log_norm: float = 0.0
) -> Float[np.ndarray, "L m"]:
    """w_l / e^{log_norm}, one row a layer, of a flow that started at w and is now at q (in the frame of log_norm)."""
    modulus = np.abs(w)
    least, columns = modulus.argmin(axis=0), np.arange(w.shape[1])
    smallest = modulus[least, columns]
    gaps = (modulus - smallest) * (modulus + smallest)
    gaps[gaps > 0] *= np.exp(-2 * log_norm)
    signs = np.where(w < 0, -1.0, 1.0)
    layers = signs * np.sqrt(q * q + gaps)
    others = signs.prod(axis=0) * signs[least, columns]
    layers[least, columns] = others * q
    return layers
