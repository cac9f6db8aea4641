"""Which runs go through one compiled program.

A program costs seconds of compilation, as much as hundreds of small runs. So shapes with few runs each share one that
is large enough for all of them, filled up with zeros; shapes with many runs have their own, which wastes nothing.

All runs of a grid decide, the stored ones among them, so that a launch that is resumed goes on in the same programs.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from kernels.room import Room, columns, common, coordinates_of, room_for
from kernels.spec import canonical_json
from sweep.grid.expansion import Structure

COMPILATION = 3.0
"""Seconds that a program costs before its first step, on one core of today's machines."""

Family = tuple[str, bool, int]
"""Loss, whether orbits are recorded, and columns of the extrapolation: what runs of one program have in common."""


@dataclass
class Shape:
    """The runs of one compile key.

    Attributes:
        pending: those to compute.
        runs: all of them, the stored ones among them.
    """

    key: str
    structure: Structure
    pending: int = 0
    runs: int = 0
    _scales: float = 0.0

    def add(self, alpha: float, pending: bool) -> None:
        """One more run."""
        self.runs += 1
        if pending:
            self.pending += 1
            self._scales += math.log10(alpha)

    @property
    def scale(self) -> float:
        """log10 of alpha, on average of pending runs."""
        return self._scales / max(1, self.pending)

    @property
    def size(self) -> tuple[int, int]:
        """(samples, coordinates) as they are integrated, where that is in coordinates."""
        entry = self.structure.entry
        return entry.samples, coordinates_of(self.structure.spec, entry.dim) or entry.dim

    @property
    def steps(self) -> float:
        """Of one of its runs, about."""
        return steps(self.structure.entry.samples, self.structure.spec.depth)


@dataclass
class ProgramPlan:
    """The runs of one program.

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
    def work(self) -> float:
        """Seconds of its pending runs by `steps` and `seconds`: which program has more."""
        room = self.room
        sizes = [shape.size if room is None else (room.samples, room.coordinates) for shape in self.shapes]
        return sum(shape.pending * shape.steps * seconds(*size) for shape, size in zip(self.shapes, sizes, strict=True))

    @property
    def name(self) -> str:
        """For people: the network and the size of its data, or of a room how many shapes share it."""
        if self.room is not None and len(self.shapes) > 1:
            return f"{len(self.shapes)} shapes of up to {self.room.samples} x {self.room.coordinates}"
        spec, entry = self.shapes[0].structure.spec, self.shapes[0].structure.entry
        return f"{spec.architecture_name} of depth {spec.depth}, {entry.samples} x {entry.dim}"


class Group(NamedTuple):
    """Shapes that could share a program.

    Attributes:
        shapes: of one family.
        ladder: the room that shapes of other grids may share: common to those of `room_for`.
        least: the smallest room for these shapes.
        steps: of all their runs.
        needed: seconds of these steps, each at its own size.
    """

    shapes: list[Shape]
    ladder: Room
    least: Room
    steps: float
    needed: float

    @classmethod
    def of(cls, shapes: list[Shape]) -> Self:
        ladder = common(_ladder(shape) for shape in shapes)
        least = ladder.trimmed(*(max(sizes) for sizes in zip(*(shape.size for shape in shapes), strict=True)))
        steps = [shape.runs * shape.steps for shape in shapes]
        needed = sum(count * seconds(*shape.size) for count, shape in zip(steps, shapes, strict=True))
        return cls(shapes, ladder, least, sum(steps), needed)

    def joined(self, other: "Group") -> "Group":
        return Group(
            self.shapes + other.shapes,
            common((self.ladder, other.ladder)),
            common((self.least, other.least)),
            self.steps + other.steps,
            self.needed + other.needed,
        )

    def waste(self, room: Room) -> float:
        """Seconds spent on zeros."""
        return self.steps * seconds(room.samples, room.coordinates) - self.needed

    @property
    def room(self) -> Room:
        """The least one, where that saves more than a compilation, which another grid may share with the ladder's."""
        saved = self.waste(self.ladder) - self.waste(self.least)
        return self.least if saved > COMPILATION else self.ladder


