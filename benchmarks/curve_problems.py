"""The runs of `curve_precision.py`: diagonal networks on three shapes of data; all that it needs of the project.

Regression from the structured start w_l(0) = alpha eta for l < L, w_L(0) = 0, with eta uniform in [0.5, 1.5] from the
seed: runs of one cell differ in eta alone. Their exact limit is the minimum of Q, whatever alpha (minimum_q_norm).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kernels.data.kinds import Dataset, canonical, load
from kernels.integrator.loop import compiled_loops
from kernels.problem import problem_of
from kernels.simulate import simulate
from kernels.spec import RunSpec
from kernels.theory.table import forecasts, forecasts_all
from kernels.validate import canonicalise

MOST_STEPS = 100_000
SHAPES: dict[str, dict[str, Any]] = {
    "4 x 10": {"gaussian": {"samples": 4, "dim": 10, "seed": 0}},
    "30 x 60": {"file": {"path": "data/expr.csv", "target": "Drug response"}},
    "100 x 400": {"gaussian": {"samples": 100, "dim": 400, "seed": 0}},
}
"""Samples x features. The table's target is a combination of four of its features, rounded to six digits: at small
alpha a flow that has fitted those four must still fit the rounding, 1e-7 of the target, at a rate as much smaller."""


@dataclass(frozen=True)
class Results:
    """What a batch of the project's runs came to: seconds of all of it, and of each run its limit, steps and status."""

    seconds: float
    beta: np.ndarray
    steps: np.ndarray
    finished: np.ndarray


@dataclass(frozen=True)
class Cell:
    """Runs of one shape, depth L and alpha, one for each seed of eta."""

    shape: str
    depth: int
    alpha: float
    runs: int

    @cached_property
    def _data(self) -> tuple[dict[str, Any], Dataset]:
        description = canonical(SHAPES[self.shape], "regression", Path(__file__).resolve().parent)
        return description, load(description, "regression")

    @property
    def x(self) -> np.ndarray:
        """Inputs, which are A: the network is diagonal."""
        return np.array(self._data[1].x)

    @property
    def y(self) -> np.ndarray:
        """Targets."""
        return np.array(self._data[1].y)

    def start(self, seed: int) -> np.ndarray:
        """w_l(0), shape (L, d)."""
        return np.array(problem_of(*self._run(seed, 1e-7, MOST_STEPS)).layers)

    def limits(self, seeds: Sequence[int]) -> np.ndarray:
        """The exact limits, one row a seed."""
        found = []
        for seed in seeds:
            records = forecasts(*self._run(seed, 1e-7, MOST_STEPS))
            beta = next(record.beta for record in records if record.prediction == "minimum_q_norm")
            assert beta is not None, f"theory has no limit at {self}"
            found.append(beta)
        return np.array(found)

    def theory(self) -> float:
        """Seconds that the forecasts of all runs take, which `simulate` makes as well."""
        runs = [self._run(seed, 1e-7, MOST_STEPS) for seed in range(self.runs)]
        begin = time.perf_counter()
        forecasts_all(runs)
        return time.perf_counter() - begin

    def simulate(self, rtol: float, most_steps: int = MOST_STEPS) -> Results:
        """All runs as one batch, at most `most_steps` steps each; again, where a program was compiled meanwhile."""
        compiled = -1
        while compiled != compiled_loops():
            compiled = compiled_loops()
            results = self.simulate_once(rtol, most_steps)
        return results

    def simulate_once(self, rtol: float, most_steps: int = MOST_STEPS) -> Results:
        """The same with whatever has to be compiled."""
        runs = [self._run(seed, rtol, most_steps) for seed in range(self.runs)]
        begin = time.perf_counter()
        results = simulate(runs)
        seconds = time.perf_counter() - begin
        return Results(
            seconds,
            np.array([result.beta for result in results]),
            np.array([result.steps + result.rejected for result in results]),
            np.array([result.status == "converged" for result in results]),
        )

    def _run(self, seed: int, rtol: float, most_steps: int) -> tuple[RunSpec, Dataset]:
        description, dataset = self._data
        axes = {
            "task": "regression",
            "data": description,
            "architecture": "diagonal",
            "depth": self.depth,
            "init": {"structured": {"eta": "uniform"}},
            "alpha": self.alpha,
            "seed": seed,
            "rtol": rtol,
            "stop": {"max_steps": most_steps},
            "record": False,
        }
        return canonicalise(axes, dataset.x.shape[1]), dataset


def first(shape: str, depth: int) -> None:
    """Print the seconds of this process's first run, compilation included."""
    print(Cell(shape, depth, 1e-2, 1).simulate_once(1e-7).seconds)
