"""Gradient flow of the squared loss, in its own time."""

from collections.abc import Callable

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
from kernels.flows.principal_samples import principal_samples


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
        if not self.architecture.axial:
            jacobian = self.jacobian(theta, data)
            rates, axes = jnp.linalg.eigh(jacobian @ jacobian.T)
            rates, basis = jnp.maximum(rates, 0), axes.T @ jacobian
            return Stiffness(rates, basis=basis, noise=self._noise(rates, basis, data), args=(log_norm, data))
        x, y, rows = principal_samples(lambda x: self.jacobian(theta, data._replace(x=x)), data.x, data.y)
        rates = jnp.sum(rows**2, axis=1)
        return Stiffness(rates, noise=self._noise(rates, rows, data), args=(log_norm, data._replace(x=x, y=y)))

    def _noise(self, rates: Forces, basis: Float[Array, "n P"], data: LaneData) -> Callable[[Scalar], Theta]:
        """Length of a substep -> what rounding of the residual leaves in each parameter."""
        rounding = EPSILON * jnp.linalg.norm(data.y) / np.sqrt(data.y.size)

        def noise(length: Scalar) -> Theta:
            return rounding * jnp.sqrt(jnp.sum(((length / (1 + length * rates))[:, None] * basis) ** 2, axis=0))

        return noise

    def start(self, theta: Theta, data: LaneData) -> tuple[Theta, Scalar, Scalar]:
        size = mean_size(theta)
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
