"""One point of an orbit, and what is recorded of it."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from kernels.flows.base import Flow
from kernels.flows.parametrisation import Forces, RunData, Scalar, Theta
from kernels.observables import OBSERVABLES


class Point(NamedTuple):
    """One point of an orbit: the parameters are e^{log_norm} theta, velocity is -grad Phi there.

    integral: of the forces over time, one a sample, where that is recorded; else empty.
    """

    theta: Theta
    log_norm: Scalar
    velocity: Theta
    log_time: Scalar
    steps: Scalar
    integral: Forces


def observe(flow: Flow, point: Point, data: RunData) -> Float[Array, " o"]:
    """Every observable, then beta(theta) and the integral, in one vector; data as they are for the whole weights."""
    data = flow.parametrisation.in_frame(data, point.log_norm)
    numbers = [jnp.asarray(each.value(flow, point, data)).astype(float) for each in OBSERVABLES.values()]
    return jnp.concatenate([jnp.stack(numbers), flow.coefficients(point.theta, data), point.integral])
