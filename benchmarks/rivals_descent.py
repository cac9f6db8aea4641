"""Gradient descent with a fixed step, jitted and vmapped: what one would write without an integrator."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from benchmarks.ensembles import Ensemble
from kernels.flows.exponential import ExponentialFlow
from kernels.flows.parametrisation import Layers, RunData
from kernels.flows.regression import RegressionFlow
from kernels.networks.base import Architecture
from kernels.x64 import jax


@functools.cache
def _program(architecture: Architecture) -> Callable[..., tuple[Array, Array, Array]]:
    flow = RegressionFlow(Layers(architecture))

    def descend(
        theta: Array, x: Array, y: Array, whitener: Array, step: Array, goal: Array, most: Array
    ) -> tuple[Array, Array, Array]:
        data = RunData(x, y, architecture.constants, whitener=whitener)

        def unfinished(state: tuple[Array, Array, Array]) -> Array:
            _, count, residual = state
            return (residual > goal) & (count < most)  # a NaN ends it too

        def update(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            z, count, _ = state
            z = z + step * flow.velocity(z, jnp.zeros(()), data)
            return z, count + 1, flow.residual(z, data)

        start = (theta, jnp.zeros((), int), flow.residual(theta, data))
        return jax.lax.while_loop(unfinished, update, start)

    return jax.jit(jax.vmap(descend, in_axes=(0, 0, 0, 0, 0, None, None)))


def sharpness(ensemble: Ensemble, limits: np.ndarray) -> np.ndarray:
    """The largest eigenvalue of the Hessian at each run's limit, where it is the Gauss-Newton matrix."""
    layers = Layers(ensemble.architecture)
    constants = ensemble.architecture.constants

    def largest(theta: Array, x: Array, y: Array) -> Array:
        return jnp.linalg.eigvalsh(layers.gram(theta, RunData(x, y, constants)))[-1]

    return np.asarray(jax.jit(jax.vmap(largest))(limits, ensemble.x, ensemble.y))


def descend(ensemble: Ensemble, steps: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Theta, number of steps and residual at the end of each run."""
    goal = ensemble.runs[0][0].stop["residual"]
    runs = ensemble.theta, ensemble.x, ensemble.y, ensemble.whiteners
    found = _program(ensemble.architecture)(*runs, steps, goal, most)
    theta, count, residual = (np.asarray(value) for value in found)
    return theta, count, residual


@functools.cache
def _separating(architecture: Architecture) -> Callable[..., tuple[Array, Array]]:
    flow = ExponentialFlow(Layers(architecture))

    def loss(theta: Array, x: Array, y: Array) -> Array:
        return jnp.sum(jnp.exp(-y * flow.outputs(theta, RunData(x, y, architecture.constants))))

    def descend(theta: Array, x: Array, y: Array, step: Array, count: Array) -> tuple[Array, Array]:
        gradient = jax.grad(loss)
        end = jax.lax.fori_loop(0, count, lambda _, z: z - step * gradient(z, x, y), theta)
        return end, -jnp.log(loss(end, x, y))

    return jax.jit(jax.vmap(descend, in_axes=(0, 0, 0, None, None)))


def separate(ensemble: Ensemble, step: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Plain gradient descent on the exponential loss: Theta and -log Loss after `count` steps."""
    found = _separating(ensemble.architecture)(ensemble.theta, ensemble.x, ensemble.y, step, count)
    theta, height = (np.asarray(value) for value in found)
    return theta, height
