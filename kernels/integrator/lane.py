"""One run under way: its state, one attempted step, and the orbit recorded so far."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from kernels.flows.base import Control, Flow, State
from kernels.flows.curves import Curves
from kernels.flows.observables import Point, observe
from kernels.flows.parametrisation import Forces, Push, RunData, Scalar, Theta, times
from kernels.flows.stiffness import Stiffness
from kernels.flows.turned_samples import Turned, not_turned
from kernels.integrator.solvers import Solver
from kernels.observables import OBSERVABLES
from kernels.x64 import jax

RUNNING, CONVERGED, OUT_OF_STEPS, NOT_FINITE, STEP_VANISHED, AT_REST, NOTHING_TO_DO, AT_ROUNDING = range(8)
ASLEEP = -1
"""Status of a lane without a run."""
CAPACITY = 128
"""Points an orbit may have before some are dropped: it ends with 64 to 128, spread evenly over its length."""
STEP_LENGTH = 0.01
"""What every step adds to an orbit's length; a hundred steps add as much as a change of beta by its own norm."""
PROGRESS_PER_STEP = 1 / 66
"""A recorded run may cover at most this share of its way in a step, so that it takes more than 64 of them."""
TIME_TOLERANCE = 100.0
"""Relative error allowed in physical time, as a multiple of rtol: only log_time and what follows from it have it."""
ROUNDING = 1e-13
"""Least relative error of a step that can be told from rounding."""
LARGEST_GROWTH, GROWTH_IN_NOISE, SMALLEST_GROWTH, LEAST_LANDING, SAFETY = 6.0, 1.5, 0.1, 1e-3, 0.85
LOG_TIME = list(OBSERVABLES).index("log_time")
SMALLEST = 1e-300
"""Keeps 0 / 0, the relative error of a parameter that rests at zero, from being NaN."""
ROUNDING_OF_LOSS = 1e-12
"""Relative fall of -log Loss over a step that may be rounding. After a larger fall the step was wrong, whatever its
error estimate says: where one sample's force takes over from another's, all columns may miss it alike."""

LARGEST_RATE_GROWTH = 4.0
"""Growth of log dt/ds within a step past which dt/ds is not integrated along the step (`take_step`)."""


class Step(NamedTuple):
    """The end of a step in the frame of its start, with error estimates.

    Attributes:
        theta, velocity: the end of the step.
        error: estimated error of theta, without what rounding must leave in it.
        noisy: the same with what rounding leaves in it.
        log_elapsed: log of the physical time that passed.
        time_error: estimated relative error of that time.
        integral: integral of the forces over the step, one a sample; empty where it is not recorded.
        rose: whether the loss did, which it never does on the flow.
    """

    theta: Theta
    velocity: Theta
    error: Theta
    noisy: Theta
    log_elapsed: Scalar
    time_error: Scalar
    integral: Forces
    rose: Bool[Array, ""]


class Lane(NamedTuple):
    """State of one run; in an ensemble every field has a leading axis of lanes.

    Attributes:
        point: where the run is.
        h, last_h: length of the next step and of the last accepted one (0 before there was one), on the flow's clock.
        last_error: error of the last accepted step, as a multiple of what is tolerated.
        floor: size of each entry of theta below which its errors are absolute.
        rejected: number of rejected steps.
        status: RUNNING, what ended the run, or ASLEEP.
        progress: of the way to the stop rule, 1 where it is met.
        orbit: the recorded rows, the first `recorded` of which are in use.
        seen: the row of the last accepted step, recorded or not.
        length: length of the orbit so far (`_length`).
        lengths: length of the orbit at each recorded row.
        spacing: one row is recorded on every piece of this length.
        turned: samples as the last step turned them; None for layers.
    """

    point: Point
    h: Scalar
    last_h: Scalar
    last_error: Scalar
    floor: Theta
    rejected: Int[Array, ""]
    status: Int[Array, ""]
    progress: Scalar
    orbit: Float[Array, "capacity o"]
    recorded: Int[Array, ""]
    seen: Float[Array, " o"]
    length: Scalar
    lengths: Float[Array, " capacity"]
    spacing: Scalar
    turned: Turned | None


