"""What is recorded of a run at each point of its orbit."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from kernels.flows.base import Flow
from kernels.flows.parametrisation import RunData, Scalar, Theta


class Point(NamedTuple):
    """One point of an orbit: the parameters are e^{log_norm} theta, velocity is -grad Phi there."""

    theta: Theta
    log_norm: Scalar
    velocity: Theta
    log_time: Scalar
    steps: Scalar


Observable = Callable[[Flow, Point, RunData], Scalar]


def alignment(flow: Flow, point: Point, data: RunData) -> Scalar:
    """max over layers of 1 - |cos(v_l, grad_{v_l} Loss)|; 1 where a layer or its gradient is zero."""
    sizes = flow.sizes(point.theta, point.log_norm, data)
    return jnp.max(1 - jnp.abs(flow.parametrisation.cosines(point.theta, point.velocity, sizes, data)))


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


def observe(flow: Flow, point: Point, data: RunData) -> Float[Array, " o"]:
    """Every observable, then beta(theta), in one vector; data as they are for the whole weights."""
    data = flow.parametrisation.in_frame(data, point.log_norm)
    numbers = jnp.stack([observable(flow, point, data) for observable in OBSERVABLES.values()])
    return jnp.concatenate([numbers, flow.coefficients(point.theta, data)])
