"""Seconds a run against precision from alpha = 1e-6 to 10: the project beside scipy on one state a coordinate.

    python benchmarks/curve_precision.py [--quick] [--only TEXT] [--runs 64] [--bound 30]

The flow of a diagonal network has one state a coordinate (`rivals_curve.py`). On it a user gets far with scipy, and
fastest with LSODA's compiled loop and an analytic Jacobian: this is what the project has to beat, on 4 x 10 and
100 x 400 Gaussian samples and on a table of 30 samples and 60 features, at depths 2, 3, 4 and 6, each alpha on its row.

Fair because: one process, one core; methods take turns, rung by rung of their ladders of tolerances, and decisive rungs
that take seconds at most are measured three times (medians). The project integrates a batch that differs in the seed of
eta, through `simulate` as a sweep does; its seconds are the batch's, divided by its runs. Rivals integrate some of the
same runs, one after another, and are told when the flow ends (relative residual 1e-10). Error is the worst relative
error of the limit against the exact one, over the runs that all methods integrate; seconds at a target error are
interpolated on a method's ladder, in logarithms, of the better of LSODA's two settings. `simulate` also compares each
run with theory; what the forecasts alone cost is shown beside it, and the last ratio leaves it out. Compilation is
reported apart: the first run of a fresh process with an empty compilation cache, and of another that finds the cache of
the first.

A ladder ends when it is precise enough, or with the rung that takes longer than the bound (for the project's batch, or
for the rivals' runs together); a target error that it has not reached by then is shown as over the bound,
with the least error that was reached.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Report, one_core, options, rate_at, spread
from benchmarks.curve_problems import MOST_STEPS, SHAPES, Cell
from benchmarks.rivals_curve import RIVALS, Curves, Rival, find_end

DEPTHS = (2, 3, 4, 6)
ALPHAS = (1e-6, 1e-4, 1e-2, 1.0, 10.0)
TARGETS = (1e-6, 1e-8)
OURS = "ours"
LADDER = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11)
AGAIN = 5.0
"""Seconds up to which a rung is measured again."""
SHARED = {"100 x 400": 2}
"""How many of a batch's runs rivals get; 8, where nothing is said."""
FAMILIES = (OURS, *dict.fromkeys(family for family, _ in RIVALS.values()))

