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
"""The levels of all programs of this process."""
LOOK_SECONDS = 1.0
"""Seconds that a call of the loop should take at most, because the watch is asked between calls only."""

SHORTEST = 16
"""A call takes at least 1 / SHORTEST of its usual steps, however slow they are."""

Watch = Callable[[int], bool]
"""Told how many runs have ended, whenever the host looks at the lanes; true ends the batch there."""

MAPS, LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


@dataclass(frozen=True)
class End:
    """One ended run; arrays as in `kernels.integrator.lane.Lane`, of this run alone.

    Attributes:
        index: position of the run among the starts.
        theta: parameters at the end over e^{log_norm}, shape (P,).
        status: one of the codes of kernels/integrator/lane.py.
        jacobian: d f(x_i) / d theta at the end, shape (n, P); empty where no prediction needs it.
        final: the last row of the orbit, recorded or not: observables, then coefficients, shape (o,).
        orbit: rows of observables and coefficients at the recorded points, shape (T, o); the last row is the end.
        residual_integral: integral of y - X beta from 0 to each recorded point; None where it was not integrated.
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
    """The watch that never ends a batch."""
    return False


def run_ensemble(program: Program, starts: Sequence[Start], watch: Watch = unwatched) -> Iterator[End]:
    """Integrate every run, and yield each end as it comes. Where `watch` ends the batch, the rest is not yielded.

    Lanes without a run sleep; up to 8 runs take at most 8 lanes.
    """
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
    """Forget every compiled program if the process holds more than this share of the memory maps that Linux allows it.

    A program takes several hundred maps. A process that compiled a hundred programs would exceed vm.max_map_count and
    end in a segmentation fault. Other systems have no such bound.
    """
    if not (MAPS.exists() and LIMIT.exists()):
        return
    with MAPS.open("rb") as maps:
        used = sum(1 for _ in maps)
    if used > share * int(LIMIT.read_text()):
        jax.clear_caches()  # type: ignore[no-untyped-call]


def _take(queue: Start, owner: Int[np.ndarray, " B"]) -> Start:
    """The starts of the runs that own the lanes; a lane without a run gets any, and sleeps.

    On a CPU the arrays stay numpy, because compiled calls take them without a copy.
    """
    taken: Start = jax.tree.map(lambda values: values[owner], queue)
    return taken if jax.default_backend() == "cpu" else jax.device_put(taken)


def _asleep(lanes: Lane, owner: Int[np.ndarray, " B"]) -> Lane:
    """The lanes, those without a run put to sleep."""
    status: Any = np.where(owner == NOBODY, ASLEEP, np.asarray(lanes.status))
    return lanes._replace(status=status)


def _collect(
    program: Program, loop: Loop, lanes: Lane, batch: Start, owner: Int[np.ndarray, " B"], ended: Int[np.ndarray, " e"]
) -> Iterator[End]:
    """Yield the ends of the runs in these lanes.

    The last recorded point of an orbit is its end, and on curves the Jacobian follows from theta (`CurvePassage`), so
    that `finish` is compiled and called for other programs only.
    """
    host: Any = jax.tree.map(np.asarray, lanes._replace(turned=None))
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
