"""The runs of `regression.py` and `classification.py`: diagonal networks on real and drawn data, in small batches.

All start from the structured start w_l(0) = alpha eta for l < L, w_L(0) = 0, with eta uniform in [0.5, 1.5] from the
seed: runs of one cell differ in eta alone. Seconds are processor time of one thread, which other work on the machine
does not lengthen much.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import kernels.simulate
from kernels.data.kinds import Dataset, canonical, load
from kernels.integrator.loop import compiled_loops
from kernels.problem import problem_of
from kernels.spec import RunSpec
from kernels.theory.potentials import limits
from kernels.theory.table import comparisons
from kernels.validate import canonicalise

HERE = Path(__file__).resolve().parent
MOST_STEPS = 100_000
MOST_RUNS = 64
TABLE = {"path": "data/expr.csv", "target": "Drug response"}


def _halves() -> dict[str, Any]:
    """The table with labels: targets above their median against the others."""
    rows = np.loadtxt(HERE / TABLE["path"], delimiter=",", skiprows=1)
    labels = np.where(rows[:, -1] > np.median(rows[:, -1]), 1, -1)
    return {"points": {"x": rows[:, :-1].tolist(), "y": labels.tolist()}}


SHAPES: dict[str, dict[str, dict[str, Any]]] = {
    "regression": {
        "4 x 10": {"gaussian": {"samples": 4, "dim": 10, "seed": 0}},
        "30 x 60": {"file": TABLE},
        "100 x 400": {"gaussian": {"samples": 100, "dim": 400, "seed": 0}},
    },
    "classification": {
        "30 x 60": _halves(),
        "40 x 64": {"dataset": {"name": "digits", "classes": [3, 8], "samples": 40}},
    },
}
"""Samples x features. The table's target is a combination of four of its features, rounded to six digits: at small
alpha a flow that has fitted those four must still fit the rounding, 1e-7 of the target, at a rate as much smaller."""


@dataclass(frozen=True)
class Results:
    """What a batch of the project's runs came to.

    Attributes:
        seconds: processor time of all of it.
        theory: of this, predictions and their comparison with the ends.
        beta, log_loss, steps, finished: of each run its end, its steps and whether it met its stop rule.
    """

    seconds: float
    theory: float
    beta: np.ndarray
    log_loss: np.ndarray
    steps: np.ndarray
    finished: np.ndarray


@dataclass(frozen=True)
class Cell:
    """Runs of one shape, depth L and alpha, one for each seed of eta.

    Attributes:
        stop: where they end: {"residual": 1e-10} or {"log_loss": -1e6}.
    """

    task: str
    shape: str
    depth: int
    alpha: float
    runs: int
    stop: tuple[str, float]

    @cached_property
    def _data(self) -> tuple[dict[str, Any], Dataset]:
        description = canonical(SHAPES[self.task][self.shape], self.task, HERE)
        return description, load(description, self.task)

    @property
    def x(self) -> np.ndarray:
        """Inputs, which are A: the network is diagonal."""
        return np.array(self._data[1].x)

    @property
    def y(self) -> np.ndarray:
        """Targets or labels."""
        return np.array(self._data[1].y)

    def start(self, seed: int) -> np.ndarray:
        """w_l(0), shape (L, d)."""
        return np.array(problem_of(*self.run(seed)).layers)

    def enlarged(self) -> "Cell":
        """The cell with as many runs as take a second, at most 64: what a batch costs once is shared as in a sweep."""
        each = self.simulate(1e-3, 1000).seconds / self.runs
        return replace(self, runs=max(self.runs, min(MOST_RUNS, int(1 / each))))

    def simulate(self, rtol: float, most_steps: int = MOST_STEPS) -> Results:
        """All runs as one batch, at most `most_steps` steps each; again, where a program was compiled meanwhile."""
        compiled = -1
        while compiled != compiled_loops():
            compiled = compiled_loops()
            results = self.simulate_once(rtol, most_steps)
        return results

    def simulate_once(self, rtol: float, most_steps: int = MOST_STEPS) -> Results:
        """The same with whatever has to be compiled."""
        runs = [self.run(seed, rtol, most_steps) for seed in range(self.runs)]
        begin = time.process_time()
        with _theory_timed() as theory:
            results = kernels.simulate.simulate(runs)
        seconds = time.process_time() - begin
        return Results(
            seconds,
            sum(theory),
            np.array([result.beta for result in results]),
            np.array([result.log_loss for result in results]),
            np.array([result.steps + result.rejected for result in results]),
            np.array([result.status == "converged" for result in results]),
        )

    def run(self, seed: int, rtol: float = 1e-7, most_steps: int = MOST_STEPS) -> tuple[RunSpec, Dataset]:
        """One run as `simulate` takes it."""
        description, dataset = self._data
        axes = {
            "task": self.task,
            "data": description,
            "architecture": "diagonal",
            "depth": self.depth,
            "init": {"structured": {"eta": "uniform"}},
            "alpha": self.alpha,
            "seed": seed,
            "rtol": rtol,
            "stop": {self.stop[0]: self.stop[1], "max_steps": most_steps},
            "record": False,
        }
        return canonicalise(axes, dataset.x.shape[1]), dataset


@contextmanager
def _theory_timed() -> Iterator[list[float]]:
    """Processor seconds of each call that predicts: of limits, for their sensitivity, and to compare ends with them."""
    spent: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            begin = time.process_time()
            found = function(*arguments)
            spent.append(time.process_time() - begin)
            return found

        return called

    with (
        mock.patch.object(kernels.simulate, "comparisons", timed(comparisons)),
        mock.patch.object(kernels.simulate, "limits", timed(limits)),
    ):
        yield spent


def first_runs(cell: Cell) -> dict[str, Any]:
    """Wall seconds of a fresh process's first run: nothing compiled before, and with the cache that it left."""
    made: dict[str, Any] = {"shape": cell.shape, "L": cell.depth}
    what = (cell.task, cell.shape, cell.depth, cell.alpha, 1, cell.stop)
    code = f"from benchmarks.cells import first; first(*{what!r})"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": folder, "XDG_CACHE_HOME": folder}
        for name in ("cold", "cache kept"):
            begin = time.perf_counter()
            words = [sys.executable, "-c", code]
            done = subprocess.run(words, cwd=HERE.parent, env=environment, capture_output=True, text=True, check=True)
            made[f"{name}, s of simulate"] = float(done.stdout.split()[-1])
            made[f"{name}, s of the process"] = time.perf_counter() - begin
    return made


def first(task: str, shape: str, depth: int, alpha: float, runs: int, stop: tuple[str, float]) -> None:
    """Print the wall seconds of this process's first run, compilation included."""
    cell = Cell(task, shape, depth, alpha, runs, stop)
    begin = time.perf_counter()
    cell.simulate_once(1e-7)
    print(time.perf_counter() - begin)
