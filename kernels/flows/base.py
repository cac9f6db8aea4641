"""The gradient flow of a linear tensor network in coordinates in which it can be integrated to the end.

Both tasks are gradient systems dTheta/ds = -grad Phi = J^T g: n forces g, one a sample, pushed through the Jacobian J
of the outputs f(x_i; theta). Their stiff part has rank <= n: the Hessian of Phi is J^T C^T C J plus terms that vanish
with the residual (regression) or do not grow with the parameters (classification).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kernels.networks.base import Architecture
from kernels.x64 import jax

Vector = Float[Array, " P"]
Theta = Vector
Scalar = Float[Array, ""]
Forces = Float[Array, " n"]
Push = Callable[[Forces], Vector]
EPSILON = float(np.finfo(float).eps)


class LaneData(NamedTuple):
    """What one run brings to the flow: its data, the arrays of its network, if those are drawn, and what rests.

    The last are the squared norms of what the layers have besides the parameters that move.
    """

    x: Float[Array, "n d"]
    y: Float[Array, " n"]
    constants: Any
    rest: Float[Array, " L"] | float = 0.0


class Control(NamedTuple):
    """What a run's tolerance and stop rule say; conditions that were not set are out of reach."""

    rtol: Scalar
    residual: Scalar
    log_loss: Scalar
    log_margin: Scalar
    max_steps: Scalar


class State(NamedTuple):
    """One state of an orbit: the parameters are e^{log_norm} theta, the velocity is -grad Phi in the same frame."""

    theta: Theta
    log_norm: Scalar
    velocity: Theta


class Stiffness(NamedTuple):
    """What the solver freezes over a step, at its start: C J J^T C^T = Q diag(rates) Q^T with -dg/d(outputs) = C^T C.

    Attributes:
        rates: the eigenvalues.
        mixing: (C^T Q, Q^T C J J^T); None where C = I and the forces are those of samples turned by Q.
        basis: Q^T C J to damp the change of the parameters, None to damp the forces.
        bend: (v, g) -> C^T C times (half the second derivative of the outputs along v, derivative of J J^T g along v
            with g held); None to leave both out.
        noise: length of a substep -> what rounding of the forces leaves in each entry of y; None for nothing.
        args: with which the forces of this step are evaluated.
    """

    rates: Float[Array, " m"]
    mixing: tuple[Float[Array, "n m"], Float[Array, "m n"]] | None = None
    basis: Float[Array, "m P"] | None = None
    bend: Callable[[Vector, Forces], tuple[Forces, Forces]] | None = None
    noise: Callable[[Any], Vector] | None = None
    args: Any = None

    def damp(self, g: Forces, length: Any) -> Forces:
        """(I + c C^T C J J^T)^{-1} g, where forces are damped."""
        if self.basis is not None:
            return g
        if self.mixing is None:
            return g / (1 + length * self.rates)
        left, right = self.mixing
        return g - left @ (length / (1 + length * self.rates) * (right @ g))

    def settle(self, v: Vector, length: Any) -> Vector:
        """(I + c J^T C^T C J)^{-1} v, where changes are damped."""
        if self.basis is None:
            return v
        return v - (length / (1 + length * self.rates) * (self.basis @ v)) @ self.basis