def start(flow: Flow, theta: Theta, data: RunData, control: Control, capacity: int) -> Lane:
    """A run at t = 0. Its first step would move the parameters by 10 % of their norm; the error control may shorten it.

    Args:
        theta: Theta(0) as the parametrisation holds it.
        capacity: rows of the recorded orbit; 0 to record none.
    """
    theta, log_norm, floor = flow.start(theta, data)
    whole, data = data, flow.parametrisation.in_frame(data, log_norm)
    velocity = flow.velocity(theta, log_norm, data)
    summed = flow.sums_forces and capacity > 0 and isinstance(flow.parametrisation, Curves)
    integral = jnp.zeros(data.y.shape if summed else 0)
    point = Point(theta, log_norm, velocity, jnp.full((), -jnp.inf), jnp.zeros((), int), integral)
    speed = jnp.linalg.norm(velocity)
    progress = flow.progress(theta, log_norm, data, control)
    status = jnp.select([progress >= 1, speed == 0], [NOTHING_TO_DO, AT_REST], RUNNING)
    first = observe(flow, point, whole)
    orbit = jnp.zeros((capacity, first.size)).at[:1].set(first)
    return Lane(
        point=point,
        h=0.1 * jnp.maximum(jnp.linalg.norm(floor), jnp.linalg.norm(theta)) / jnp.where(speed == 0, 1, speed),
        last_h=jnp.zeros(()),
        last_error=jnp.ones(()),
        floor=floor,
        rejected=jnp.zeros((), int),
        status=status,
        progress=progress,
        orbit=orbit,
        recorded=jnp.full((), min(capacity, 1)),
        seen=first[: first.size - integral.size] if capacity else jnp.zeros(0),
        length=jnp.zeros(()),
        lengths=jnp.zeros(capacity),
        spacing=jnp.full((), STEP_LENGTH / 2),
        turned=not_turned(data.x) if isinstance(flow.parametrisation, Curves) else None,
    )


def attempt(flow: Flow, solver: Solver, columns: int, lane: Lane, data: RunData, control: Control) -> Lane:
    """Try one step; take it if its error is within tolerance; choose the next step size either way."""
    _, log_norm, _, log_time, steps, integral = lane.point
    whole, data = data, flow.parametrisation.in_frame(data, log_norm)
    data = data._replace(turned=flow.turned(lane.point.theta, data, lane.turned, lane.status == RUNNING))
    step = take_step(flow, solver, columns, lane.point, lane.h, data)
    error, noisy = (_error(flow, lane, step, error, data, control) for error in (step.error, step.noisy))
    # an estimate that is all rounding says little of the error, so that steps grow by GROWTH_IN_NOISE at most on it
    hidden = (SAFETY / GROWTH_IN_NOISE) ** solver.order(columns)
    error = jnp.where(error <= 1, jnp.maximum(error, jnp.minimum(noisy, hidden)), error)
    error = jnp.where(step.rose & (error <= 1), 2.0 ** solver.order(columns), error)  # to be tried with half the length
    progress = flow.progress(step.theta, log_norm, data, control)
    gain = _gain(flow, lane, progress, control)
    too_far = jnp.isfinite(progress) & (progress > 1 + flow.overshoot)
    accept = (error <= 1) & (gain <= PROGRESS_PER_STEP) & ~too_far
    growth = SAFETY * jnp.minimum(
        _growth(lane, error, solver.order(columns)), PROGRESS_PER_STEP / jnp.maximum(gain, 1e-30)
    )
    landing = jnp.where(
        too_far, jnp.maximum(flow.landing(lane.progress, progress, data, control), LEAST_LANDING), jnp.inf
    )
    h = lane.h * jnp.minimum(jnp.clip(growth, SMALLEST_GROWTH, LARGEST_GROWTH), landing)

    # h is not converted to the clock of the new frame: so the next step is as long as this one relative to theta
    new, new_norm, slope = flow.renormalise(step.theta, log_norm, step.velocity, data)
    moved = Point(new, new_norm, slope, jnp.logaddexp(log_time, step.log_elapsed), steps + 1, integral + step.integral)
    point = jax.tree.map(lambda a, b: jnp.where(accept, a, b), moved, lane.point)
    came = progress - lane.progress
    lane = lane._replace(
        point=point,
        h=h,
        last_h=jnp.where(accept, lane.h, lane.last_h),
        last_error=jnp.where(accept, jnp.maximum(error, 1e-30), lane.last_error),
        rejected=lane.rejected + (~accept).astype(int),
        turned=data.turned,
        progress=jnp.where(accept, progress, lane.progress),
    )
    lost = accept & flow.at_rounding(step.theta, data)
    lane = lane._replace(status=_status(lane, control, error > 1, lost))
    return _record(flow, lane, whole, accept, came) if lane.orbit.shape[0] else lane


