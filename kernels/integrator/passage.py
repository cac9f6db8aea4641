"""Passages: from a run's layers to the numbers that are integrated, and back to layers and coefficients at its end."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float

from kernels.flows.base import Control
from kernels.flows.curves import curve_of, layers_of
from kernels.flows.parametrisation import RunData
from kernels.integrator.ensemble import End, Watch, run_ensemble, unwatched
from kernels.integrator.loop import Start
from kernels.integrator.program import Program
from kernels.integrator.systems import LinearSystem, Systems
from kernels.networks.base import Coordinates
from kernels.observables import OBSERVABLES
from kernels.problem import Problem
from kernels.room import Room, columns

EQUAL = 1e-14
"""Two moduli that differ by less than this, relatively, count as equal: a change of coordinates rounds that much."""


def integrate(problems: Sequence[Problem], room: Room | None = None, watch: Watch = unwatched) -> Iterator[End]:
    """Yield the end of every flow, in the order in which they end.

    Args:
        problems: the runs.
        room: the size of the program for runs on curves; None for the size of each run.
        watch: is told how many flows have ended; where it ends the batch, only those that have ended are yielded.
    """
    systems = Systems()
    passages = [passage_of(problem, systems, room) for problem in problems]
    groups: dict[Program, list[int]] = {}
    for index, passage in enumerate(passages):
        groups.setdefault(passage.program, []).append(index)
    before = 0
    for program, indices in groups.items():
        for end in run_ensemble(program, [passages[index].start for index in indices], _after(before, watch)):
            index = indices[end.index]
            yield replace(passages[index].restored(end), index=index)
        before += len(indices)


def _after(before: int, watch: Watch) -> Watch:
    """The same watch for a later ensemble: the runs that ended before it are added to what it is told."""
    return lambda ended: watch(before + ended)


def passage_of(problem: Problem, systems: Systems | None = None, room: Room | None = None) -> "Passage":
    """The passage of a run: along curves where `on_curves`, else through layers.

    Solvers other than `extrapolation` integrate the network's own layers, so that they check the curves, too.
    """
    systems = systems or Systems()
    if on_curves(problem):
        return CurvePassage(problem, systems.of(problem, curved=True), room)
    own = problem.spec.solver == "extrapolation"
    coordinates = problem.architecture.coordinates(problem.layers, problem.dataset.x) if own else None
    return LayerPassage(problem, systems.of(problem, curved=False), coordinates)


def on_curves(problem: Problem) -> bool:
    """Whether the flow is integrated with one number a coordinate (kernels/flows/curves.py).

    It is where the network has a real orthogonal decomposition and the solver is `extrapolation`.
    """
    decomposition = problem.decomposition
    return problem.spec.solver == "extrapolation" and decomposition is not None and decomposition.real


class Passage(ABC):
    """A run's way into the numbers that are integrated, and the way of its end back to the network's parameters."""

    problem: Problem
    system: LinearSystem

    @property
    @abstractmethod
    def program(self) -> Program:
        """What the loop is compiled for."""

    @property
    @abstractmethod
    def start(self) -> Start:
        """theta(0), data and stop rule, as the loop takes them."""

    @abstractmethod
    def restored(self, end: End) -> End:
        """The same end in the network's own parameters and linear coefficients."""

    @property
    def control(self) -> Control:
        """The tolerance and the stop rule."""
        limits = {"residual": np.nan, "log_loss": -np.inf, "log_margin": np.inf, **self.problem.spec.stop}
        numbers: dict[str, Any] = {name: np.float64(value) for name, value in limits.items()}
        numbers["rtol"] = np.float64(self.problem.spec.rtol)
        return Control(**numbers)


