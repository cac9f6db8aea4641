"""Reading the sections of a block (plain keys, grid, zip, list, random, filters) into factors."""

import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kernels.networks.table import located
from kernels.spec import AXES, InputError
from sweep.grid.blocks import MISSING, Block, Factor, Filter
from sweep.grid.filters import any_of, parse
from sweep.grid.mistakes import Mistakes
from sweep.grid.overrides import EXPRESSIONS, NETWORK
from sweep.grid.source import Place, Source
from sweep.grid.values import MAX_COMBINATIONS, data_sets, draw, values


class Reader:
    """Reads blocks of one file; mistakes are noted, not raised."""

    def __init__(self, source: Source, mistakes: Mistakes):
        self.source, self.mistakes, self.values = source, mistakes, 0

    def _count(self, values: int, place: Place) -> None:
        """Raise GridError, together with the mistakes so far, where the grid's values would fill the memory."""
        self.values += values
        if self.values > MAX_COMBINATIONS:
            self.mistakes.add(
                self.source.where(place), f"more than {MAX_COMBINATIONS:,} values up to here; write fewer"
            )
            self.mistakes.check()

    def block(
        self, tree: dict[str, Any], place: Place, inherited: dict[str, Factor], shared: tuple[Filter, ...]
    ) -> Block:
        """A block at a place, with what it inherits from the top level."""
        defaults = {**inherited, **self.plain_factors(tree, place)}
        sections = [
            *self._product(tree, place),
            *self._in_step(tree, place),
            *self._rows(tree, place, defaults),
            *self._random(tree, place),
        ]
        declared: dict[str, Place] = {}
        for factor in sections:
            for axis in factor.axes:
                if axis in declared:
                    first = ".".join(map(str, declared[axis]))
                    self.mistakes.add(
                        self.source.where(factor.places[0]), f"{axis} is declared twice in this block, also in {first}"
                    )
                declared[axis] = factor.places[0]
        plain = [factor for axis, factor in defaults.items() if axis not in declared]
        factors = sorted([*plain, *sections], key=lambda factor: min(list(AXES).index(axis) for axis in factor.axes))
        return Block(place, tuple(factors), (*shared, *self.filters(tree, place)))

    def _column(self, key: str, raw: Any, place: Place) -> tuple[Sequence[Any], list[Place]]:
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
                found = self._located(axis, found)
            except InputError as error:
                self.mistakes.add(self.source.where(at), f"{key}: {error}")
                continue
            self._count(0 if isinstance(found, range) else len(found), at)
            if pieces is not raw:
                return found, [at]
            self._count(len(found) if isinstance(found, range) else 0, at)
            column.extend(found)
            places.extend([at] * len(found))
        return column, places

    def _located(self, axis: str, found: Sequence[Any]) -> Sequence[Any]:
        """Networks with the paths of their files made absolute, from the grid's folder."""
        return [located(one, self.source.base) for one in found] if axis == "architecture" else found

    def _factor(self, key: str, raw: Any, place: Place) -> Iterator[Factor]:
        column, places = self._column(key, raw, place)
        if len(column):
            yield Factor((_axis(key),), (column,), tuple(places))

    def plain_factors(self, tree: dict[str, Any], place: Place) -> dict[str, Factor]:
        """Axes that stand as plain keys: the defaults of what follows."""
        self._check_alias(tree, place)
        return {
            _axis(key): factor
            for key in (*AXES, NETWORK)
            if key in tree
            for factor in self._factor(key, tree[key], (*place, key))
        }

    def _product(self, tree: dict[str, Any], place: Place) -> Iterator[Factor]:
        section = tree.get("grid") or {}
        self._check_alias(section, (*place, "grid"))
        for key, raw in section.items():
            yield from self._factor(key, raw, (*place, "grid", key))

    def _in_step(self, tree: dict[str, Any], place: Place) -> Iterator[Factor]:
        section = tree.get("zip") or {}
        here = (*place, "zip")
        self._check_alias(section, here)
        columns = {key: self._column(key, raw, (*here, key))[0] for key, raw in section.items()}
        columns = {key: column for key, column in columns.items() if len(column)}
        lengths = {key: len(column) for key, column in columns.items() if len(column) != 1}
        if len(set(lengths.values())) > 1:
            text = ", ".join(f"{key} has {length}" for key, length in lengths.items())
            self.mistakes.add(self.source.where(here), f"zip: the axes need equally many values; {text}")
        elif columns:
            n = max(map(len, columns.values()))
            self._count(n * sum(len(column) < n for column in columns.values()), here)
            stretched = tuple(column if len(column) == n else [column[0]] * n for column in columns.values())
            yield Factor(tuple(map(_axis, columns)), stretched, (here,))

    def _rows(self, tree: dict[str, Any], place: Place, defaults: dict[str, Factor]) -> Iterator[Factor]:
        """Rows of `list`; an axis that a row leaves out has the plain default, or the kernel's."""
        rows = tree.get("list") or []
        axes = list(dict.fromkeys(_axis(key) for row in rows for key in row))
        columns: list[list[Any]] = [[] for _ in axes]
        places: list[Place] = []
        for n, row in enumerate(rows):
            here = (*place, "list", n)
            self._check_alias(row, here)
            given = {_axis(key): self._column(key, raw, (*here, key))[0] for key, raw in row.items()}
            for axis in axes:
                if axis not in given and axis in defaults and len(defaults[axis]) > 1:
                    self.mistakes.add(
                        self.source.where(here), f"{axis}: this row leaves it out and its default has several values"
                    )
            sizes = [len(given[axis]) if axis in given else 1 for axis in axes]
            self._count(math.prod(sizes) * len(axes), here)
            for index in np.ndindex(*sizes):
                for column, axis, position in zip(columns, axes, index, strict=True):
                    fallback = defaults[axis].columns[0][0] if axis in defaults else MISSING
                    column.append(given[axis][position] if axis in given else fallback)
                places.append(here)
        if places and axes:
            yield Factor(tuple(axes), tuple(columns), tuple(places))

    def _random(self, tree: dict[str, Any], place: Place) -> Iterator[Factor]:
        """n draws; each axis has its own stream, so that one more axis leaves the others' draws as they are."""
        section = tree.get("random")
        if not section:
            return
        here = (*place, "random")
        self._check_alias(section, here)
        seed = section.get("seed", 0)
        seeds_draws = not isinstance(seed, dict | list)
        if seeds_draws and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            self.mistakes.add(self.source.where((*here, "seed")), f"random.seed: {seed!r} is not an integer >= 0")
            return
        axes, columns = [], []
        for key, raw in section.items():
            if key == "n" or (key == "seed" and seeds_draws):
                continue
            rng = np.random.default_rng([seed if seeds_draws else 0, zlib.crc32(_axis(key).encode())])
            self._count(section["n"], (*here, key))
            try:
                columns.append(self._located(_axis(key), draw(_axis(key), raw, section["n"], rng)))
                axes.append(_axis(key))
            except InputError as error:
                self.mistakes.add(self.source.where((*here, key)), f"{key}: {error}")
        if axes:
            yield Factor(tuple(axes), tuple(columns), (here,), drawn=True)
        else:
            self.mistakes.add(
                self.source.where(here), "random: no axis is drawn; write for example alpha: {loguniform: [0.01, 1]}"
            )

    def filters(self, tree: dict[str, Any], place: Place) -> tuple[Filter, ...]:
        """Every expression of when and exclude by itself; those of include as one, of which any may hold."""
        found = []
        for kind in EXPRESSIONS:
            raw = tree.get(kind)
            texts = raw if isinstance(raw, list) else [] if raw is None else [raw]
            places = [(*place, kind, n) if isinstance(raw, list) else (*place, kind) for n in range(len(texts))]
            parsed = []
            for text, here in zip(texts, places, strict=True):
                try:
                    parsed.append((parse(text), here))
                except InputError as error:
                    self.mistakes.add(self.source.where(here), f"{kind}: {error}")
            if kind == "include" and len(parsed) > 1:
                parsed = [(any_of([expression for expression, _ in parsed]), (*place, kind))]
            found += [Filter(kind, expression, here) for expression, here in parsed]
        return tuple(found)

    def _check_alias(self, tree: dict[str, Any], place: Place) -> None:
        if NETWORK in tree and "architecture" in tree:
            self.mistakes.add(
                self.source.where((*place, NETWORK)), "network is another name of architecture; write one of them"
            )


def _axis(key: str) -> str:
    return "architecture" if key == NETWORK else key
