"""Batches as Ray tasks: on a cluster of our own, bound to loopback, or on one that is there.

Own: environment set before `import ray`, nothing listens beyond loopback, usage statistics off, a secret token.
Joined: the cluster's own settings stand. Retries are the driver's part, so Ray's are off.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from typing import Any

from sweep import waiting
from sweep.batches import FIRST, Batch, Device
from sweep.executors import Executor, ExecutorError, Lost, Outcome
from sweep.refusal import unloadable
from sweep.shipping import code_environment
from sweep.signals import held
from sweep.stranded import Stranded
from sweep.user_code import UserCode
from sweep.worker import Finished, Payload, Raised, Refused, run_batch

ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` Ray would zip the working directory
    "RAY_task_oom_retries": "0",  # Ray's own retries after running out of memory have no limit
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
OWN = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on loopback only
    "RAY_AUTH_MODE": "token",
}
CONNECT_SECONDS = 5
JOIN_SECONDS = 30
OBJECT_STORE = 256 << 20
RESOURCES_SECONDS = 10
"""How often a joined cluster is asked for its size."""

GPU_FIRST = 4096
"""Runs of a first batch on a GPU: one fill of its lanes."""


class RayExecutor(Executor):
    """Tasks of one CPU each; on GPUs, where the cluster has any, tasks of one GPU with larger batches."""

    concurrent = True

    def __init__(
        self,
        sweep_id: str,
        code: UserCode,
        first: int = FIRST,
        address: str | None = None,
        workers: int | None = None,
    ):
        self.sweep_id, self.code, self.address = sweep_id, code, address
        self._own = not _running()
        self._ray = _import() if not self._own else start_here(workers) if address is None else _join(address)
        self._in_flight: dict[Any, Batch] = {}
        self._stranded = Stranded(self._ray)
        self._tasks = {"cpu": self._task(), "gpu": self._gpu_task()}
        self._asked = 0.0
        self._resize()
        self._first = first

    @property
    def device(self) -> Device:
        """GPUs first, while any has less than one batch waiting behind the running one, and where there is no CPU."""
        busy = sum(batch.device == "gpu" for batch in self._in_flight.values())
        return "gpu" if busy < 2 * self.gpus or self.cpus < 1 <= self.gpus else "cpu"

    def first(self, device: Device) -> int:
        return GPU_FIRST if device == "gpu" else self._first

    def submit(self, batch: Batch) -> None:
        payload = Payload(batch.runs, self.sweep_id, self.code, batch.device == "gpu", True, batch.room)
        self._in_flight[self._tasks[batch.device].remote(payload)] = batch

    def poll(self, timeout: float) -> list[tuple[Batch, Outcome]]:
        if time.monotonic() - self._asked > RESOURCES_SECONDS:
            self._resize()
        if not self._in_flight:
            return []
        refs = list(self._in_flight)
        ready, _ = self._ray.wait(refs, num_returns=1, timeout=timeout)
        if not ready and self.address is not None and self._stranded.found():
            return self._abandon()
        if ready:
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        return [(self._in_flight.pop(ref), self._outcome(ref)) for ref in ready]

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def close(self) -> None:
        with held():  # an interrupted shutdown leaves a process without a raylet, which Ray ends with exit code 1
            for ref in self._in_flight:
                with contextlib.suppress(Exception):
                    self._ray.cancel(ref, force=True)
            self._in_flight.clear()
            if self._own:
                self._ray.shutdown()

    def describe(self) -> str:
        where = "a local Ray cluster" if self.address is None else f"the Ray cluster at {self.address}"
        gpus = f" and {self.gpus} GPUs" if self.gpus else ""
        return f"on {where} with {self.cpus} CPUs{gpus}"

    def _abandon(self) -> list[tuple[Batch, Outcome]]:
        """Give up what is out: nobody computes it."""
        batches, self._in_flight = list(self._in_flight.items()), {}
        for ref, _ in batches:
            with contextlib.suppress(Exception):
                self._ray.cancel(ref, force=True)
        return [(batch, Lost("its machine is gone without a word", node=True)) for _, batch in batches]

    def shortage(self) -> str | None:
        return None if self.address is None else waiting.shortage(self._ray)

    def state(self) -> str | None:
        return None if self.address is None else waiting.state(self._ray)

    def _outcome(self, ref: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            answer: Finished | Raised | Refused = self._ray.get(ref)
            return answer
        except errors.OutOfMemoryError as error:
            return Lost(_first_line(error), out_of_memory=True)
        except (errors.NodeDiedError, errors.ObjectLostError, errors.LocalRayletDiedError) as error:
            return Lost(_first_line(error), node=True)
        except errors.WorkerCrashedError as error:
            return Lost(_first_line(error))
        except errors.RayTaskError as error:  # the task's body could not even be loaded
            return unloadable(getattr(error, "ip", None) or "a worker", error)
        except errors.RayError as error:
            return Lost(f"{type(error).__name__}: {_first_line(error)}")

    def _resize(self) -> None:
        """Ask the cluster for its size: an autoscaler may have changed it."""
        self._asked = time.monotonic()
        resources = self._ray.cluster_resources()
        self.cpus, self.gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        self.slots = max(1, self.cpus + self.gpus)
        self.capacity = 2 * self.slots + 2

    def _task(self) -> Any:
        return self._ray.remote(num_cpus=1, max_retries=0, max_calls=0)(run_batch)

    def _gpu_task(self) -> Any:
        """A GPU's workers are apart from the CPU's (JAX chooses its platform once) and stay for the next batch."""
        environment = {"env_vars": {"SWEEP_DEVICE": "gpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}}
        options = self._ray.remote(num_cpus=0, num_gpus=1, max_retries=0, max_calls=0, runtime_env=environment)
        return options(run_batch)


def _running() -> bool:
    """Whether this process is connected to a cluster already (a test's, a notebook's), which then stays up."""
    return "ray" in sys.modules and bool(_import().is_initialized())


def _import() -> Any:
    import ray
    import ray.exceptions

    return ray


def start_here(workers: int | None) -> Any:
    """Ray on this machine, listening on loopback only."""
    for name, value in (ALWAYS | OWN | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}).items():
        os.environ.setdefault(name, value)
    with held(lambda: _import().shutdown()):  # Ray half-way takes the process down; an import may swallow a signal
        ray = _import()
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=OBJECT_STORE,
        )
    return ray


def _join(address: str) -> Any:
    """A cluster that runs already. Raises ExecutorError, in bounded time, if there is none."""
    for name, value in ALWAYS.items():
        os.environ.setdefault(name, value)
    probe(address)
    ray = _import()
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", runtime_env=code_environment())
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ExecutorError(f"--address {address}: {_first_line(error)}") from error
    return ray


def probe(address: str) -> None:
    """Raise ExecutorError unless a Ray cluster answers: ray.init itself would try for two minutes, then exit."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address not in ("auto", "local"):
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        except ValueError as error:
            raise ExecutorError(f"--address {address}: write HOST:PORT, ray://HOST:PORT or auto") from error
        except OSError as error:
            reason = error.strerror or str(error) or "no answer"
            raise ExecutorError(
                f"--address {address}: nothing answers there ({reason}); is the cluster up, and is this the address "
                "that `ray start --head` printed? Without --address Ray starts on this machine"
            ) from error
    code = f"import ray; ray.init({address!r}, log_to_driver=False, logging_level='ERROR'); ray.shutdown()"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=JOIN_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ExecutorError(
            f"--address {address}: something listens there but gave no answer as a Ray cluster in {JOIN_SECONDS} s; "
            "check the port, and that both sides run the same Ray and Python"
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise ExecutorError(f"--address {address}: {lines[-1]}")


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
