"""Batches on Ray. Ray lives in a process of its own (`apart`), for its C++ ends the process that it is in."""

from collections.abc import Mapping
from typing import Protocol

from kernels.own_code import OwnCode
from sweep.execution import waiting
from sweep.execution.apart import Apart
from sweep.execution.batches import FIRST, Batch, Device
from sweep.execution.executors import ClusterLost, Executor, Outcome, Size
from sweep.execution.ray_tasks import Tasks, running
from sweep.execution.worker import Payload

GPU_FIRST = 4096
"""Runs of a first batch on a GPU: one fill of its lanes."""

RESTARTS = 1
"""So often a cluster of our own is started again in one launch."""


class Link(Protocol):
    """Where payloads are computed: `Tasks` of this process, or those of another one."""

    size: Size
    ended: Mapping[int, int]
    """Runs that have ended, by number of the payload, of those that have started."""

    def submit(self, number: int, payload: Payload) -> None: ...

    def poll(self, timeout: float) -> list[tuple[int, Outcome]]: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class RayExecutor(Executor):
    """Tasks of one CPU each; on GPUs, where the cluster has any, tasks of one GPU with larger batches."""

    def __init__(
        self,
        sweep_id: str,
        code: OwnCode,
        first: int = FIRST,
        address: str | None = None,
        workers: int | None = None,
    ):
        self.sweep_id, self.code, self.address, self._workers = sweep_id, code, address, workers
        self._link: Link = Tasks(own=False) if running() else Apart(address, workers)
        self._restarts = RESTARTS if isinstance(self._link, Apart) and address is None else 0
        self._in_flight: dict[int, Batch] = {}
        self._numbers = 0
        self._first = first
        self._resize()

    @property
    def device(self) -> Device:
        """GPUs first, while any has less than one batch waiting behind the running one, and where there is no CPU."""
        busy = sum(batch.device == "gpu" for batch in self._in_flight.values())
        return "gpu" if busy < 2 * self.gpus or self.cpus < 1 <= self.gpus else "cpu"

    def first(self, device: Device) -> int:
        return GPU_FIRST if device == "gpu" else self._first

    def submit(self, batch: Batch) -> None:
        self._numbers += 1
        self._in_flight[self._numbers] = batch
        self._link.submit(self._numbers, self._payload(batch))

    def poll(self, timeout: float) -> list[tuple[Batch, Outcome]]:
        ended = [(self._in_flight.pop(number), outcome) for number, outcome in self._link.poll(timeout)]
        self._resize()
        return ended

    def restart(self) -> bool:
        """Start a cluster of our own again, once, with what was in flight."""
        self._link.close()
        if not self._restarts:
            return False
        self._restarts -= 1
        self._link = Apart(self.address, self._workers)
        for number, batch in self._in_flight.items():
            self._link.submit(number, self._payload(batch))
        return True

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def running(self) -> list[tuple[Batch, int]]:
        ended = self._link.ended
        return [(batch, ended[number]) for number, batch in self._in_flight.items() if number in ended]

    def stop(self) -> None:
        self._link.stop()

    def close(self) -> None:
        self._in_flight.clear()
        self._link.close()

    def describe(self) -> str:
        where = "a local Ray cluster" if self.address is None else f"the Ray cluster at {self.address}"
        gpus = f" and {self.gpus} GPUs" if self.gpus else ""
        return f"on {where} with {self.cpus} CPUs{gpus}"

    def shortage(self) -> str | None:
        return None if self.address is None else waiting.shortage(self._link.size)

    def state(self) -> str | None:
        return None if self.address is None else waiting.state(self._link.size)

    def _payload(self, batch: Batch) -> Payload:
        return Payload(batch.runs, self.sweep_id, self.code, batch.device == "gpu", True, batch.room, batch.key)

    def _resize(self) -> None:
        self.cpus, self.gpus = self._link.size.cpus, self._link.size.gpus
        self.slots = max(1, self.cpus + self.gpus)
        self.capacity = 2 * self.slots + 2


__all__ = ["ClusterLost", "RayExecutor"]
