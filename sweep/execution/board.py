"""Where workers of a cluster note how far their batches are, and read whether to go on: an actor beside the driver.

It is asked, not told: what a worker that dies has noted stays as it was, and one that finds no board goes on without.
"""

import time
from dataclasses import dataclass, field
from typing import Any

EVERY_SECONDS = 1.0
"""Between two notes of a batch: one takes a millisecond. After each that no answer came to, twice as long."""

ANSWER_SECONDS = 1.0
"""How long a worker waits for the board, which may be away."""


class Board:
    """What batches have noted, by number."""

    def __init__(self) -> None:
        self._ended: dict[int, int] = {}
        self._stopped = False

    def note(self, number: int, ended: int) -> bool:
        """Note how many runs of a batch have ended; returns whether it is to end now."""
        self._ended[number] = ended
        return self._stopped

    def ended(self, wanted: set[int]) -> dict[int, int]:
        """Of these batches that have started, how many runs have ended; all others are forgotten."""
        self._ended = {number: ended for number, ended in self._ended.items() if number in wanted}
        return self._ended

    def stop(self) -> None:
        """Batches are to end where they are, and those that start later at once."""
        self._stopped = True


@dataclass
class Noted:
    """The worker's end, for one batch: a `Watch` that notes on a board, now and then."""

    board: Any
    number: int
    _due: float = field(default=0.0, repr=False)
    _pause: float = field(default=EVERY_SECONDS, repr=False)

    def __call__(self, ended: int) -> bool:
        """Whether the batch is to end now."""
        if self.board is None or time.monotonic() < self._due:
            return False
        import ray

        try:
            # not ray.get: a task that waits in it lends its CPU, and Ray starts one more worker on it
            told = bool(self.board.note.remote(self.number, ended).future().result(timeout=ANSWER_SECONDS))
            self._pause = EVERY_SECONDS
            return told
        except TimeoutError:
            self._pause *= 2
            return False
        except ray.exceptions.RayError:  # the board is gone
            self.board = None
            return False
        finally:
            self._due = time.monotonic() + self._pause
