"""One step of the flow, physical time riding along."""

from typing import NamedTuple

import jax.numpy as jnp

from kernels.extrapolation import Push, Stiffness
from kernels.flow import Flow, Forces, LaneData, Scalar, State, Theta
from kernels.observables import Point
from kernels.solvers import Solver

LARGEST_TIMED_GROWTH = 2.0
"""Growth of -log Loss in a step up to which time is integrated with the step; past it by its own clock, unchecked."""


class Step(NamedTuple):
    """The end of a step in the frame of its start, with error estimates; the time error is relative."""

    theta: Theta
    velocity: Theta
    error: Theta
    log_elapsed: Scalar
    time_error: Scalar


def take_step(flow: Flow, solver: Solver, point: Point, h: Scalar, data: LaneData) -> Step:
    """A step of length h. Where physical time is another clock, its integral rides along as one more coordinate."""
    theta, log_norm, velocity = point[:3]
    args = (log_norm, data)
    if not flow.timed:
        new, error, slope = solver.step(flow.force, flow.stiffness, h, theta, velocity, args)
        return Step(new, slope, error, jnp.log(h), jnp.zeros(()))
    rate = flow.log_rate(theta, log_norm, data)

    def clocked(y: Theta, log_norm: Scalar, data: LaneData) -> tuple[Forces, Push]:
        growth = jnp.minimum(flow.log_rate(y[:-1], log_norm, data) - rate, 2 * LARGEST_TIMED_GROWTH)
        g, push = flow.force(y[:-1], log_norm, data)
        return g, lambda g: jnp.append(push(g), jnp.exp(growth))

    def stiffness(y: Theta, log_norm: Scalar, data: LaneData) -> Stiffness:
        stiff = flow.stiffness(y[:-1], log_norm, data)
        bend = stiff.bend
        return stiff if bend is None else stiff._replace(bend=lambda v, g: bend(v[:-1], g))

    ends = solver.step(clocked, stiffness, h, jnp.append(theta, 0.0), jnp.append(velocity, 1.0), args)
    (new, time), (error, time_error), (slope, _) = ((end[:-1], end[-1]) for end in ends)
    smooth, growth = flow.log_elapsed(State(theta, log_norm, velocity), State(new, log_norm, slope), data)
    small = growth < LARGEST_TIMED_GROWTH
    log_elapsed = jnp.where(small, rate + jnp.log(time), smooth)
    return Step(new, slope, error, log_elapsed, jnp.where(small, jnp.abs(time_error / time), 0.0))
