"""Processes of a launch, told by a mark in their environment: to kill them at random, and to see that none is left."""

import contextlib
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.sweep.test_ray import COMMAND

MARK = "SWEEP_TORTURE"


@dataclass(frozen=True)
class Launched:
    """A launch under way, its output in a file."""

    process: "subprocess.Popen[bytes]"
    mark: str
    log: Path

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 240) -> None:
        """Until it is printed, or the launch has ended."""
        deadline = time.monotonic() + seconds
        while text not in self.said() and self.running:
            assert time.monotonic() < deadline, f"no {text!r} in {seconds} s:\n{self.said()}"
            time.sleep(0.05)

    def processes(self, name: str = "") -> list[int]:
        """All that descend from it, dead parents or not, whose command begins with `name`."""
        return [pid for pid, command in marked(self.mark).items() if command.startswith(name)]

    def kill(self, name: str) -> bool:
        """SIGKILL one process of that name; false if there is none."""
        for pid in random.sample(found := self.processes(name), len(found)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def send(self, number: signal.Signals) -> bool:
        """Send the driver a signal; false if it has ended."""
        running = self.running
        self.process.send_signal(number)
        return running

    def end(self, seconds: float = 240) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(seconds)


def launched(folder: Path, mark: str, *arguments: object, **environment: str) -> Launched:
    """Start `sweep launch` in a session of its own."""
    log = folder / f"{mark}-{time.monotonic_ns()}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, "launch", *map(str, arguments)],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, MARK: mark, **environment},
            start_new_session=True,
        )
    return Launched(process, mark, log)


def marked(mark: str) -> dict[int, str]:
    """Living processes with the mark, and what their command lines begin with (Ray's workers: `ray::`)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
                found[int(folder.name)] = Path(command).name
    return found


def none_left(mark: str, seconds: float = 90) -> None:
    """Waits for the last process with the mark; what remains is an error."""
    deadline = time.monotonic() + seconds
    while left := marked(mark):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.2)
