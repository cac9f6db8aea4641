"""The gradient flow of a linear tensor network in coordinates in which it can be integrated to the end.

Both tasks are gradient systems dTheta/ds = -grad Phi = J^T g: n forces g, one a sample, pushed through the Jacobian J
of the outputs f(x_i; theta). Their stiff part has rank <= n: the Hessian of Phi is J^T C^T C J plus terms that vanish
with the residual (regression) or do not grow with the parameters (classification).
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from kernels.flows.curves import Curves
from kernels.flows.parametrisation import Forces, Parametrisation, Push, RunData, Scalar, Theta
from kernels.flows.stiffness import Stiffness
from kernels.flows.turned_samples import Turned, turned_samples
from kernels.x64 import jax

EPSILON = float(np.finfo(float).eps)


class Control(NamedTuple):
    """A run's tolerance and stop rule. A condition that was not set has a value that no run meets."""

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


class Flow(ABC):
    """Gradient flow of one loss in one parametrisation; every loss names its class in LOSSES.

    The state is (theta, log_norm): the parameters are e^{log_norm} theta. Regression keeps log_norm = 0. `data` are
    those of the frame, as `Parametrisation.in_frame` makes them; `start` takes those of the run.
    """

    timed: ClassVar[bool]
    """Whether physical time differs from the clock of the flow."""

    sums_forces: ClassVar[bool] = False
    """Whether orbits on curves record the integral of the forces over time."""

    overshoot: ClassVar[float]
    """How far past the stop rule, in units of progress, a run may end."""

    def __init__(self, parametrisation: Parametrisation):
        self.parametrisation = parametrisation

    def sizes(self, theta: Theta, log_norm: Scalar, data: RunData) -> Float[Array, " L"]:
        """Norm of each layer over e^{log_norm}, what is frozen included."""
        frozen = jnp.where(data.frozen_squares > 0, data.frozen_squares * jnp.exp(-2 * log_norm), 0.0)
        return jnp.sqrt(self.parametrisation.squares(theta, data) + frozen)

    def norm(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        """||Theta||."""
        return jnp.exp(log_norm + jnp.log(jnp.linalg.norm(self.sizes(theta, log_norm, data))))

    def alignment(self, theta: Theta, log_norm: Scalar, velocity: Theta, data: RunData) -> Scalar:
        """max over layers of 1 - |cos(v_l, grad_{v_l} Loss)|; 1 where a layer or its gradient is zero."""
        sizes = self.sizes(theta, log_norm, data)
        return jnp.max(1 - jnp.abs(self.parametrisation.cosines(theta, velocity, sizes, data)))

    def coefficients(self, theta: Theta, data: RunData) -> Float[Array, " d"]:
        """beta(theta)."""
        return self.parametrisation.coefficients(theta, data)

    def outputs(self, theta: Theta, data: RunData) -> Float[Array, " n"]:
        """f(x_i; theta) = x_i^T beta(theta)."""
        return self.parametrisation.outputs(theta, data)

    def push(self, theta: Theta, data: RunData) -> tuple[Forces, Push]:
        """(outputs f(x_i; theta), g -> J^T g with J their Jacobian)."""
        return self.parametrisation.push(theta, data)

    def velocity(self, theta: Theta, log_norm: Scalar, data: RunData) -> Theta:
        """-grad Phi = J^T g."""
        g, push = self.force(theta, log_norm, data)
        return push(g)

    def bend(self, theta: Theta, v: Theta, g: Forces, data: RunData) -> tuple[Forces, Forces]:
        """(half the second derivative of the outputs along v, derivative of J J^T g along v with g held)."""

        def slope(z: Theta, direction: Theta) -> Forces:
            return jax.jvp(lambda y: self.outputs(y, data), (z,), (direction,))[1]

        twice = jax.jvp(lambda z: slope(z, v), (theta,), (v,))[1]
        turned = jax.jvp(lambda z: slope(z, self.push(z, data)[1](g)), (theta,), (v,))[1]
        return 0.5 * twice, turned

    def turned(self, theta: Theta, data: RunData, before: Turned | None, awake: Bool[Array, ""]) -> Turned | None:
        """Samples as the stiffness on curves wants them, given those of the step before; None for layers."""
        if not isinstance(self.parametrisation, Curves):
            return None
        return turned_samples(data.x, self.parametrisation.rates(theta, data), before, awake)

    @property
    @abstractmethod
    def step_share(self) -> float:
        """Share of a run's relative tolerance that the error of one step may take."""

    @abstractmethod
    def stiffness(self, theta: Theta, log_norm: Scalar, data: RunData) -> Stiffness:
        """The stiff part J^T C^T C J of the Hessian of Phi, frozen here; its args are (log_norm, data)."""

    @abstractmethod
    def force(self, theta: Theta, log_norm: Scalar, data: RunData) -> tuple[Forces, Push]:
        """(g, push) with g_i = -d Phi / d f(x_i) and push(g) = -grad Phi."""

    @abstractmethod
    def start(self, theta: Theta, data: RunData) -> tuple[Theta, Scalar, Theta]:
        """(theta, log_norm, floor) of Theta(0); errors of entries of theta below floor are absolute ones."""

    @abstractmethod
    def output_error(self, error: Theta, theta: Theta, log_norm: Scalar, data: RunData, rtol: Scalar) -> Scalar:
        """Change of the network's outputs by an error of theta, as a multiple of what is tolerated."""

    @abstractmethod
    def least_norm(self, data: RunData) -> Scalar:
        """A lower bound on the norm of coefficients to which the flow tends; 0 where there is none."""

    @abstractmethod
    def renormalise(
        self, theta: Theta, log_norm: Scalar, velocity: Theta, data: RunData
    ) -> tuple[Theta, Scalar, Theta]:
        """The same state and velocity in the frame in which the next step starts."""

    @abstractmethod
    def log_rate(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        """log dt/ds, t being physical time and s the clock of the flow."""

    @abstractmethod
    def log_elapsed(self, before: State, after: State, data: RunData) -> tuple[Scalar, Scalar]:
        """(log of the physical time between two states of an orbit in one frame, estimate of its relative error)."""

    @abstractmethod
    def log_loss(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        """log Loss."""

    @abstractmethod
    def residual(self, theta: Theta, data: RunData) -> Scalar:
        """Distance from beta to the solutions of X beta = y over the least norm of those; NaN for classification."""

    @abstractmethod
    def min_margin(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        """min_i y_i f(x_i; Theta / ||Theta||), NaN for regression."""

    @abstractmethod
    def progress(self, theta: Theta, log_norm: Scalar, data: RunData, control: Control) -> Scalar:
        """How much of the way to the stop rule the run has come: it grows along the run, and is 1 where it is met."""

    def at_rounding(self, theta: Theta, data: RunData) -> Bool[Array, ""]:
        """Whether rounding of the outputs hides their targets, and the run has come as near as it lets it."""
        return jnp.array(False)

    @abstractmethod
    def evenly(self, control: Control) -> tuple[Scalar, Scalar]:
        """(from, to): between these values of progress the steps of a recorded run are kept short, for its points."""

    @abstractmethod
    def landing(self, before: Scalar, after: Scalar, data: RunData, control: Control) -> Scalar:
        """The share of a step after which it would meet the stop rule, for a step that went too far.

        Args:
            before, after: progress at its start and at its end.
        """
