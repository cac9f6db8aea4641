"""How long the pending runs of a plan take so many workers, from what is known of their programs, with a range."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from db.store import Store
from sweep.execution.batches import Sizer
from sweep.execution.history import History
from sweep.execution.pilot import Pilot, pilot, pilot_lines
from sweep.execution.plan import Plan
from sweep.execution.programs import ProgramPlan
from sweep.execution.timing import Source, Timing
from sweep.execution.words import duration, plural

SOURCES: dict[Source, str] = {
    "timed": "timed in this store",
    "alike": "by what others in this store cost",
    "pilot": "by runs just now",
    "kept": "by an earlier pilot",
}


@dataclass(frozen=True)
class Part:
    """The pending runs of one program.

    Attributes:
        timing: of one run; None where nothing is known.
        batches: they make, as far as known now.
        compiling: seconds that each worker spends on the program.
    """

    program: ProgramPlan
    timing: Timing | None
    batches: int
    compiling: float

    @property
    def longest(self) -> int:
        """Runs of its largest batch, one at least: what one worker has to do, however many there are."""
        return math.ceil(self.program.pending / max(1, self.batches))


@dataclass(frozen=True)
class Estimate:
    """Of a plan.

    Attributes:
        workers: tasks that run at once.
        parts: one a program.
    """

    workers: int
    parts: tuple[Part, ...]

    @property
    def batches(self) -> int:
        return sum(part.batches for part in self.parts)

    @property
    def unknown(self) -> list[ProgramPlan]:
        """Programs of which nothing is known."""
        return [part.program for part in self.parts if part.timing is None]

    @property
    def compiling(self) -> float:
        """Seconds for compiling, of the middle ones in all."""
        return self._taken("middle")[1]

    @property
    def seconds(self) -> tuple[float, float, float]:
        """Low, middle, high, compiling among it; without the programs of which nothing is known."""
        low, middle, high = (self._taken(name)[0] for name in ("low", "middle", "high"))
        return low, middle, high

    def _taken(self, name: str) -> tuple[float, float]:
        """max(all work / busy workers, the longest batch), and the compiling in it: no batch is divided.

        Each worker that has a batch of a program compiles it.
        """
        spread, compiling = 0.0, 0.0
        batches = [(0.0, 0.0)]
        for part in self.parts:
            if part.timing is None:
                continue
            rate, again = getattr(part.timing, name), part.compiling * min(self.workers, part.batches)
            spread += rate * part.program.pending + again
            compiling += again
            batches.append((rate * part.longest + part.compiling, part.compiling))
        return max((spread / self._busy, compiling / self._busy), *batches, key=lambda taken: taken[0])

    @property
    def _busy(self) -> int:
        """Workers that have something to do."""
        return max(1, min(self.workers, self.batches))

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `estimated_seconds` is None where something is not known, which `estimate` then lacks."""
        low, middle, high = (round(seconds, 1) for seconds in self.seconds)
        some = len(self.unknown) < len(self.parts) or not self.parts
        unknown = {"programs": len(self.unknown), "runs": sum(program.pending for program in self.unknown)}
        return {
            "batches": self.batches,
            "estimated_seconds": None if self.unknown else middle,
            "estimate": {
                "workers": self.workers,
                "seconds": [low, middle, high] if some else None,
                "compile_seconds": round(self.compiling, 1),
                "unknown": unknown,
                "sources": {name: count for name in SOURCES if (count := self._count(name))},
            },
        }

    def _count(self, source: Source) -> int:
        return sum(part.timing is not None and part.timing.source == source for part in self.parts)


def estimate(plan: Plan, history: History, workers: int) -> Estimate:
    """What is known of how long the pending runs of a plan take: the one place that says so, whoever asks."""
    with plan.grid.code.found():
        sizer = sizer_of(plan, history, workers)
        return Estimate(max(1, workers), tuple(_parts(plan.programs, history, sizer)))


def _parts(programs: Iterable[ProgramPlan], history: History, sizer: Sizer) -> Iterator[Part]:
    for program in programs:
        timing = history.of(program)
        compiling = history.compiling if timing is None or timing.compiling is None else timing.compiling
        yield Part(program, timing, sizer.batches(program), compiling)


def sizer_of(plan: Plan, history: History, workers: int) -> Sizer:
    """Sizes of batches from the same timings."""
    return Sizer(*history.rates(plan.programs), workers)


def cores() -> int:
    """Workers of a launch that says nothing else: this machine's cores."""
    return os.cpu_count() or 1


def counted(plan: Plan, made: Estimate, tried: Pilot | None = None) -> dict[str, Any]:
    """Counts of a plan with its estimate: what is printed, and kept of a launch."""
    return {**plan.counts(), **made.to_dict(), **({} if tried is None else {"pilot": tried.to_dict()})}


def foreseen(plan: Plan, store: Store, workers: int | None = None, trying: bool = False) -> dict[str, Any]:
    """What `sweep plan` and `sweep.plan` say: counts and estimate; `trying` some runs of programs never timed."""
    history, tried = History(store), None
    if trying:
        tried = pilot(plan, frozenset(history.timed))
        history = History(store, tried.timings)
    return counted(plan, estimate(plan, history, workers or cores()), tried)


def estimate_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The estimate of `Estimate.to_dict`, for people."""
    of, unknown = found["estimate"], found["estimate"]["unknown"]
    if found["pending"] and (tried := found.get("pilot")):
        yield from pilot_lines(tried)
    if not found["pending"]:
        yield "estimated time: 0 s"
    elif of["seconds"] is None:
        yield "estimated time: unknown"
    else:
        low, middle, high = of["seconds"]
        compiling = f", {duration(of['compile_seconds'])} of it compiling"
        where = plural(of["workers"], "worker")
        yield f"estimated time: {duration(middle)} ({duration(low)} to {duration(high)}) on {where}{compiling}"
    if sources := [f"{plural(of['sources'][name], 'program')} {said}" for name, said in SOURCES.items()
                   if name in of["sources"]]:  # fmt: skip
        yield f"  {', '.join(sources)}"
    if unknown["programs"]:
        programs = f"{plural(unknown['programs'], 'program')} never timed ({plural(unknown['runs'], 'run')})"
        yield f"  + {programs}: sweep plan --pilot tries some runs"
