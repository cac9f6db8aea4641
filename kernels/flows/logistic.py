"""Gradient flow of the logistic loss sum_i log(1 + exp(-y_i f(x_i)))."""

from typing import final

import jax.numpy as jnp

from kernels.flows.classification import ClassificationFlow
from kernels.flows.parametrisation import Forces
from kernels.x64 import jax

SMALL = 1e-5
"""Where e = e^{-z} is below this, log(log(1 + e) / e) is taken from its series -e/2 + 5 e^2/24 to rounding."""


@final
class LogisticFlow(ClassificationFlow):
    """l(z) = log(1 + e^{-z}): forces are sigmoids -l' = sigma(-z), curvatures l'' = sigma(z) sigma(-z).

    log l is concave. As margins grow, loss and forces tend to those of the exponential loss:
    l(z) e^z = 1 - e^{-z}/2 + ...
    """

    def log_values(self, z: Forces) -> Forces:
        """log l, which for z > 0 is -z + log(log(1 + e) / e) with e = e^{-z}."""
        above, below = jnp.where(z > 0, z, 1.0), jnp.where(z > 0, -1.0, z)
        e = jnp.exp(-above)
        small = e < SMALL
        usual = jnp.where(small, SMALL, e)
        shrunk = jnp.where(small, -e / 2 + 5 * e**2 / 24, jnp.log(jnp.log1p(usual) / usual))
        return jnp.where(z > 0, shrunk - above, jnp.log(jax.nn.softplus(-below)))

    def log_forces(self, z: Forces) -> Forces:
        return jax.nn.log_sigmoid(-z)

    def log_curvatures(self, z: Forces) -> Forces:
        return jax.nn.log_sigmoid(-z) + jax.nn.log_sigmoid(z)