def programs(shapes: Iterable[Shape]) -> list[ProgramPlan]:
    """As few programs as are quicker than more of them, for all runs of the shapes."""
    alone: list[ProgramPlan] = []
    families: defaultdict[Family, list[Shape]] = defaultdict(list)
    for shape in shapes:
        spec, entry = shape.structure.spec, shape.structure.entry
        if room_for(spec, entry.dim, entry.samples) is None:
            alone.append(ProgramPlan(shape.key, [shape]))
        else:
            families[spec.loss, spec.record, columns(spec.loss, spec.rtol)].append(shape)
    return alone + [program for family, members in families.items() for program in _shared(family, members)]


def steps(samples: int, depth: int) -> float:
    """Of a usual run: some for the start and the end, the more for each sample that is fitted the deeper the network.

    Within a factor of two of the means over alpha = 0.01 to 1 of 1 to 40 samples, 60 coordinates, depths 3 to 12
    (benchmarks/cold.yaml and the like of it); one and two layers take fewer.
    """
    return 20 + samples * (depth - 1) ** 2


def seconds(samples: int, coordinates: int) -> float:
    """Of a step of this size: a fixed part, its 55 products each with X and with the inverse, and ten factors.

    With `steps`, a model good to a factor of three: it only weighs zeros against compilations.
    """
    n, m = samples, coordinates
    return 8e-6 + 5e-11 * (220 * n * (m + n) + 20 * n**3)


def _shared(family: Family, shapes: list[Shape]) -> list[ProgramPlan]:
    rungs: defaultdict[Room, list[Shape]] = defaultdict(list)
    for shape in shapes:
        rungs[_ladder(shape)].append(shape)
    alone, groups = [], []
    for members in rungs.values():
        room = Group.of(members).least
        few = [shape for shape in members if Group.of([shape]).waste(room) < COMPILATION]
        alone += [shape for shape in members if Group.of([shape]).waste(room) >= COMPILATION]
        if few:
            groups.append(Group.of(few))
    shared = []
    for group in _distinct(_merged(groups)):
        if group.waste(group.room) < COMPILATION * (len(group.shapes) - 1):
            shared.append(ProgramPlan(_key(family, group.room), group.shapes, group.room))
        else:
            alone += group.shapes
    return [ProgramPlan(shape.key, [shape]) for shape in alone] + shared


def _merged(groups: Iterable[Group]) -> list[Group]:
    """Groups joined, the best pair first, as long as that saves more compilation than it wastes steps."""
    groups = list(groups)
    while True:
        pairs = {(a, b): groups[a].joined(groups[b]) for a, b in itertools.combinations(range(len(groups)), 2)}
        wastes = [group.waste(group.least) for group in groups]
        gains = {(a, b): COMPILATION + wastes[a] + wastes[b] - both.waste(both.least) for (a, b), both in pairs.items()}
        best = max(gains, key=gains.__getitem__, default=None)
        if best is None or gains[best] <= 0:
            return groups
        groups = [group for index, group in enumerate(groups) if index not in best] + [pairs[best]]


def _distinct(groups: Iterable[Group]) -> list[Group]:
    """Groups joined until no two have the same room, which is one program."""
    groups = list(groups)
    while True:
        pairs = itertools.combinations(range(len(groups)), 2)
        same = next(((a, b) for a, b in pairs if groups[a].room == groups[b].room), None)
        if same is None:
            return groups
        a, b = same
        groups = [group for index, group in enumerate(groups) if index not in same] + [groups[a].joined(groups[b])]


def _ladder(shape: Shape) -> Room:
    room = room_for(shape.structure.spec, shape.structure.entry.dim, shape.structure.entry.samples)
    assert room is not None
    return room


def _key(family: Family, room: Room) -> str:
    return canonical_json(["shared", *family, room.samples, room.coordinates, room.depth])
