"""Who answers SIGINT and SIGTERM, for a while."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def answered_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """`handler` answers both signals for the length of the body; only in a process's main thread."""
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
