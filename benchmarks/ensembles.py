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
from kernels.observables import OBSERVABLES
from kernels.problem import Problem, problem_of
from kernels.spec import RunSpec
from kernels.theory.table import forecasts
from kernels.validate import canonicalise

LOG_TIME = list(OBSERVABLES).index("log_time")


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

    def blocks(self, count: int, width: int) -> "Ensemble":
        """`count` blocks of `width` neighbours each, evenly spaced: one block is what one vmapped call would get."""
        total = len(self) // width
        chosen = [self.runs[block * width + k] for block in spread(total, count) for k in range(width)]
        return Ensemble(self.name, tuple(chosen))

    def shuffled(self, seed: int = 0) -> "Ensemble":
        """The same runs in another order, so that the first ones are a fair sample."""
        return Ensemble(self.name, tuple(self.runs[k] for k in np.random.default_rng(seed).permutation(len(self))))

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

    @cached_property
    def theta(self) -> np.ndarray:
        """Theta(0), one row a run."""
        return np.array([np.concatenate([np.ravel(layer) for layer in problem.layers]) for problem in self.problems])

    @cached_property
    def x(self) -> np.ndarray:
        """Inputs, shape (runs, n, d)."""
        return np.array([dataset.x for _, dataset in self.runs])

    @cached_property
    def y(self) -> np.ndarray:
        """Targets, shape (runs, n)."""
        return np.array([dataset.y for _, dataset in self.runs])

    @cached_property
    def whiteners(self) -> np.ndarray:
        """W with ||W r|| the distance to the solutions that the project's stop rule looks at, shape (runs, n, n)."""
        return np.array([passage.system.whitener for passage in self.passages])

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
    """The limit of every run, to be compared with: theory's coefficients, or parameters where those say too little.

    From the orthogonal initialisation a fully connected network keeps its coefficients in the row space of the inputs
    under any one-step method, gradient descent included: whatever the error, they end at the least norm. There the
    final parameters are compared, with those of the project's own integration at rtol 1e-12.
    """

    def __init__(self, ensemble: Ensemble):
        self.parameters = ensemble.architecture.decomposition() is None
        self.certificate: float | None = None
        if self.parameters:
            limits = [end.theta for end in ensemble.at(rtol=1e-12).integrate()]
        else:
            limits, certificates = [], []
            for spec, dataset in ensemble.runs:
                found = next(p for p in forecasts(spec, dataset) if p.prediction == "minimum_q_norm")
                assert found.beta is not None
                limits.append(found.beta)
                certificates.append(found.certificate)
            self.certificate = float(np.max(np.array(certificates, dtype=float)))
        # recorded runs take short steps: they end within 2 % of the residual's way past the stop rule
        fine = ensemble.at(rtol=1e-9, record=True).integrate()
        self._times = {
            _key(*run): float(np.exp(end.final[LOG_TIME])) for run, end in zip(ensemble.runs, fine, strict=True)
        }
        self._limits = {_key(*run): limit for run, limit in zip(ensemble.runs, limits, strict=True)}

    def times(self, ensemble: Ensemble) -> np.ndarray:
        """When the flow of each run meets its stop rule: known to rivals, which may end there."""
        return np.array([self._times[_key(*run)] for run in ensemble.runs])

    def errors(self, ensemble: Ensemble, found: np.ndarray) -> np.ndarray:
        """||found - limit|| / ||limit|| of each run, infinite where it broke down."""
        limits = np.array([self._limits[_key(*run)] for run in ensemble.runs[: len(found)]])
        relative = np.linalg.norm(found - limits, axis=1) / np.linalg.norm(limits, axis=1)
        return np.where(np.isfinite(relative), relative, np.inf)

    def of_parameters(self, ensemble: Ensemble, thetas: np.ndarray) -> np.ndarray:
        """The errors of runs that ended at these parameters."""
        return self.errors(ensemble, thetas if self.parameters else coefficients(ensemble, thetas))


def _key(spec: RunSpec, dataset: Dataset) -> tuple[float, str]:
    return spec.alpha, dataset.name


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


def regression_ensembles(quick: bool) -> list[Ensemble]:
    """Three diagonal depths, a Walsh network in 64 dimensions, and a fully connected one with 3,550 parameters."""
    many, some, few = (16, 4, 2) if quick else (512, 256, 64)
    made = [
        regression(f"diagonal L={depth}, d=10, n=4", many, 4, 10, architecture="diagonal", depth=depth)
        for depth in ((2,) if quick else (2, 3, 5))
    ]
    if quick:
        return made
    made.append(regression("walsh L=3, d=64, n=20", some, 20, 64, architecture="walsh", depth=3))
    connected = {"architecture": "fully_connected", "depth": 3, "width": 50, "init": "orthogonal"}
    made.append(regression("fully connected L=3, d=20, width=50, n=10", few, 10, 20, **connected))
    return made
