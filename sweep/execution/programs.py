"""Which runs go through one compiled program.

A program costs seconds of compilation, as much as hundreds of small runs. So shapes with few runs each share one that
is large enough for all of them, filled up with zeros; shapes with many runs have their own, which wastes nothing.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kernels.room import Room, columns, common, coordinates_of, room_for
from kernels.spec import canonical_json
from sweep.grid.expansion import Structure

COMPILATION = 3.0
"""Seconds that a program costs before its first step, on one core of today's machines."""

Family = tuple[str, bool, int]
"""Loss, whether orbits are recorded, and columns of the extrapolation: what runs of one program have in common."""


@dataclass
class Shape:
    """The pending runs of one compile key."""

    key: str
    structure: Structure
    pending: int = 0
    _scales: float = 0.0

    def add(self, alpha: float) -> None:
        """One more pending run."""
        self.pending += 1
        self._scales += math.log10(alpha)

    @property
    def scale(self) -> float:
        """log10 of alpha, on average."""
        return self._scales / max(1, self.pending)

    @property
    def size(self) -> tuple[int, int]:
        """(samples, coordinates) as they are integrated, where that is in coordinates."""
        entry = self.structure.entry
        return entry.samples, coordinates_of(self.structure.spec, entry.dim) or entry.dim


@dataclass
class ProgramPlan:
    """The pending runs of one program.

    Attributes:
        key: under which its timings are kept, as JSON.
        shapes: whose runs go through it.
        room: its size, where shapes share it.
    """

    key: str
    shapes: list[Shape] = field(default_factory=list)
    room: Room | None = None

    @property
    def pending(self) -> int:
        return sum(shape.pending for shape in self.shapes)

    @property
    def name(self) -> str:
        """For people: the network and the size of its data, or of a room how many shapes share it."""
        if self.room is not None and len(self.shapes) > 1:
            return f"{len(self.shapes)} shapes of up to {self.room.samples} x {self.room.coordinates}"
        spec, entry = self.shapes[0].structure.spec, self.shapes[0].structure.entry
        return f"{spec.architecture_name} of depth {spec.depth}, {entry.samples} x {entry.dim}"


def programs(shapes: Iterable[Shape]) -> list[ProgramPlan]:
    """As few programs as are quicker than more of them."""
    alone: list[ProgramPlan] = []
    families: defaultdict[Family, list[Shape]] = defaultdict(list)
    for shape in shapes:
        spec, entry = shape.structure.spec, shape.structure.entry
        if room_for(spec, entry.dim, entry.samples) is None:
            alone.append(ProgramPlan(shape.key, [shape]))
        else:
            families[spec.loss, spec.record, columns(spec.loss, spec.rtol)].append(shape)
    return alone + [program for family, members in families.items() for program in _shared(family, members)]


def steps(samples: int) -> int:
    """Of a usual run: some for the start and the end, some for each sample that is fitted on the way."""
    return 20 + 4 * samples


def seconds(samples: int, coordinates: int) -> float:
    """Of a step of this size: a fixed part, its 55 products each with X and with the inverse, and ten factors.

    With `steps`, a model good to a factor of three: it only weighs zeros against compilations.
    """
    n, m = samples, coordinates
    return 8e-6 + 5e-11 * (220 * n * (m + n) + 20 * n**3)


def _shared(family: Family, shapes: list[Shape]) -> list[ProgramPlan]:
    rooms: defaultdict[Room, list[Shape]] = defaultdict(list)
    alone = []
    for shape in shapes:
        spec, entry = shape.structure.spec, shape.structure.entry
        room = room_for(spec, entry.dim, entry.samples)
        assert room is not None
        if _waste(room, [shape]) < COMPILATION:
            rooms[room].append(shape)
        else:
            alone.append(shape)
    shared = []
    for room, members in _merged(rooms).items():
        if _waste(room, members) < COMPILATION * (len(members) - 1):
            shared.append(ProgramPlan(_key(family, room), members, room))
        else:
            alone += members
    return [ProgramPlan(shape.key, [shape]) for shape in alone] + shared


def _merged(rooms: Mapping[Room, list[Shape]]) -> dict[Room, list[Shape]]:
    """Rooms joined, the best pair first, as long as that saves more compilation than it wastes steps."""
    rooms = dict(rooms)
    while True:
        gains = {
            (a, b): COMPILATION
            + _waste(a, rooms[a])
            + _waste(b, rooms[b])
            - _waste(common((a, b)), rooms[a] + rooms[b])
            for a, b in itertools.combinations(rooms, 2)
        }
        best = max(gains, key=gains.__getitem__, default=None)
        if best is None or gains[best] <= 0:
            return rooms
        a, b = best
        members = rooms.pop(a) + rooms.pop(b)
        rooms[common(best)] = rooms.get(common(best), []) + members


def _waste(room: Room, shapes: Iterable[Shape]) -> float:
    """Seconds spent on zeros."""
    full = seconds(room.samples, room.coordinates)
    return sum(shape.pending * steps(shape.size[0]) * (full - seconds(*shape.size)) for shape in shapes)


def _key(family: Family, room: Room) -> str:
    return canonical_json(["shared", *family, room.samples, room.coordinates, room.depth])
