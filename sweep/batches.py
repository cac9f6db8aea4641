"""Pending runs grouped by compile key into batches of about the right size: 5 to 20 seconds of one worker's time."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kernels.data.kinds import Dataset
from kernels.networks.table import build
from kernels.spec import RunSpec
from sweep.catalogue import Catalogue, Entry
from sweep.expansion import Candidate, Structure

TARGET_SECONDS = 10.0
"""What a batch should take: long against the 50 ms of a task and a commit, short against what is lost with it."""

FIRST = 64
"""Runs in the first batches of a shape without history: one fill of the CPU's lanes."""

GROWTH = 4
"""A batch has at most so many times the runs of the largest one that was timed."""

MEMORY = 256 << 20
"""Bytes that the results of one batch may take."""

Device = Literal["cpu", "gpu"]

POINTS = 128
"""Recorded points of a trajectory, at most."""


@dataclass(frozen=True)
class Batch:
    """Runs of one compile key that one task computes; their order means nothing.

    Attributes:
        key: the compile key, as JSON.
        runs: the runs with their data.
        entries: the data sets' descriptions, one a run.
        device: what it is sized for.
        attempt: number of the try, from 1.
        lost: how many workers died with it.
        lost_nodes: how many nodes went away with it.
        killed: how often it ran out of memory.
    """

    key: str
    runs: tuple[tuple[RunSpec, Dataset], ...]
    entries: tuple[Entry, ...]
    device: Device = "cpu"
    attempt: int = 1
    lost: int = 0
    lost_nodes: int = 0
    killed: int = 0
    number: int = field(default_factory=itertools.count(1).__next__)

    def __len__(self) -> int:
        return len(self.runs)

    def again(self, **changes: Any) -> "Batch":
        """The next try of the same runs."""
        return replace(self, attempt=self.attempt + 1, **changes)

    def halves(self, **changes: Any) -> tuple["Batch", "Batch"]:
        """The same runs in two batches."""
        middle = len(self.runs) // 2
        parts = ((self.runs[:middle], self.entries[:middle]), (self.runs[middle:], self.entries[middle:]))
        first, second = (
            Batch(self.key, runs, entries, self.device, self.attempt + 1, self.lost, self.lost_nodes, self.killed)
            for runs, entries in parts
        )
        return replace(first, **changes), replace(second, **changes)


class Sizer:
    """How many runs of a shape go into one batch, from stored timings and from those of this sweep.

    Args:
        history: seconds per run by compile key.
        slots: tasks that run at once.
    """

    def __init__(self, history: Mapping[str, float], slots: int = 1):
        self.slots = max(1, slots)
        self._history = dict(history)
        self._seconds: dict[tuple[Device, str], float] = {}
        self._largest: Counter[tuple[Device, str]] = Counter()
        self._most: dict[str, int] = {}

    def observe(self, batch: Batch, seconds: float) -> None:
        """Note a finished batch. The fastest counts: the first of a worker also compiled."""
        key, rate = (batch.device, batch.key), seconds / len(batch)
        self._seconds[key] = min(rate, self._seconds.get(key, rate))
        self._largest[key] = max(self._largest[key], len(batch))

    def size(
        self, key: str, structure: Structure, remaining: int, device: Device = "cpu", first: int = FIRST
    ) -> int:  # fmt: skip
        """Runs of the next batch, of `remaining` ones: every slot gets a share, none gets crumbs."""
        measured = self._seconds.get((device, key))
        rate = self._history.get(key) if measured is None else measured
        wanted = first if rate is None else max(1, int(TARGET_SECONDS / max(rate, 1e-9)))
        if measured is not None:
            wanted = min(wanted, GROWTH * max(self._largest[device, key], first))
        share = max(math.ceil(remaining / self.slots), min(first, wanted))
        size = min(wanted, share, self.most(key, structure))
        return remaining if remaining <= 1.25 * size else size

    def most(self, key: str, structure: Structure) -> int:
        """Runs whose results fit into MEMORY."""
        if key not in self._most:
            self._most[key] = max(1, MEMORY // _bytes(structure))
        return self._most[key]

    def batches(self, key: str, structure: Structure, pending: int) -> int:
        """How many batches so many runs make at today's size."""
        return math.ceil(pending / self.size(key, structure, pending)) if pending else 0

    def seconds(self, key: str, pending: int) -> float | None:
        """Seconds of one worker for so many runs, or None if the shape was never timed."""
        return self._history[key] * pending if key in self._history else None


def _bytes(structure: Structure) -> int:
    """Bytes of one run: layers, Jacobian, data, and the recorded points twice (as arrays and as Arrow)."""
    entry = structure.entry
    parameters = build(structure.spec, entry.dim).parameters
    points = POINTS if structure.spec.record else 1
    return 8 * (3 * parameters + entry.samples * (parameters + entry.dim) + 2 * points * (entry.dim + 8))


class Batcher:
    """Takes pending runs one at a time and hands out batches, each as soon as it is full."""

    def __init__(self, candidates: Iterable[Candidate], pending: Mapping[str, int], sizer: Sizer, catalogue: Catalogue):
        self._candidates: Iterator[Candidate] = iter(candidates)
        self._remaining = Counter(pending)
        self._waiting: defaultdict[str, list[Candidate]] = defaultdict(list)
        self._sizer, self._catalogue = sizer, catalogue

    def next(self, device: Device = "cpu", first: int = FIRST) -> Batch | None:
        """The next batch, or None when every pending run has been handed out. Raises InputError if data changed."""
        for candidate in self._candidates:
            key = candidate.structure.key
            self._waiting[key].append(candidate)
            wanted = self._sizer.size(key, candidate.structure, self._remaining[key], device, first)
            if len(self._waiting[key]) >= wanted:
                return self._take(key, wanted, device)
        for key, waiting in self._waiting.items():
            if waiting:
                return self._take(key, self._sizer.size(key, waiting[0].structure, len(waiting), device, first), device)
        return None

    def _take(self, key: str, size: int, device: Device) -> Batch:
        taken = self._waiting[key][:size]
        self._waiting[key] = self._waiting[key][size:]
        self._remaining[key] -= len(taken)
        entries = tuple(candidate.structure.entry for candidate in taken)
        runs = tuple((c.spec, self._catalogue.dataset(e)) for c, e in zip(taken, entries, strict=True))
        return Batch(key, runs, entries, device)
