"""Ray in a process of its own, so that what ends there, by Ray's C++ or by a kill, does not end the driver.

The process leads a session: with its cluster it can be ended as a whole, and Ctrl-C on a terminal does not reach it.
It ends itself when the driver is gone.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweep.execution import leftovers
from sweep.execution.executors import ClusterLost, ExecutorError, Outcome, Size
from sweep.execution.ray_tasks import HEALTH_SECONDS, Tasks, check_address, first_line, join, start_here
from sweep.execution.signals import held
from sweep.execution.worker import Payload

START_SECONDS = (60, 300)
"""How long Ray may take to start here, at the first try and at the second."""

JOIN_SECONDS = (30,)
"""How long a cluster that is there may take to answer."""

GRACE_SECONDS = 15
"""So much longer the driver waits, for Ray itself says more."""

CLOSE_SECONDS = 10.0
"""How long it may take to end in order."""

LOG = "log"
STOP = "stop"
"""Said to the process apart, among payloads."""
PAUSE = 0.1


class Apart:
    """The driver's end. Raises ExecutorError, in bounded time, where Ray cannot be started or joined."""

    _connection: Connection
    _process: "subprocess.Popen[bytes]"
    _folder: Path
    _reason: str | None

    def __init__(self, address: str | None, workers: int | None):
        self.size = Size(0, 0)
        self.ended: Mapping[int, int] = {}
        if address is not None:
            check_address(address)
        limits = START_SECONDS if address is None else JOIN_SECONDS
        for number, seconds in enumerate(limits, 1):
            try:
                self._start(address, workers, seconds)
                return
            except ExecutorError:
                if number == len(limits):
                    raise

    def submit(self, number: int, payload: Payload) -> None:
        try:
            self._connection.send((number, payload))
        except OSError as error:
            raise self._lost() from error

    def poll(self, timeout: float) -> list[tuple[int, Outcome]]:
        """What ended. Raises ClusterLost once nothing more will come."""
        ended: list[tuple[int, Outcome]] = []
        while self._connection.poll(0 if ended else timeout):
            try:
                what, *rest = self._connection.recv()
            except (EOFError, OSError) as error:
                if ended:
                    break  # the next poll finds the same end
                raise self._lost() from error
            if what == "ended":
                ended.append((rest[0], rest[1]))
            elif what == "noted":
                self.ended = rest[0]
                break
            elif what == "size":
                self.size = rest[0]
                break
            else:
                self._reason = rest[0]
        return ended

    def stop(self) -> None:
        """Let what runs end where it is, and what waits at once."""
        with contextlib.suppress(OSError):  # the process is gone, as the next poll finds
            self._connection.send(STOP)

    def close(self) -> None:
        """End the process with all that it started, and remove its folder."""
        with held():
            with contextlib.suppress(OSError):
                self._connection.send(None)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_SECONDS)
            self._end()

    def _end(self) -> None:
        leftovers.end_session(self._process.pid)
        self._process.wait()
        self._connection.close()
        leftovers.remove(self._folder)

    def _start(self, address: str | None, workers: int | None, seconds: int) -> None:
        try:
            self._folder = leftovers.ray_folder()
        except OSError as error:
            raise ExecutorError(
                f"no temporary folder for Ray ({error}); name one that can be written: TMPDIR"
            ) from error
        self._reason = None
        ours, theirs = _pair()
        self._connection = ours
        with held(self._end), theirs:
            self._process = self._spawn(theirs, address, workers, seconds)
        try:
            leftovers.note_owners(self._folder, os.getpid(), self._process.pid)
            self._await(address, seconds)
        except BaseException:
            with held():  # half-way there is nothing to be ended in order
                self._end()
            raise

    def _spawn(
        self, theirs: Connection, address: str | None, workers: int | None, seconds: int
    ) -> "subprocess.Popen[bytes]":
        arguments = (theirs.fileno(), address, workers, str(self._folder), seconds)
        code = f"import sys; sys.path[:] = {sys.path!r}; from sweep.execution.apart import serve; serve(*{arguments!r})"
        try:
            with (self._folder / LOG).open("wb") as log:
                return subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except OSError as error:
            leftovers.remove(self._folder)
            raise ExecutorError(f"Ray cannot be started in {self._folder}: {error}") from error

    def _await(self, address: str | None, seconds: int) -> None:
        """Until the cluster answers. Raises ExecutorError."""
        deadline = time.monotonic() + seconds + GRACE_SECONDS
        where = "Ray cannot be started" if address is None else f"--address {address}"
        while time.monotonic() < deadline:
            if not self._connection.poll(PAUSE):
                continue
            try:
                what, said = self._connection.recv()
            except (EOFError, OSError):
                self._process.wait()
                raise ExecutorError(f"{where}: {self._last_words()}") from None
            if what == "failed":
                raise ExecutorError(f"{where}: {said}")
            self.size = said
            return
        raise ExecutorError(
            f"{where}: no answer in {seconds} s; is the machine busy?" if address is None else
            f"{where}: something listens there but gave no answer as a Ray cluster in {seconds} s; "
            "check the port, and that both sides run the same Ray and Python"
        )  # fmt: skip

    def _lost(self) -> ClusterLost:
        return ClusterLost(self._reason or f"Ray ended its process: {self._last_words()}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self._folder / LOG).read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:300]
        return "it said nothing"


def _pair() -> tuple[Connection, Connection]:
    from multiprocessing import Pipe

    return Pipe()


def serve(handle: int, address: str | None, workers: int | None, folder: str, seconds: int) -> None:
    """The other end: start Ray or join one, then pass on payloads and what became of them."""
    connection = Connection(handle)
    commands: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(connection, commands, Path(folder)), daemon=True).start()
    try:
        ray = start_here(workers, str(Path(folder) / "r"), seconds) if address is None else join(address)
        tasks = Tasks(own=address is None)
        connection.send(("size", tasks.size))
    except Exception as error:
        with contextlib.suppress(OSError):
            connection.send(("failed", f"{type(error).__name__}: {first_line(error)}"))
        os._exit(1)
    tell = Tell(connection)
    threading.Thread(target=_watch, args=(tasks, tell), daemon=True).start()
    try:
        _pass_on(tasks, tell, commands)
    except ClusterLost as error:
        tell.lost(error)
    except OSError:  # the driver is gone
        pass
    tell.closing.set()
    tasks.close()
    ray.shutdown()
    _finish(Path(folder))


