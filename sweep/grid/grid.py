"""A grid file as blocks of factors: what it declares, checked value by value, before anything is multiplied."""

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kernels.own_code import OwnCode
from kernels.spec import TASKS
from sweep.grid.blocks import MISSING, Block
from sweep.grid.checks import check_value, representatives
from sweep.grid.mistakes import GridError, Mistakes
from sweep.grid.overrides import SECTIONS, override
from sweep.grid.schema import check_shape
from sweep.grid.sections import Reader
from sweep.grid.source import Source, read
from sweep.grid.values import MAX_COMBINATIONS


@dataclass(frozen=True)
class Grid:
    """A checked grid file; its runs are enumerated by `expansion`.

    Attributes:
        name: of the sweep.
        source: what was written.
        blocks: what it declares.
        code: what the names of its own code mean, as the files were when it was read.
    """

    name: str
    source: Source
    blocks: tuple[Block, ...]
    code: OwnCode = field(default_factory=OwnCode)

    @property
    def own_code(self) -> list[str]:
        """Every module:attribute that it names."""
        return sorted({name for block in self.blocks for name in own_code(block)})


def load(path: Path, assignments: Sequence[str] = (), plugins: bool = True) -> Grid:
    """Read a grid file, apply `--set` options, check everything that needs no combination. Raises GridError.

    A module:Class of the user's own is imported here, which runs its code; without `plugins` it is a mistake.
    """
    source = read(path)
    override(source, assignments)
    return from_source(source, plugins)


def from_source(source: Source, plugins: bool = True) -> Grid:
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
    known = len(mistakes.lines)
    _check_size(found, source, mistakes)
    own = sorted({name for block in found for name in own_code(block)})
    if own and not plugins:
        mistakes.add(
            str(source.path),
            f"{', '.join(own)} is code of the grid's own, which --no-plugins refuses; leave out one of them",
        )
    if len(mistakes.lines) > known:
        mistakes.check()  # before anything is imported or counted
    code = _beside(source.base, own)
    with code.found():
        for block in found:
            _check(block, source, mistakes)
    mistakes.check()
    return Grid(str(tree.get("name") or source.path.stem), source, tuple(found), code)


def own_code(block: Block) -> Iterator[str]:
    """Every module:attribute that a block names."""
    for network in block.column("architecture"):
        names = network if isinstance(network, Mapping) else [network]
        yield from (str(name) for name in names if ":" in str(name))
    for data in block.column("data"):
        yield from (str(key) for key in (data if isinstance(data, Mapping) else ()) if ":" in str(key))


def _beside(folder: Path, names: Sequence[str]) -> OwnCode:
    """The single-file modules in a folder that module:attribute names speak of. Raises GridError."""
    modules = sorted({name.partition(":")[0] for name in names})
    files = {module: folder / f"{module}.py" for module in modules}
    try:
        texts = {
            name: importlib.util.decode_source(file.read_bytes()) for name, file in files.items() if file.is_file()
        }
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise GridError([f"{folder}: a module of the grid's own cannot be read: {error}"]) from error
    return OwnCode(str(folder) if modules else "", texts)


def _check_size(blocks: Sequence[Block], source: Source, mistakes: Mistakes) -> None:
    """Note a mistake where enumerating the combinations would take hours."""
    total = 0
    for block in blocks:
        total += math.prod(map(len, block.factors))
        if total > MAX_COMBINATIONS:
            mistakes.add(
                source.where(block.place),
                f"{total:,} combinations up to here, before filters; write at most {MAX_COMBINATIONS:,} in one grid",
            )
            return


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
