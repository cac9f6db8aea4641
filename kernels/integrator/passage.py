"""Problems through an ensemble: into the coordinates in which a flow is integrated, and back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kernels.flows.base import Control, LaneData
from kernels.flows.observables import OBSERVABLES
from kernels.integrator.ensemble import End, Program, Start, run_ensemble
from kernels.integrator.lane import AT_REST
from kernels.networks.base import Coordinates
from kernels.problem import Problem


def integrate(problems: Sequence[Problem]) -> Iterator[End]:
    """The end of every flow, in whatever order they end."""
    passages = [Passage(problem) for problem in problems]
    groups: dict[Program, list[int]] = {}
    for index, passage in enumerate(passages):
        groups.setdefault(passage.program, []).append(index)
    for program, indices in groups.items():
        for end in run_ensemble(program, [passages[index].start for index in indices]):
            index = indices[end.index]
            yield replace(passages[index].restored(end), index=index)


def invariant_drift(problem: Problem, end: End) -> float:
    """Largest change along a run of what its network conserves, relative to ||Theta||^2."""
    if end.status == AT_REST:
        return 0.0
    architecture, scale = problem.architecture, np.exp(-2 * end.log_norm)
    before, after = (architecture.invariants(layers) for layers in (problem.layers, architecture.split(end.theta)))
    changes = [np.max(np.abs(b - scale * a), initial=0.0) for a, b in zip(before, after, strict=True)]
    return float(max(changes, default=0.0) / np.sum(end.theta**2))


@dataclass(frozen=True, eq=False)
class Passage:
    """A problem in the coordinates in which its flow is integrated, and the end of the flow back from there."""

    problem: Problem

    @cached_property
    def coordinates(self) -> Coordinates | None:
        """Those of the network for the project's own integrator; others check it in the network's own parameters."""
        problem = self.problem
        if problem.spec.solver != "extrapolation":
            return None
        return problem.architecture.coordinates(problem.layers, problem.dataset.x)

    @cached_property
    def program(self) -> Program:
        """What the loop is compiled for."""
        spec, (samples, dim) = self.problem.spec, self.problem.dataset.x.shape
        network = None if self.coordinates is None else self.coordinates.network
        sizes = network or spec
        return Program(
            task=spec.task,
            architecture=type(network or self.problem.architecture),
            dim=network.dim if network else dim,
            depth=sizes.depth,
            width=sizes.width,
            filter=sizes.filter,
            samples=samples,
            solver=spec.solver,
            record=spec.record,
        )

    @property
    def start(self) -> Start:
        """Theta(0), data and stop rule, as the loop takes them."""
        problem, coordinates = self.problem, self.coordinates
        limits = {"residual": np.nan, "log_loss": -np.inf, "log_margin": np.inf, **problem.spec.stop}
        numbers: dict[str, Any] = {name: np.float64(value) for name, value in limits.items()}
        numbers["rtol"] = np.float64(problem.spec.rtol)
        control = Control(**numbers)
        x, layers, constants = problem.dataset.x, problem.layers, problem.architecture.constants
        if coordinates is not None:
            x, layers, constants = coordinates.inputs(x), tuple(coordinates.into(layers)), ()
        rest = np.array([np.sum(part**2) for part in problem.architecture.split(self._rest)])
        arrays: dict[str, Any] = {"x": x, "y": problem.dataset.y, "constants": constants, "rest": rest}
        theta: Any = np.concatenate([np.ravel(layer) for layer in layers])
        return Start(theta, LaneData(**arrays), control)

    @cached_property
    def _rest(self) -> np.ndarray:
        """What the flow leaves of Theta as it is."""
        coordinates, problem = self.coordinates, self.problem
        return np.zeros(problem.architecture.parameters) if coordinates is None else coordinates.rest(problem.layers)

    def restored(self, end: End) -> End:
        """The end in the network's own parameters and coefficients."""
        coordinates = self.coordinates
        if coordinates is None:
            return end

        def beta(rows: np.ndarray) -> np.ndarray:
            count = len(OBSERVABLES)
            return np.concatenate([rows[..., :count], coordinates.coefficients(rows[..., count:])], axis=-1)

        theta = coordinates.back(end.theta[None])[0]
        if self._rest.any():
            theta = theta + np.exp(-end.log_norm) * self._rest
        return replace(
            end,
            theta=theta,
            jacobian=coordinates.back(end.jacobian),
            final=beta(end.final),
            orbit=beta(end.orbit),
        )
