"""Code of the user's own, named module:attribute in a grid. Imports no JAX.

A module is looked for among the files beside the grid first, then among installed modules. A file is loaded under a
private name, made of its folder and its text. So a user's `db.py` is not mistaken for a module of that name that is
imported already, the `mine.py` of two folders are two modules in one process, and a file that was changed is a new
module. On other machines, which have no such file, the text that travelled with the run is loaded.
"""

import hashlib
import importlib
import importlib.abc
import importlib.util
import linecache
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

PREFIX = "sweep_own"
"""How the private names in `sys.modules` begin."""

_current: ContextVar["OwnCode | None"] = ContextVar("own_code", default=None)
_loading = threading.RLock()


@dataclass(frozen=True)
class OwnCode:
    """The modules that the names module:attribute of one grid refer to.

    Attributes:
        folder: folder of the grid file; empty for a grid without code of its own.
        sources: module name -> text, of the modules in that folder that the grid names.
    """

    folder: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def found(self) -> Iterator[None]:
        """Look names up in these modules while the body runs, in this thread.

        What these modules import is found in the folder, too. Afterwards `sys.path` is as before, and what was imported
        from the folder is no longer in `sys.modules`, because the next grid's modules may have the same names.
        """
        if not self.folder or _current.get() == self:
            yield
            return
        token = _current.set(self)
        try:
            with self._importable():
                yield
        finally:
            _current.reset(token)

    def module(self, name: str) -> ModuleType | None:
        """The module of that name, loaded once a process; None where it is not one of the grid's files."""
        if name not in self.sources:
            return None
        private = f"{PREFIX}_{name}_{self.digest}"
        with _loading:
            if private not in sys.modules:
                loader = _Text(str(Path(self.folder) / f"{name}.py"), self.sources[name])
                spec = importlib.util.spec_from_loader(private, loader)
                assert spec is not None
                sys.modules[private] = module = importlib.util.module_from_spec(spec)
                try:
                    loader.exec_module(module)
                except BaseException:
                    del sys.modules[private]
                    raise
            return sys.modules[private]

    @cached_property
    def digest(self) -> str:
        """Digest of folder and sources: of everything that decides what names refer to."""
        return _digest(self.folder, *(part for item in sorted(self.sources.items()) for part in item))

    @contextmanager
    def _importable(self) -> Iterator[None]:
        known = set(sys.modules)
        finder = _Beside(self)
        sys.meta_path.insert(0, finder)
        added = Path(self.folder).is_dir() and self.folder not in map(os.path.abspath, sys.path)
        if added:
            sys.path.append(self.folder)  # last, because a folder may hold a module of any name
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            if added:
                with suppress(ValueError):
                    sys.path.remove(self.folder)
            for name in set(sys.modules) - known:
                if name in self.sources or (added and self._holds(sys.modules[name])):
                    sys.modules.pop(name, None)

    def _holds(self, module: ModuleType) -> bool:
        """Whether a module's file lies in the folder, under a name that is not private."""
        file = getattr(module, "__file__", None)
        return bool(file) and not module.__name__.startswith(PREFIX) and Path(self.folder) in Path(str(file)).parents


def attribute(name: str) -> Any:
    """What "module:attribute" names: in a file beside the grid that is being read, else in an installed module.

    Raises ImportError and AttributeError, and whatever the module raises when it is run.
    """
    module, _, inside = name.partition(":")
    code = _current.get()
    found = None if code is None else code.module(module)
    return getattr(importlib.import_module(module) if found is None else found, inside)


def meaning() -> str:
    """Digest of the code that names are looked up in now; empty where only installed modules are."""
    code = _current.get()
    return "" if code is None else code.digest


class _Text(importlib.abc.ExecutionLoader):
    """Loads a module from its text. Tracebacks show that text, even if the file has changed since."""

    def __init__(self, file: str, text: str):
        self._file, self._text = file, text
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_filename(self, fullname: str) -> str:
        return self._file


class _Beside(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets the files of one grid import each other: the same modules, by their plain names."""

    def __init__(self, code: OwnCode):
        self._code = code

    def find_spec(
        self, fullname: str, path: Iterable[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        mine = _current.get() is self._code and fullname in self._code.sources
        return importlib.util.spec_from_loader(fullname, self) if mine else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._code.module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing, because `create_module` has run the module."""


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
