"""One step of the flow, physical time riding along."""

from typing import NamedTuple

import jax.numpy as jnp

from kernels.extrapolation import Push, Stiffness
from kernels.flow import Flow, Forces, LaneData, Scalar, State, Theta
from kernels.observables import Point
from kernels.solvers import Solver

LARGEST_RATE_GROWTH = 4.0
"""Growth of the clock's rate, in logarithms, past which its integral along the step is given up."""


class Step(NamedTuple):
    """The end of a step in the frame of its start, with error estimates; the time error is relative.

    `noisy` is the error with what rounding has left in it.
    """

    theta: Theta
    velocity: Theta
    error: Theta
    noisy: Theta
    log_elapsed: Scalar
    time_error: Scalar


def take_step(flow: Flow, solver: Solver, point: Point, h: Scalar, data: LaneData) -> Step:
    """A step of length h. Where physical time is another clock, its integral rides along as one more coordinate.

    The flow's own account of it counts where it is the better one, as on long steps: time all but passes at their end.
    """
    theta, log_norm, velocity = point[:3]
    args = (log_norm, data)
    if not flow.timed:
        new, error, noisy, slope = solver.step(flow.force, flow.stiffness, flow.columns, h, theta, args)
        return Step(new, slope, error, noisy, jnp.log(h), jnp.zeros(()))
    rate = flow.log_rate(theta, log_norm, data)

    def clocked(y: Theta, log_norm: Scalar, data: LaneData) -> tuple[Forces, Push]:
        growth = jnp.minimum(flow.log_rate(y[:-1], log_norm, data) - rate, LARGEST_RATE_GROWTH)
        g, push = flow.force(y[:-1], log_norm, data)
        return g, lambda g: jnp.append(push(g), jnp.exp(growth))

    def stiffness(y: Theta, log_norm: Scalar, data: LaneData) -> Stiffness:
        stiff = flow.stiffness(y[:-1], log_norm, data)
        bend = stiff.bend
        assert stiff.basis is None, "the clock is not among the parameters that a basis is of"
        return stiff if bend is None else stiff._replace(bend=lambda v, g: bend(v[:-1], g))

    ends = solver.step(clocked, stiffness, flow.columns, h, jnp.append(theta, 0.0), args)
    (new, time), (error, time_error), (noisy, _), (slope, _) = ((end[:-1], end[-1]) for end in ends)
    smooth, smooth_error = flow.log_elapsed(State(theta, log_norm, velocity), State(new, log_norm, slope), data)
    followed = (time > 0) & (flow.log_rate(new, log_norm, data) - rate < LARGEST_RATE_GROWTH)
    time_error = jnp.where(followed, jnp.abs(time_error / time), jnp.inf)
    better = time_error < smooth_error
    log_elapsed = jnp.where(better, rate + jnp.log(time), smooth)
    return Step(new, slope, error, noisy, log_elapsed, jnp.minimum(time_error, smooth_error))
