"""Gradient flow of the squared loss, in its own time."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from kernels.flows.base import EPSILON, Control, Flow, State
from kernels.flows.curves import Curves
from kernels.flows.parametrisation import Forces, Layers, Push, RunData, Scalar, Theta, times
from kernels.flows.principal_samples import principal_samples
from kernels.flows.stiffness import Axes, Inverses, Stiffness

ATTAINABLE = 8.0
"""A flow in double precision can come this many roundings near to the solutions: roundings of the outputs' terms, or of
the solution, times the condition of the data."""
LARGEST_GOAL = 0.1
"""The largest residual at which a run may stop for the sake of rounding."""
CANCELLED = 10.0
"""Norm of the outputs' terms over that of the targets, beyond which four columns of a step may be better than ten. On
plateaus, where terms are no larger than targets, steps of four grow so fast that an orbit has too few points."""


def _cancel(terms: Float[Array, "n k"], y: Forces) -> Bool[Array, ""]:
    return jnp.sum(terms**2) > CANCELLED**2 * jnp.sum(y**2)


class RegressionFlow(Flow):
    """Phi = 1/2 ||X beta(theta) - y||^2 in its own time, C = I (Gauss-Newton)."""

    timed = False
    sums_forces = True
    overshoot = float("inf")

    @property
    def step_share(self) -> float:
        """1 on curves, 0.02 for layers: saddles amplify errors of layers, most on Gaussian data at small alpha."""
        return 1.0 if isinstance(self.parametrisation, Curves) else 0.02

    def force(self, theta: Theta, log_norm: Scalar, data: RunData) -> tuple[Forces, Push]:
        outputs, push = self.push(theta, data)
        return data.y - outputs, push

    def stiffness(self, theta: Theta, log_norm: Scalar, data: RunData) -> Stiffness:
        """C = I (Gauss-Newton).

        Samples are turned so that damping a stiff force damps its rounding, too. On curves they are turned to
        triangular form (`turned_samples`); for axial networks, to the axes of J J^T (`principal_samples`). In other
        networks the product J^T g brings the rounding back, so that the change of the parameters is damped instead.
        """
        parametrisation = self.parametrisation
        if isinstance(parametrisation, Curves):
            turned = parametrisation.turned(theta, data)
            frame = data._replace(x=turned.x, y=turned.q.T @ data.y, turn=turned.q)
            _, push = parametrisation.push(theta, frame)
            rounding = EPSILON * jnp.linalg.norm(turned.q * data.y[:, None], axis=0)
            cancels = _cancel(data.x * parametrisation.coefficients(theta, data)[None, :], data.y)
            return Inverses(turned.gram, push=push, rounding=rounding, args=(log_norm, frame), cancels=cancels)
        assert isinstance(parametrisation, Layers)
        if not parametrisation.architecture.axial:
            jacobian = parametrisation.jacobian(theta, data)
            rates, axes = jnp.linalg.eigh(jacobian @ jacobian.T)
            rates, basis = jnp.maximum(rates, 0), axes.T @ jacobian
            noise = self._noise(rates, basis, self._rounding(jacobian, theta, data.y))
            return Axes(rates, basis=basis, noise=noise, args=(log_norm, data), cancels=True)
        x, y, rows = principal_samples(lambda x: parametrisation.jacobian(theta, data._replace(x=x)), data.x, data.y)
        rates = jnp.sum(rows**2, axis=1)
        noise = self._noise(rates, rows, self._rounding(rows, theta, y))
        cancels = _cancel(rows * theta[None, :], y)
        return Axes(rates, noise=noise, args=(log_norm, data._replace(x=x, y=y)), cancels=cancels)

    def _rounding(self, jacobian: Float[Array, "n P"], theta: Theta, y: Forces) -> Scalar:
        """Size of the rounding of one residual: that of y and of the terms theta_k df/dtheta_k, whose sum is L f.

        The terms count, not their sum: where large layers have small coefficients the terms nearly cancel, and their
        rounding remains.
        """
        squares = jnp.sum(y**2) + jnp.sum((jacobian * theta[None, :]) ** 2)
        return EPSILON * jnp.sqrt(squares / y.size)

    def _noise(self, rates: Forces, basis: Float[Array, "n P"], rounding: Scalar) -> Callable[[Scalar, Any], Theta]:
        """The function (length of a substep, entry) -> what rounding of the residual leaves in each parameter."""

        def noise(length: Scalar, _: Any) -> Theta:
            return rounding * jnp.sqrt(jnp.sum(((length / (1 + length * rates))[:, None] * basis) ** 2, axis=0))

        return noise

    def start(self, theta: Theta, data: RunData) -> tuple[Theta, Scalar, Theta]:
        floor = self.parametrisation.floor(theta, data)
        # only a single layer leaves zero: its parameters are the coefficients
        still = ~jnp.any(floor > 0) & ~jnp.any(theta != 0)
        count = self.parametrisation.count(data)
        return theta, jnp.zeros(()), jnp.where(still, self.least_norm(data) / jnp.sqrt(count), floor)

    def least_norm(self, data: RunData) -> Scalar:
        """A lower bound on the norm of every solution of X beta = y."""
        return jnp.linalg.norm(data.y) / jnp.linalg.norm(data.x)

    def output_error(self, error: Theta, theta: Theta, log_norm: Scalar, data: RunData, rtol: Scalar) -> Scalar:
        """||change of beta|| over rtol max(||beta||, least_norm).

        On curves beta stands for rho, and the inputs are S x.
        """
        beta = self.coefficients(theta, data)
        change = jnp.linalg.norm(beta - self.coefficients(theta - error, data))
        return change / (rtol * jnp.maximum(jnp.linalg.norm(beta), self.least_norm(data)))

    def renormalise(
        self, theta: Theta, log_norm: Scalar, velocity: Theta, data: RunData
    ) -> tuple[Theta, Scalar, Theta]:
        return theta, log_norm, velocity

    def log_rate(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        return jnp.zeros(())

    def log_elapsed(self, before: State, after: State, data: RunData) -> tuple[Scalar, Scalar]:
        return jnp.full((), jnp.nan), jnp.full((), jnp.inf)

    def log_loss(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        return jnp.log(0.5 * jnp.sum((self.outputs(theta, data) - data.y) ** 2))

    def residual(self, theta: Theta, data: RunData) -> Scalar:
        gap, whole = (jnp.linalg.norm(times(data.whitener, f)) for f in (self.outputs(theta, data) - data.y, data.y))
        return gap / whole

    def min_margin(self, theta: Theta, log_norm: Scalar, data: RunData) -> Scalar:
        return jnp.full((), jnp.nan)

    def progress(self, theta: Theta, log_norm: Scalar, data: RunData, control: Control) -> Scalar:
        """log residual / log goal. The goal is the residual to stop at, or what rounding leaves if that is more."""
        goal = jnp.maximum(control.residual, jnp.minimum(self._attainable(theta, data), LARGEST_GOAL))
        return jnp.log(self.residual(theta, data)) / jnp.log(goal)

    def at_rounding(self, theta: Theta, data: RunData) -> Bool[Array, ""]:
        attainable = self._attainable(theta, data)
        return (attainable > LARGEST_GOAL) & (self.residual(theta, data) <= attainable)

    def _attainable(self, theta: Theta, data: RunData) -> Scalar:
        """The residual that rounding leaves: of the outputs' terms, or of the solution."""
        beta, least = jnp.linalg.norm(self.coefficients(theta, data)), jnp.linalg.norm(times(data.whitener, data.y))
        return jnp.maximum(data.rounding * beta, self._cancelled(theta, data)) / least

    def _cancelled(self, theta: Theta, data: RunData) -> Scalar | float:
        """Distance to the solutions that rounding of the outputs' terms leaves.

        0 on curves, where the terms are those of A rho, which data.rounding ||rho|| accounts for.
        """
        if isinstance(self.parametrisation, Curves):
            return 0.0
        assert isinstance(self.parametrisation, Layers)
        terms = jnp.linalg.norm(self.parametrisation.jacobian(theta, data) * theta[None, :], axis=1)
        return ATTAINABLE * EPSILON * jnp.linalg.norm(times(data.whitener, jnp.diag(terms)))

    def evenly(self, control: Control) -> tuple[Scalar, Scalar]:
        """(-inf, progress at a residual of 1e-10): beyond it short steps gain nothing.

        The weights of the extrapolation amplify rounding to some 1e-12 in steps of any length.
        """
        return jnp.full((), -jnp.inf), jnp.log(1e-10) / jnp.log(control.residual)

    def landing(self, before: Scalar, after: Scalar, data: RunData, control: Control) -> Scalar:
        return jnp.full((), jnp.inf)
