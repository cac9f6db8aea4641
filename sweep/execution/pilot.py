"""Some runs of each program that was never timed, now, in this process and in memory: their times are kept, no more.

They are kept in this user's cache (`timing.keep`), so that the launch that follows says what the plan said.
"""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.errors import CannotWrite
from sweep.execution.batches import FIRST
from sweep.execution.plan import Plan
from sweep.execution.programs import ProgramPlan
from sweep.execution.timing import Timing, keep, kept
from sweep.execution.words import duration, plural
from sweep.execution.worker import Finished, Payload, Raised, Refused, run_batch
from sweep.grid.expansion import Candidate
from sweep.shown import shown

SECONDS = 30.0
"""In all; a compilation that has begun is waited for."""

ENOUGH_SECONDS = 3.0
"""Of integration of one program, once a run of it has ended."""

WHOLE_SPREAD, PART_SPREAD = 2.0, 4.0
"""Factors up and down: of a sample that ended, and of one of which the time allowed a part: its quickest runs."""


@dataclass(frozen=True)
class Pilot:
    """What a few runs took.

    Attributes:
        timings: by key of the program.
        runs: that ended.
        seconds: in all.
        unreached: programs for which no time was left, or of which no run ended in it.
        failures: what was raised instead, a line each.
        unkept: why the times could not be kept for the launch that follows; "" where they were.
    """

    timings: dict[str, Timing]
    runs: int
    seconds: float
    unreached: int
    failures: tuple[str, ...] = ()
    unkept: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "programs": len(self.timings), "runs": self.runs, "seconds": round(self.seconds, 1),
            "unreached": self.unreached, "failures": list(self.failures), "unkept": self.unkept,
        }  # fmt: skip


def pilot_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The pilot of `Pilot.to_dict`, for people."""
    if not (found["runs"] or found["unreached"] or found["failures"]):
        yield "pilot: nothing to try, every program was timed before"
        return
    tried = f"{plural(found['runs'], 'run')} of {plural(found['programs'], 'program')}"
    yield f"pilot: {tried} in {duration(found['seconds'])}, in memory; none of them is stored"
    if found["unreached"]:
        yield f"  no run of {plural(found['unreached'], 'program')} ended in the time that there was"
    yield from (f"  a program failed: {shown(failure)}" for failure in found["failures"])
    if found["unkept"]:
        yield f"  a launch will not know these times: {shown(found['unkept'])}"


def pilot(plan: Plan, known: frozenset[str], seconds: float = SECONDS) -> Pilot:
    """Time runs of the programs that are not `known`, in about so many seconds.

    First those that no earlier pilot reached; of these, those with most pending runs.
    """
    begin = time.monotonic()
    wanted = {program.key: program for program in plan.programs if program.key not in known}
    order = sorted(wanted.values(), key=lambda program: (kept(program.key) is not None, -program.pending))
    samples = _samples(plan, order)
    timings: dict[str, Timing] = {}
    runs, failures = 0, []
    for number, program in enumerate(order):
        left = seconds - (time.monotonic() - begin)
        if left <= 0:
            break
        outcome = _tried(plan, program, samples[program.key], max(left / (len(order) - number), 1.0))
        if isinstance(outcome, Raised | Refused):
            failures.append(outcome.error)
        elif len(outcome):
            runs += len(outcome)
            timings[program.key] = _timing(outcome, len(samples[program.key]))
    unreached = len(order) - len(timings) - len(failures)
    return Pilot(timings, runs, time.monotonic() - begin, unreached, tuple(failures), _unkept(timings))


def _unkept(timings: Mapping[str, Timing]) -> str:
    """Keep the times; why that failed, or ""."""
    try:
        keep(timings)
    except CannotWrite as error:
        return str(error)
    except OSError as error:  # of the folder
        return f"{error.filename}: {error.strerror}"
    return ""


def _samples(plan: Plan, programs: list[ProgramPlan]) -> dict[str, list[Candidate]]:
    """Of each program one fill of its lanes, drawn evenly from its pending runs."""
    key = {shape.key: program.key for program in programs for shape in program.shapes}
    drawn: dict[str, list[Candidate]] = {program.key: [] for program in programs}
    seen = dict.fromkeys(drawn, 0)
    rng = random.Random(0)
    for candidate in plan.candidates():
        program = key.get(candidate.structure.key)
        if program is None:
            continue
        seen[program] += 1
        sample = drawn[program]
        if len(sample) < FIRST:
            sample.append(candidate)
        elif (place := rng.randrange(seen[program])) < FIRST:
            sample[place] = candidate
    return drawn


def _tried(plan: Plan, program: ProgramPlan, sample: list[Candidate], seconds: float) -> Finished | Raised | Refused:
    """A batch of the sample, ended after so many seconds of integration, or as soon as that says enough."""
    catalogue = plan.expansion.catalogue
    runs = tuple((each.spec, catalogue.dataset(each.structure.entry)) for each in sample)
    first: list[float] = []

    def watch(ended: int) -> bool:
        from kernels.compilation import since

        first[:] = first or [time.perf_counter()]
        spent = time.perf_counter() - first[0] - since(first[0])
        return spent > seconds or (ended > 0 and spent > ENOUGH_SECONDS)

    return run_batch(Payload(runs, "", plan.grid.code, room=program.room), watch)


def _timing(outcome: Finished, asked: int) -> Timing:
    integrating = max(outcome.seconds - outcome.compile_seconds, 1e-3)
    on_cpu = set(outcome.tables["runs"]["device"].to_pylist()) <= {"cpu"}  # who waits for a GPU uses little CPU
    share = min(1.0, outcome.cpu_seconds / outcome.seconds) if on_cpu and outcome.cpu_seconds is not None else 1.0
    middle = integrating * share / len(outcome)
    spread = WHOLE_SPREAD if len(outcome) == asked else PART_SPREAD
    return Timing(middle / spread, middle, middle * spread, "pilot", outcome.compile_seconds * share)