def take_step(flow: Flow, solver: Solver, columns: int, point: Point, h: Scalar, data: RunData) -> Step:
    """Advance by a step of length h, and say how much physical time passed.

    Regression runs in physical time: elapsed = h. Where forces are summed, their integral is integrated beside theta
    (`_summed_step`). Classification runs in a clock s, so that t is integrated as one more coordinate,
    dt/ds = exp(log_rate). On long steps that is inaccurate, because nearly all of t passes at their end;
    `flow.log_elapsed` then finds t by quadrature in -log Loss. The time with the smaller error estimate is returned.
    """
    theta, log_norm, velocity = point[:3]
    args, empty = (log_norm, data), jnp.zeros(0)
    if point.integral.size:
        return _summed_step(flow, solver, columns, point, h, data)
    if not flow.timed:
        new, error, noisy, slope = solver.step(flow.force, flow.stiffness, columns, h, theta, args)
        return Step(new, slope, error, noisy, jnp.log(h), jnp.zeros(()), empty, jnp.array(False))
    rate = flow.log_rate(theta, log_norm, data)

    def clocked(y: Theta, log_norm: Scalar, data: RunData) -> tuple[Forces, Push]:
        growth = jnp.minimum(flow.log_rate(y[:-1], log_norm, data) - rate, LARGEST_RATE_GROWTH)
        g, push = flow.force(y[:-1], log_norm, data)
        return g, lambda g: jnp.append(push(g), jnp.exp(growth))

    def stiffness(y: Theta, log_norm: Scalar, data: RunData) -> Stiffness:
        stiff = flow.stiffness(y[:-1], log_norm, data)
        if stiff.bend is not None:
            bend = stiff.bend
            stiff.bend = lambda v, g: bend(v[:-1], g)
        return stiff

    ends = solver.step(clocked, stiffness, columns, h, jnp.append(theta, 0.0), args)
    (new, time), (error, time_error), (noisy, _), (slope, _) = ((end[:-1], end[-1]) for end in ends)
    smooth, smooth_error = flow.log_elapsed(State(theta, log_norm, velocity), State(new, log_norm, slope), data)
    grown = flow.log_rate(new, log_norm, data) - rate  # of -log Loss, too
    followed = (time > 0) & (grown < LARGEST_RATE_GROWTH)
    time_error = jnp.where(followed, jnp.abs(time_error / time), jnp.inf)
    better = time_error < smooth_error
    log_elapsed = jnp.where(better, rate + jnp.log(time), smooth)
    rose = grown < -ROUNDING_OF_LOSS * jnp.abs(rate)
    return Step(new, slope, error, noisy, log_elapsed, jnp.minimum(time_error, smooth_error), empty, rose)


def _summed_step(flow: Flow, solver: Solver, columns: int, point: Point, h: Scalar, data: RunData) -> Step:
    """A step with the integral of the forces, one number a sample, as further coordinates beside theta.

    It is damped as theta is. Forces of turned samples are turned back first (`RunData.turn`). Its error does not decide
    whether the step is taken.
    """
    size = point.theta.size
    zeros = jnp.zeros_like(point.integral)

    def force(y: Theta, log_norm: Scalar, data: RunData) -> tuple[Forces, Push]:
        g, push = flow.force(y[:size], log_norm, data)
        return g, lambda g: jnp.concatenate([push(g), times(data.turn, g)])

    def stiffness(y: Theta, log_norm: Scalar, data: RunData) -> Stiffness:
        stiff = flow.stiffness(y[:size], log_norm, data)
        if stiff.noise is not None:
            noise = stiff.noise
            stiff.noise = lambda length, entry: jnp.concatenate([noise(length, entry), zeros])
        return stiff

    start = jnp.concatenate([point.theta, zeros])
    ends = solver.step(force, stiffness, columns, h, start, (point.log_norm, data))
    new, error, noisy, slope = (end[:size] for end in ends)
    return Step(new, slope, error, noisy, jnp.log(h), jnp.zeros(()), ends[0][size:], jnp.array(False))


def thin(lane: Lane, full: Bool[Array, ""]) -> Lane:
    """Drop points of a full orbit: its length is cut into pieces of `spacing`, and each piece keeps its first point.

    The spacing is doubled until a point goes. A piece of the doubled spacing holds at most two points, so that half of
    them stay.
    """

    def firsts(spacing: Scalar) -> Bool[Array, " capacity"]:
        pieces = jnp.floor(lane.lengths / spacing)
        return jnp.concatenate([jnp.ones(1, bool), pieces[1:] > pieces[:-1]])

    spacing = jax.lax.while_loop(
        lambda spacing: full & jnp.all(firsts(spacing)), lambda spacing: 2 * spacing, 2 * lane.spacing
    )
    kept = firsts(spacing)
    order = jnp.argsort(~kept, stable=True)
    return lane._replace(
        orbit=jnp.where(full, lane.orbit[order], lane.orbit),
        recorded=jnp.where(full, jnp.sum(kept), lane.recorded),
        lengths=jnp.where(full, lane.lengths[order], lane.lengths),
        spacing=jnp.where(full, spacing, lane.spacing),
    )


