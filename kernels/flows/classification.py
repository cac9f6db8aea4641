"""Gradient flow of the exponential loss on separable data, at unit norm and in a clock of its own."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kernels.flows.base import (
    EPSILON,
    Control,
    Flow,
    Forces,
    LaneData,
    Push,
    Scalar,
    State,
    Stiffness,
    Theta,
    mean_size,
)
from kernels.x64 import jax


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
        return unit, jnp.log(norm), mean_size(unit)

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
