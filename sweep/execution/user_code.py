"""Networks and data functions of the user's own (module:Class in a grid), on whatever machine a batch runs."""

import importlib.abc
import importlib.util
import linecache
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a worker has no use for grids, nor for the packages that read them
    from sweep.grid.grid import Grid


@dataclass(frozen=True)
class UserCode:
    """Where the user's modules lie, and their text for machines that do not see that folder.

    Attributes:
        folder: the grid file's folder; empty for a grid without code of its own.
        sources: text of the modules in it that the grid names.
    """

    folder: str
    sources: Mapping[str, str] = field(default_factory=dict)

    def install(self) -> None:
        """Make the modules importable in this process: their text as it was when the launch began, without a file.

        An installed module of that name comes first, as it does at planning; the folder's file, which may have been
        changed since, or be an old copy on another machine, does not.
        """
        sent = {name: text for name, text in self.sources.items() if name not in sys.modules and not self._known(name)}
        if sent:
            sys.meta_path.insert(0, Sent(self.folder, sent))
        if self.folder and Path(self.folder).is_dir() and self.folder not in sys.path:
            sys.path.append(self.folder)

    def _known(self, name: str) -> bool:
        """Whether a module is to be had from elsewhere than the folder."""
        spec = importlib.util.find_spec(name)
        return spec is not None and (isinstance(spec.loader, Sent) or spec.origin != self._file(name))

    def _file(self, name: str) -> str:
        return str(Path(self.folder) / f"{name}.py")


class Sent(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Finds and loads modules whose text came with a batch."""

    def __init__(self, folder: str, sources: Mapping[str, str]):
        self._folder, self._sources = folder, sources
        for name, text in sources.items():  # for tracebacks, which would show what the file says today
            file = self.get_filename(name)
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname in self._sources else None

    def get_source(self, fullname: str) -> str:
        return self._sources[fullname]

    def get_filename(self, fullname: str) -> str:
        return str(Path(self._folder) / f"{fullname}.py")


def user_code(grid: "Grid") -> UserCode:
    """What the workers of a grid need: single-file modules beside it (packages have to be installed)."""
    names = sorted({name.partition(":")[0] for name in grid.own_code})
    folder = grid.source.base
    files = {name: folder / f"{name}.py" for name in names}
    sources = {name: file.read_text(encoding="utf-8") for name, file in files.items() if file.is_file()}
    return UserCode(str(folder) if names else "", sources)
