"""Many runs of one shape through one compiled loop: when a run ends, a waiting one takes its lane."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from kernels.flows.base import Control, Flow
from kernels.flows.curves import Curves
from kernels.flows.observables import observe
from kernels.flows.parametrisation import Layers, RunData, Theta
from kernels.flows.table import flow_class
from kernels.integrator.lane import ASLEEP, CAPACITY, RUNNING, Lane, attempt, start, thin
from kernels.integrator.solvers import SOLVERS
from kernels.losses import LOSSES
from kernels.networks.base import Architecture
from kernels.x64 import jax

STEPS_PER_CALL = 4096
"""Steps a lane may take before the host looks at it."""
NOBODY = -1
"""Owner of a lane without a run."""
MAPS, LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


@dataclass(frozen=True)
class Program:
    """What one compiled loop is specialised to: everything static of a run.

    Attributes:
        architecture: class of the network whose layers are integrated; None where its coordinates move on curves. Of
            those, `dim` counts the coordinates, and `depth` is the largest that the program has room for.
        columns: of the extrapolation.
    """

    loss: str
    dim: int
    depth: int
    samples: int
    solver: str
    record: bool
    columns: int
    architecture: type[Architecture] | None = None
    width: int | None = None
    filter: int | None = None

    @functools.cached_property
    def flow(self) -> Flow:
        if self.architecture is None:
            return flow_class(self.loss)(Curves(self.dim, self.depth - 1))
        return flow_class(self.loss)(Layers(self.architecture(self.dim, self.depth, self.width, self.filter)))

    @property
    def lanes(self) -> int:
        """On a CPU as many as amortise what a step costs besides arithmetic: 64 at 4 x 10, a single one at 30 x 60."""
        if jax.default_backend() != "cpu":
            most, budget = 4096, 1 << 23
        else:
            most, budget = 64, 2560
        work = self.flow.parametrisation.parameters * self.samples
        return max(1, min(most, 2 ** int(np.log2(max(1, budget / work)))))


class Start(NamedTuple):
    """One waiting run: Theta(0), its data, its stop rule; numpy until it is given a lane."""

    theta: Theta
    data: RunData
    control: Control


@dataclass(frozen=True)
class End:
    """One ended run; arrays as in `kernels.integrator.lane.Lane`, of this run alone.

    Attributes:
        index: position of the run among the starts.
        jacobian: d f(x_i) / d Theta at the end, shape (n, P); empty where nothing is compared with it.
        orbit: recorded observables, shape (T, o); the last row is the end.
    """

    index: int
    theta: Float[np.ndarray, " P"]
    log_norm: float
    status: int
    steps: int
    rejected: int
    jacobian: Float[np.ndarray, "_ _"]
    final: Float[np.ndarray, " o"]
    orbit: Float[np.ndarray, "T o"]


def run_ensemble(program: Program, starts: Sequence[Start]) -> Iterator[End]:
    """Integrate every run to its end, in whatever order they end."""
    make_room()
    if not starts:
        return
    count = min(program.lanes, 8) if len(starts) <= 8 else program.lanes
    queue: Start = jax.tree.map(lambda *values: np.stack(values), *starts)
    waiting = list(range(len(starts)))[::-1]
    owner = np.array([waiting.pop() if waiting else NOBODY for _ in range(count)])
    batch = _take(queue, owner)
    lanes = _begin(program, batch)
    batch, lanes = _merge(owner == NOBODY, owner != NOBODY, (batch, lanes), (batch, lanes))
    while (owner != NOBODY).any():
        lanes = _advance(program, lanes, batch, bool(waiting))
        ended = np.flatnonzero((owner != NOBODY) & (np.asarray(lanes.status) != RUNNING))
        if not ended.size:
            continue
        yield from _collect(program, lanes, batch, owner, ended)
        owner[ended] = [waiting.pop() if waiting else NOBODY for _ in ended]
        changed = np.isin(np.arange(count), ended)
        filled = _take(queue, owner)
        batch, lanes = _merge(owner == NOBODY, changed, (filled, _begin(program, filled)), (batch, lanes))


def make_room(share: float = 0.5) -> None:
    """Forget every compiled program if the process has used that share of the maps it may have.

    A program takes several hundred of them; a process that integrates a hundred shapes would end in a segmentation
    fault. Elsewhere than on Linux there is no such bound.
    """
    if not (MAPS.exists() and LIMIT.exists()):
        return
    with MAPS.open("rb") as maps:
        used = sum(1 for _ in maps)
    if used > share * int(LIMIT.read_text()):
        jax.clear_caches()  # type: ignore[no-untyped-call]


def _take(queue: Start, owner: Int[np.ndarray, " B"]) -> Start:
    """The runs of the lanes; a lane without one holds any."""
    taken: Start = jax.tree.map(lambda values: values[owner], queue)
    return taken


@functools.partial(jax.jit, static_argnums=0)
def _begin(program: Program, batch: Start) -> Lane:
    capacity = CAPACITY if program.record else 0
    return jax.vmap(lambda run: start(program.flow, run.theta, run.data, run.control, capacity))(batch)


@jax.jit
def _merge(
    asleep: Bool[Array, " B"], changed: Bool[Array, " B"], new: tuple[Start, Lane], old: tuple[Start, Lane]
) -> tuple[Start, Lane]:
    """New runs in the lanes that changed; those without a run sleep."""

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(changed.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    batch, lanes = jax.tree.map(pick, new, old)
    return batch, lanes._replace(status=jnp.where(asleep, ASLEEP, lanes.status))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _advance(program: Program, lanes: Lane, batch: Start, refill: Bool[Array, ""]) -> Lane:
    """Step every running lane until an eighth of the lanes have ended (all of them, if no run is waiting)."""
    flow = program.flow
    solver = SOLVERS[program.solver]
    alive = jnp.sum(lanes.status == RUNNING)
    enough = jnp.where(refill, alive - 1 - lanes.status.shape[0] // 8, 0)

    def unfinished(state: tuple[Int[Array, ""], Lane]) -> Bool[Array, ""]:
        count, lanes = state
        return (jnp.sum(lanes.status == RUNNING) > jnp.maximum(enough, 0)) & (count < STEPS_PER_CALL)

    def step(state: tuple[Int[Array, ""], Lane]) -> tuple[Int[Array, ""], Lane]:
        count, lanes = state
        moved = jax.vmap(lambda lane, run: attempt(flow, solver, program.columns, lane, run.data, run.control))(
            lanes, batch
        )
        running = lanes.status == RUNNING
        lanes = jax.tree.map(lambda a, b: jnp.where(running.reshape(-1, *(1,) * (a.ndim - 1)), a, b), moved, lanes)
        if program.record:
            full = running & (lanes.recorded >= CAPACITY) & (lanes.status == RUNNING)
            lanes = jax.lax.cond(jnp.any(full), lambda: jax.vmap(thin)(lanes, full), lambda: lanes)
        return count + 1, lanes

    return jax.lax.while_loop(unfinished, step, (jnp.zeros((), int), lanes))[1]


@functools.partial(jax.jit, static_argnums=0)
def _finish(program: Program, lanes: Lane, batch: Start) -> tuple[Array, Array]:
    """Jacobian (of layers, where limits in time are compared with it) and observables of every lane."""
    flow = program.flow
    layers = flow.parametrisation

    def finish(lane: Lane, run: Start) -> tuple[Array, Array]:
        jacobian = jnp.zeros((0, 0))
        if isinstance(layers, Layers) and LOSSES[program.loss].tail is not None:
            jacobian = layers.jacobian(lane.point.theta, run.data)
        return jacobian, observe(flow, lane.point, run.data)

    return jax.vmap(finish)(lanes, batch)


def _collect(
    program: Program, lanes: Lane, batch: Start, owner: Int[np.ndarray, " B"], ended: Int[np.ndarray, " e"]
) -> Iterator[End]:
    jacobian, final = (np.asarray(value) for value in _finish(program, lanes, batch))
    host: Any = jax.tree.map(np.asarray, lanes)
    for lane in ended:
        orbit = host.orbit[lane, : host.recorded[lane]].copy()
        yield End(
            index=int(owner[lane]),
            theta=host.point.theta[lane].copy(),
            log_norm=float(host.point.log_norm[lane]),
            status=int(host.status[lane]),
            steps=int(host.point.steps[lane]),
            rejected=int(host.rejected[lane]),
            jacobian=jacobian[lane].copy(),
            final=orbit[-1].copy() if len(orbit) else final[lane].copy(),
            orbit=orbit,
        )
