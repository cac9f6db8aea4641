"""Where batches run. One interface; in this process for debugging and tests, on Ray for work (sweep.ray_executor)."""

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sweep.batches import FIRST, Batch, Device
from sweep.user_code import UserCode
from sweep.worker import Finished, Payload, Raised, Refused, run_batch


class ExecutorError(Exception):
    """Nothing can be run there; the message says what to do."""


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
        concurrent: whether batches run while the driver does something else.
    """

    slots: int
    capacity: int
    concurrent: bool

    @abstractmethod
    def submit(self, batch: Batch) -> None:
        """Hand over a batch; returns at once."""

    @abstractmethod
    def poll(self, timeout: float) -> list[tuple[Batch, Outcome]]:
        """Batches that ended, after waiting for one of them for at most `timeout` seconds."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Batches submitted and not yet returned by `poll`."""

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
    """One batch at a time, in this process, without Ray."""

    slots = 1
    capacity = 1
    concurrent = False

    def __init__(self, sweep_id: str, code: UserCode, first: int = FIRST):
        self.sweep_id, self.code, self._first = sweep_id, code, first
        self._queue: deque[Batch] = deque()

    def submit(self, batch: Batch) -> None:
        self._queue.append(batch)

    def poll(self, timeout: float) -> list[tuple[Batch, Outcome]]:
        if not self._queue:
            return []
        batch = self._queue.popleft()
        return [(batch, run_batch(Payload(batch.runs, self.sweep_id, self.code, room=batch.room)))]

    @property
    def in_flight(self) -> int:
        return len(self._queue)

    def close(self) -> None:
        self._queue.clear()

    def first(self, device: Device) -> int:
        return self._first

    def describe(self) -> str:
        return "in this process"
