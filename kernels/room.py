"""Sizes of compiled programs, and which runs may share one. Imports no JAX."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from kernels.losses import LOSSES
from kernels.networks.table import architecture_class
from kernels.spec import AXES, RunSpec

GROWTH = 1.5
"""Ratio of one size of samples or coordinates to the next; filling up costs at most its cube in work."""

MULTIPLE = 4
"""Of which samples and coordinates of a room are multiples: the doubles in a vector register of today's CPUs."""

LOOSE = 1e-5
"""Relative tolerance from which on runs on curves take the fewer columns (`Loss.columns`)."""


@dataclass(frozen=True)
class Room:
    """Sizes of a program: the most samples, coordinates and layers that a run in it may have.

    What a run lacks is filled up, and that changes nothing: a sample x = 0 exerts no force, a coordinate that starts at
    zero and meets no input rests, and a slot for a layer that is switched off counts as the factor 1.
    """

    samples: int
    coordinates: int
    depth: int

    def trimmed(self, samples: int, coordinates: int) -> "Room":
        """The smallest room of this depth for so many samples and coordinates, in multiples of MULTIPLE."""
        return Room(_multiple(samples), _multiple(coordinates), self.depth)


def compile_key(spec: RunSpec, dim: int, samples: int) -> tuple[str | int | bool | None, ...]:
    """What decides a run's `kernels.integrator.program.Program`, known without JAX: equal keys share a program."""
    named = {**spec.to_dict(), "architecture": spec.architecture_name}
    order = columns(spec.loss, spec.rtol) if room_for(spec, dim, samples) else None
    return (*(named[name] for name, axis in AXES.items() if axis.program), dim, samples, order)


def columns(loss: str, rtol: float, curved: bool = True) -> int:
    """Columns of the extrapolation, its order, at this relative tolerance; curved: whether the run is on curves."""
    usual, loose = LOSSES[loss].columns
    return loose if curved and rtol >= LOOSE else usual


def room_for(spec: RunSpec, dim: int, samples: int) -> Room | None:
    """The smallest room in which a run fits; None where its program can only serve runs of its own sizes."""
    coordinates = coordinates_of(spec, dim)
    if coordinates is None or spec.solver != "extrapolation":
        return None
    layers = next(layers for layers in (2**power for power in itertools.count(2)) if layers >= spec.depth)
    return Room(_size(samples), _size(coordinates), layers)


def coordinates_of(spec: RunSpec, dim: int) -> int | None:
    """Coordinates of the network's real orthogonal decomposition; None unless all networks of these sizes have one."""
    return architecture_class(spec.architecture_name).real_coordinates(dim, spec.depth, spec.filter)


def common(rooms: Iterable[Room]) -> Room:
    """The smallest room that contains all of these."""
    rooms = list(rooms)
    return Room(*(max(getattr(room, name) for room in rooms) for name in ("samples", "coordinates", "depth")))


def _size(wanted: int) -> int:
    """4, 8, 12, 20, 32, 48, ...: multiples of four, each about half as large again as the last."""
    size = MULTIPLE
    while size < wanted:
        size = _multiple(int(size * GROWTH)) if size > MULTIPLE else 2 * MULTIPLE
    return size


def _multiple(wanted: int) -> int:
    return MULTIPLE * -(-wanted // MULTIPLE)
