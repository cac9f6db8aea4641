"""How far a launch is, program by program, and how much of its work is left."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweep.execution.batches import Batch
from sweep.execution.estimate import Estimate, Part

ALIKE = 20
"""Runs of a program from which on its own pace counts as much as what was estimated of it."""

MOST_OFF = 20.0
"""A factor: an estimate that others were off by more says nothing of those that have not begun."""


@dataclass
class Pace:
    """Of one program.

    Attributes:
        part: what was estimated of it.
        pending: runs at the start of the launch.
        done: of those, in batches that have ended.
        seconds: that those batches took, compiling apart.
        ended: runs that have ended in batches that run now.
        running: how many batches those are.
        held: runs of those batches, whether they have ended or not.
        later: of `ended`, those after the first that were noted, which had waited for the compiler.
        elapsed: seconds in which those ended.
    """

    part: Part
    pending: int
    done: int = 0
    seconds: float = 0.0
    ended: int = 0
    running: int = 0
    held: int = 0
    later: int = 0
    elapsed: float = 0.0

    @property
    def left(self) -> int:
        return max(0, self.pending - self.done - self.ended)

    @property
    def batches(self) -> int:
        """Those that run, and those that the rest makes if it goes on in batches as large as was estimated."""
        rest = max(0, self.pending - self.done - self.held)
        return self.running + math.ceil(rest / max(1, self.part.longest)) if self.left else 0

    @property
    def longest(self) -> int:
        """Runs that one worker has to do, however many there are: a batch is not divided."""
        return math.ceil(self.left / max(1, self.batches))

    @property
    def expected(self) -> float | None:
        """Seconds of a run, as estimated."""
        return None if self.part.timing is None else self.part.timing.middle

    @property
    def compiling(self) -> float:
        """Seconds that it still takes to compile."""
        return 0.0 if self.done or self.later or not self.left else self.part.compiling

    @property
    def observed(self) -> tuple[int, float]:
        """Runs and their seconds: of batches that have ended, else of those that run."""
        return (self.done, self.seconds) if self.done else (self.later, self.elapsed)


class Tally:
    """Of a launch.

    Args:
        total: runs of the grid.
        cached: those that were stored before.
        estimate: of the rest.
    """

    def __init__(self, total: int, cached: int, estimate: Estimate):
        self.total, self.cached, self.workers = total, cached, estimate.workers
        self.paces = {part.program.key: Pace(part, part.program.pending) for part in estimate.parts}
        self.statuses: Counter[str] = Counter()
        self.worst: dict[str, float] = {}
        self.running = 0
        self._first: dict[int, tuple[float, int]] = {}

    def done(self, key: str, runs: int, seconds: float, statuses: Counter[str], worst: Mapping[str, float]) -> None:
        """Note runs of a program that ended, and the seconds that they took, compiling apart."""
        pace = self.paces[key]
        pace.done += runs
        pace.ended = max(0, pace.ended - runs)  # it was among those that run
        pace.seconds += seconds
        self.statuses += statuses
        for kind, gap in worst.items():
            self.worst[kind] = max(gap, self.worst.get(kind, gap))

    def look(self, batches: Iterable[tuple[Batch, int]], workers: int) -> None:
        """Note how far the batches are that run now, and on how many workers."""
        now, known = time.monotonic(), self._first
        self.workers, self._first, self.running = workers, {}, 0
        for pace in self.paces.values():
            pace.ended, pace.running, pace.held, pace.later, pace.elapsed = 0, 0, 0, 0, 0.0
        for batch, ended in batches:
            self.running += 1
            pace = self.paces[batch.key]
            pace.ended += ended
            pace.running += 1
            pace.held += len(batch)
            if ended:
                since, first = self._first[batch.number] = known.get(batch.number, (now, ended))
                pace.later += ended - first
                pace.elapsed += now - since if ended > first else 0.0

    @property
    def finished(self) -> int:
        """Runs that have ended, those of batches that run now among them."""
        return self.cached + sum(pace.done + pace.ended for pace in self.paces.values())

    @property
    def computed(self) -> int:
        return self.finished - self.cached

    @property
    def left(self) -> float | None:
        """Seconds that are left, by the estimate as it was corrected so far; None while nothing is known.

        max(all work / workers that have a batch, the longest batch), as of an estimate.
        """
        off, overall = self._off(), self._overall()
        seconds, longest, batches = 0.0, 0.0, 0
        for pace in self.paces.values():
            rate = _rate(pace, off, overall) if pace.left else 0.0
            if rate is None:
                return None
            seconds += rate * pace.left + pace.compiling
            longest = max(longest, rate * pace.longest + pace.compiling)
            batches += pace.batches
        return max(seconds / max(1, min(self.workers, batches)), longest)

    def _off(self) -> float:
        """The factor by which programs took longer than estimated."""
        seen = [(pace.observed, pace.expected) for pace in self.paces.values() if pace.expected is not None]
        expected = sum(runs * each for (runs, _), each in seen)
        took = sum(seconds for (runs, seconds), _ in seen if runs)
        return min(MOST_OFF, max(1 / MOST_OFF, took / expected)) if expected and took else 1.0

    def _overall(self) -> float | None:
        """Seconds of a run, of whatever program."""
        seen = [pace.observed for pace in self.paces.values()]
        runs = sum(runs for runs, _ in seen)
        return sum(seconds for count, seconds in seen if count) / runs if runs else None


def _rate(pace: Pace, off: float, overall: float | None) -> float | None:
    """Seconds of a run of a program from here on: its own pace, the more of it there is, else as estimated."""
    runs, seconds = pace.observed
    expected = overall if pace.expected is None else pace.expected * off
    if expected is None:
        return None
    return (ALIKE * expected + seconds) / (ALIKE + runs) if runs else expected
