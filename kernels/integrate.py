"""Problems through an ensemble: into the coordinates in which a flow is integrated, and back."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kernels.coordinates import Coordinates
from kernels.ensemble import End, Program, Start, run_ensemble
from kernels.flow import Control, LaneData
from kernels.lane import AT_REST
from kernels.observables import OBSERVABLES
from kernels.spec import compile_key
from kernels.theory.base import Problem


def integrate(problems: Sequence[Problem]) -> Iterator[End]:
    """The end of every flow, in whatever order they end."""
    groups: dict[Program, list[int]] = {}
    for index, problem in enumerate(problems):
        groups.setdefault(program_of(problem), []).append(index)
    for program, indices in groups.items():
        for end in run_ensemble(program, [start_of(problems[index]) for index in indices]):
            index = indices[end.index]
            yield replace(restored(problems[index], end), index=index)


def coordinates_of(problem: Problem) -> Coordinates | None:
    """Those of the network for the project's own integrator; others check it in the network's own parameters."""
    return problem.architecture.coordinates if problem.spec.solver == "extrapolation" else None


def program_of(problem: Problem) -> Program:
    """What the loop is compiled for."""
    samples, dim = problem.dataset.x.shape
    key: tuple[Any, ...] = compile_key(problem.spec, dim, samples)
    program = Program(*key)
    coordinates = coordinates_of(problem)
    if coordinates is None:
        return program
    return replace(program, architecture=coordinates.product, dim=len(coordinates.s), width=None, filter=None)


def start_of(problem: Problem) -> Start:
    """Theta(0), data and stop rule, as the loop takes them."""
    limits = {"residual": np.nan, "log_loss": -np.inf, "log_margin": np.inf, **problem.spec.stop}
    numbers: dict[str, Any] = {name: np.float64(value) for name, value in limits.items()}
    numbers["rtol"] = np.float64(problem.spec.rtol)
    control = Control(**numbers)
    coordinates, x, layers = coordinates_of(problem), problem.dataset.x, problem.layers
    constants = problem.architecture.constants
    if coordinates is not None:
        x, layers, constants = x @ coordinates.s.T, tuple(coordinates.into(layers)), ()
    arrays: dict[str, Any] = {"x": x, "y": problem.dataset.y, "constants": constants}
    theta: Any = np.concatenate([np.ravel(layer) for layer in layers])
    return Start(theta, LaneData(**arrays), control)


def restored(problem: Problem, end: End) -> End:
    """The end in the network's own parameters, coefficients and invariants."""
    coordinates = coordinates_of(problem)
    if coordinates is None:
        return end

    def beta(rows: np.ndarray) -> np.ndarray:
        count = len(OBSERVABLES)
        return np.concatenate([rows[..., :count], rows[..., count:] @ coordinates.s], axis=-1)

    theta = coordinates.back(end.theta[None])[0]
    return replace(
        end,
        theta=theta,
        jacobian=coordinates.back(end.jacobian),
        final=beta(end.final),
        orbit=beta(end.orbit),
        drift=_drift(problem, theta, end),
    )


def _drift(problem: Problem, theta: np.ndarray, end: End) -> float:
    """Largest change of the network's own invariants, relative to ||Theta||^2."""
    if end.status == AT_REST:
        return 0.0
    layers = np.split(theta, problem.architecture.depth)
    scale = np.exp(-2 * end.log_norm)
    pairs = zip(problem.architecture.invariants(layers), problem.architecture.invariants(problem.layers), strict=True)
    changes = [np.max(np.abs(after - scale * before), initial=0.0) for after, before in pairs]
    return float(max(changes, default=0.0) / np.sum(theta**2))
