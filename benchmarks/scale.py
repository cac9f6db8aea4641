"""Whether driver and store keep up with a million runs: every result is made up, so that only they are measured.

    python benchmarks/scale.py [--quick] [--small] [--runs N]

Two launches, each in a process of its own and into a new store: 1,000,000 runs without orbits, 100,000 with orbits of
64 points (--small: 100,000 and 10,000; --runs N: N and N / 10; --quick: 1,200 of each). Plan, driver, ledger and
store are those of `sweep launch`; in the place of Ray stands an executor of 200 slots that answers at once, every run
having taken 10 ms. Its rows have all columns filled: 16 coefficients, three predictions a run.

Fair because: making results up, which workers would do, is timed and left out (`worker_cpu`); CPU seconds are those of
the whole process, with DuckDB's threads, and stand beside the wall clock, for the machine may be shared. `commit_first`
and `commit_last` are CPU milliseconds for 1,000 runs in the first and the last tenth of the commits. Reads are made of
the finished store by the functions that the commands call.
"""

import argparse
import functools
import io
import multiprocessing
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.common import Report, options
from db.store import Store
from sweep.execution import summary
from sweep.execution.batches import FIRST, Batch, Device, Sizer
from sweep.execution.driver import Driver
from sweep.execution.estimate import Estimate, counted, estimate
from sweep.execution.executors import Executor, Outcome
from sweep.execution.history import History
from sweep.execution.plan import Plan, make_plan
from sweep.execution.progress import Plain
from sweep.execution.provenance import new_sweep_id, sweep_row
from sweep.execution.records import table, tables
from sweep.execution.tally import Tally
from sweep.execution.versions import versions
from sweep.execution.worker import Finished
from sweep.grid.grid import load

Row = dict[str, Any]

SLOTS, AT_ONCE = 200, 8
"""Simulated workers, and batches that one look at them finds answered."""

SECONDS = 0.01
"""What a run is said to have taken."""

DIM, POINTS = 16, 64

GRID = """\
name: scale
task: regression
data: {{gaussian: {{samples: 4, dim: {dim}, sparsity: 2, seed: {{range: [0, 5]}}}}}}
record: {record}
grid: {{architecture: diagonal, depth: [2, 3, 4, 5], init: gaussian, alpha: {{geomspace: [0.01, 1, 10]}},
        seed: {{range: [0, {seeds}]}}}}
"""
RUNS_A_SEED = 200

READS = {
    "convergence, LIMIT 1000": "FROM convergence LIMIT 1000",
    "orbits, LIMIT 1000": "FROM orbits LIMIT 1000",
    "slopes": "FROM slopes",
}


class Simulated(Executor):
    """Answers every batch at once with results that are made up.

    Attributes:
        cpu: seconds that went into making them up.
    """

    slots = SLOTS
    capacity = 2 * SLOTS + 2
    concurrent = True

    def __init__(self, sweep_id: str):
        self.sweep_id, self.cpu = sweep_id, 0.0
        self._queue: deque[Batch] = deque()

    def submit(self, batch: Batch) -> None:
        self._queue.append(batch)

    def poll(self, timeout: float) -> list[tuple[Batch, Outcome]]:
        begin = time.process_time()
        answered = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
        outcomes: list[tuple[Batch, Outcome]] = [
            (
                batch,
                Finished(
                    made_up(batch, self.sweep_id), SECONDS * len(batch), f"worker {batch.number % SLOTS}", versions()
                ),
            )
            for batch in answered
        ]
        self.cpu += time.process_time() - begin
        return outcomes

    @property
    def in_flight(self) -> int:
        return len(self._queue)

    def running(self) -> list[tuple[Batch, int]]:
        return [(batch, 0) for batch in self._queue]

    def stop(self) -> None:
        self._queue.clear()

    def close(self) -> None:
        self._queue.clear()

    def first(self, device: Device) -> int:
        return FIRST

    def describe(self) -> str:
        return f"on {SLOTS} simulated workers"


def made_up(batch: Batch, sweep_id: str) -> dict[str, pa.Table]:
    """Rows as a worker leaves them, their distances to limits falling with alpha."""
    from kernels.observables import OBSERVABLES
    from kernels.results import PredictionRecord, RunResult, Trajectory

    rng = np.random.default_rng(batch.number)
    ends = rng.standard_normal((len(batch), DIM))
    points = {
        name: np.arange(POINTS) if row.whole else rng.standard_normal(POINTS) for name, row in OBSERVABLES.items()
    }
    orbit = Trajectory(points, rng.standard_normal((POINTS, DIM)))
    results = []
    for (spec, _), entry, end in zip(batch.runs, batch.entries, ends, strict=True):
        near = 0.05 * spec.alpha * (1 + 0.1 * abs(end[0]))
        predicted = [
            PredictionRecord(name, kind, float(gap), 1e-12, 1.5, end, {"objective_reached": float(end[1])})
            for name, kind, gap in (
                ("minimum_q_norm", "exact", 1e-10 * (1 + abs(end[2]))),
                ("weighted_l1", "limit alpha->0", near),
                ("weighted_l2", "limit alpha->inf", 1 / near),
            )
        ]
        results.append(
            RunResult(
                spec, entry.name, entry.dim, entry.samples, "converged", "", end, -50.0, 3.0, 1e-11, float("nan"),
                1e-12, float("nan"), 2.0, 60, 3, SECONDS, "cpu", tuple(predicted), orbit if spec.record else None,
            )
        )  # fmt: skip
    return tables(results, sweep_id)