class Tell:
    """What the driver is told, by two threads.

    Attributes:
        closing: set once the cluster is being left, and its end is nobody's news.
    """

    def __init__(self, connection: Connection):
        self.closing = threading.Event()
        self._connection, self._lock = connection, threading.Lock()

    def __call__(self, *said: Any) -> None:
        with self._lock:
            self._connection.send(said)

    def lost(self, error: ClusterLost) -> None:
        """The cluster is gone, and with it this process."""
        with contextlib.suppress(OSError):
            self("lost", str(error))
        os._exit(0)


def _watch(tasks: Tasks, tell: Tell) -> None:
    """Look whether the cluster is there, even while a call of Ray's waits for it in the other thread."""
    while not tell.closing.wait(HEALTH_SECONDS):
        try:
            tasks.check()
        except ClusterLost as error:
            if not tell.closing.is_set():
                tell.lost(error)


def _pass_on(tasks: Tasks, tell: Tell, commands: "queue.Queue[Any]") -> None:
    """Until the driver says that it is enough."""
    size, busy, noted = tasks.size, 0, tasks.ended
    while True:
        try:
            command = commands.get(timeout=0 if busy else PAUSE)
        except queue.Empty:
            pass
        else:
            if command is None:
                return
            if command == STOP:
                tasks.stop()
                continue
            if isinstance(command, Exception):
                raise ClusterLost(f"a batch cannot be read there: {type(command).__name__}: {first_line(command)}")
            tasks.submit(*command)
            busy += 1
            continue
        for number, outcome in tasks.poll(PAUSE):
            tell("ended", number, outcome)
            busy -= 1
        if tasks.size != size:
            size = tasks.size
            tell("size", size)
        if tasks.ended != noted:
            noted = tasks.ended
            tell("noted", noted)


def _listen(connection: Connection, commands: "queue.Queue[Any]", folder: Path) -> None:
    """Read all the time, for both ends may be sending at once; then see to it that this process ends."""
    try:
        while (command := connection.recv()) is not None:
            commands.put(command)
    except (EOFError, OSError):  # the driver is gone
        pass
    except Exception as error:  # what it sent cannot be unpickled: the other thread tells it, and this process ends
        commands.put(error)
        return
    commands.put(None)
    time.sleep(CLOSE_SECONDS / 2)  # it ends in order, or like this
    _finish(folder)


def _finish(folder: Path) -> None:
    leftovers.end_session(os.getpid())
    leftovers.remove(folder)
    os._exit(0)
