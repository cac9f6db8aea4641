"""Batches as Ray tasks, of this process: on a cluster of our own, bound to loopback, or on one that is there.

Own: environment set before `import ray`, nothing listens beyond loopback, usage statistics off, a secret token.
Joined: the cluster's own settings stand. Retries are the driver's part, so Ray's are off.
"""

import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from sweep.execution.board import EVERY_SECONDS, Board, Noted
from sweep.execution.executors import ClusterLost, ExecutorError, Lost, Outcome, Size
from sweep.execution.refusal import unloadable
from sweep.execution.shipping import code_environment
from sweep.execution.signals import held
from sweep.execution.stranded import Stranded
from sweep.execution.worker import Finished, Payload, Raised, Refused, run_batch, whoami

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
    "RAY_worker_lease_timeout_milliseconds": str(24 * 60 * 60 * 1000),  # 500 ms: a worker would change program
}
CONNECT_SECONDS = 5
OBJECT_STORE = 256 << 20

RESOURCES_SECONDS = 10
"""How often a cluster is asked for its size: an autoscaler may change it."""

HEALTH_SECONDS = 1.0
"""Between two looks at whether the cluster is there."""

HEAD_SECONDS = 20.0
"""How long a joined cluster's head may be away: a cable may be back by then. Ray itself waits 60 s, in silence."""


