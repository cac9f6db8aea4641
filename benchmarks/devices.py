"""Runs a second on a CUDA device, beside one CPU core and beside all of them.

    python -m benchmarks.devices [--quick] [--shapes "4 x 10" ...]

Measured: the integration alone (float64, rtol 1e-7, no orbits), warm, of diagonal networks of three layers on ten
Gaussian data sets: regression from structured starts with alpha from 0.03 to 1, and classification from ordered ones to
-log Loss = 1e4. CUDA takes batches of 100 to 100,000 runs. A core takes as many as last seconds; with all of them, one
process a core, they start at one word. `apart` is the largest relative difference between the coefficients that CUDA
and the CPU end at, in classification between their directions, over runs that both have. Where JAX finds no CUDA
device the CPU's rows are written alone. Lanes and batches for a GPU stand in `Program.lanes`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ONE_CORE, Report, fix, options, timed

SHAPES = {"4 x 10": (4, 10, 4096), "30 x 60": (30, 60, 128), "100 x 400": (100, 400, 16)}
"""Samples, features, and runs for one core."""

BATCHES = (100, 1_000, 10_000, 100_000)
AXES: Mapping[str, Mapping[str, Any]] = {
    "regression": {"init": "structured"},
    "classification": {"init": "ordered", "stop": {"log_loss": -1e4}},
}
SETS = 10
NO_DEVICE = 77


def child(task: str, shape: str, count: int) -> None:
    """Integrate `count` runs once a line comes, and print seconds, device and the coefficients of the first runs."""
    from benchmarks.ensembles import Ensemble, gaussian
    from kernels.validate import canonicalise
    from kernels.x64 import jax

    try:
        device = jax.devices()[0]
    except (RuntimeError, AssertionError) as error:  # the latter where JAX has no plugin for the platform
        print(error, file=sys.stderr)
        sys.exit(NO_DEVICE)
    samples, dim, _ = SHAPES[shape]
    sets = gaussian(samples, dim, range(SETS), task)
    scales = np.random.default_rng(0).permuted(np.geomspace(0.03, 1, BATCHES[-1]))[:count]
    axes = {"task": task, "architecture": "diagonal", "depth": 3, "record": False, **AXES[task]}
    runs = [
        (canonicalise({**axes, "data": data, "alpha": float(alpha), "seed": place}, dim), dataset)
        for place, alpha in enumerate(scales)
        for data, dataset in [sets[place % SETS]]
    ]
    Ensemble("warm", tuple(runs[:64])).integrate()
    ensemble = Ensemble("measured", tuple(runs))
    assert len(ensemble.starts) == count  # made before the clock starts
    print("ready", flush=True)
    sys.stdin.readline()
    seconds, ends = timed(ensemble.integrate)
    betas = [end.final[-dim:].tolist() for end in ends[:64]]
    print(json.dumps({"seconds": seconds, "device": device.device_kind, "betas": betas}), flush=True)


def measured(task: str, shape: str, counts: Sequence[int], cuda: bool = False) -> list[dict[str, Any]] | None:
    """What processes find that start at one word, one for each count, each on its core or on CUDA; None without one."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    environment = {**os.environ, **ONE_CORE}
    if cuda:
        environment = {**os.environ, "JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    started = []
    for place, count in enumerate(counts):
        words = [sys.executable, "-m", "benchmarks.devices", "--child", task, shape, str(count)]
        if cores and not cuda:
            words = ["taskset", "-c", str(cores[place % len(cores)]), *words]
        here, pipe = Path(__file__).resolve().parents[1], subprocess.PIPE
        started.append(subprocess.Popen(words, env=environment, cwd=here, stdin=pipe, stdout=pipe, text=True))
    if any(each.stdout and each.stdout.readline() != "ready\n" for each in started):
        if {each.wait() for each in started} == {NO_DEVICE}:
            return None
        raise RuntimeError(f"{task} at {shape}: a process ended before it was ready; its error is above")
    with ThreadPoolExecutor(len(started)) as pool:
        return [json.loads(answer) for answer, _ in pool.map(lambda each: each.communicate("go\n"), started)]


def row(name: str, count: int, found: Sequence[Mapping[str, Any]], beside: float | None) -> dict[str, Any]:
    """Runs a second of all processes together, and how many times those of one core."""
    rate = count / max(each["seconds"] for each in found)
    times = None if beside is None else fix(rate / beside)
    return {"on": name, "runs": count, "runs a second": fix(rate), "times one core": times}


def apart(task: str, one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """The largest ||a - b|| / ||b|| over runs, of a/||a|| and b/||b|| in classification."""
    some = min(len(one), len(other))
    a, b = np.array(one[:some]), np.array(other[:some])
    if task == "classification":
        a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b))
    return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())


def section(report: Report, task: str, shape: str) -> None:
    """The rows of one task and shape."""
    few, cores = SHAPES[shape][2] // (64 if report.quick else 1) or 1, len(os.sched_getaffinity(0))
    one = measured(task, shape, [few])
    all_cores = measured(task, shape, [few] * cores)
    assert one is not None
    assert all_cores is not None
    single = few / one[0]["seconds"]
    rows = [row("one core", few, one, None), row(f"{cores} cores", few * cores, all_cores, single)]
    for batch in BATCHES[:1] if report.quick else BATCHES:
        found = measured(task, shape, [batch], cuda=True)
        if found is None:
            break
        difference = apart(task, found[0]["betas"], one[0]["betas"])
        rows.append({**row(found[0]["device"], batch, found, single), "apart": fix(difference)})
    report.add(f"{task}, {shape}", rows)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return

    def shapes(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))

    chosen = options(__doc__, shapes)
    report = Report("devices", chosen.output, chosen.quick, __doc__ or "")
    for shape in chosen.shapes:
        for task in AXES:
            section(report, task, shape)


if __name__ == "__main__":
    main()