def _gain(flow: Flow, lane: Lane, progress: Scalar, control: Control) -> Scalar:
    """Progress that a step makes within `flow.evenly`; 0 if the orbit is not recorded."""
    if not lane.orbit.shape[0]:
        return jnp.zeros(())
    begin, end = flow.evenly(control)
    gain = jnp.clip(progress, begin, end) - jnp.clip(lane.progress, begin, end)
    # a trial step that overflows is too long, nothing worse
    return jnp.where(jnp.isfinite(progress), gain, jnp.inf)


def _growth(lane: Lane, error: Scalar, order: int) -> Scalar:
    """Factor by which the step size may change to meet the tolerance, if the error constant grows on as it last did.

    This is Gustafsson's predictive controller (Hairer and Wanner II, section IV.8), used only where it shrinks steps
    more: so they shrink in time where the flow accelerates. It is not used to lengthen them, because the errors of
    steps so lengthened end above the tolerance.
    """
    exponent = 1 / order
    elementary = jnp.maximum(error, 1e-30) ** -exponent
    trend = (lane.h / jnp.where(lane.last_h > 0, lane.last_h, lane.h)) * (
        lane.last_error / jnp.maximum(error, 1e-30)
    ) ** exponent
    return jnp.where((lane.last_h > 0) & (error <= 1), elementary * jnp.minimum(trend, 1), elementary)


def _error(flow: Flow, lane: Lane, step: Step, error: Theta, data: RunData, control: Control) -> Scalar:
    """Largest of the errors of parameters, outputs and time, each as a multiple of what is tolerated; inf if NaN."""
    rtol = jnp.maximum(flow.step_share * control.rtol, ROUNDING)
    sizes = jnp.maximum(jnp.abs(lane.point.theta), jnp.abs(step.theta)) + jnp.maximum(lane.floor, SMALLEST)
    parameters = jnp.max(jnp.abs(error) / (rtol * sizes))
    outputs = flow.output_error(error, step.theta, lane.point.log_norm, data, rtol)
    largest = jnp.maximum(jnp.maximum(parameters, outputs), step.time_error / (TIME_TOLERANCE * rtol))
    return jnp.where(jnp.isfinite(largest), largest, jnp.inf)


def _status(lane: Lane, control: Control, failed: Bool[Array, ""], lost: Bool[Array, ""]) -> Int[Array, ""]:
    point = lane.point
    step = lane.h * jnp.linalg.norm(point.velocity)
    return jnp.select(
        [
            lane.progress >= 1,
            lost,
            ~jnp.isfinite(step),
            failed & (step <= 1e-15 * jnp.linalg.norm(point.theta)),
            (point.steps + lane.rejected).astype(float) >= control.max_steps,
        ],
        [CONVERGED, AT_ROUNDING, NOT_FINITE, STEP_VANISHED, OUT_OF_STEPS],
        RUNNING,
    )


def _record(flow: Flow, lane: Lane, data: RunData, accept: Bool[Array, ""], came: Scalar) -> Lane:
    """Write the first point on every piece of the orbit's length, and the end of the run."""
    row = observe(flow, lane.point, data)
    path = row[: row.size - lane.point.integral.size]
    length = lane.length + jnp.where(accept, _length(lane.seen, path, came, flow.least_norm(data)), 0.0)
    slot, last = jnp.minimum(lane.recorded, lane.orbit.shape[0] - 1), lane.lengths[lane.recorded - 1]
    begins = jnp.floor(length / lane.spacing) > jnp.floor(last / lane.spacing)
    due = (accept & begins) | ((lane.status != RUNNING) & (length > last))
    return lane._replace(
        orbit=lane.orbit.at[slot].set(jnp.where(due, row, lane.orbit[slot])),
        recorded=lane.recorded + due.astype(int),
        seen=path,
        length=length,
        lengths=lane.lengths.at[slot].set(jnp.where(due, length, lane.lengths[slot])),
    )


def _length(before: Float[Array, " o"], after: Float[Array, " o"], came: Scalar, least: Scalar) -> Scalar:
    """Length of a step: progress + ||change of beta|| / ||beta|| + change of log t, each at most 1, plus STEP_LENGTH.

    So both plateaus, which take time only, and jumps, which take none, have their points. ||beta|| counts as at least
    `least`, the least norm to which the flow can tend, because growth from tiny coefficients is not worth points.
    """
    beta, moved = before[len(OBSERVABLES) :], after[len(OBSERVABLES) :]
    size = jnp.maximum(jnp.maximum(jnp.linalg.norm(beta), jnp.linalg.norm(moved)), jnp.maximum(least, SMALLEST))
    changes = jnp.stack([came, jnp.linalg.norm(moved - beta) / size, after[LOG_TIME] - before[LOG_TIME]])
    return STEP_LENGTH + jnp.sum(jnp.where(changes > 0, jnp.minimum(changes, 1.0), 0.0))
