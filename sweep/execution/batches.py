"""Pending runs grouped by program into batches of about the right size: 5 to 20 seconds of one worker's time."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kernels.data.kinds import Dataset
from kernels.networks.table import build
from kernels.observables import OBSERVABLES
from kernels.room import Room
from kernels.spec import RunSpec
from sweep.execution.programs import ProgramPlan
from sweep.grid.catalogue import Catalogue, Entry
from sweep.grid.expansion import Candidate, Structure

TARGET_SECONDS = 10.0
"""What a batch should take: long against the 50 ms of a task and a commit, short against what is lost with it."""

FIRST = 64
"""Runs in the first batches of a shape without history: one fill of the CPU's lanes."""

GROWTH = 4
"""A batch has at most so many times the runs of the largest one that was timed."""

MEMORY = 256 << 20
"""Bytes that the results of one batch may take."""

AHEAD = 1 << 14
"""Pending runs that are held to find those of one program; with so many, the next full batch of any program goes."""

Device = Literal["cpu", "gpu"]

NUMBERS = itertools.count(1)
"""Of this process's batches."""

POINTS = 128
"""Recorded points of a trajectory, at most."""


@dataclass(frozen=True)
class Batch:
    """Runs of one program that one task computes; their order means nothing.

    Attributes:
        key: of the program, as JSON.
        runs: the runs with their data.
        entries: the data sets' descriptions, one a run.
        device: what it is sized for.
        room: the size of the program, where shapes share it.
        attempt: number of the try, from 1.
        lost: how many workers died with it.
        lost_nodes: how many nodes went away with it.
        killed: how often it ran out of memory.
    """

    key: str
    runs: tuple[tuple[RunSpec, Dataset], ...]
    entries: tuple[Entry, ...]
    device: Device = "cpu"
    room: Room | None = None
    attempt: int = 1
    lost: int = 0
    lost_nodes: int = 0
    killed: int = 0
    number: int = field(default_factory=NUMBERS.__next__)

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
            replace(self, runs=runs, entries=entries, attempt=self.attempt + 1, number=next(NUMBERS), **changes)
            for runs, entries in parts
        )
        return first, second


class Sizer:
    """How many runs of a program go into one batch, from stored timings and from those of this sweep.

    Args:
        history: seconds per run by program.
        guesses: the same of programs that no batch has timed; they make first batches smaller, never larger.
        slots: tasks that run at once.
    """

    def __init__(self, history: Mapping[str, float], guesses: Mapping[str, float] | None = None, slots: int = 1):
        self.slots = max(1, slots)
        self._history, self._guesses = dict(history), dict(guesses or {})
        self._seconds: dict[tuple[Device, str], float] = {}
        self._largest: Counter[tuple[Device, str]] = Counter()
        self._most: dict[str, int] = {}

    def observe(self, batch: Batch, seconds: float) -> None:
        """Note a finished batch and the seconds that its integration took. The fastest counts."""
        key, rate = (batch.device, batch.key), seconds / len(batch)
        self._seconds[key] = min(rate, self._seconds.get(key, rate))
        self._largest[key] = max(self._largest[key], len(batch))

    def size(self, program: ProgramPlan, remaining: int, device: Device = "cpu", first: int = FIRST) -> int:
        """Runs of the next batch, of `remaining` ones: every slot gets a share, none gets crumbs."""
        key = program.key
        if key in self._guesses:
            first = min(first, max(1, int(TARGET_SECONDS / max(self._guesses[key], 1e-9))))
        measured = self._seconds.get((device, key))
        rate = self._history.get(key) if measured is None else measured
        wanted = first if rate is None else max(1, int(TARGET_SECONDS / max(rate, 1e-9)))
        if measured is not None:
            wanted = min(wanted, GROWTH * max(self._largest[device, key], first))
        share = max(math.ceil(remaining / self.slots), min(first, wanted))
        size = min(wanted, share, self.most(program))
        return remaining if remaining <= 1.25 * size else size

    def most(self, program: ProgramPlan) -> int:
        """Runs whose results fit into MEMORY."""
        if program.key not in self._most:
            self._most[program.key] = max(1, MEMORY // max(_bytes(shape.structure) for shape in program.shapes))
        return self._most[program.key]

    def batches(self, program: ProgramPlan) -> int:
        """How many batches its runs make at today's size."""
        pending = program.pending
        return math.ceil(pending / self.size(program, pending)) if pending else 0


def _bytes(structure: Structure) -> int:
    """Bytes of one run: layers, Jacobian, data, and the recorded points twice (as arrays and as Arrow)."""
    entry = structure.entry
    parameters = build(structure.spec, entry.dim).parameters
    points = POINTS if structure.spec.record else 1
    return 8 * (
        3 * parameters + entry.samples * (parameters + entry.dim) + 2 * points * (entry.dim + len(OBSERVABLES) + 1)
    )


class Batcher:
    """Takes pending runs one at a time and hands out batches, so that workers are on different programs.

    As many programs as there are slots are being worked at, those with most work first. Of these the next batch is of
    the one that has the fewest out, so that each keeps the workers that have compiled it.
    """

    def __init__(
        self, candidates: Iterable[Candidate], programs: Iterable[ProgramPlan], sizer: Sizer, catalogue: Catalogue
    ):
        self._candidates: Iterator[Candidate] = iter(candidates)
        self._programs = sorted(programs, key=lambda program: -program.work)
        self._program = {shape.key: program for program in self._programs for shape in program.shapes}
        self._remaining = {program.key: program.pending for program in self._programs}
        assert len(self._remaining) == len(self._programs), "two programs have one key"
        self._waiting: dict[str, list[Candidate]] = {program.key: [] for program in self._programs}
        self._held = 0
        self._sizer, self._catalogue = sizer, catalogue

    def next(self, out: Mapping[str, int], device: Device = "cpu", first: int = FIRST) -> Batch | None:
        """The next batch, or None when every pending run has been handed out. Raises InputError if data changed.

        Args:
            out: batches that are not answered, by program.
        """
        unfinished = [program for program in self._programs if self._remaining[program.key]]
        if not unfinished:
            return None
        preferred = min(unfinished[: self._sizer.slots], key=lambda each: out.get(each.key, 0))

        def wanted(program: ProgramPlan) -> int:
            return self._sizer.size(program, self._remaining[program.key], device, first)

        program = self._read(preferred, wanted)
        return self._take(program, wanted(program), device)

    def _read(self, preferred: ProgramPlan, wanted: Callable[[ProgramPlan], int]) -> ProgramPlan:
        """Hold more runs until a batch of this program is among them, or, where AHEAD are held, one of any."""
        enough = wanted(preferred)
        latest = max(self._programs, key=lambda program: len(self._waiting[program.key]))
        while len(self._waiting[preferred.key]) < enough:
            if self._held >= AHEAD and len(self._waiting[latest.key]) >= wanted(latest):
                return latest
            candidate = next(self._candidates)
            latest = self._program[candidate.structure.key]
            self._waiting[latest.key].append(candidate)
            self._held += 1
        return preferred

    def _take(self, program: ProgramPlan, size: int, device: Device) -> Batch:
        waiting = self._waiting[program.key]
        taken, self._waiting[program.key] = waiting[:size], waiting[size:]
        self._remaining[program.key] -= len(taken)
        self._held -= len(taken)
        entries = tuple(candidate.structure.entry for candidate in taken)
        runs = tuple((c.spec, self._catalogue.dataset(e)) for c, e in zip(taken, entries, strict=True))
        return Batch(program.key, runs, entries, device, program.room)
