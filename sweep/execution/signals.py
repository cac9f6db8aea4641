"""Who answers SIGINT and SIGTERM: from the program's first line on an interrupt, for a while somebody else."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_arrived: list[int] = []


def interrupt(number: int, frame: FrameType | None) -> None:
    """Answer a signal by KeyboardInterrupt, and remember it: what is being imported may swallow that."""
    _arrived.append(number)
    raise KeyboardInterrupt


def interrupted() -> bool:
    """Whether `interrupt` has answered a signal."""
    return bool(_arrived)


def answer() -> None:
    """Answer both signals by `interrupt` from now on; one that this process was told to ignore stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def forget() -> None:
    """A signal that was answered before is no signal to what starts now, in a process that goes on."""
    _arrived.clear()


def ignore() -> None:
    """Leave both signals unanswered: all is done, and Python on its end would die of them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def answered_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """`handler` answers both signals for the length of the body; no effect in other threads, which get none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def held(undo: Callable[[], None] | None = None) -> Iterator[None]:
    """A signal during the body raises KeyboardInterrupt after it, when `undo` has run; no effect in other threads."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    with answered_by(lambda number, frame: arrived.append(number)):
        yield
    if arrived:
        if undo is not None:
            undo()
        raise KeyboardInterrupt
