"""What a sweep adds to its runs: `sweep launch` of 10,000 runs against the same runs in a bare process, and Ray Tune.

    python benchmarks/orchestration.py [--quick]

Compared, on one grid (diagonal networks of four depths, Gaussian data of 20 samples in 64 dimensions, orbits recorded,
all predictions evaluated; for Ray Tune on a light one, too: two depths, 4 samples in 10 dimensions):
`sweep launch` as a command on a Ray that it starts itself, with one worker and with two; `kernels.simulate` on the same
runs in the same batches, in one process that does nothing else, set up as a worker is (one thread); integration alone,
without predictions, in that process, of every fourth batch; Ray Tune with one trial a run and the same `simulate`, on a
sample.

Fair because: all share one persistent compilation cache, filled by a small launch before (its cold time is reported),
and Python may keep its compiled modules, as it does by default;
every launch has a new store; a launch is timed from the start of its process to its end, with Python, Ray, planning and
the store in it. `overhead` is worker-seconds of the launch over kernel seconds, less one; `between` counts only from
the first batch's start to the last one's end, which is what remains of it in a longer sweep. Ray Tune has no loggers
and no checkpoints and, at its best, reuses its actors; its steady rate leaves out the trials in which workers compile.
On two cores the driver shares them with two workers: that is part of the two-worker time.
"""

import argparse
import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import Report, options, timed

Row = dict[str, Any]

GRID = """\
name: orchestration
task: regression
data: {{gaussian: {{samples: {samples}, dim: {dim}, seed: {{range: [0, {seeds}]}}}}}}
blocks:
  - grid: {{architecture: diagonal, depth: {depths}, init: structured, alpha: {{geomspace: [0.03, 1, {alphas}]}}}}
"""
HERE = Path(__file__).resolve()


def launch(grid: Path, store: Path, workers: int, environment: dict[str, str]) -> Row:
    """One `sweep launch` as a process."""
    command = [Path(sys.executable).parent / "sweep", "launch", grid, "--store", store]
    words = [*map(str, command), "--workers", str(workers), "--json"]
    begin = time.time()
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    seconds = time.time() - begin
    if done.returncode:
        raise RuntimeError(f"sweep launch ended with {done.returncode}: {done.stderr[-2000:]}")
    counts = json.loads(done.stdout)
    from db.store import Store

    sql = (
        "SELECT count(*) AS batches, epoch(min(started_at)) AS first, sum(seconds) AS worker_seconds, "
        "epoch(max(started_at + to_microseconds(CAST(1e6 * seconds AS BIGINT)))) AS last FROM attempts"
    )
    (noted,) = Store(store).query(sql).to_pylist()
    return {
        "what": f"sweep launch, {workers} worker{'s' if workers > 1 else ''}",
        "workers": workers,
        "runs": counts["computed"],
        "batches": noted["batches"],
        "seconds": seconds,
        "runs_per_second": counts["computed"] / seconds,
        "between": noted["last"] - noted["first"],
        "before_first_batch": noted["first"] - begin,
        "in_batches": noted["worker_seconds"],
    }


def replay(grid: Path, store: Path) -> Row:
    """The same runs in the same batches, in this process, which was started for it as a worker is."""
    from sweep.execution.worker import prepare

    prepare(one_core=True)
    from benchmarks.ensembles import Ensemble
    from db.store import Store
    from kernels.simulate import Run, simulate
    from sweep.execution.plan import make_plan
    from sweep.grid.grid import load

    plan = make_plan(load(grid, ()), Store(store.with_name("none.duckdb")))
    catalogue = plan.expansion.catalogue
    waiting: defaultdict[str, list[Run]] = defaultdict(list)
    for candidate in plan.candidates():
        waiting[candidate.structure.key].append((candidate.spec, catalogue.dataset(candidate.structure.entry)))
    order = "TRY_CAST(split_part(batch_id, '-', -1) AS INTEGER)"
    sql = f"SELECT compile_key, runs FROM attempts WHERE outcome = 'finished' ORDER BY {order}"
    batches: list[list[Run]] = []
    for row in Store(store).query(sql).to_pylist():
        left = waiting[row["compile_key"]]
        batches.append(left[: row["runs"]])
        waiting[row["compile_key"]] = left[row["runs"] :]
    for key in {batch[0][0].depth: batch for batch in batches}.values():
        simulate(key[:64])
    seconds = sum(timed(functools.partial(simulate, batch))[0] for batch in batches)
    alone, some = 0.0, batches[::4]
    for batch in some:
        runs = Ensemble("", tuple(batch))
        assert runs.starts
        alone += timed(runs.integrate)[0]
    total = sum(map(len, batches))
    integrating = alone / sum(map(len, some))
    return {"runs": total, "batches": len(batches), "seconds": seconds, "integrating_ms_per_run": 1e3 * integrating}


