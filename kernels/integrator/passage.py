"""Problems through an ensemble: into the coordinates in which a flow is integrated, and back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.flows.base import Control, LaneData
from kernels.flows.observables import OBSERVABLES
from kernels.integrator.ensemble import End, Program, Start, run_ensemble
from kernels.integrator.lane import AT_REST
from kernels.networks.base import Architecture, Coordinates
from kernels.networks.decomposition import Layers
from kernels.problem import Problem, grouped


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
    return invariant_drifts([problem], [end])[0]


def invariant_drifts(problems: Sequence[Problem], ends: Sequence[End]) -> list[float]:
    """`invariant_drift` of every run."""
    drifts = np.zeros(len(problems))
    moved = [place for place, end in enumerate(ends) if end.status != AT_REST]
    for architecture, found in grouped(problems[place].architecture for place in moved):
        places = [moved[index] for index in found]
        for some in [places] if architecture.rowwise else ([place] for place in places):
            drifts[some] = _drifts(architecture, [problems[k].layers for k in some], [ends[k] for k in some])
    return drifts.tolist()


def _drifts(architecture: Architecture, starts: Sequence[Layers], ends: Sequence[End]) -> Float[np.ndarray, " b"]:
    """Of runs of a network whose invariants are taken row by row, or of a single run."""
    theta = np.array([end.theta for end in ends])
    scale = np.exp(-2 * np.array([end.log_norm for end in ends]))
    before: Layers = [np.array(layer) for layer in zip(*starts, strict=True)]
    after: Layers = architecture.split(theta)
    if not architecture.rowwise:
        before, after = ([layer[0] for layer in layers] for layers in (before, after))
    pairs = zip(architecture.invariants(before), architecture.invariants(after), strict=True)
    changes = [
        np.abs(np.reshape(b, (len(ends), -1)) - scale[:, None] * np.reshape(a, (len(ends), -1))) for a, b in pairs
    ]
    largest = np.concatenate([np.zeros((len(ends), 1)), *changes], axis=1).max(axis=1)
    return largest / np.sum(theta**2, axis=1)


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
