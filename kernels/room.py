"""Sizes of programs that runs of several shapes share. Imports no JAX."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from kernels.networks.table import architecture_class
from kernels.spec import RunSpec

MORE_SAMPLES = 1.5
"""Growth from one size of samples or coordinates to the next: work grows by its cube at most, a third of it wasted."""


@dataclass(frozen=True)
class Room:
    """A program for up to so many samples, coordinates and layers; what a run lacks is filled up with zeros.

    Zeros change nothing: a sample x = 0 exerts no force, a coordinate that starts at zero and meets no input rests, a
    layer that is switched off counts as one.
    """

    samples: int
    coordinates: int
    depth: int


def room_for(spec: RunSpec, dim: int, samples: int) -> Room | None:
    """The smallest room in which a run fits; None where its network has a program of its own in any case."""
    copies = architecture_class(spec.architecture_name).copies
    if copies is None or spec.solver != "extrapolation":
        return None
    layers = next(layers for layers in (2**power for power in itertools.count(2)) if layers >= spec.depth)
    return Room(_size(samples), _size(copies * dim), layers)


def _size(wanted: int) -> int:
    """4, 8, 12, 20, 32, 48, ...: multiples of four, each about half as large again as the last."""
    size = 4
    while size < wanted:
        size = 4 * -(-int(size * MORE_SAMPLES) // 4) if size > 4 else 8
    return size


def common(rooms: Iterable[Room]) -> Room:
    """The room in which all fit."""
    rooms = list(rooms)
    return Room(*(max(getattr(room, name) for room in rooms) for name in ("samples", "coordinates", "depth")))
