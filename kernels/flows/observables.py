"""One point of an orbit, and what is recorded of it."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from kernels.flows.base import Flow
from kernels.flows.parametrisation import Forces, RunData, Scalar, Theta
from kernels.observables import OBSERVABLES


class Point(NamedTuple):
    """One point of an orbit.

    Attributes:
        theta, log_norm: the parameters are e^{log_norm} theta.
        velocity: -grad Phi there, in the frame of theta.
        log_time: log of physical time; -inf at the start.
        steps: accepted steps so far.
        integral: integral of the forces over time, one number a sample; empty where it is not recorded.
    """

    theta: Theta
    log_norm: Scalar
    velocity: Theta
    log_time: Scalar
    steps: Scalar
    integral: Forces


def observe(flow: Flow, point: Point, data: RunData) -> Float[Array, " o"]:
    """The row of a point: every observable, then beta(theta), then the integral, in one vector of shape (o,).

    Args:
        data: of the frame log_norm = 0.
    """
    data = flow.parametrisation.in_frame(data, point.log_norm)
    numbers = [jnp.asarray(each.value(flow, point, data)).astype(float) for each in OBSERVABLES.values()]
    return jnp.concatenate([jnp.stack(numbers), flow.coefficients(point.theta, data), point.integral])
