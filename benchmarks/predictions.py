"""What a light run costs besides its integration: predictions, comparison and rows.

    python benchmarks/predictions.py [--quick]

Measured: a worker's seconds for batches of 10,000 diagonal runs (d = 10, n = 4, alpha from 0.03 to 1, rtol 1e-7,
residual 1e-10), warm, one core, best of up to three: the integration alone; networks, starts, predictions, comparison
and results (`simulate` less the integration), of which predictions; and Arrow tables. `ratio` is the whole over the
integration. Structured starts have four predictions, of which two do not depend on alpha; Gaussian starts, a seed each,
have one. Ten data sets serve 1,000 runs each, as in a sweep over alpha or seeds; with a data set for each run nothing
is shared, and weighted_l1 is a linear program a run.
"""

import dataclasses
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

import kernels.simulate
from benchmarks.common import Report, fix, one_core, options
from benchmarks.ensembles import gaussian
from kernels.data.kinds import Dataset
from kernels.spec import RunSpec
from kernels.validate import canonicalise
from sweep.execution.records import tables

SAMPLES, DIM = 4, 10


def light(count: int, sets: int, **axes: Any) -> list[tuple[RunSpec, Dataset]]:
    """`count` diagonal runs on as many data sets, each with the same number of scales (and seeds)."""
    runs = []
    for description, dataset in gaussian(SAMPLES, DIM, range(sets), "regression"):
        own = {"task": "regression", "architecture": "diagonal", "data": description, **axes}
        spec = canonicalise(own, DIM)
        for seed, alpha in enumerate(np.geomspace(0.03, 1, count // sets)):
            drawn = seed if axes["init"] == "gaussian" else 0
            runs.append((dataclasses.replace(spec, alpha=float(alpha), seed=drawn), dataset))
    return runs


class Clock:
    """Seconds spent within functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def around(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed until all it yields is there."""

        def timed(*arguments: Any) -> Any:
            with self.running(name):
                return list(work(*arguments))

        return timed


def parts(runs: Sequence[tuple[RunSpec, Dataset]]) -> dict[str, float]:
    """Seconds of a batch by what they went into."""
    clock = Clock()
    integrate, comparisons = (
        clock.around(name, getattr(kernels.simulate, name)) for name in ("integrate", "comparisons")
    )
    with mock.patch.multiple(kernels.simulate, integrate=integrate, comparisons=comparisons):
        with clock.running("simulate"):
            results = kernels.simulate.simulate(runs)
        with clock.running("tables"):
            tables(results, "benchmark")
    return clock.seconds


def row(runs: Sequence[tuple[RunSpec, Dataset]], repeats: int) -> dict[str, float]:
    """Microseconds a run, of the fastest of the repeats in each part."""
    kernels.simulate.simulate(runs[: min(200, len(runs))])
    gc.collect()
    gc.freeze()  # as a worker does
    tries = [parts(runs) for _ in range(repeats)]
    best = {name: min(each[name] for each in tries) / len(runs) * 1e6 for name in tries[0]}
    beside = min(each["simulate"] - each["integrate"] for each in tries) / len(runs) * 1e6
    return {
        "integration (us)": fix(best["integrate"]),
        "rest of simulate (us)": fix(beside),
        "of which predictions (us)": fix(best["comparisons"]),
        "tables (us)": fix(best["tables"]),
        "ratio": fix((best["integrate"] + beside + best["tables"]) / best["integrate"]),
    }


def main() -> None:
    one_core()
    chosen = options(__doc__)
    report = Report("predictions", chosen.output, chosen.quick, __doc__ or "")
    count, repeats = (40, 1) if chosen.quick else (10_000, 3)
    for sets in (10, count):
        rows = []
        for init in ("structured", "gaussian"):
            for depth in (2, 3):
                for record in (True, False):
                    runs = light(count, sets, init=init, depth=depth, record=record)
                    rows.append({"init": init, "depth": depth, "record": record, **row(runs, repeats)})
        report.add(f"{count:,} runs on {sets:,} data sets", rows)
    worst = max(each["ratio"] for each in next(iter(report.tables.values())))
    report.conclude(**{"worker's time over integration alone, ten data sets, at most": worst})


if __name__ == "__main__":
    main()
