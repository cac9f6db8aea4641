"""A block of a grid: factors that multiply, and filters that thin the product."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sweep.grid.filters import Expression
from sweep.grid.source import Place


class _Missing:
    """Where a row of a list does not name an axis that other rows name."""

    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


@dataclass(frozen=True)
class Factor:
    """One factor of a block's product: axes that go through their columns in step.

    Attributes:
        axes: names, one a column.
        columns: values, all columns of one length.
        places: where each row was written; one place where all rows come from one form.
        drawn: whether the rows are random draws; a draw that cannot run is dropped, and is no mistake of the grid.
    """

    axes: tuple[str, ...]
    columns: tuple[Sequence[Any], ...]
    places: tuple[Place, ...]
    drawn: bool = False

    def __len__(self) -> int:
        return len(self.columns[0])

    def place(self, row: int) -> Place:
        return self.places[row] if len(self.places) == len(self) else self.places[0]


@dataclass(frozen=True)
class Filter:
    """when, exclude or include, with one expression."""

    kind: str
    expression: Expression
    place: Place

    @property
    def rule(self) -> str:
        return f"{self.kind}: {self.expression.text}"


@dataclass(frozen=True)
class Block:
    """A product of factors, thinned by filters."""

    place: Place
    factors: tuple[Factor, ...]
    filters: tuple[Filter, ...]

    def column(self, axis: str) -> Sequence[Any]:
        """Every value of an axis, empty if the block does not declare it."""
        for factor in self.factors:
            if axis in factor.axes:
                return factor.columns[factor.axes.index(axis)]
        return ()
