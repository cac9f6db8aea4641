"""A grid that is a Python dict: the values that a file could hold, from those that a program has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sweep.grid import bounded_yaml
from sweep.grid.mistakes import GridError
from sweep.grid.source import Place, Source

NAME = Path("grid")
"""Of a grid without a file, in messages; relative paths and modules of its own are looked up in the current folder."""


def from_mapping(grid: Mapping[str, Any], most: int = bounded_yaml.VALUES) -> Source:
    """The source of a dict: numbers and arrays of numpy, ranges, tuples and paths become what YAML has.

    Args:
        most: values that it may hold; an array counts as many as it has.

    Raises GridError, with the keys of the place where a file has its line.
    """
    source = Source(NAME, {}, keyed=True)
    plain = _Plain(most)
    try:
        source.tree = plain.value(grid, ())
    except ValueError as error:
        raise GridError([f"{source.where(plain.place)}: {error}"]) from error
    return source


class _Plain:
    """Python's values as YAML's; `place` is where it is."""

    def __init__(self, most: int):
        self.place: Place = ()
        self._most, self._count = most, 0

    def value(self, node: Any, place: Place) -> Any:
        """Raises ValueError for what no file could hold."""
        self.place = place
        if len(place) > bounded_yaml.DEPTH:
            raise ValueError(f"lists and mappings stand more than {bounded_yaml.DEPTH} deep inside each other")
        if isinstance(node, Mapping):
            self._add(len(node))
            return {str(key): self.value(each, (*place, str(key))) for key, each in node.items()}
        if isinstance(node, range):
            self._add(len(node))
            return list(node)
        if isinstance(node, list | tuple):
            self._add(len(node))
            return [self.value(each, (*place, index)) for index, each in enumerate(node)]
        if node is None or isinstance(node, bool | str):
            return str(node) if isinstance(node, str) else node
        if isinstance(node, Path):
            return str(node)
        return self._number(node) if isinstance(node, int | float) else self._array(node)

    def _array(self, node: Any) -> Any:
        """Numbers and arrays of numpy, and what can be made one: a column of a frame, an array of JAX."""
        array = np.asarray(node) if hasattr(node, "__array__") else np.array(None)
        if array.dtype.kind not in "biufU":
            raise ValueError(
                f"{node!r:.100} is no value of a grid; write numbers, texts, lists and mappings of them, numpy "
                "arrays, or the name of your own class or function: module:Name"
            )
        self._add(array.size)
        return array.tolist() if array.ndim or array.dtype.kind not in "iu" else self._number(array.item())

    def _number(self, node: float) -> Any:
        if isinstance(node, float):
            return float(node)
        if not -bounded_yaml.LARGEST <= node < bounded_yaml.LARGEST:
            raise ValueError("a whole number of more than 63 bits; write a float, as in 1e20")
        return int(node)

    def _add(self, values: int) -> None:
        self._count += values
        if self._count > self._most:
            raise ValueError(
                f"more than {self._most:,} values; write fewer, or data into a file of their own, or ranges as "
                "{'range': [lo, hi]}"
            )
