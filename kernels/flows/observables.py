"""What is recorded of a run at each point of its orbit."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from kernels.flows.base import Flow, LaneData, Scalar, Theta


class Point(NamedTuple):
    """One point of an orbit: the parameters are e^{log_norm} theta, velocity is -grad Phi there."""

    theta: Theta
    log_norm: Scalar
    velocity: Theta
    log_time: Scalar
    steps: Scalar


Observable = Callable[[Flow, Point, LaneData], Scalar]


def alignment(flow: Flow, point: Point, data: LaneData) -> Scalar:
    """max over layers of 1 - |cos(v_l, grad_{v_l} Loss)|; 1 where a layer or its gradient is zero."""
    layers, slopes = flow.architecture.split(point.theta), flow.architecture.split(point.velocity)
    sizes = flow.sizes(point.theta, point.log_norm, data)
    cosines = [_cosine(jnp.ravel(v), size, jnp.ravel(g)) for v, size, g in zip(layers, sizes, slopes, strict=True)]
    return jnp.max(1 - jnp.abs(jnp.stack(cosines)))


def _cosine(a: Float[Array, " k"], size: Scalar, b: Float[Array, " k"]) -> Scalar:
    """Between b and a vector of this size of which b sees the part a."""
    length = jnp.linalg.norm(b)
    return (a / jnp.where(size > 0, size, 1)) @ (b / jnp.where(length > 0, length, 1))


OBSERVABLES: dict[str, Observable] = {
    "step": lambda flow, point, data: point.steps.astype(float),
    "log_time": lambda flow, point, data: point.log_time,
    "log_loss": lambda flow, point, data: flow.log_loss(point.theta, point.log_norm, data),
    "residual": lambda flow, point, data: flow.residual(point.theta, data),
    "min_margin": lambda flow, point, data: flow.min_margin(point.theta, point.log_norm, data),
    "norm": lambda flow, point, data: jnp.exp(
        point.log_norm + jnp.log(jnp.linalg.norm(flow.sizes(point.theta, point.log_norm, data)))
    ),
    "alignment": alignment,
}
"""name -> (flow, point, data) -> number; the linear coefficients are recorded after them."""


def observe(flow: Flow, point: Point, data: LaneData) -> Float[Array, " o"]:
    """Every observable, then beta(theta), in one vector."""
    numbers = jnp.stack([observable(flow, point, data) for observable in OBSERVABLES.values()])
    return jnp.concatenate([numbers, flow.coefficients(point.theta, data)])
