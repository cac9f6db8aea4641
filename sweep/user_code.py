"""Networks and data functions of the user's own (module:Class in a grid), on whatever machine a batch runs."""

import importlib.util
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a worker has no use for grids, nor for the packages that read them
    from sweep.grid import Grid


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
        """Make the modules importable in this process."""
        if self.folder and Path(self.folder).is_dir() and self.folder not in sys.path:
            sys.path.append(self.folder)
        absent = {name: text for name, text in self.sources.items() if importlib.util.find_spec(name) is None}
        if absent:
            folder = Path(tempfile.mkdtemp(prefix="sweep-modules-"))
            for name, text in absent.items():
                (folder / f"{name}.py").write_text(text, encoding="utf-8")
            sys.path.append(str(folder))
            importlib.invalidate_caches()


def user_code(grid: "Grid") -> UserCode:
    """What the workers of a grid need: single-file modules beside it (packages have to be installed)."""
    names = sorted({name.partition(":")[0] for name in grid.own_code})
    folder = grid.source.base
    files = {name: folder / f"{name}.py" for name in names}
    sources = {name: file.read_text(encoding="utf-8") for name, file in files.items() if file.is_file()}
    return UserCode(str(folder) if names else "", sources)