class Tasks:
    """Payloads in flight, by number: tasks of one CPU each, or of one GPU.

    Attributes:
        size: of the cluster.
        ended: how many runs have ended, by number of the payload, of those that have started.
    """

    def __init__(self, own: bool):
        self._ray, self._own = _import(), own
        self.ended: Mapping[int, int] = {}
        self._board = self._place_board()
        self._read: Any = None
        self._read_at = time.monotonic()
        self._in_flight: dict[Any, int] = {}
        self._tasks: dict[tuple[bool, str], Any] = {}
        self._stranded = Stranded(self._ray)
        self._raylet: str = self._ray._private.worker.global_worker.node.raylet_socket_name
        self._head: str = self._ray.get_runtime_context().gcs_address
        self._head_seen = self._looked = time.monotonic()
        self._head_answers = True
        self._asked = 0.0
        self.size = self._size()

    def submit(self, number: int, payload: Payload) -> None:
        """Ray keeps a worker that it has leased for a function on that function as long as one of its tasks waits.

        So each program is a function of its own, and a worker takes the next batch of the program that it compiled.
        """
        which = payload.gpu, payload.program
        if which not in self._tasks:
            self._tasks[which] = self._gpu_task() if payload.gpu else self._task()
        self._in_flight[self._tasks[which].remote(payload, Noted(self._board, number))] = number

    def poll(self, timeout: float) -> list[tuple[int, Outcome]]:
        """What ended. Raises ClusterLost where the cluster is gone, which is nobody's failure."""
        self.check()
        if self._head_answers and time.monotonic() - self._asked > RESOURCES_SECONDS:
            self.size = self._size()
        if not self._in_flight:
            return []
        self._look_at_board()
        refs = list(self._in_flight)
        ready, _ = self._ray.wait(refs, num_returns=1, timeout=timeout)
        if not ready and self._head_answers and not self._own and self._stranded.found():
            return self._abandon()
        if ready:
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        ended = [(self._in_flight[ref], self._outcome(ref)) for ref in ready]
        if any(isinstance(outcome, Lost) for _, outcome in ended):
            self.check(at_once=True)
        for ref in ready:
            del self._in_flight[ref]
        return ended

    def stop(self) -> None:
        """Let what runs end where it is, and what waits at once."""
        self._board.stop.remote()

    def close(self) -> None:
        with held():  # an interrupted shutdown leaves a process without a raylet, which Ray ends with exit code 1
            self._cancel()
            if self._own:
                self._ray.shutdown()
            else:
                with contextlib.suppress(self._ray.exceptions.RayError, OSError):
                    self._ray.kill(self._board)

    def _abandon(self) -> list[tuple[int, Outcome]]:
        """Give up what is out: nobody computes it."""
        numbers = list(self._in_flight.values())
        self._cancel()
        return [(number, Lost("its machine is gone without a word", node=True)) for number in numbers]

    def _cancel(self) -> None:
        for ref in self._in_flight:
            with contextlib.suppress(self._ray.exceptions.RayError, OSError):  # of a cluster that is gone
                self._ray.cancel(ref, force=True)
        self._in_flight.clear()

    def check(self, at_once: bool = False) -> None:
        """Raise ClusterLost without this machine's raylet, or without the head for longer than it may be away.

        Meanwhile nothing is asked of the head: such a call would wait for it. May be called by another thread.
        """
        now = time.monotonic()
        if now - self._looked < HEALTH_SECONDS and not at_once:
            return
        self._looked = now
        if not _listens(socket.AF_UNIX, self._raylet):
            raise ClusterLost("Ray's process on this machine (raylet) has ended")
        host, _, port = self._head.rpartition(":")
        self._head_answers = _listens(None, (host.strip("[]"), int(port)))
        if self._head_answers:
            self._head_seen = time.monotonic()
        elif at_once or self._own or now - self._head_seen > HEAD_SECONDS:
            raise ClusterLost("the head of the Ray cluster (gcs_server) answers no more")

    def _outcome(self, ref: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            answer: Finished | Raised | Refused = self._ray.get(ref)
            return answer
        except errors.OutOfMemoryError as error:
            return Lost(first_line(error), out_of_memory=True)
        except errors.LocalRayletDiedError as error:
            raise ClusterLost("Ray's process on this machine (raylet) has ended") from error
        except (errors.NodeDiedError, errors.ObjectLostError) as error:
            return Lost(first_line(error), node=True)
        except errors.WorkerCrashedError as error:
            return Lost(first_line(error))
        except errors.RayTaskError as error:  # the task's body could not even be loaded
            return unloadable(getattr(error, "ip", None) or "a worker", error)
        except errors.RayError as error:
            return Lost(f"{type(error).__name__}: {first_line(error)}")

    def _size(self) -> Size:
        self._asked = time.monotonic()
        return Size(
            *(
                int(resources.get(name, 0))
                for resources in (self._ray.cluster_resources(), self._ray.available_resources())
                for name in ("CPU", "GPU")
            )
        )

    def _place_board(self) -> Any:
        """On this machine: where that goes away, the driver does too."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        return self._ray.remote(num_cpus=0, max_restarts=0, scheduling_strategy=here)(Board).remote()

    def _look_at_board(self) -> None:
        """Ask what is noted, and take the answer when it is there: nobody waits for it."""
        if self._read is None and time.monotonic() - self._read_at > EVERY_SECONDS:
            self._read, self._read_at = self._board.ended.remote(set(self._in_flight.values())), time.monotonic()
        elif self._read is not None and self._ray.wait([self._read], timeout=0)[0]:
            answer, self._read = self._read, None
            with contextlib.suppress(self._ray.exceptions.RayError):  # the board is gone: nothing is known of batches
                self.ended = self._ray.get(answer)

    def _task(self) -> Any:
        return self._ray.remote(num_cpus=1, max_retries=0, max_calls=0)(run_batch)

    def _gpu_task(self) -> Any:
        """A GPU's workers are apart from the CPU's (JAX chooses its platform once) and stay for the next batch."""
        environment = {"env_vars": {"SWEEP_DEVICE": "gpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}}
        options = self._ray.remote(num_cpus=0, num_gpus=1, max_retries=0, max_calls=0, runtime_env=environment)
        return options(run_batch)


def running() -> bool:
    """Whether this process is connected to a cluster already (a test's, a notebook's), which then stays up."""
    return "ray" in sys.modules and bool(_import().is_initialized())


def _import() -> Any:
    import ray
    import ray.exceptions

    return ray


def _listens(family: int | None, address: Any) -> bool:
    """Whether something takes connections there."""
    try:
        if family is None:
            socket.create_connection(address, timeout=CONNECT_SECONDS).close()
        else:
            with socket.socket(family) as one:
                one.settimeout(CONNECT_SECONDS)
                one.connect(address)
    except OSError:
        return False
    return True


def start_here(workers: int | None, folder: str | None = None, seconds: float = 30) -> Any:
    """Ray on this machine, listening on loopback only, its files in `folder`; its first worker has answered."""
    settings = {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_raylet_start_wait_time_s": str(int(seconds))}
    for name, value in (ALWAYS | OWN | settings).items():
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
            _temp_dir=folder,
        )
        ray.get(ray.remote(num_cpus=1, max_retries=0)(whoami).remote(), timeout=seconds)
    return ray


def join(address: str) -> Any:
    """A cluster that runs already. Raises ExecutorError if there is none; may try for two minutes, then exit."""
    for name, value in ALWAYS.items():
        os.environ.setdefault(name, value)
    ray = _import()
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", runtime_env=code_environment())
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ExecutorError(f"--address {address}: {first_line(error)}") from error
    return ray


def check_address(address: str) -> None:
    """Raise ExecutorError where nothing listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (ValueError, OverflowError) as error:
        raise ExecutorError(f"--address {address}: write HOST:PORT, ray://HOST:PORT or auto") from error
    except OSError as error:
        reason = error.strerror or str(error) or "no answer"
        raise ExecutorError(
            f"--address {address}: nothing answers there ({reason}); is the cluster up, and is this the address "
            "that `ray start --head` printed? Without --address Ray starts on this machine"
        ) from error


def first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
