"""The gradient flow of a linear tensor network in coordinates in which it can be integrated to the end.

Both tasks are gradient systems dTheta/ds = -grad Phi = J^T g: n forces g, one a sample, pushed through the Jacobian J
of the outputs f(x_i; theta). Their stiff part has rank <= n: the Hessian of Phi is J^T C^T C J plus terms that vanish
with the residual (regression) or do not grow with the parameters (classification).
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kernels.architectures import Architecture
from kernels.extrapolation import Push, Stiffness
from kernels.x64 import jax

Theta = Float[Array, " P"]
Scalar = Float[Array, ""]
Forces = Float[Array, " n"]
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

    def invariants(self, theta: Theta, data: LaneData) -> Float[Array, " i"]:
        """The conserved quadratic functions, flattened."""
        network = self.architecture.with_constants(data.constants)
        values = network.invariants(network.split(theta))
        return jnp.concatenate([jnp.ravel(value) for value in values] or [jnp.zeros(1)])

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


def _size(theta: Theta) -> Scalar:
    """Root of the mean square."""
    return jnp.sqrt(jnp.mean(theta**2))


class RegressionFlow(Flow):
    """Phi = 1/2 ||X beta(theta) - y||^2 in its own time, C = I (Gauss-Newton)."""

    timed = False
    overshoot = float("inf")
    columns = 10
    step_share = 0.02
    """Orbits turn at saddles, which amplify errors; most on Gaussian data at small alpha."""

    def force(self, theta: Theta, log_norm: Scalar, data: LaneData) -> tuple[Forces, Push]:
        outputs, push = self.push(theta, data)
        return data.y - outputs, push

    def stiffness(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Stiffness:
        """C = I (Gauss-Newton), and samples turned to the axes of J J^T.

        There stiff forces stay apart from the others, so that to damp them is to damp their rounding. Where large
        parameters are not axes, J^T g brings rounding back, and has to be damped itself.
        """
        jacobian = self.jacobian(theta, data)
        rates, axes = jnp.linalg.eigh(jacobian @ jacobian.T)
        rates = jnp.maximum(rates, 0)
        basis = axes.T @ jacobian
        rounding = EPSILON * jnp.linalg.norm(data.y) / np.sqrt(data.y.size)

        def noise(length: Any) -> Theta:
            return rounding * jnp.sqrt(jnp.sum(((length / (1 + length * rates))[:, None] * basis) ** 2, axis=0))

        if not self.architecture.axial:
            return Stiffness(rates, basis=basis, noise=noise, args=(log_norm, data))
        turned = data._replace(x=axes.T @ data.x, y=axes.T @ data.y)
        return Stiffness(rates, noise=noise, args=(log_norm, turned))

    def start(self, theta: Theta, data: LaneData) -> tuple[Theta, Scalar, Scalar]:
        size = _size(theta)
        # only a single layer leaves zero: its parameters are the coefficients
        return theta, jnp.zeros(()), jnp.where(size > 0, size, self.least_norm(data) / np.sqrt(theta.size))

    def least_norm(self, data: LaneData) -> Scalar:
        """A lower bound on the norm of every solution of X beta = y."""
        return jnp.linalg.norm(data.y) / jnp.linalg.norm(data.x)

    def output_error(self, error: Theta, theta: Theta, log_norm: Scalar, data: LaneData, rtol: Scalar) -> Scalar:
        """||change of beta|| against rtol times ||beta||, or the least norm that a solution can have.

        In coordinates of a decomposition beta is rho, and the norms are those of inputs S x.
        """
        beta = self.coefficients(theta, data)
        change = jnp.linalg.norm(beta - self.coefficients(theta - error, data))
        return change / (rtol * jnp.maximum(jnp.linalg.norm(beta), self.least_norm(data)))

    def renormalise(
        self, theta: Theta, log_norm: Scalar, velocity: Theta, data: LaneData
    ) -> tuple[Theta, Scalar, Theta]:
        return theta, log_norm, velocity

    def log_rate(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        return jnp.zeros(())

    def log_elapsed(self, before: State, after: State, data: LaneData) -> tuple[Scalar, Scalar]:
        return jnp.full((), jnp.nan), jnp.full((), jnp.inf)

    def log_loss(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        return jnp.log(0.5 * jnp.sum((self.outputs(theta, data) - data.y) ** 2))

    def residual(self, theta: Theta, data: LaneData) -> Scalar:
        return jnp.linalg.norm(self.outputs(theta, data) - data.y) / jnp.linalg.norm(data.y)

    def min_margin(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        return jnp.full((), jnp.nan)

    def progress(self, theta: Theta, log_norm: Scalar, data: LaneData, control: Control) -> Scalar:
        """log residual / log of the residual to stop at."""
        return jnp.log(self.residual(theta, data)) / jnp.log(control.residual)

    def evenly(self, control: Control) -> tuple[Scalar, Scalar]:
        """Down to a residual of 1e-10: in steps of any length, weights of the table amplify rounding to some 1e-12."""
        return jnp.full((), -jnp.inf), jnp.log(1e-10) / jnp.log(control.residual)

    def landing(self, before: Scalar, after: Scalar, control: Control) -> Scalar:
        return jnp.full((), jnp.inf)


class ClassificationFlow(Flow):
    """The flow of Loss = sum_i exp(-y_i f(x_i)) in a clock in which nothing under- or overflows.

    With r = e^{log_norm} = ||Theta||, theta = Theta / r anew every step (of unit norm, with what rests), kappa = r^L,
    q_i = y_i f(x_i; theta) and p = softmax(-kappa q), the orbit of gradient flow is that of

        d theta / ds = sum_i p_i grad q_i,    the gradient flow of (1/kappa) log Loss in theta,

    and physical time follows from M = -log Loss by dt/dM = e^M / (r^{2L-2} ||sum_i p_i grad q_i(Theta/r)||^2).
    The Hessian's stiff part is kappa J^T (diag p - p p^T) J with J = d q / d theta.
    """

    timed = True
    overshoot = 1e-4
    columns = 7
    step_share = 1.0
    """The limit attracts: errors of early steps die out."""

    EXPONENT_TOLERANCE = 1e-2
    """Error allowed in kappa q, weighted by p; smaller buys nothing: the stiff term pulls the orbit back."""

    def margins(self, theta: Theta, data: LaneData) -> Float[Array, " n"]:
        """q_i = y_i f(x_i; theta)."""
        return data.y * self.outputs(theta, data)

    def weights(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Float[Array, " n"]:
        """p = softmax(-kappa q): each sample's share of the loss."""
        return self._shares(self.margins(theta, data), log_norm)

    def _shares(self, margins: Forces, log_norm: Scalar) -> Forces:
        return jax.nn.softmax(-jnp.exp(self.architecture.depth * log_norm) * margins)

    def force(self, theta: Theta, log_norm: Scalar, data: LaneData) -> tuple[Forces, Push]:
        outputs, push = self.push(theta, data)
        return self._shares(data.y * outputs, log_norm) * data.y, push

    def stiffness(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Stiffness:
        jacobian = self.jacobian(theta, data)
        curvature = self.curvature(self.outputs(theta, data), log_norm, data)
        gram = jacobian @ jacobian.T
        answers = curvature @ gram
        rates, axes = jnp.linalg.eigh(answers @ curvature.T)

        def bend(v: Theta, g: Forces) -> tuple[Forces, Forces]:
            first, second = (curvature.T @ (curvature @ part) for part in self.bend(theta, v, g, data))
            return first, second

        right = axes.T @ answers
        return Stiffness(jnp.maximum(rates, 0), (curvature.T @ axes, right), bend=bend, args=(log_norm, data))

    def curvature(self, outputs: Forces, log_norm: Scalar, data: LaneData) -> Float[Array, "n n"]:
        p = self._shares(data.y * outputs, log_norm)
        half = jnp.exp(0.5 * self.architecture.depth * log_norm)
        return half * jnp.sqrt(p)[:, None] * (jnp.eye(p.size) - p[None, :]) * data.y[None, :]

    def start(self, theta: Theta, data: LaneData) -> tuple[Theta, Scalar, Scalar]:
        """A single layer at zero is moved along its velocity, by less than any exponent's rounding."""
        velocity = self.velocity(jnp.zeros_like(theta), jnp.zeros(()), data)
        away = 1e-16 * velocity / jnp.maximum(jnp.linalg.norm(velocity) * jnp.linalg.norm(data.x), 1e-300)
        theta = jnp.where(jnp.any(theta != 0), theta, away)
        norm = jnp.linalg.norm(self.sizes(theta, jnp.zeros(()), data))
        unit = theta / jnp.where(norm > 0, norm, 1)
        return unit, jnp.log(norm), _size(unit)

    def output_error(self, error: Theta, theta: Theta, log_norm: Scalar, data: LaneData, rtol: Scalar) -> Scalar:
        """Change of the exponents kappa q, weighted by p, against EXPONENT_TOLERANCE."""
        p = self.weights(theta, log_norm, data)
        change = self.margins(theta, data) - self.margins(theta - error, data)
        return jnp.exp(self.architecture.depth * log_norm) * jnp.sqrt(jnp.sum(p * change**2)) / self.EXPONENT_TOLERANCE

    def renormalise(
        self, theta: Theta, log_norm: Scalar, velocity: Theta, data: LaneData
    ) -> tuple[Theta, Scalar, Theta]:
        norm = jnp.linalg.norm(self.sizes(theta, log_norm, data))
        return theta / norm, log_norm + jnp.log(norm), velocity / norm ** (self.architecture.depth - 1)

    def log_rate(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        return -self.log_loss(theta, log_norm, data) + (2 - self.architecture.depth) * log_norm

    def log_elapsed(self, before: State, after: State, data: LaneData) -> tuple[Scalar, Scalar]:
        """log int e^{M + phi(M)} dM, phi = log(r^{2-2L} / ||velocity||^2) a cubic through both ends with their slopes.

        The weight e^M goes into the nodes: with e^{M - M1} as variable the integrand is smooth for steps of any size.
        The error is that of the parabola which leaves out the slope at the start, times what one order more is worth
        (for M > 1 phi is a function of log M: its derivatives fall by 1/M each), and what rounding leaves in a growth.
        """
        (m0, phi0, slope0), (m1, phi1, slope1) = (self._clock(state, data) for state in (before, after))
        growth = m1 - m0
        nodes, weights = np.polynomial.legendre.leggauss(24)
        shares = -jnp.expm1(-growth) * (nodes + 1) / 2
        back = jnp.minimum(-jnp.log1p(-shares) / growth, 1)
        parabola = phi1 - growth * slope1 * back + (phi0 - phi1 + growth * slope1) * back**2
        cubic = parabola + (2 * (phi0 - phi1) + growth * (slope0 + slope1)) * back**2 * (1 - back)
        rough, fine = (jax.nn.logsumexp(phi, b=weights / 2) for phi in (parabola, cubic))
        share = jnp.where(m0 > 1, growth / (growth + jnp.abs(m1)), 1.0)
        error = jnp.abs(fine - rough) * share + EPSILON * (1 + jnp.abs(m1)) / growth
        return m1 + jnp.log(-jnp.expm1(-growth)) + fine, jnp.where(growth > 0, error, jnp.inf)

    def _clock(self, state: State, data: LaneData) -> tuple[Scalar, Scalar, Scalar]:
        """M, phi and d phi / dM, from dM/ds = kappa ||velocity||^2."""
        theta, log_norm, velocity = state
        square = jnp.sum(velocity**2)
        _, bend = jax.jvp(lambda z: self.velocity(z, log_norm, data), (theta,), (velocity,))
        slope = -2 * (velocity @ bend) / (jnp.exp(self.architecture.depth * log_norm) * square**2)
        phi = -2 * (self.architecture.depth - 1) * log_norm - jnp.log(square)
        return -self.log_loss(theta, log_norm, data), phi, slope

    def log_loss(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        return jax.nn.logsumexp(-jnp.exp(self.architecture.depth * log_norm) * self.margins(theta, data))

    def residual(self, theta: Theta, data: LaneData) -> Scalar:
        return jnp.full((), jnp.nan)

    def min_margin(self, theta: Theta, log_norm: Scalar, data: LaneData) -> Scalar:
        norm = jnp.linalg.norm(self.sizes(theta, log_norm, data))
        return jnp.min(self.margins(theta, data)) / norm**self.architecture.depth

    def progress(self, theta: Theta, log_norm: Scalar, data: LaneData, control: Control) -> Scalar:
        """asinh(-log Loss), or asinh of the smallest margin, against its value at the stop: the larger of the two."""
        smallest = jnp.exp(self.architecture.depth * log_norm) * jnp.min(self.margins(theta, data))
        by_loss, by_margin = self._goals(control)
        reached = ((-self.log_loss(theta, log_norm, data), by_loss), (smallest, by_margin))
        return jnp.maximum(*(jnp.where(goal < jnp.inf, jnp.arcsinh(value) / goal, -jnp.inf) for value, goal in reached))

    def evenly(self, control: Control) -> tuple[Scalar, Scalar]:
        """From where the loss is 1, or the smallest margin zero."""
        return jnp.zeros(()), jnp.full((), jnp.inf)

    def landing(self, before: Scalar, after: Scalar, control: Control) -> Scalar:
        """As if exponents, of degree L in the parameters, had L-th roots that grow evenly along the step."""
        scale = jnp.minimum(*self._goals(control)) / self.architecture.depth
        return jnp.expm1(scale * (1 + self.overshoot / 2 - before)) / jnp.expm1(scale * (after - before))

    def _goals(self, control: Control) -> tuple[Scalar, Scalar]:
        """asinh of -log Loss and of the smallest margin at the stop; infinite where it was not set."""
        return jnp.arcsinh(-control.log_loss), jnp.arcsinh(jnp.exp(control.log_margin))


FLOWS: dict[str, type[Flow]] = {"regression": RegressionFlow, "classification": ClassificationFlow}