Row = dict[str, Any]


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
        rungs: those measured.
    """

    name: str
    family: str
    measure: Callable[[float], Row]
    pending: list[float] = field(default_factory=lambda: list(LADDER))
    rungs: list[Rung] = field(default_factory=list)

    def climb(self) -> None:
        """Measure the next rung; the ladder ends where it is precise enough or takes too long."""
        row = self.measure(self.pending.pop(0))
        self.rungs.append(Rung(row, [row["seconds_per_run"]]))
        if row["over"] or (not row["unfinished"] and row["worst_error"] <= TARGETS[-1]):
            self.pending = []

    def repeat(self) -> None:
        """Measure the decisive rungs again: for each target the first that reaches it, and the one before."""
        good = [k for k, rung in enumerate(self.rungs) if not rung.row["unfinished"]]
        first = {next((k for k in good if self.rungs[k].row["worst_error"] <= t), -1) for t in TARGETS}
        for k in sorted({k for at in first if at >= 0 for k in (at - 1, at)} & set(good)):
            rung = self.rungs[k]
            if rung.seconds[0] * rung.row["runs"] <= AGAIN:
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

    def __init__(self, cell: Cell, seeds: Sequence[int], limits: np.ndarray, bound: float):
        self.cell, self.seeds, self.limits, self.bound = cell, list(seeds), limits, bound
        self.most_steps = 250

    def __call__(self, rtol: float) -> Row:
        results = self.cell.simulate(rtol, self.most_steps)
        while not results.finished.all() and self.most_steps < MOST_STEPS and results.seconds <= self.bound:
            self.most_steps = min(4 * self.most_steps, MOST_STEPS)
            results = self.cell.simulate(rtol, self.most_steps)
        return {
            "method": OURS,
            "setting": rtol,
            "runs": self.cell.runs,
            "seconds_per_run": results.seconds / self.cell.runs,
            **errors(results.beta[self.seeds], self.limits),
            "median_steps": float(np.median(results.steps)),
            "unfinished": int(np.sum(~results.finished)),
            "over": results.seconds > self.bound,
        }


class Theirs:
    """The runs that rivals integrate, by one of them."""

    def __init__(self, name: str, rival: Rival, runs: Sequence[Curves], limits: np.ndarray, bound: float):
        self.name, self.rival, self.runs, self.limits, self.bound = name, rival, runs, limits, bound

    def __call__(self, rtol: float) -> Row:
        ends, spent = [], 0.0
        for run in self.runs:
            run.calls = 0
            ends.append(self.rival(run, rtol, self.bound - spent))
            spent += ends[-1].seconds
            if spent >= self.bound:
                break
        found = np.array([run.beta(end.z) for run, end in zip(self.runs, ends, strict=False)])
        return {
            "method": self.name,
            "setting": rtol,
            "runs": len(ends),
            "seconds_per_run": spent / len(ends),
            **errors(found, self.limits[: len(ends)]),
            "median_steps": float(np.median([end.steps for end in ends])),
            "median_calls": float(np.median([run.calls for run in self.runs[: len(ends)]])),
            "unfinished": len(self.runs) - sum(end.finished for end in ends),
            "over": spent >= self.bound,
        }


def errors(found: np.ndarray, limits: np.ndarray) -> Row:
    """Relative errors of the limits."""
    error = np.linalg.norm(found - limits, axis=1) / np.linalg.norm(limits, axis=1)
    error = np.where(np.isfinite(error), error, np.inf)
    return {"worst_error": float(error.max()), "median_error": float(np.median(error))}


def ladders(cell: Cell, bound: float) -> list[Ladder]:
    """Every method on one cell; where a tight LSODA does not find the end within the bound, rivals get no rung."""
    seeds = spread(cell.runs, SHARED.get(cell.shape, 8))
    limits = cell.limits(seeds)
    found = [Ladder(OURS, OURS, Ours(cell, seeds, limits, bound))]
    runs = [Curves(cell.x, cell.y, cell.start(seed)) for seed in seeds]
    known = all(find_end(run, bound) for run in runs)
    for name, (family, rival) in RIVALS.items():
        found.append(Ladder(name, family, Theirs(name, rival, runs, limits, bound)))
        if not known:
            found[-1].pending = []
    return found


def measure(cell: Cell, bound: float) -> tuple[list[Row], Iterator[Row]]:
    """The rungs of every method on one cell, and the comparison at each target."""
    methods = ladders(cell, bound)
    while any(ladder.pending for ladder in methods):
        for ladder in methods:
            if ladder.pending:
                ladder.climb()
    for _ in range(2):
        for ladder in methods:
            ladder.repeat()
    theory = float(np.median([cell.theory() for _ in range(3)])) / cell.runs
    place = {"L": cell.depth, "alpha": cell.alpha}
    rows = [place | row for ladder in methods for row in ladder.rows]
    return rows, (place | compare(methods, target, theory, bound) for target in TARGETS)


def compare(methods: Sequence[Ladder], target: float, theory: float, bound: float) -> Row:
    """Seconds a run of each family at one error; how many times faster the project is than the best of the others."""
    seconds: dict[str, float | None] = {}
    made: Row = {"error": target}
    for family in FAMILIES:
        own = [ladder for ladder in methods if ladder.family == family]
        rates = [rate for ladder in own if (rate := rate_at(ladder.rows, target))]
        seconds[family] = 1 / max(rates) if rates else None
        over = any(not ladder.rungs or ladder.rungs[-1].row["over"] for ladder in own)
        reached = [row["worst_error"] for ladder in own for row in ladder.rows if not row["unfinished"]]
        missing = f"over {bound:g} s" if over else "not reached"
        missing += f", {min(reached):.0e} reached" if reached else ", no run ended"
        made[f"{family}, s a run"] = seconds[family] if rates else missing
    made["of ours theory"] = theory
    mine, known = seconds[OURS], [s for family, s in seconds.items() if family != OURS and s]
    if mine and known:
        made["best rival / ours"] = min(known) / mine
        made["best rival / ours without theory"] = min(known) / (mine - theory) if mine > 1.1 * theory else None
    return made


def first_runs(shape: str, depth: int) -> Row:
    """Seconds of a fresh process's first run: with an empty cache of compiled programs, and with the one it left."""
    made: Row = {"shape": shape, "L": depth}
    code = f"from benchmarks.curve_problems import first; first({shape!r}, {depth})"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": folder, "XDG_CACHE_HOME": folder}
        for name in ("cold", "cache kept"):
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[1], env=environment,
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            made[f"{name}, s of simulate"] = float(done.stdout.split()[-1])
            made[f"{name}, s of the process"] = time.perf_counter() - begin
    return made


def main() -> None:
    chosen = options(
        __doc__,
        lambda parser: parser.add_argument("--only", default="", help="part of a shape's name"),
        lambda parser: parser.add_argument("--runs", type=int, default=64, help="runs of the project's batch"),
        lambda parser: parser.add_argument("--bound", type=float, default=30.0, help="seconds that a rung may take"),
    )
    one_core()
    report = Report("curve_precision", chosen.output, chosen.quick, __doc__ or "")
    depths, alphas, shapes = ((3,), (1e-2, 1.0), ["4 x 10"]) if chosen.quick else (DEPTHS, ALPHAS, list(SHAPES))
    runs, bound = (8, 5.0) if chosen.quick else (chosen.runs, chosen.bound)
    found: list[Row] = []
    for shape in (name for name in shapes if chosen.only in name):
        rows: list[Row] = []
        for depth in depths:
            Cell(shape, depth, 1.0, runs).simulate(1e-2)
            for alpha in alphas:
                made, compared = measure(Cell(shape, depth, alpha, runs), bound)
                rows += made
                fresh = list(compared)
                report.add(f"At equal error, {shape}", fresh)
                found += fresh
        report.add(f"Ladders, {shape}", rows)
        report.add("First runs", [first_runs(shape, depth) for depth in depths])
    for target in TARGETS:
        report.conclude(**conclusion([row for row in found if row["error"] == target], target, bound))


def conclusion(rows: Sequence[Row], target: float, bound: float) -> Row:
    """The range of ratios, and how many cells have none."""
    made: Row = {}
    for name in ("best rival / ours", "best rival / ours without theory"):
        known = sorted(row[name] for row in rows if row.get(name))
        low, middle, high = (known[0], float(np.median(known)), known[-1]) if known else (0.0, 0.0, 0.0)
        text = f"{low:.2g} to {high:.2g}, median {middle:.2g}, in {len(known)} of {len(rows)} cells"
        made[f"{name} at error {target:g}"] = text if known else "not reached"
    late = sum(str(row[f"{OURS}, s a run"]).startswith("over") for row in rows)
    return made | {f"cells in which ours takes over {bound:g} s at error {target:g}": late}


if __name__ == "__main__":
    main()
