"""How long a thread has spent on compiling. JAX reports whenever it has traced, lowered or compiled something."""

import itertools
import threading
import time
from typing import Any

from kernels.x64 import jax

EVENTS = "/jax/core/compile/"
"""What JAX's names of these events begin with."""

Span = tuple[float, float]


class _Spans(threading.local):
    """Spans (begin, end) in which the thread has compiled, none within another, on the clock `time.perf_counter`."""

    def __init__(self) -> None:
        self.known: list[Span] = []


_spans = _Spans()


def _ended(event: str, duration_secs: float, **_: Any) -> None:
    """Note a span that ends now; shorter spans within it are dropped, because it contains them."""
    if event.startswith(EVENTS):
        end = time.perf_counter()
        while _spans.known and _spans.known[-1][0] >= end - duration_secs:
            _spans.known.pop()
        _spans.known.append((end - duration_secs, end))


jax.monitoring.register_event_duration_secs_listener(_ended)


def since(begin: float) -> float:
    """Seconds that this thread has spent on compiling since `begin`."""
    late = itertools.takewhile(lambda span: span[0] >= begin, reversed(_spans.known))
    return sum((end - start for start, end in late), 0.0)
