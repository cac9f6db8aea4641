"""Where batches run. One interface; in this process for debugging and tests, on Ray for work (`ray_executor`)."""

import queue
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from kernels.own_code import OwnCode
from sweep.execution.batches import FIRST, Batch, Device
from sweep.execution.worker import Finished, Payload, Raised, Refused, run_batch

BATCH = "sweep-batch"
"""Name of the threads in which batches of this process run."""


class Size(NamedTuple):
    """What a cluster has, and how much of it is free."""

    cpus: int
    gpus: int
    free_cpus: int = 0
    free_gpus: int = 0


class ExecutorError(Exception):
    """Nothing can be run there; the message says what to do."""


class ClusterLost(Exception):  # noqa: N818 - it says what is the matter
    """Where batches ran is gone as a whole, and no batch is to blame; the message says what was seen."""


@dataclass(frozen=True)
class Lost:
    """A batch whose worker died before it answered; `node` where the whole machine went away."""

    error: str
    node: bool = False
    out_of_memory: bool = False


Outcome = Finished | Raised | Refused | Lost


class Executor(ABC):
    """Runs batches somewhere.

    Attributes:
        slots: batches that run at once.
        capacity: batches that may be submitted and unanswered at once.
    """

    slots: int
    capacity: int

    @abstractmethod
    def submit(self, batch: Batch) -> None:
        """Hand over a batch; returns at once."""

    @abstractmethod
    def poll(self, timeout: float) -> list[tuple[Batch, Outcome]]:
        """Batches that ended, after waiting for one of them for at most `timeout` seconds. Raises ClusterLost."""

    def restart(self) -> bool:
        """After ClusterLost: go on with what was in flight, if that is possible."""
        return False

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Batches submitted and not yet returned by `poll`."""

    @abstractmethod
    def running(self) -> list[tuple[Batch, int]]:
        """Batches in flight that have started, as far as known, each with how many of its runs have ended."""

    @abstractmethod
    def stop(self) -> None:
        """Let batches end where they are, with the runs that have ended; those that have not started, with none."""

    @abstractmethod
    def close(self) -> None:
        """Drop what is in flight and end what was started."""

    @property
    def device(self) -> Device:
        """What the next batch should be made for."""
        return "cpu"

    @abstractmethod
    def first(self, device: Device) -> int:
        """Runs in the first batches of a shape, where nothing is known."""

    @abstractmethod
    def describe(self) -> str:
        """For people: where batches run."""

    def shortage(self) -> str | None:
        """For people: what keeps the next batch from starting at once; None if nothing does."""
        return None

    def state(self) -> str | None:
        """For people: how busy the place is, where no batch has ended for long; None where that says nothing."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class LocalExecutor(Executor):
    """One batch at a time, in this process, without Ray: in a thread, so that the driver can answer meanwhile."""

    slots = 1
    capacity = 1

    def __init__(self, sweep_id: str, code: OwnCode, first: int = FIRST):
        self.sweep_id, self.code, self._first = sweep_id, code, first
        self._running: tuple[Batch, threading.Thread] | None = None
        self._noted, self._stopping = 0, threading.Event()
        # not a SimpleQueue: a signal may leave that waiting for ever, whatever the timeout
        self._ended: queue.Queue[tuple[Batch, Outcome]] = queue.Queue()

    def submit(self, batch: Batch) -> None:
        payload = Payload(batch.runs, self.sweep_id, self.code, room=batch.room)
        ended, self._noted = self._ended, 0
        thread = threading.Thread(
            target=lambda: ended.put((batch, run_batch(payload, self._watch))), name=BATCH, daemon=True
        )
        self._running = batch, thread
        thread.start()

    def poll(self, timeout: float) -> list[tuple[Batch, Outcome]]:
        try:
            ended = self._ended.get(timeout=timeout)
        except queue.Empty:
            if self._running and not self._running[1].is_alive() and self._ended.empty():
                batch, self._running = self._running[0], None
                return [(batch, Lost("the batch ended its thread"))]
            return []
        self._running = None
        return [ended]

    @property
    def in_flight(self) -> int:
        return int(self._running is not None)

    def running(self) -> list[tuple[Batch, int]]:
        return [] if self._running is None else [(self._running[0], self._noted)]

    def stop(self) -> None:
        self._stopping.set()

    def _watch(self, ended: int) -> bool:
        self._noted = ended
        return self._stopping.is_set()

    def close(self) -> None:
        """A batch that is running goes on until the process ends; nobody waits for it."""
        self._running, self._ended = None, queue.Queue()

    def first(self, device: Device) -> int:
        return self._first

    def describe(self) -> str:
        return "in this process"
