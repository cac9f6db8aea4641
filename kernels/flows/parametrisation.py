"""How the numbers that are integrated give a network's outputs, and how forces on its outputs move them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kernels.flows.turned_samples import Turned
from kernels.networks.base import Architecture
from kernels.x64 import jax

Vector = Float[Array, " P"]
Theta = Vector
Scalar = Float[Array, ""]
Forces = Float[Array, " n"]
Push = Callable[[Forces], Vector]


class RunData(NamedTuple):
    """What one run gives to the compiled loop; sizes and code are in Program.

    Attributes:
        x: inputs, in the coordinates that are integrated.
        y: targets or labels.
        constants: arrays that tell networks of one class apart (odeco's S and U_l); on curves, the Curve.
        frozen_squares: for each layer, the squared norm of the part of the weights that the flow never changes. It is
            added back where the norm of a whole layer is needed.
        whitener: W with ||W r|| the distance from beta to the solutions, r = X beta - y; 1.0 for ||r|| itself.
        rounding: distance to the solutions over ||beta|| that rounding of X beta leaves (LinearSystem.attainable).
        weights: 1 for a sample, 0 for a row that fills up a room; 1.0 if there are no such rows.
        turn: orthogonal Q, shape (n, n), where x holds Q^T X (turned samples); 1.0 where it holds X.
        turned: on curves, the samples as a step turns them; None where its stiffness is to do that.
    """

    x: Float[Array, "n d"]
    y: Float[Array, " n"]
    constants: Any
    frozen_squares: Float[Array, " L"] | float = 0.0
    whitener: Float[Array, "n n"] | float = 1.0
    rounding: Scalar | float = 0.0
    weights: Float[Array, " n"] | float = 1.0
    turn: Float[Array, "n n"] | float = 1.0
    turned: Turned | None = None


class Parametrisation(ABC):
    """theta -> outputs f(x_i; theta), and forces g -> velocity J^T g, J J^T being the Gram matrix of the outputs."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Numbers P in theta."""

    @abstractmethod
    def count(self, data: RunData) -> Any:
        """How many numbers in theta are the run's own, without those that fill up a room."""

    @abstractmethod
    def degree(self, data: RunData) -> Any:
        """L: the outputs are homogeneous of this degree in the weights."""

    @abstractmethod
    def in_frame(self, data: RunData, log_norm: Scalar) -> RunData:
        """The data for weights divided by e^{log_norm}."""

    @abstractmethod
    def coefficients(self, theta: Theta, data: RunData) -> Float[Array, " d"]:
        """beta(theta)."""

    @abstractmethod
    def push(self, theta: Theta, data: RunData) -> tuple[Forces, Push]:
        """(outputs, g -> velocity): the gradient flow of outputs driven by forces g."""

    @abstractmethod
    def gram(self, theta: Theta, data: RunData) -> Float[Array, "n n"]:
        """J J^T: the outputs move by J J^T g."""

    @abstractmethod
    def squared_speed(self, theta: Theta, velocity: Theta, data: RunData) -> Scalar:
        """||dTheta/ds||^2 in the network's own parameters."""

    @abstractmethod
    def squares(self, theta: Theta, data: RunData) -> Float[Array, " L"]:
        """Squared norm of each layer, without what is frozen."""

    @abstractmethod
    def cosines(self, theta: Theta, velocity: Theta, sizes: Float[Array, " L"], data: RunData) -> Float[Array, " L"]:
        """Cosine between each layer and its velocity; 0 where either is zero.

        Args:
            sizes: norms of the whole layers, what is frozen included.
        """

    @abstractmethod
    def floor(self, theta: Theta, data: RunData) -> Theta:
        """Size of each entry of theta below which its errors are absolute."""

    def outputs(self, theta: Theta, data: RunData) -> Forces:
        """f(x_i; theta) = x_i^T beta(theta)."""
        return data.x @ self.coefficients(theta, data)


@final
class Layers(Parametrisation):
    """theta holds the layers of a multilinear network, one after the other."""

    def __init__(self, architecture: Architecture):
        self.architecture = architecture

    @property
    def parameters(self) -> int:
        return self.architecture.parameters

    def count(self, data: RunData) -> int:
        return self.parameters

    def degree(self, data: RunData) -> int:
        return self.architecture.depth

    def in_frame(self, data: RunData, log_norm: Scalar) -> RunData:
        return data

    def coefficients(self, theta: Theta, data: RunData) -> Float[Array, " d"]:
        network = self.architecture.with_constants(data.constants)
        return network.coefficients(network.split(theta))

    def push(self, theta: Theta, data: RunData) -> tuple[Forces, Push]:
        network = self.architecture.with_constants(data.constants)
        beta, pullback = jax.vjp(network.coefficients, network.split(theta))
        return data.x @ beta, lambda g: jnp.concatenate([jnp.ravel(part) for part in pullback(g @ data.x)[0]])

    def jacobian(self, theta: Theta, data: RunData) -> Float[Array, "n P"]:
        """J = d f(x_i) / d theta, by n vector-Jacobian products: O(n P)."""
        outputs, push = self.push(theta, data)
        return jax.vmap(push)(jnp.eye(outputs.size))

    def gram(self, theta: Theta, data: RunData) -> Float[Array, "n n"]:
        jacobian = self.jacobian(theta, data)
        return jacobian @ jacobian.T

    def squared_speed(self, theta: Theta, velocity: Theta, data: RunData) -> Scalar:
        return jnp.sum(velocity**2)

    def squares(self, theta: Theta, data: RunData) -> Float[Array, " L"]:
        return jnp.stack([jnp.sum(layer**2) for layer in self.architecture.split(theta)])

    def cosines(self, theta: Theta, velocity: Theta, sizes: Float[Array, " L"], data: RunData) -> Float[Array, " L"]:
        layers, slopes = self.architecture.split(theta), self.architecture.split(velocity)
        pairs = zip(layers, sizes, slopes, strict=True)
        return jnp.stack([_cosine(jnp.ravel(v), size, jnp.ravel(slope)) for v, size, slope in pairs])

    def floor(self, theta: Theta, data: RunData) -> Theta:
        """The root of the mean square of all entries."""
        return jnp.full(theta.shape, jnp.sqrt(jnp.mean(theta**2)))


def _cosine(a: Float[Array, " k"], size: Scalar, b: Float[Array, " k"]) -> Scalar:
    """a.b / (size ||b||): the cosine between a layer of norm `size` and its velocity b.

    a holds the entries of the layer that move; the others have no velocity and add nothing to a.b.
    """
    length = jnp.linalg.norm(b)
    return (a / jnp.where(size > 0, size, 1)) @ (b / jnp.where(length > 0, length, 1))


def times(matrix: Any, vector: Array) -> Array:
    """matrix @ vector, where 1.0 stands for the identity."""
    return matrix @ vector if np.ndim(matrix) == 2 else matrix * vector
