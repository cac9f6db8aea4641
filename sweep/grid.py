"""A grid file as blocks of factors: what it declares, checked value by value, before anything is multiplied."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kernels.spec import TASKS
from sweep.blocks import MISSING, Block
from sweep.checks import check_value, representatives
from sweep.mistakes import Mistakes
from sweep.overrides import SECTIONS, override
from sweep.schema import check_shape
from sweep.sections import Reader
from sweep.source import Source, read


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
    folder = str(source.base)
    if folder not in sys.path:
        sys.path.append(folder)  # for networks and data of the user's own, module:Class
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
    reader = Reader(source, mistakes)
    if blocks is None:
        found = [reader.block(tree, (), {}, ())]
    else:
        inherited, shared = reader.plain_factors(tree, ()), reader.filters(tree, ())
        found = [reader.block(block, ("blocks", n), inherited, shared) for n, block in enumerate(blocks)]
    for block in found:
        _check(block, source, mistakes)
    mistakes.check()
    return Grid(str(tree.get("name") or source.path.stem), source, tuple(found))


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
