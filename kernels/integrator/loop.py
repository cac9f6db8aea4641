"""The compiled functions of an ensemble, at two levels: compiled in little time, or compiled for fast steps."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from kernels.flows.base import Control
from kernels.flows.observables import observe
from kernels.flows.parametrisation import Layers, RunData, Theta
from kernels.integrator.lane import CAPACITY, RUNNING, Lane, attempt, start, thin
from kernels.integrator.program import Program
from kernels.integrator.solvers import SOLVERS
from kernels.losses import LOSSES
from kernels.x64 import jax

STEPS_PER_CALL = 4096
"""Steps that lanes side by side may take each, and lanes in turn all together, before the host looks at them."""

QUICK_STEPS_PER_CALL = 256
"""The same at the quick level: between calls the host asks whether compiling well would pay by now."""

OPTIMISATION = 1.5
"""Seconds that it costs more to compile a program well than quickly, on one core of today's machines."""

QUICKLY: dict[str, Any] = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""XLA's options for a CPU: much less of the compiler's time, for slower steps."""


ORDERED: dict[str, Any] = {"xla_cpu_enable_concurrency_optimized_scheduler": False}
"""The option that `kernels/x64.py` sets, for processes that had used JAX before that module was imported."""


class Start(NamedTuple):
    """One waiting run: Theta(0), its data, its stop rule; numpy until it is given a lane."""

    theta: Theta
    data: RunData
    control: Control


class Loop:
    """The functions of one level.

    Args:
        options: for XLA.
        steps: a lane may take in one call of `advance`.
    """

    def __init__(self, options: dict[str, Any] | None, steps: int):
        def compiled(function: Callable[..., Any], **more: Any) -> Any:
            return jax.jit(function, compiler_options=options, **more)

        self.steps = steps
        self.begin = compiled(_begin, static_argnums=0)
        self.merge = compiled(_merge)
        self.finish = compiled(_finish, static_argnums=0)
        self._advance = compiled(_advance, static_argnums=0, donate_argnums=1)

    def advance(self, program: Program, lanes: Lane, batch: Start, refill: bool, shorter: int = 1) -> Lane:
        """Step the running lanes, at most `steps` / `shorter` steps.

        Lanes side by side stop when an eighth of them have ended and a run is waiting (`refill`); lanes in turn go on.
        """
        moved: Lane = self._advance(program, lanes, batch, refill, max(1, self.steps // shorter))
        return moved

    @property
    def programs(self) -> int:
        """How many programs it has compiled."""
        return int(self._advance._cache_size())


@functools.cache
def well() -> Loop:
    """The loop compiled well: more of the compiler's time, faster steps."""
    return Loop(ORDERED if _taken(ORDERED) else None, STEPS_PER_CALL)


@functools.cache
def quick() -> Loop | None:
    """The loop compiled quickly; None on a GPU, or where the compiler lacks the options for it."""
    options = QUICKLY | (ORDERED if _taken(ORDERED) else {})
    return Loop(options, QUICK_STEPS_PER_CALL) if _taken(options) else None


def _taken(options: dict[str, Any]) -> bool:
    """Whether the compiler takes these options: they are for CPUs, and a release of XLA may lack one."""
    if jax.default_backend() != "cpu":
        return False
    try:
        jax.jit(lambda x: x, compiler_options=options)(0.0)
    except jax.errors.JaxRuntimeError:
        return False
    return True


def compiled_loops() -> int:
    """How many programs this process has compiled, at either level."""
    return sum(loop.programs for loop in (quick(), well()) if loop is not None)


class Levels:
    """The level of each pair (program, number of lanes): quick until its steps have cost what compiling well would.

    So the time spent is at most about twice the least possible, however much there is to do, and no estimate of the
    work is needed.
    """

    def __init__(self) -> None:
        self._spent: dict[tuple[Program, int], float] = {}

    def of(self, size: tuple[Program, int]) -> Loop:
        """The level that the next call is to use."""
        first = quick()
        return well() if first is None or self._spent.get(size, 0.0) > OPTIMISATION else first

    def took(self, size: tuple[Program, int], begin: float) -> None:
        """Count the seconds since `begin` as steps of this pair; its first call does not count, because it compiles."""
        known = size in self._spent
        self._spent[size] = self._spent.get(size, 0.0) + (time.perf_counter() - begin if known else 0.0)


