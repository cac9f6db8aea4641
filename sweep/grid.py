"""A grid file as blocks of factors: what it declares, checked value by value, before anything is multiplied."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernels.spec import AXES, TASKS, InputError
from sweep.checks import check_value, representatives
from sweep.expressions import Expression, parse
from sweep.mistakes import GridError, Mistakes
from sweep.overrides import EXPRESSIONS, NETWORK, SECTIONS, override
from sweep.schema import check_shape
from sweep.source import Place, Source, read
from sweep.values import data_sets, draw, values


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
        drawn: whether the rows are random draws, of which not each needs to make sense.
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


@dataclass(frozen=True)
class Grid:
    """A checked grid file; its runs are enumerated by sweep.expansion."""

    name: str
    source: Source
    blocks: tuple[Block, ...]


def load(path: Path, assignments: Sequence[str] = ()) -> Grid:
    """Read a grid file, apply `--set` options, check everything that needs no combination. Raises GridError."""
    source = read(path)
    override(source, assignments)
    return from_source(source)


def from_source(source: Source) -> Grid:
    """The grid of a parsed file. Raises GridError with every mistake found."""
    mistakes = Mistakes()
    check_shape(source, mistakes)
    mistakes.check()
    tree = source.tree
    blocks = tree.get("blocks")
    if blocks is not None:
        for section in SECTIONS:
            if section in tree:
                mistakes.add(source.where((section,)), f"{section} stands beside blocks; move it into a block")
    mistakes.check()
    inherited = _plain_factors(tree, (), source, mistakes)
    shared = _filters(tree, (), source, mistakes)
    if blocks is None:
        found = [_block(tree, (), {}, (), source, mistakes)]
    else:
        found = [
            _block(block, ("blocks", n), inherited, shared, source, mistakes) for n, block in enumerate(blocks) if block
        ]
    for block in found:
        _check(block, source, mistakes)
    mistakes.check()
    return Grid(str(tree.get("name") or source.path.stem), source, tuple(found))


def _block(
    tree: dict[str, Any],
    place: Place,
    inherited: dict[str, Factor],
    shared: tuple[Filter, ...],
    source: Source,
    mistakes: Mistakes,
) -> Block:
    defaults = {**inherited, **_plain_factors(tree, place, source, mistakes)}
    sections = [
        *_product(tree, place, source, mistakes),
        *_in_step(tree, place, source, mistakes),
        *_rows(tree, place, defaults, source, mistakes),
        *_random(tree, place, source, mistakes),
    ]
    declared: dict[str, Place] = {}
    for factor in sections:
        for axis in factor.axes:
            if axis in declared:
                first = ".".join(map(str, declared[axis]))
                mistakes.add(source.where(factor.places[0]), f"{axis} is declared twice in this block, also in {first}")
            declared[axis] = factor.places[0]
    plain = [factor for axis, factor in defaults.items() if axis not in declared]
    factors = sorted([*plain, *sections], key=lambda factor: min(AXES.index(axis) for axis in factor.axes))
    return Block(place, tuple(factors), (*shared, *_filters(tree, place, source, mistakes)))


def _axis(key: str) -> str:
    return "architecture" if key == NETWORK else key


def _column(key: str, raw: Any, place: Place, source: Source, mistakes: Mistakes) -> tuple[Sequence[Any], list[Place]]:
    """Values of one declaration and where each was written."""
    axis = _axis(key)
    pieces = raw if isinstance(raw, list) and raw else [raw]
    column: list[Any] = []
    places: list[Place] = []
    for index, piece in enumerate(pieces):
        at = (*place, index) if pieces is raw else place
        try:
            found: Sequence[Any] = values(axis, piece)
            if axis == "data":
                found = [data for one in found for data in data_sets(one)]
        except InputError as error:
            mistakes.add(source.where(at), f"{key}: {error}")
            continue
        if pieces is not raw:
            return found, [at]
        column.extend(found)
        places.extend([at] * len(found))
    return column, places


def _factor(key: str, raw: Any, place: Place, source: Source, mistakes: Mistakes) -> Iterator[Factor]:
    column, places = _column(key, raw, place, source, mistakes)
    if len(column):
        yield Factor((_axis(key),), (column,), tuple(places))


def _plain_factors(tree: dict[str, Any], place: Place, source: Source, mistakes: Mistakes) -> dict[str, Factor]:
    """Axes that stand as plain keys: the defaults of what follows."""
    _check_alias(tree, place, source, mistakes)
    return {
        _axis(key): factor
        for key in (*AXES, NETWORK)
        if key in tree
        for factor in _factor(key, tree[key], (*place, key), source, mistakes)
    }


def _product(tree: dict[str, Any], place: Place, source: Source, mistakes: Mistakes) -> Iterator[Factor]:
    section = tree.get("grid") or {}
    _check_alias(section, (*place, "grid"), source, mistakes)
    for key, raw in section.items():
        yield from _factor(key, raw, (*place, "grid", key), source, mistakes)


def _in_step(tree: dict[str, Any], place: Place, source: Source, mistakes: Mistakes) -> Iterator[Factor]:
    section = tree.get("zip") or {}
    here = (*place, "zip")
    _check_alias(section, here, source, mistakes)
    columns = {key: _column(key, raw, (*here, key), source, mistakes)[0] for key, raw in section.items()}
    columns = {key: column for key, column in columns.items() if len(column)}
    lengths = {key: len(column) for key, column in columns.items() if len(column) != 1}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        mistakes.add(source.where(here), f"zip: the axes need equally many values; {text}")
    elif columns:
        n = max(map(len, columns.values()))
        stretched = tuple(column if len(column) == n else [column[0]] * n for column in columns.values())
        yield Factor(tuple(map(_axis, columns)), stretched, (here,))


def _rows(
    tree: dict[str, Any], place: Place, defaults: dict[str, Factor], source: Source, mistakes: Mistakes
) -> Iterator[Factor]:
    """Rows of `list`; an axis that a row leaves out has the plain default, or the kernel's."""
    rows = tree.get("list") or []
    axes = list(dict.fromkeys(_axis(key) for row in rows for key in row))
    columns: list[list[Any]] = [[] for _ in axes]
    places: list[Place] = []
    for n, row in enumerate(rows):
        here = (*place, "list", n)
        _check_alias(row, here, source, mistakes)
        given = {_axis(key): _column(key, raw, (*here, key), source, mistakes)[0] for key, raw in row.items()}
        for axis in axes:
            if axis not in given and axis in defaults and len(defaults[axis]) > 1:
                mistakes.add(source.where(here), f"{axis}: this row leaves it out and its default has several values")
        sizes = [len(given[axis]) if axis in given else 1 for axis in axes]
        for index in np.ndindex(*sizes):
            for column, axis, position in zip(columns, axes, index, strict=True):
                fallback = defaults[axis].columns[0][0] if axis in defaults else MISSING
                column.append(given[axis][position] if axis in given else fallback)
            places.append(here)
    if places and axes:
        yield Factor(tuple(axes), tuple(columns), tuple(places))


