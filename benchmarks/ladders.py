"""Seconds a run at equal achieved error: methods that climb ladders of tolerances, in turns.

What `regression.py` and `classification.py` share. All methods run in one process on one core and take turns, rung
by rung; seconds are processor time. A ladder ends when it is precise enough, or with a rung that takes longer than
the bound, but for the loosest, where some methods stumble. Decisive rungs that take little are measured three
times (medians).
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.cells import MOST_STEPS, Cell
from benchmarks.common import options, rate_at
from benchmarks.rivals import Rival, System

OURS = "ours"
AGAIN = 0.5
"""Seconds up to which a rung is measured again."""

Row = dict[str, Any]
Judge = Callable[[int, np.ndarray, float], float]
"""(place, beta, log Loss) -> error of the end of the run at this place among those that all methods integrate."""


def arguments(
    description: str | None,
    shapes: Iterable[str],
    shape: str,
    error: str,
    *more: Callable[[argparse.ArgumentParser], Any],
) -> argparse.Namespace:
    """The command line of both.

    Args:
        shape: the default.
        error: what the error at which methods are compared is of.
    """
    return options(
        description,
        lambda parser: parser.add_argument("--shape", default=shape, choices=shapes),
        lambda parser: parser.add_argument("--depths", type=int, nargs="+", default=(2, 3, 4, 6)),
        lambda parser: parser.add_argument("--runs", type=int, default=8, help="least runs of the project's batch"),
        lambda parser: parser.add_argument(
            "--bound", type=float, default=1.0, help="seconds a run that a rung may take"
        ),
        lambda parser: parser.add_argument("--error", type=float, default=1e-6, help=error),
        *more,
    )


@dataclass
class Rung:
    """One method at one tolerance: its row, and the seconds a run of each time it was measured."""

    row: Row
    seconds: list[float]


@dataclass
class Ladder:
    """One method, from loose to tight tolerances.

    Attributes:
        name, family: of the method; of several methods of a family the best counts.
        measure: rtol -> a row with at least `seconds_per_run`, `worst_error`, `unfinished` and `over`.
        pending: tolerances to come.
        stumbles: rungs from the loosest on that may take longer than the bound without ending the ladder.
        rungs: those measured.
    """

    name: str
    family: str
    measure: Callable[[float], Row]
    pending: list[float]
    stumbles: int = 1
    rungs: list[Rung] = field(default_factory=list)

    def climb(self, target: float) -> None:
        """Measure the next rung; the ladder ends where it is precise enough or takes too long."""
        row = self.measure(self.pending.pop(0))
        self.rungs.append(Rung(row, [row["seconds_per_run"]]))
        too_long = row["over"] and (len(self.rungs) > self.stumbles or any(not rung.row["over"] for rung in self.rungs))
        if too_long or (not row["unfinished"] and row["worst_error"] <= target):
            self.pending = []

    def repeat(self, target: float) -> None:
        """Measure the decisive rungs again: the first that reaches the target, and the one before."""
        good = [k for k, rung in enumerate(self.rungs) if not rung.row["unfinished"]]
        first = next((k for k in good if self.rungs[k].row["worst_error"] <= target), None)
        for k in good if first is not None else ():
            rung = self.rungs[k]
            if first is not None and first - 1 <= k <= first and rung.seconds[0] * rung.row["runs"] <= AGAIN:
                rung.seconds.append(self.measure(rung.row["setting"])["seconds_per_run"])

    @property
    def rows(self) -> list[Row]:
        """The rungs with the medians of their seconds."""
        found = []
        for rung in self.rungs:
            seconds = float(np.median(rung.seconds))
            found.append(rung.row | {"seconds_per_run": seconds, "runs_per_second": 1 / seconds})
        return found


class Ours:
    """The project's batch; `simulate` cannot be interrupted, so the bound is kept by a number of steps that grows."""

    def __init__(self, cell: Cell, seeds: Sequence[int], judge: Judge, bound: float):
        self.cell, self.seeds, self.judge, self.bound = cell, list(seeds), judge, bound * cell.runs
        self.most_steps = 250

    def __call__(self, rtol: float) -> Row:
        results = self.cell.simulate(rtol, self.most_steps)
        while not results.finished.all() and self.most_steps < MOST_STEPS and results.seconds <= self.bound:
            self.most_steps = min(4 * self.most_steps, MOST_STEPS)
            results = self.cell.simulate(rtol, self.most_steps)
        ends = [(results.beta[seed], results.log_loss[seed]) for seed in self.seeds if results.finished[seed]]
        return {
            "method": OURS,
            "setting": rtol,
            "runs": self.cell.runs,
            "seconds_per_run": results.seconds / self.cell.runs,
            "of this theory": results.theory / self.cell.runs,
            **errors([self.judge(place, *end) for place, end in enumerate(ends)] if results.finished.all() else []),
            "median_steps": float(np.median(results.steps)),
            "unfinished": int(np.sum(~results.finished)),
            "over": results.seconds > self.bound,
        }