@final
class CurvePassage(Passage):
    """Integrates one number a coordinate, of w_l = U_l^T v_l and A = X S^T (kernels/flows/curves.py)."""

    def __init__(self, problem: Problem, system: LinearSystem, room: Room | None = None):
        self.problem, self.system = problem, system
        samples, size = system.a.shape
        self.room = room or Room(samples, size, problem.spec.depth)

    @cached_property
    def program(self) -> Program:
        spec, room = self.problem.spec, self.room
        return Program(
            loss=spec.loss,
            dim=room.coordinates,
            depth=room.depth,
            samples=room.samples,
            solver=spec.solver,
            record=spec.record,
            columns=columns(spec.loss, spec.rtol),
        )

    @property
    def start(self) -> Start:
        """The start on curves; zeros fill its arrays up to the size of the room."""
        room, (samples, size) = self.room, self.system.a.shape
        more, wider, deeper = room.samples - samples, room.coordinates - size, room.depth - self.problem.spec.depth
        theta: Any
        theta, curve = curve_of(self._coordinates, room.depth - 1)
        wide: Any = {
            name: _filled(getattr(curve, name), *[0] * (np.ndim(getattr(curve, name)) - 1), wider)
            for name in ("gaps", "others", "side")
        }
        arrays: dict[str, Any] = {
            "x": _filled(self.system.a, more, wider),
            "y": _filled(self.problem.dataset.y, more),
            "constants": curve._replace(**wide),
            "frozen_squares": _filled(np.array([np.sum(part**2) for part in self._frozen]), deeper),
            "whitener": _filled(self.system.whitener, more, more),
            "rounding": np.float64(self.system.attainable),
            "weights": _filled(np.ones(samples), more),
        }
        theta = _filled(theta, wider)
        return Start(theta, RunData(**arrays), self.control)

    @cached_property
    def _coordinates(self) -> Float[np.ndarray, "L m"]:
        """w_l(0), shape (L, m), with moduli made equal by `alike`."""
        coordinates = self.problem.coordinates
        assert coordinates is not None
        return alike(coordinates, self.system.a)

    @cached_property
    def _frozen(self) -> list[np.ndarray]:
        """v_l(0) - U_l w_l(0), one array a layer: the part outside the range of U_l, which the flow never changes."""
        layers, decomposition = self.problem.layers, self.problem.decomposition
        assert decomposition is not None
        return [
            np.zeros_like(layer) if basis.shape[0] == basis.shape[1] else layer - basis @ w
            for layer, basis, w in zip(layers, decomposition.bases, self._coordinates, strict=True)
        ]

    def restored(self, end: End) -> End:
        decomposition = self.problem.decomposition
        assert decomposition is not None
        size = self.system.a.shape[1]
        w = layers_of(self._coordinates, end.theta[:size], end.log_norm)
        bases = decomposition.bases
        layers = [basis @ row for basis, row in zip(bases, w, strict=True)]
        if any(rest.any() for rest in self._frozen):
            layers = [layer + np.exp(-end.log_norm) * rest for layer, rest in zip(layers, self._frozen, strict=True)]
        jacobian = np.zeros((0, 0))
        if self.problem.loss.tail is not None:
            others = [np.prod(np.delete(w, layer, axis=0), axis=0) for layer in range(len(w))]
            jacobian = np.concatenate([(self.system.a * o) @ u.T for o, u in zip(others, bases, strict=True)], axis=1)

        def beta(rows: np.ndarray) -> np.ndarray:
            count = len(OBSERVABLES)
            return np.concatenate([rows[..., :count], rows[..., count : count + size] @ decomposition.s], axis=-1)

        first, samples = len(OBSERVABLES) + self.room.coordinates, self.system.a.shape[0]
        summed = end.orbit[:, first : first + samples] if end.orbit.shape[1] > first else None
        return replace(
            end, theta=np.concatenate(layers), jacobian=jacobian, final=beta(end.final), orbit=beta(end.orbit),
            residual_integral=summed,
        )  # fmt: skip