class Flow(ABC):
    """Gradient flow of one architecture on one task; a subclass per task, all in FLOWS.

    The state is (theta, log_norm): the parameters are e^{log_norm} theta. Regression keeps log_norm = 0.
    """

    timed: ClassVar[bool]
    """Whether physical time differs from the clock of the flow."""

    overshoot: ClassVar[float]
    """How far past the stop rule, in units of progress, a run may end."""

    columns: ClassVar[int]
    """Columns of the extrapolation, its order: the fastest at equal error that rounding leaves alone."""

    step_share: ClassVar[float]
    """Share of a run's relative tolerance that the error of one step may take."""

    def __init__(self, architecture: Architecture):
        self.architecture = architecture

    def sizes(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Float[Array, " L"]:
        """Norm of each whole layer, in the frame of theta."""
        squares = jnp.stack([jnp.sum(layer**2) for layer in self.architecture.split(theta)])
        return jnp.sqrt(squares + jnp.where(data.rest > 0, data.rest * jnp.exp(-2 * log_norm), 0.0))

    def coefficients(self, theta: Theta, data: LaneData) -> Float[Array, " d"]:
        """beta(theta)."""
        network = self.architecture.with_constants(data.constants)
        return network.coefficients(network.split(theta))

    def jacobian(self, theta: Theta, data: LaneData) -> Float[Array, "n P"]:
        """J = d f(x_i) / d theta, by n vector-Jacobian products: O(n P)."""
        outputs, push = self.push(theta, data)
        return jax.vmap(push)(jnp.eye(outputs.size))

    def outputs(self, theta: Theta, data: LaneData) -> Float[Array, " n"]:
        """f(x_i; theta) = x_i^T beta(theta)."""
        return data.x @ self.coefficients(theta, data)

    def push(self, theta: Theta, data: LaneData) -> tuple[Float[Array, " n"], Push]:
        """(outputs f(x_i; theta), g -> J^T g with J their Jacobian)."""
        network = self.architecture.with_constants(data.constants)
        beta, pullback = jax.vjp(network.coefficients, network.split(theta))
        return data.x @ beta, lambda g: jnp.concatenate([jnp.ravel(part) for part in pullback(g @ data.x)[0]])

    def velocity(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Theta:
        """-grad Phi = J^T g."""
        g, push = self.force(theta, log_norm, data)
        return push(g)

    def bend(self, theta: Theta, v: Theta, g: Forces, data: LaneData) -> tuple[Forces, Forces]:
        """(half the second derivative of the outputs along v, derivative of J J^T g along v with g held)."""

        def slope(z: Theta, direction: Theta) -> Forces:
            return jax.jvp(lambda y: self.outputs(y, data), (z,), (direction,))[1]

        twice = jax.jvp(lambda z: slope(z, v), (theta,), (v,))[1]
        turned = jax.jvp(lambda z: slope(z, self.push(z, data)[1](g)), (theta,), (v,))[1]
        return 0.5 * twice, turned

    @abstractmethod
    def stiffness(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Stiffness:
        """Of the Hessian of Phi ~ J^T C^T C J; its args are (log_norm, data)."""

    @abstractmethod
    def force(self, theta: Theta, log_norm: Scalar, data: LaneData) -> tuple[Forces, Push]:
        """(g, push) with g_i = -d Phi / d f(x_i) and push(g) = -grad Phi."""

    @abstractmethod
    def start(self, theta: Theta, data: LaneData) -> tuple[Theta, Scalar, Scalar]:
        """(theta, log_norm) of the parameters Theta(0), and the size of an entry below which errors are absolute."""

    @abstractmethod
    def output_error(self, error: Theta, theta: Theta, log_norm: Scalar, data: LaneData, rtol: Scalar) -> Scalar:
        """What an error of theta does to the network's function, as a multiple of what is tolerated."""

    @abstractmethod
    def renormalise(
        self, theta: Theta, log_norm: Scalar, velocity: Theta, data: LaneData
    ) -> tuple[Theta, Scalar, Theta]:
        """The same state and velocity in the frame in which the next step starts."""

    @abstractmethod
    def log_rate(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        """log dt/ds, of physical time against the clock of the flow."""

    @abstractmethod
    def log_elapsed(self, before: State, after: State, data: LaneData) -> tuple[Scalar, Scalar]:
        """(log of the physical time between two states of one orbit and one frame, an estimate of its error)."""

    @abstractmethod
    def log_loss(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        """log Loss."""

    @abstractmethod
    def residual(self, theta: Theta, data: LaneData) -> Scalar:
        """||X beta - y|| / ||y||, NaN for classification."""

    @abstractmethod
    def min_margin(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        """min_i y_i f(x_i; Theta / ||Theta||), NaN for regression."""

    @abstractmethod
    def progress(self, theta: Theta, log_norm: Scalar, data: LaneData, control: Control) -> Scalar:
        """1 where the stop rule is met, less before; a scale on which recorded points lie evenly."""

    @abstractmethod
    def evenly(self, control: Control) -> tuple[Scalar, Scalar]:
        """Progress from which and up to which recorded points lie evenly."""

    @abstractmethod
    def landing(self, before: Scalar, after: Scalar, control: Control) -> Scalar:
        """Share of a step that goes too far after which the stop rule would be met, given progress at its ends."""


def mean_size(theta: Theta) -> Scalar:
    """Root of the mean square."""
    return jnp.sqrt(jnp.mean(theta**2))