class Theirs:
    """The runs that rivals integrate, by one of them."""

    def __init__(self, name: str, rival: Rival, runs: Sequence[System], judge: Judge, bound: float):
        self.name, self.rival, self.runs, self.judge, self.bound = name, rival, runs, judge, bound * len(runs)

    def __call__(self, rtol: float) -> Row:
        ends, spent = [], 0.0
        for run in self.runs:
            run.calls = 0
            ends.append(self.rival(run, rtol, self.bound - spent))
            spent += ends[-1].seconds
            if spent >= self.bound:
                break
        found = [
            self.judge(place, run.beta(end.z), run.log_loss(end.z))
            for place, (run, end) in enumerate(zip(self.runs, ends, strict=False))
            if end.finished
        ]
        return {
            "method": self.name,
            "setting": rtol,
            "runs": len(ends),
            "seconds_per_run": spent / len(ends),
            **errors(found),
            "median_steps": float(np.median([end.steps for end in ends])),
            "median_calls": float(np.median([run.calls for run in self.runs[: len(ends)]])),
            "unfinished": len(self.runs) - sum(end.finished for end in ends),
            "over": spent >= self.bound,
        }


def errors(found: Sequence[float]) -> Row:
    """The worst and the median of errors; infinite, where there are none."""
    error = np.where(np.isfinite(found), found, np.inf) if found else np.array([np.inf])
    return {"worst_error": float(error.max()), "median_error": float(np.median(error))}


def climb(methods: Sequence[Ladder], target: float) -> None:
    """All ladders to the target error, in turns."""
    while any(ladder.pending for ladder in methods):
        for ladder in methods:
            if ladder.pending:
                ladder.climb(target)
    for _ in range(2):
        for ladder in methods:
            ladder.repeat(target)


def compare(methods: Sequence[Ladder], target: float, bound: float) -> Row:
    """Seconds a run of each family at one error; how many times faster the project is than the best of the others.

    Seconds between two rungs are interpolated in logarithms. What theory takes hardly depends on the tolerance: it is
    the median over the project's rungs.
    """
    seconds: dict[str, float | None] = {}
    made: Row = {"error": target}
    for family in dict.fromkeys(ladder.family for ladder in methods):
        own = [ladder for ladder in methods if ladder.family == family]
        rates = [rate for ladder in own if (rate := rate_at(ladder.rows, target))]
        seconds[family] = 1 / max(rates) if rates else None
        made[f"{family}, s a run"] = seconds[family] if rates else _missing(own, bound)
    ours = next(ladder for ladder in methods if ladder.family == OURS)
    theory = float(np.median([row["of this theory"] for row in ours.rows if not row["unfinished"]] or [0.0]))
    mine, known = seconds[OURS], [s for family, s in seconds.items() if family != OURS and s]
    made["of ours theory"] = theory if mine else None
    if mine and known:
        made["best rival / ours"] = min(known) / mine
        made["best rival / our flow"] = min(known) / (mine - theory) if mine > 1.1 * theory else None
    return made


def _missing(own: Sequence[Ladder], bound: float) -> str:
    """Why there are no seconds, with the least error that was reached."""
    over = any(not ladder.rungs or ladder.rungs[-1].row["over"] for ladder in own)
    reached = [row["worst_error"] for ladder in own for row in ladder.rows if not row["unfinished"]]
    known = [error for error in reached if np.isfinite(error)]
    return f"over {bound:g}" if over else f"not reached, {min(known):.0e}" if known else "not reached"


def conclusion(rows: Sequence[Row], bound: float) -> Row:
    """The range of ratios, and how many cells have none."""
    made: Row = {}
    for name in ("best rival / ours", "best rival / our flow"):
        known = sorted(row[name] for row in rows if row.get(name))
        low, middle, high = (known[0], float(np.median(known)), known[-1]) if known else (0.0, 0.0, 0.0)
        text = f"{low:.2g} to {high:.2g}, median {middle:.2g}, in {len(known)} of {len(rows)} cells"
        made[name] = text if known else "not reached"
    late = sum(str(row[f"{OURS}, s a run"]).startswith("over") for row in rows)
    return made | {f"cells in which ours takes over {bound:g} s a run": late}