def alike(w: Float[np.ndarray, "L m"], a: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "L m"]:
    """w, with moduli that rounding alone tells apart made equal in coordinates that see the same inputs.

    Coordinates j and k see the same inputs if their columns of A are equal up to sign. By symmetry the flow keeps
    |w_l|_j = |w_l|_k if they start equal; a difference of rounding would grow. So where these two moduli of a layer
    differ by at most EQUAL, relatively, both become that of the first of the coordinates. Signs stay.

    Args:
        w: w_l(0), one row a layer, shape (L, m).
        a: A = X S^T as `kernels.integrator.systems.inputs` makes it: twins are equal to the bit. Shape (n, m).
    """
    leads = np.take_along_axis(a, (a != 0).argmax(axis=0)[None], axis=0)[0]
    _, labels, counts = np.unique(a * np.where(leads < 0, -1.0, 1.0), axis=1, return_inverse=True, return_counts=True)
    made = w.copy()
    for label in np.flatnonzero(counts > 1).tolist():
        places = np.flatnonzero(np.ravel(labels) == label)
        size = np.abs(w[:, places[:1]])
        same = np.abs(np.abs(w[:, places]) - size) <= EQUAL * size
        made[:, places] = np.where(same, np.copysign(size, w[:, places]), w[:, places])
    return made


@final
class LayerPassage(Passage):
    """Integrates layers: the network's own, or those w_l of another network (`Coordinates`), often a smaller one."""

    def __init__(self, problem: Problem, system: LinearSystem, coordinates: Coordinates | None):
        self.problem, self.system, self.coordinates = problem, system, coordinates

    @cached_property
    def program(self) -> Program:
        spec, (samples, dim) = self.problem.spec, self.problem.dataset.x.shape
        network = None if self.coordinates is None else self.coordinates.network
        integrated, sizes = network or self.problem.architecture, network or spec
        return Program(
            loss=spec.loss,
            architecture=type(integrated),
            sizes=integrated.sizes,
            dim=network.dim if network else dim,
            depth=sizes.depth,
            width=sizes.width,
            filter=sizes.filter,
            samples=samples,
            solver=spec.solver,
            record=spec.record,
            columns=columns(spec.loss, spec.rtol, curved=False),
        )

    @property
    def start(self) -> Start:
        problem, coordinates = self.problem, self.coordinates
        x, layers, constants = problem.dataset.x, problem.layers, problem.architecture.constants
        if coordinates is not None:
            x, layers, constants = coordinates.inputs(x), tuple(coordinates.into(layers)), ()
        frozen = np.array([np.sum(part**2) for part in problem.architecture.split(self._frozen)])
        arrays: dict[str, Any] = {
            "x": x,
            "y": problem.dataset.y,
            "constants": constants,
            "frozen_squares": frozen,
            "whitener": self.system.whitener,
            "rounding": np.float64(self.system.attainable),
        }
        theta: Any = np.concatenate([np.ravel(layer) for layer in layers])
        return Start(theta, RunData(**arrays), self.control)

    @cached_property
    def _frozen(self) -> np.ndarray:
        """The part of Theta(0) that the flow never changes, shape (P,)."""
        coordinates, problem = self.coordinates, self.problem
        return np.zeros(problem.architecture.parameters) if coordinates is None else coordinates.rest(problem.layers)

    def restored(self, end: End) -> End:
        coordinates = self.coordinates
        if coordinates is None:
            return end

        def beta(rows: np.ndarray) -> np.ndarray:
            count = len(OBSERVABLES)
            return np.concatenate([rows[..., :count], coordinates.coefficients(rows[..., count:])], axis=-1)

        theta = coordinates.back(end.theta[None])[0]
        if self._frozen.any():
            theta = theta + np.exp(-end.log_norm) * self._frozen
        jacobian = coordinates.back(end.jacobian) if end.jacobian.size else end.jacobian
        return replace(end, theta=theta, jacobian=jacobian, final=beta(end.final), orbit=beta(end.orbit))


def _filled(array: np.ndarray, *more: int) -> np.ndarray:
    """The array with so many zeros after the last entry of each axis."""
    return np.pad(array, [(0, count) for count in more]) if any(more) else array
