"""Many runs of one shape through one compiled loop: when a run ends, a waiting one takes its lane."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from kernels.compilation import since
from kernels.integrator.lane import ASLEEP, RUNNING, Lane
from kernels.integrator.loop import Levels, Loop, Start
from kernels.integrator.program import Program
from kernels.x64 import jax

NOBODY = -1
"""Owner of a lane without a run."""
LEVELS = Levels()
"""Of this process's programs."""
LOOK_SECONDS = 1.0
"""What a call of the loop should take at most, so that somebody who waits for an answer gets one."""

SHORTEST = 16
"""So much shorter a call may become."""

Watch = Callable[[int], bool]
"""Told how many runs have ended, whenever the host looks at the lanes; true ends the batch there."""

MAPS, LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


@dataclass(frozen=True)
class End:
    """One ended run; arrays as in `kernels.integrator.lane.Lane`, of this run alone.

    Attributes:
        index: position of the run among the starts.
        jacobian: d f(x_i) / d Theta at the end, shape (n, P); empty where nothing is compared with it.
        orbit: recorded observables, shape (T, o); the last row is the end.
        residual_integral: integral of y - X beta at the same points; None where it was not integrated.
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
    residual_integral: Float[np.ndarray, "T n"] | None = None


def unwatched(ended: int) -> bool:
    """Nobody looks on, and nobody ends the batch."""
    return False


def run_ensemble(program: Program, starts: Sequence[Start], watch: Watch = unwatched) -> Iterator[End]:
    """Integrate every run to its end, in whatever order they end; those that have, where `watch` ends it before."""
    make_room()
    if not starts or watch(0):
        return
    count = min(program.lanes, 8) if len(starts) <= 8 else program.lanes
    size = (program, count)
    queue: Start = jax.tree.map(lambda *values: np.stack(values), *starts)
    waiting = list(range(len(starts)))[::-1]
    owner = np.array([waiting.pop() if waiting else NOBODY for _ in range(count)])
    batch = _take(queue, owner)
    lanes = _asleep(LEVELS.of(size).begin(program, batch), owner)
    done, shorter = 0, 1
    while (owner != NOBODY).any():
        loop, begin = LEVELS.of(size), time.perf_counter()
        lanes = loop.advance(program, lanes, batch, bool(waiting), shorter)
        ended = np.flatnonzero((owner != NOBODY) & (np.asarray(lanes.status) != RUNNING))
        LEVELS.took(size, begin)
        if time.perf_counter() - begin - since(begin) > LOOK_SECONDS:
            shorter = min(2 * shorter, SHORTEST)
        if ended.size:
            yield from _collect(program, loop, lanes, batch, owner, ended)
        done += ended.size
        if watch(done):
            return
        if not ended.size:
            continue
        refilled = bool(waiting)
        owner[ended] = [waiting.pop() if waiting else NOBODY for _ in ended]
        if refilled:
            batch = _take(queue, owner)
            changed = np.isin(np.arange(count), ended)
            lanes = loop.merge(changed, loop.begin(program, batch), lanes)
        lanes = _asleep(lanes, owner)


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
    """The runs of the lanes; a lane without one holds any. On a CPU arrays stay numpy: calls take them as they are."""
    taken: Start = jax.tree.map(lambda values: values[owner], queue)
    return taken if jax.default_backend() == "cpu" else jax.device_put(taken)


def _asleep(lanes: Lane, owner: Int[np.ndarray, " B"]) -> Lane:
    """Lanes without a run sleep."""
    status: Any = np.where(owner == NOBODY, ASLEEP, np.asarray(lanes.status))
    return lanes._replace(status=status)


def _collect(
    program: Program, loop: Loop, lanes: Lane, batch: Start, owner: Int[np.ndarray, " B"], ended: Int[np.ndarray, " e"]
) -> Iterator[End]:
    """What lanes leave; the last point of an orbit is its end, so that recorded runs on curves need no more."""
    host: Any = jax.tree.map(np.asarray, lanes)
    if program.record and program.architecture is None:
        jacobian, final = np.zeros((len(owner), 0, 0)), np.zeros((len(owner), 0))
    else:
        jacobian, final = (np.asarray(value) for value in loop.finish(program, lanes, batch))
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
