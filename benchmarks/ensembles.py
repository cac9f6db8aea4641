"""Runs that benchmarks integrate: drawn from pinned seeds, built from the project's own specs and data sets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import spread
from kernels.data.kinds import Dataset, canonical, load
from kernels.integrator.ensemble import End, run_ensemble
from kernels.integrator.loop import Start
from kernels.integrator.passage import Passage, passage_of
from kernels.integrator.program import Program
from kernels.integrator.systems import Systems
from kernels.networks.base import Architecture
from kernels.problem import Problem, problem_of
from kernels.spec import RunSpec
from kernels.theory.table import forecasts
from kernels.validate import canonicalise


@dataclass(frozen=True)
class Ensemble:
    """Runs of one compile key, each with its own data."""

    name: str
    runs: tuple[tuple[RunSpec, Dataset], ...]

    def __len__(self) -> int:
        return len(self.runs)

    def sample(self, wanted: int) -> "Ensemble":
        """`wanted` of the runs, evenly spaced in the order of the ensemble."""
        return Ensemble(self.name, tuple(self.runs[k] for k in spread(len(self), wanted)))

    def at(self, **axes: Any) -> "Ensemble":
        """The same runs with other tolerances or stop rules (rtol=..., stop=...)."""
        changed = [(replace(spec, **_merged(spec, axes)), dataset) for spec, dataset in self.runs]
        return Ensemble(self.name, tuple(changed))

    @cached_property
    def problems(self) -> list[Problem]:
        """Networks and initial layers."""
        return [problem_of(spec, dataset) for spec, dataset in self.runs]

    @cached_property
    def passages(self) -> list[Passage]:
        """The problems in the coordinates in which the project integrates them."""
        systems = Systems()
        return [passage_of(problem, systems) for problem in self.problems]

    @property
    def architecture(self) -> Architecture:
        """The network, the same for all runs."""
        return self.problems[0].architecture

    @property
    def program(self) -> Program:
        """What the project's own loop is compiled for."""
        return self.passages[0].program

    @cached_property
    def starts(self) -> list[Start]:
        """The runs as `run_ensemble` takes them."""
        return [passage.start for passage in self.passages]

    def integrate(self, program: Program | None = None) -> list[End]:
        """The project's own integration of all runs, ends in the order of the runs."""
        ends = run_ensemble(program or self.program, self.starts)
        return sorted((self.passages[end.index].restored(end) for end in ends), key=lambda end: end.index)


def _merged(spec: RunSpec, axes: dict[str, Any]) -> dict[str, Any]:
    return {**axes, "stop": {**spec.stop, **axes["stop"]}} if "stop" in axes else axes


def coefficients(ensemble: Ensemble, thetas: np.ndarray) -> np.ndarray:
    """beta of each run's parameters."""
    betas = [
        problem.architecture.coefficients(problem.architecture.split(theta))
        for problem, theta in zip(ensemble.problems, thetas, strict=True)
    ]
    return np.array(betas)


class Reference:
    """The exact limit of every run (minimum_q_norm)."""

    def __init__(self, ensemble: Ensemble):
        self._limits = []
        for run in ensemble.runs:
            beta = next(each.beta for each in forecasts(*run) if each.prediction == "minimum_q_norm")
            assert beta is not None
            self._limits.append(beta)

    def errors(self, ensemble: Ensemble, thetas: np.ndarray) -> np.ndarray:
        """||beta - limit|| / ||limit|| of runs that ended at these parameters, infinite where one broke down."""
        limits = np.array(self._limits)
        found = coefficients(ensemble, thetas)
        relative = np.linalg.norm(found - limits, axis=1) / np.linalg.norm(limits, axis=1)
        return np.where(np.isfinite(relative), relative, np.inf)


def gaussian(samples: int, dim: int, seeds: Sequence[int], task: str) -> list[tuple[dict[str, Any], Dataset]]:
    """Gaussian data sets with a dense Gaussian teacher, in their canonical form."""
    raw = ({"gaussian": {"samples": samples, "dim": dim, "seed": int(seed)}} for seed in seeds)
    descriptions = [canonical(data, task, Path(".")) for data in raw]
    return [(data, load(data, task)) for data in descriptions]


def regression(name: str, count: int, samples: int, dim: int, **axes: Any) -> Ensemble:
    """`count` runs with alpha from 0.03 to 1 (even in its logarithm), each on a Gaussian data set of its own."""
    data = gaussian(samples, dim, range(count), "regression")
    runs = []
    for (description, dataset), alpha in zip(data, np.geomspace(0.03, 1, count), strict=True):
        own = {"task": "regression", "data": description, "alpha": float(alpha), "record": False, **axes}
        runs.append((canonicalise(own, dim), dataset))
    return Ensemble(name, tuple(runs))


def classification(name: str, count: int, samples: int, dim: int, **axes: Any) -> Ensemble:
    """`count` runs from initialisations of their own, each on a separable Gaussian data set of its own."""
    data = gaussian(samples, dim, range(count), "classification")
    runs = []
    for seed, (description, dataset) in enumerate(data):
        own = {"task": "classification", "data": description, "seed": seed, "record": False, **axes}
        runs.append((canonicalise(own, dim), dataset))
    return Ensemble(name, tuple(runs))
