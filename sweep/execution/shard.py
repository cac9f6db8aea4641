"""One of n parts of a grid, for machines that share no cluster: each computes its part into a store of its own.

A run's id decides its part: the remainder of the number that its first eight bytes are, divided by n. So every run is
in one part, whatever else the grid holds, and a grid that grows moves none. Ids are digests: of N runs a part has N/n,
give or take √(N/n).
"""

import re
from dataclasses import dataclass

from sweep.grid.mistakes import GridError


@dataclass(frozen=True)
class Shard:
    """Part `number` of `parts`, counted from 1."""

    number: int
    parts: int

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def has(self, digest: bytes) -> bool:
        """Whether a run belongs to it, by the bytes of its id."""
        return int.from_bytes(digest[:8]) % self.parts == self.number - 1


def parse(text: str) -> Shard:
    """The shard of "2/8". Raises GridError."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if found is None:
        raise GridError([f"--shard {text}: write which part of how many, for example 1/8"])
    number, parts = int(found[1]), int(found[2])
    if not 1 <= number <= parts:
        last = max(parts, 1)
        raise GridError([f"--shard {text}: parts count from 1 to {last}; an array job of Slurm is --array=1-{last}"])
    return Shard(number, parts)
