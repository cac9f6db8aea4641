"""Why nothing happens on a cluster, said at once and then twice a minute: Ray itself waits in silence, for ever."""

import time
from collections.abc import Callable

from sweep.execution.executors import Executor, Size

EVERY_SECONDS = 30.0
"""Without a batch that ended, until something is said, and again."""


class Waiting:
    """Watches a launch for silence.

    Args:
        executor: where batches run; what it lacks is its own to say (`Executor.shortage`).
        say: prints one line.
    """

    def __init__(self, executor: Executor, say: Callable[[str], None]):
        self._executor, self._say = executor, say
        self._spoken = self._ended = time.monotonic()
        if lacking := executor.shortage():  # before anything of ours takes a CPU
            say(f"waiting: {lacking}")

    def look(self, ended: int) -> None:
        """Note how many batches have ended since the last look; say something if none has for long."""
        now = time.monotonic()
        if ended:
            self._spoken = self._ended = now
        elif self._executor.in_flight and now - self._spoken >= EVERY_SECONDS:
            self._spoken = now
            if state := self._executor.state():
                self._say(
                    f"no batch has ended for {now - self._ended:.0f} s, {self._executor.in_flight} are out: {state}"
                )


def shortage(size: Size) -> str | None:
    """What keeps a new task from running at once; None if nothing does."""
    if size.cpus + size.gpus < 1:
        return (
            "the cluster has no CPUs; batches start when a machine joins (an autoscaler starts one, "
            "`ray start --address=HEAD:PORT` adds one)"
        )
    if size.free_cpus < 1 and size.free_gpus < 1:
        return (
            f"none of the cluster's {_amount(size.cpus, size.gpus)} is free; batches start when other work on it ends"
        )
    return None


def state(size: Size) -> str:
    """How much a cluster has, and how much of it is free."""
    if size.cpus + size.gpus < 1:
        return shortage(size) or ""
    free = _amount(size.free_cpus, size.free_gpus if size.gpus else 0)
    return f"the cluster has {_amount(size.cpus, size.gpus)}; free are {free}"


def _amount(cpus: int, gpus: int) -> str:
    return f"{cpus} CPUs{f' and {gpus} GPUs' if gpus else ''}"
