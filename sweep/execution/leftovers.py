"""Folders and processes that belong to a launch, and what is left of launches that were killed."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from db.store import making

PREFIX = "sweep-ray-"
OWNERS = "owners.json"

LONGEST = 40
"""Characters of Ray's folder: it puts sockets below it, whose paths have at most 107 bytes."""

FALLBACK = Path("/tmp")


def ray_folder() -> Path:
    """A new folder of mode 0700 for one Ray, by the process that makes it. Raises OSError."""
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) + len(PREFIX) + 12 > LONGEST:
        base = FALLBACK
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))


def note_owners(folder: Path, *pids: int) -> None:
    """Write down whose folder it is."""
    owners = {"host": socket.gethostname(), "processes": {str(pid): _started(pid) for pid in pids}}
    (folder / OWNERS).write_text(json.dumps(owners), encoding="utf-8")


def left_behind(store: Path) -> Iterator[Path]:
    """Folders that launches made and whose processes are dead: of Ray, and of stores that were being made."""
    for base in sorted({Path(tempfile.gettempdir()), FALLBACK}):
        yield from sorted(folder for folder in base.glob(f"{PREFIX}*") if _ours(folder) and _owners_dead(folder))
    made = re.compile(rf"{re.escape(making(store))}(\d+)-\w+")
    for folder in sorted(store.parent.glob(".*")):
        found = made.fullmatch(folder.name)
        if found and _ours(folder) and _started(int(found[1])) is None:
            yield folder


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def end_session(leader: int) -> None:
    """Kill every process of the session that `leader` began, and no other."""
    for _ in range(5):  # one may have started another meanwhile
        found = _session(leader)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _session(leader: int) -> list[int]:
    """Processes of a session, itself and zombies excepted; without /proc only the leader."""
    if not Path("/proc/self/stat").exists():
        return [leader]
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] not in "ZX" and int(stat.parent.name) != os.getpid():
                found.append(int(stat.parent.name))
    return found


def _ours(folder: Path) -> bool:
    """Whether it is a folder of this user, and no link to one."""
    try:
        return not folder.is_symlink() and folder.is_dir() and folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _owners_dead(folder: Path) -> bool:
    """Whether all that own a folder ended, on this machine; false where that is not known."""
    try:
        owners = json.loads((folder / OWNERS).read_text(encoding="utf-8"))
        if owners["host"] != socket.gethostname():
            return False
        return all(_started(int(pid)) != start for pid, start in owners["processes"].items() if start is not None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _started(pid: int) -> str | None:
    """When a process started, in the clock of the system, so that a number used again is told apart; None if dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() or not _alive(pid) else "alive"
    return None if fields[0] in "ZX" else fields[19]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