def replayed(grid: Path, store: Path, environment: dict[str, str]) -> Row:
    """`replay` in a process of its own."""
    words = [sys.executable, str(HERE), "--replay", str(grid), str(store)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"replay ended with {done.returncode}: {done.stderr[-2000:]}")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def tune(store: Path, trials: int, reuse: bool, environment: dict[str, str]) -> Row | None:
    """Ray Tune on a sample of the runs, or None where it is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("pandas", "tensorboardX", "requests")):
        return None
    from db.store import Store

    specs = Store(store).query("SELECT spec FROM runs ORDER BY run_id").to_pylist()[:trials]
    asked, answer = store.with_name("specs.json"), store.with_name("tune.json")
    asked.write_text(json.dumps([json.loads(row["spec"]) for row in specs]), encoding="utf-8")
    words = [sys.executable, str(HERE.with_name("rivals_tune.py")), str(asked), str(answer), "--workers", "2"]
    done = subprocess.run(words + ["--reuse"] * reuse, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"Ray Tune ended with {done.returncode}: {done.stderr[-2000:]}")
    found: Row = json.loads(answer.read_text(encoding="utf-8"))
    return found


def with_overhead(row: Row, kernel: float) -> Row:
    """A launch beside the kernel's seconds."""
    workers = row["workers"]
    return row | {
        "overhead": workers * row["seconds"] / kernel - 1,
        "overhead_between": workers * row["between"] / kernel - 1,
    }


@dataclass(frozen=True)
class Bench:
    """What all launches share: the folder of their files, their environment and the grids."""

    folder: Path
    environment: dict[str, str]
    sizes: Row
    runs: int

    def grid(self, name: str, runs: int, **sizes: Any) -> Path:
        """A grid of about so many runs."""
        merged = self.sizes | sizes
        alphas = min(25, runs // len(merged["depths"]))
        seeds = runs // (alphas * len(merged["depths"]))
        path = self.folder / f"{name}.yaml"
        path.write_text(GRID.format(seeds=seeds, alphas=alphas, **merged), encoding="utf-8")
        return path

    def launch(self, grid: Path, workers: int) -> Row:
        """One launch into a store of its own."""
        return launch(grid, self.store(grid, workers), workers, self.environment)

    def store(self, grid: Path, workers: int) -> Path:
        return grid.with_name(f"{grid.stem}-{workers}.duckdb")


def compare_launches(bench: Bench, report: Report) -> Row:
    """Launches with one and two workers against the kernel alone; the row of two workers."""
    small, grid = bench.grid("small", bench.runs // 32), bench.grid("heavy", bench.runs)
    cold = bench.launch(small, 1)
    one, two = (bench.launch(grid, workers) for workers in (1, 2))
    bare = replayed(grid, bench.store(grid, 1), bench.environment)
    kernel = bare["seconds"]
    rows: list[Row] = [
        cold | {"what": f"sweep launch of {cold['runs']} runs, nothing compiled"},
        with_overhead(one, kernel),
        with_overhead(two, kernel),
        {
            "what": "kernels.simulate alone, one process",
            "workers": 1,
            **bare,
            "runs_per_second": bare["runs"] / kernel,
        },
    ]
    report.add("Launches", rows)
    report.conclude(
        **{
            "orchestration, one worker, whole process": f"{100 * rows[1]['overhead']:.1f} %",
            "orchestration, one worker, between first and last batch": f"{100 * rows[1]['overhead_between']:.1f} %",
            "two workers against one, whole process": f"{one['seconds'] / two['seconds']:.2f} times",
            "two workers against one, between first and last batch": f"{one['between'] / two['between']:.2f} times",
        }
    )
    return two


def compare_with_tune(bench: Bench, report: Report, name: str, swept: Row, trials: int) -> None:
    """A launch with two workers against Ray Tune on a sample of its runs, actors reused or not."""
    store = bench.store(bench.folder / f"{name}.yaml", 2)
    for reuse in (True, False):
        found = tune(store, trials, reuse, bench.environment)
        if found is None:
            report.conclude(**{"Ray Tune": "not installed: pip install 'ray[tune]'"})
            return
        steady = swept["runs_per_second"] / found["steady_runs_per_second"]
        rates = {"sweep_runs_per_second": swept["runs_per_second"], "sweep / steady tune": steady}
        report.add("Ray Tune, one trial a run, two workers", [{"grid": name, **found, **rates}])
        how = "actors reused" if reuse else "an actor a trial, its default"
        report.conclude(**{f"{name} runs, two workers against Ray Tune's steady rate, {how}": f"{steady:.0f} times"})


def main() -> None:
    chosen = options(__doc__, _hidden)
    if chosen.replay:
        grid, store = map(Path, chosen.replay)
        print(json.dumps(replay(grid, store)))
        return
    report = Report("orchestration", chosen.output, chosen.quick, __doc__ or "")
    runs, trials, depths = (64, 6, [2, 3]) if chosen.quick else (10_000, 40, [2, 3, 4, 5])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "JAX_PLATFORMS": "cpu"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "python")}
        heavy = {"samples": 6, "dim": 16} if chosen.quick else {"samples": 20, "dim": 64}
        bench = Bench(folder, environment, heavy | {"depths": depths}, runs)
        swept = compare_launches(bench, report)
        compare_with_tune(bench, report, "heavy", swept, trials)
        light = {"samples": 4, "dim": 10, "depths": depths[:2]}
        bench.launch(bench.grid("filling", max(8, bench.runs // 32), **light), 2)
        swept = bench.launch(bench.grid("light", bench.runs, **light), 2)
        report.add("Launches", [swept | {"what": "sweep launch of light runs, 2 workers"}])
        compare_with_tune(bench, report, "light", swept, trials)


def _hidden(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--replay", nargs=2, metavar=("GRID", "STORE"), help=argparse.SUPPRESS)


if __name__ == "__main__":
    main()