def _random(tree: dict[str, Any], place: Place, source: Source, mistakes: Mistakes) -> Iterator[Factor]:
    """n draws; each axis has its own stream, so that declaring one more axis leaves the others' draws as they are."""
    section = tree.get("random")
    if not section:
        return
    here = (*place, "random")
    _check_alias(section, here, source, mistakes)
    seed = section.get("seed", 0)
    seeds_draws = not isinstance(seed, dict | list)
    if seeds_draws and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
        mistakes.add(source.where((*here, "seed")), f"random.seed: {seed!r} is not an integer >= 0")
        return
    axes, columns = [], []
    for key, raw in section.items():
        if key == "n" or (key == "seed" and seeds_draws):
            continue
        rng = np.random.default_rng([seed if seeds_draws else 0, zlib.crc32(_axis(key).encode())])
        try:
            columns.append(draw(_axis(key), raw, section["n"], rng))
            axes.append(_axis(key))
        except InputError as error:
            mistakes.add(source.where((*here, key)), f"{key}: {error}")
    if axes:
        yield Factor(tuple(axes), tuple(columns), (here,), drawn=True)
    else:
        mistakes.add(source.where(here), "random: no axis is drawn; write for example alpha: {loguniform: [0.01, 1]}")


def _filters(tree: dict[str, Any], place: Place, source: Source, mistakes: Mistakes) -> tuple[Filter, ...]:
    found = []
    for kind in EXPRESSIONS:
        raw = tree.get(kind)
        several = isinstance(raw, list)
        for n, text in enumerate(raw if isinstance(raw, list) else [] if raw is None else [raw]):
            here = (*place, kind, n) if several else (*place, kind)
            try:
                found.append(Filter(kind, parse(text), here))
            except InputError as error:
                mistakes.add(source.where(here), f"{kind}: {error}")
    return tuple(found)


def _check_alias(tree: dict[str, Any], place: Place, source: Source, mistakes: Mistakes) -> None:
    if NETWORK in tree and "architecture" in tree:
        mistakes.add(source.where((*place, NETWORK)), "network is another name of architecture; write one of them")


def _check(block: Block, source: Source, mistakes: Mistakes) -> None:
    """Every value on its own, and the axes without which there is no run."""
    for axis, example in (("task", "regression"), ("data", "{gaussian: {...}}"), ("architecture", "diagonal")):
        if not len(block.column(axis)):
            mistakes.add(source.where(block.place), f"{axis}: missing; write for example {axis}: {example}")
    tasks = [task for task in block.column("task") if task in TASKS] or list(TASKS)
    for factor in block.factors:
        for axis, column in zip(factor.axes, factor.columns, strict=True):
            for row, value in representatives(column):
                if value is not MISSING:
                    with mistakes.at(source.where(factor.place(row))):
                        check_value(axis, value, tasks)


__all__ = ["Block", "Factor", "Filter", "Grid", "GridError", "from_source", "load"]