class Timed(Store):
    """A store that notes what its commits cost: runs, CPU seconds, wall seconds."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.commits: list[tuple[int, float, float]] = []

    def commit(self, tables: Mapping[str, pa.Table]) -> int:
        cpu, wall = time.process_time(), time.perf_counter()
        runs = super().commit(tables)
        self.commits.append((runs, time.process_time() - cpu, time.perf_counter() - wall))
        return runs


def launch(grid: Path, path: Path, report: bool = True) -> tuple[list[Row], Row]:
    """Plan and run one grid with made-up results; what each part cost, and the launch in one row."""
    parts: list[Row] = []

    def part(what: str, work: Callable[[], Any]) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        row = {"what": what, "cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
        parts.append(row | {"peak_rss_mib": peak()})
        return result

    store, sweep_id = Timed(path), new_sweep_id()
    plan: Plan = part("plan", lambda: make_plan(load(grid, ()), store))
    made = estimate(plan, History(store), SLOTS)
    part("record the sweep", lambda: _open(store, sweep_id, plan, made))
    store.commits.clear()
    executor = Simulated(sweep_id)
    progress = Plain(Tally(plan.total, plan.cached, made), io.StringIO())
    driver = Driver(plan, store, executor, Sizer({}, slots=SLOTS), progress, sweep_id)
    outcome = part("driver, ledger and store", driver.run)
    driven = parts[-1]
    assert outcome.statuses["converged"] == plan.total
    driven["worker_cpu"] = executor.cpu
    own = driven["cpu_seconds"] - executor.cpu
    tenth = max(1, len(store.commits) // 10)
    part("sweep status", lambda: summary.status(Store(path)))
    for what, sql in READS.items():
        part(what, functools.partial(Store(path).query, sql))
    part("plan again, all stored", lambda: make_plan(load(grid, ()), Store(path)))
    if report:
        part("report", lambda: _report(path))
    return parts, {
        "runs": plan.total,
        "recorded": any(spec.structure.spec.record for spec in plan.shapes.values()),
        "driver_cpu_seconds": own,
        "runs_per_cpu_second": plan.total / own,
        "commits": len(store.commits),
        "commit_cpu_seconds": sum(cpu for _, cpu, _ in store.commits),
        "commit_first": 1e6 * _rate(store.commits[:tenth]),
        "commit_last": 1e6 * _rate(store.commits[-tenth:]),
        "file_mib": path.stat().st_size / 2**20,
        "peak_rss_mib": peak(),
    }


def _rate(commits: list[tuple[int, float, float]]) -> float:
    """CPU seconds a run."""
    return sum(cpu for _, cpu, _ in commits) / max(1, sum(runs for runs, _, _ in commits))


def _open(store: Store, sweep_id: str, plan: Plan, made: Estimate) -> None:
    """What a launch writes before its first run (sweep.execution.session)."""
    store.create()
    ids = pa.chunked_array(plan.run_ids, pa.string()).combine_chunks()
    asked = table("sweep_runs", {"sweep_id": pa.array([sweep_id] * len(ids), pa.string()), "run_id": ids})
    store.commit({"sweeps": sweep_row(sweep_id, plan.grid, counted(plan, made)), "sweep_runs": asked})


def _report(path: Path) -> None:
    from analysis.report import write_report

    write_report(path, path.with_suffix(".html"))


def peak() -> float:
    """MiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(runs: int, record: bool) -> tuple[list[Row], Row]:
    """One launch of so many runs in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder) / "grid.yaml"
        grid.write_text(GRID.format(dim=DIM, record=str(record).lower(), seeds=runs // RUNS_A_SEED))
        return launch(grid, Path(folder) / "results.duckdb")


def main() -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--small", action="store_true", help="100,000 and 10,000 runs")
        parser.add_argument("--runs", type=int, default=1_000_000, help="without orbits; with orbits a tenth of them")

    chosen = options(__doc__, more)
    report = Report("scale", chosen.output, chosen.quick, __doc__ or "")
    runs = 100_000 if chosen.small else chosen.runs
    sizes = (1_200, 1_200) if chosen.quick else (runs, runs // 10)
    summaries = []
    for runs, record in zip(sizes, (False, True), strict=True):
        alone = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        with alone as process:
            parts, summed = process.submit(measure, runs, record).result()
        report.add(f"{runs:,} runs, {'with orbits' if record else 'without orbits'}", parts)
        summaries.append(summed)
    report.add("Launches", summaries)
    report.conclude()


if __name__ == "__main__":
    main()
