"""Sizes of compiled programs, and which runs may share one. Imports no JAX."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from kernels.losses import LOSSES
from kernels.networks.table import architecture_class
from kernels.spec import AXES, RunSpec

GROWTH = 1.5
"""From one size of samples or coordinates to the next: work grows by its cube at most."""

LOOSE = 1e-5
"""Relative tolerance from which on fewer columns do on curves."""


@dataclass(frozen=True)
class Room:
    """A program for up to so many samples, coordinates and layers; what a run lacks is filled up with zeros.

    Zeros change nothing: a sample x = 0 exerts no force, a coordinate that starts at zero and meets no input rests, and
    a layer that is switched off counts as one.
    """

    samples: int
    coordinates: int
    depth: int


def compile_key(spec: RunSpec, dim: int, samples: int) -> tuple[str | int | bool | None, ...]:
    """Runs with equal keys go through one program: what plans know of a `kernels.integrator.ensemble.Program`."""
    named = {**spec.to_dict(), "architecture": spec.architecture_name}
    order = columns(spec.loss, spec.rtol) if room_for(spec, dim, samples) else None
    return (*(named[name] for name, axis in AXES.items() if axis.program), dim, samples, order)


def columns(loss: str, rtol: float, curved: bool = True) -> int:
    """Columns of the extrapolation, its order, for this tolerance."""
    usual, loose = LOSSES[loss].columns
    return loose if curved and rtol >= LOOSE else usual


def room_for(spec: RunSpec, dim: int, samples: int) -> Room | None:
    """The smallest room in which a run fits; None where its network has a program of its own in any case."""
    coordinates = coordinates_of(spec, dim)
    if coordinates is None or spec.solver != "extrapolation":
        return None
    layers = next(layers for layers in (2**power for power in itertools.count(2)) if layers >= spec.depth)
    return Room(_size(samples), _size(coordinates), layers)


def coordinates_of(spec: RunSpec, dim: int) -> int | None:
    """Of its network's real orthogonal decomposition, where every network of these sizes has one."""
    return architecture_class(spec.architecture_name).real_coordinates(dim, spec.depth, spec.filter)


def common(rooms: Iterable[Room]) -> Room:
    """The room in which all fit."""
    rooms = list(rooms)
    return Room(*(max(getattr(room, name) for room in rooms) for name in ("samples", "coordinates", "depth")))


def _size(wanted: int) -> int:
    """4, 8, 12, 20, 32, 48, ...: multiples of four, each about half as large again as the last."""
    size = 4
    while size < wanted:
        size = 4 * -(-int(size * GROWTH) // 4) if size > 4 else 8
    return size