def _begin(program: Program, batch: Start) -> Lane:
    capacity = CAPACITY if program.record else 0
    lanes = jax.vmap(lambda run: start(program.flow, run.theta, run.data, run.control, capacity))(batch)
    # the types that arrays have after a step, so that the loop is not compiled a second time for weak types
    strong: Lane = jax.tree.map(lambda values: values.astype(values.dtype), lanes)
    return strong


def _merge(changed: Bool[Array, " B"], new: Lane, old: Lane) -> Lane:
    """The lanes, with new runs in those that changed."""
    lanes: Lane = jax.tree.map(lambda a, b: _where(changed, a, b), new, old)
    return lanes


def _advance(program: Program, lanes: Lane, batch: Start, refill: Bool[Array, ""], most: Int[Array, ""]) -> Lane:
    return (
        _together(program, lanes, batch, refill, most) if program.vectorised else _in_turn(program, lanes, batch, most)
    )


def _together(program: Program, lanes: Lane, batch: Start, refill: Bool[Array, ""], most: Int[Array, ""]) -> Lane:
    """All lanes side by side, at most `most` steps each; where `refill`, until an eighth of them have ended."""
    alive = jnp.sum(lanes.status == RUNNING)
    enough = jnp.where(refill, alive - 1 - lanes.status.shape[0] // 8, 0)

    def unfinished(state: tuple[Int[Array, ""], Lane]) -> Bool[Array, ""]:
        count, lanes = state
        return (jnp.sum(lanes.status == RUNNING) > jnp.maximum(enough, 0)) & (count < most)

    def step(state: tuple[Int[Array, ""], Lane]) -> tuple[Int[Array, ""], Lane]:
        count, lanes = state
        moved = jax.vmap(lambda lane, run: _attempted(program, lane, run))(lanes, batch)
        running = lanes.status == RUNNING
        lanes = jax.tree.map(lambda a, b: _where(running, a, b), moved, lanes)
        if program.record:
            full = running & (lanes.recorded >= CAPACITY) & (lanes.status == RUNNING)
            lanes = jax.lax.cond(jnp.any(full), lambda: jax.vmap(thin)(lanes, full), lambda: lanes)
        return count + 1, lanes

    return jax.lax.while_loop(unfinished, step, (jnp.zeros((), int), lanes))[1]


def _in_turn(program: Program, lanes: Lane, batch: Start, most: Int[Array, ""]) -> Lane:
    """One lane after another to its end, at most `most` steps in all: without an axis of lanes products are faster."""

    def advanced(left: Int[Array, ""], one: tuple[Lane, Start]) -> tuple[Int[Array, ""], Lane]:
        def unfinished(state: tuple[Int[Array, ""], Lane]) -> Bool[Array, ""]:
            return (state[1].status == RUNNING) & (state[0] > 0)

        def step(state: tuple[Int[Array, ""], Lane]) -> tuple[Int[Array, ""], Lane]:
            lane = _attempted(program, state[1], one[1])
            if program.record:
                full = (lane.recorded >= CAPACITY) & (lane.status == RUNNING)
                lane = jax.lax.cond(full, lambda: thin(lane, full), lambda: lane)
            return state[0] - 1, lane

        return jax.lax.while_loop(unfinished, step, (left, one[0]))

    return jax.lax.scan(advanced, most, (lanes, batch))[1]


def _attempted(program: Program, lane: Lane, run: Start) -> Lane:
    return attempt(program.flow, SOLVERS[program.solver], program.columns, lane, run.data, run.control)


def _finish(program: Program, lanes: Lane, batch: Start) -> tuple[Float[Array, "B n P"], Float[Array, "B o"]]:
    """Jacobian d f(x_i) / d theta and observables of every lane.

    The Jacobian is empty on curves, and for losses whose predictions do not need it.
    """
    flow = program.flow
    layers = flow.parametrisation

    def finish(lane: Lane, run: Start) -> tuple[Array, Array]:
        jacobian = jnp.zeros((0, 0))
        if isinstance(layers, Layers) and LOSSES[program.loss].tail is not None:
            jacobian = layers.jacobian(lane.point.theta, run.data)
        return jacobian, observe(flow, lane.point, run.data)

    return jax.vmap(finish)(lanes, batch)


def _where(lanes: Bool[Array, " B"], a: Array, b: Array) -> Array:
    return jnp.where(lanes.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
