"""Gradient flow of losses of margins on separable data, at unit norm and in a clock of its own."""

from abc import abstractmethod
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kernels.flows.base import EPSILON, Control, Flow, State
from kernels.flows.curves import Curves
from kernels.flows.parametrisation import Forces, Push, RunData, Scalar, Theta, times
from kernels.flows.stiffness import Axes, Inverses, Stiffness
from kernels.x64 import jax


class Logarithms(NamedTuple):
    """log l, log(-l') and log l'' of every sample at its margin."""

    values: Forces
    forces: Forces
    curvatures: Forces


class ClassificationFlow(Flow):
    """The flow of Loss = sum_i l(y_i f(x_i)), l convex and falling, in a clock in which nothing under- or overflows.

    Let r = e^{log_norm} = ||Theta|| and theta = Theta / r, renewed every step: its norm is one, what is frozen
    included. With kappa = r^L, q_i = y_i f(x_i; theta) and p_i = -l'(kappa q_i) / Loss, the orbit of gradient flow is
    that of

        d theta / ds = sum_i p_i grad q_i,    the gradient flow of (1/kappa) log Loss in theta,

    and physical time follows from M = -log Loss by dt/dM = e^M / (r^{2L-2} ||sum_i p_i grad q_i(Theta/r)||^2).
    The Hessian's stiff part is kappa J^T (diag h - p p^T) J with J = d q / d theta and h_i = l''(kappa q_i) / Loss.

    A subclass gives three functions of one margin, in logarithms. log l must be concave (for l = e^{-z} it is linear).
    Then h^{-1/2} p has a norm of at least one, and the Hessian has at most one negative direction, which vanishes as
    margins grow. Nothing is stiff along it, so that it is left out of what is damped.
    """

    timed = True
    overshoot = 1e-4
    EXPONENT_TOLERANCE = 1e-2
    """Error allowed in kappa q, weighted by p. A smaller one gains nothing, because the stiff term undoes errors."""

    @abstractmethod
    def log_values(self, z: Forces) -> Forces:
        """log l of each margin z, finite with its derivatives at any z."""

    @abstractmethod
    def log_forces(self, z: Forces) -> Forces:
        """log(-l') of each margin."""

    @abstractmethod
    def log_curvatures(self, z: Forces) -> Forces:
        """log l'' of each margin."""

    @property
    def step_share(self) -> float:
        """1: the limit attracts, so that errors of early steps die out."""
        return 1.0

    def margins(self, theta: Theta, data: RunData) -> Float[Array, " n"]:
        """q_i = y_i f(x_i; theta)."""
        return self._margins(self.outputs(theta, data), data)

    def weights(self, theta: Theta, log_norm: Scalar, data: RunData) -> Float[Array, " n"]:
        """p = -l'(kappa q) / Loss, each sample's force, shape (n,)."""
        return self._shares(self.margins(theta, data), log_norm, data)

    def force(self, theta: Theta, log_norm: Scalar, data: RunData) -> tuple[Forces, Push]:
        outputs, push = self.push(theta, data)
        shares = self._shares(self._margins(outputs, data), log_norm, data)
        return times(jnp.transpose(data.turn), shares * data.y), push

    def stiffness(self, theta: Theta, log_norm: Scalar, data: RunData) -> Stiffness:
        """-dg/d(outputs) = C^T C, without its negative direction; on curves, of samples turned to triangular form."""
        parametrisation = self.parametrisation
        if isinstance(parametrisation, Curves):
            turned = parametrisation.turned(theta, data)
            gram, data = turned.gram, data._replace(x=turned.x, turn=turned.q)
        else:
            gram = parametrisation.gram(theta, data)
        half = self.half_curvature(theta, log_norm, data)
        curvature = half.T @ half

        def bend(v: Theta, g: Forces) -> tuple[Forces, Forces]:
            first, second = (curvature @ part for part in self.bend(theta, v, g, data))
            return first, second

        if isinstance(parametrisation, Curves):
            return Inverses(gram, curvature, bend=bend, args=(log_norm, data))
        answers = half @ gram
        rates, axes = jnp.linalg.eigh(answers @ half.T)
        mixing = (half.T @ axes, axes.T @ answers)
        return Axes(jnp.maximum(rates, 0), mixing, bend=bend, args=(log_norm, data))

    def half_curvature(self, theta: Theta, log_norm: Scalar, data: RunData) -> Float[Array, "n n"]:
        """C = sqrt(kappa) (I - u u^T) diag(sqrt h) diag(y) Q, with u = h^{-1/2} p over its norm.

        Q = `data.turn` takes outputs of turned samples to those of the samples themselves.
        """
        logs = self._logarithms(self.margins(theta, data), log_norm, data)
        ratios = jnp.where(data.weights > 0, 2 * logs.forces - logs.curvatures, -jnp.inf)
        u = jnp.sqrt(jax.nn.softmax(ratios))
        roots = jnp.sqrt(self._over_loss(logs.curvatures, logs))
        half = jnp.sqrt(self._kappa(log_norm, data))
        plain = half * (jnp.eye(u.size) - u[:, None] * u[None, :]) * roots[None, :] * data.y[None, :]
        return plain @ data.turn if np.ndim(data.turn) == 2 else plain

    def start(self, theta: Theta, data: RunData) -> tuple[Theta, Scalar, Theta]:
        """(theta, log_norm, floor) of Theta(0).

        A single layer that starts at zero has no direction. It is moved along its velocity by so little that no
        exponent kappa q changes by more than its rounding.
        """
        velocity = self.velocity(jnp.zeros_like(theta), jnp.zeros(()), data)
        away = 1e-16 * velocity / jnp.maximum(jnp.linalg.norm(velocity) * jnp.linalg.norm(data.x), 1e-300)
        zero = ~jnp.any(self.parametrisation.squares(theta, data) > 0)
        theta = jnp.where(zero, away, theta)
        norm = jnp.linalg.norm(self.sizes(theta, jnp.zeros(()), data))
        entries = self.parametrisation.count(data) * (self.parametrisation.degree(data) if self._curved else 1)
        floor = jnp.sqrt(jnp.sum(self.parametrisation.squares(theta, data)) / entries) / jnp.where(norm > 0, norm, 1)
        return theta / jnp.where(norm > 0, norm, 1), jnp.log(norm), jnp.full(theta.shape, floor)

    @property
    def _curved(self) -> bool:
        return isinstance(self.parametrisation, Curves)

    def _margins(self, outputs: Forces, data: RunData) -> Forces:
        return data.y * times(data.turn, outputs)

    def _shares(self, margins: Forces, log_norm: Scalar, data: RunData) -> Forces:
        logs = self._logarithms(margins, log_norm, data)
        return self._over_loss(logs.forces, logs)

    def _over_loss(self, logarithms: Forces, logs: Logarithms) -> Forces:
        """e^{logarithms} / Loss."""
        largest = jax.lax.stop_gradient(jnp.max(logs.values))
        return jnp.exp(logarithms - largest) / jnp.sum(jnp.exp(logs.values - largest))

    def _logarithms(self, margins: Forces, log_norm: Scalar, data: RunData) -> Logarithms:
        """log l, log(-l') and log l'' at kappa q; -infinity for rows that only fill up a room."""
        z = jnp.where(data.weights > 0, self._kappa(log_norm, data) * margins, 0.0)
        found = (self.log_values(z), self.log_forces(z), self.log_curvatures(z))
        return Logarithms(*(jnp.where(data.weights > 0, each, -jnp.inf) for each in found))

    def _least(self, margins: Forces, data: RunData) -> Scalar:
        return jnp.min(jnp.where(data.weights > 0, margins, jnp.inf))

    def _kappa(self, log_norm: Scalar, data: RunData) -> Scalar:
        """kappa = r^L."""
        return jnp.exp(self.parametrisation.degree(data) * log_norm)

    def output_error(self, error: Theta, theta: Theta, log_norm: Scalar, data: RunData, rtol: Scalar) -> Scalar:
        """Spread of the change of the exponents kappa q about its mean, weighted by p, over EXPONENT_TOLERANCE.

        The mean does not count: a change that all exponents share leaves p as it is, and moves the state along its
        orbit.
        """
        p = self.weights(theta, log_norm, data)
        change = self.margins(theta, data) - self.margins(theta - error, data)
        change = change - jnp.sum(p * change) / jnp.sum(p)
        return self._kappa(log_norm, data) * jnp.sqrt(jnp.sum(p * change**2)) / self.EXPONENT_TOLERANCE

    def renormalise(
        self, theta: Theta, log_norm: Scalar, velocity: Theta, data: RunData
    ) -> tuple[Theta, Scalar, Theta]:
        norm = jnp.linalg.norm(self.sizes(theta, log_norm, data))
        return theta / norm, log_norm + jnp.log(norm), velocity / norm ** (self.parametrisation.degree(data) - 1)

    def log_rate(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        return -self.log_loss(theta, log_norm, data) + (2 - self.parametrisation.degree(data)) * log_norm

    def log_elapsed(self, before: State, after: State, data: RunData) -> tuple[Scalar, Scalar]:
        """(log of the integral of e^{M + phi(M)} dM over the step, estimate of its error), M = -log Loss.

        phi = log(r^{2-2L} / ||velocity||^2) is interpolated by the cubic with the values and slopes of both ends. The
        integral is taken in the variable e^{M - M1}, M1 being M at the end, in which the integrand is smooth for steps
        of any size (Gauss's rule of 24 points).

        The error estimate has two terms. One is the difference from the parabola that leaves out the slope at the
        start; for M > 1 it is reduced by about growth / M, because phi is then a function of log M and each further
        derivative falls by 1 / M. The other is the rounding of the growth of M. Infinite where M does not grow.
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

    def _clock(self, state: State, data: RunData) -> tuple[Scalar, Scalar, Scalar]:
        """M, phi and d phi / dM, from dM/ds = kappa ||velocity||^2."""
        theta, log_norm, velocity = state
        degree = self.parametrisation.degree(data)

        def square(z: Theta) -> Scalar:
            return self.parametrisation.squared_speed(z, self.velocity(z, log_norm, data), data)

        value, rate = jax.jvp(square, (theta,), (velocity,))
        slope = -rate / (self._kappa(log_norm, data) * value**2)
        phi = -2 * (degree - 1) * log_norm - jnp.log(value)
        return -self.log_loss(theta, log_norm, data), phi, slope

    def log_loss(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        return jax.nn.logsumexp(self._logarithms(self.margins(theta, data), log_norm, data).values)

    def residual(self, theta: Theta, data: RunData) -> Scalar:
        return jnp.full((), jnp.nan)

    def least_norm(self, data: RunData) -> Scalar:
        return jnp.zeros(())

    def min_margin(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        norm = jnp.linalg.norm(self.sizes(theta, log_norm, data))
        return self._least(self.margins(theta, data), data) / norm ** self.parametrisation.degree(data)

    def progress(self, theta: Theta, log_norm: Scalar, data: RunData, control: Control) -> Scalar:
        """asinh(-log Loss) over its value at the stop, or the same for the least margin if that is larger."""
        smallest = self._kappa(log_norm, data) * self._least(self.margins(theta, data), data)
        by_loss, by_margin = self._goals(control)
        reached = ((-self.log_loss(theta, log_norm, data), by_loss), (smallest, by_margin))
        return jnp.maximum(*(jnp.where(goal < jnp.inf, jnp.arcsinh(value) / goal, -jnp.inf) for value, goal in reached))

    def evenly(self, control: Control) -> tuple[Scalar, Scalar]:
        """(0, inf): from where the loss is 1, or the least margin zero."""
        return jnp.zeros(()), jnp.full((), jnp.inf)

    def landing(self, before: Scalar, after: Scalar, data: RunData, control: Control) -> Scalar:
        """The share, if the L-th root of the exponents, which are of degree L, grows evenly along the step."""
        scale = jnp.minimum(*self._goals(control)) / self.parametrisation.degree(data)
        return jnp.expm1(scale * (1 + self.overshoot / 2 - before)) / jnp.expm1(scale * (after - before))

    def _goals(self, control: Control) -> tuple[Scalar, Scalar]:
        """asinh of -log Loss and of the least margin at the stop; infinite where the condition was not set."""
        return jnp.arcsinh(-control.log_loss), jnp.arcsinh(jnp.exp(control.log_margin))
