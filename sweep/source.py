"""A grid file as plain Python values, with the line of every one of them, and with `--set` applied."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from sweep.mistakes import GridError

Place = tuple[str | int, ...]
"""Where a value stands in the tree: ("blocks", 0, "grid", "depth", 1)."""


@dataclass
class Source:
    """A parsed grid file.

    Attributes:
        path: as the user wrote it; names the file in messages.
        tree: dicts, lists, strings, numbers, booleans and None.
        lines: the line (from 1) of each place in the tree.
        overrides: the `--set` option that wrote a place and everything below it.
    """

    path: Path
    tree: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)
    overrides: dict[Place, str] = field(default_factory=dict)

    @property
    def base(self) -> Path:
        """The folder that relative paths and user modules are looked up in."""
        return self.path.resolve().parent

    def where(self, place: Place) -> str:
        """ "grid.yaml:7" of a place, or of the nearest one around it; "--set ..." where an option wrote it."""
        around = [place[:length] for length in range(len(place), -1, -1)]
        for option in (self.overrides[each] for each in around if each in self.overrides):
            return option
        for line in (self.lines[each] for each in around if each in self.lines):
            return f"{self.path}:{line}"
        return str(self.path)


def read(path: Path) -> Source:
    """Parse a grid file (YAML 1.2: 1e-7 is a number, yes is a word). Raises GridError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise GridError([f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})"]) from error
    except OSError as error:
        raise GridError([f"{path}: cannot be read: {error.strerror or error}"]) from error
    return parse(text, path)


def parse(text: str, path: Path) -> Source:
    """The tree and the lines of a grid's text. Raises GridError."""
    try:
        loaded = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise GridError([f"{path}{line}: {_first_line(error.problem)}: write each key once"]) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise GridError([f"{path}{line}: not YAML: {error.problem or error.context}"]) from error
    except (YAMLError, ValueError) as error:
        raise GridError([f"{path}: not YAML: {_first_line(str(error))}"]) from error
    if loaded is None:
        raise GridError([f"{path}: the file is empty; `sweep init` writes a grid to start from"])
    if not isinstance(loaded, Mapping):
        raise GridError([f"{path}:1: a grid is a mapping of keys to values, this is a {_kind(loaded)}"])
    source = Source(path, {})
    source.lines[()] = 1
    source.tree = _plain(loaded, (), source.lines)
    return source


def parse_value(text: str) -> Any:
    """One YAML value, without positions. Raises ValueError."""
    try:
        return _plain(YAML(typ="rt").load(text), (), {})
    except YAMLError as error:
        raise ValueError(f"not YAML: {_first_line(str(error))}") from error


def _plain(node: Any, place: Place, lines: dict[Place, int]) -> Any:
    """ruamel's nodes as plain values, noting lines on the way."""
    if isinstance(node, Mapping):
        for key in node:
            _note(node, key, (*place, str(key)), lines)
        return {str(key): _plain(value, (*place, str(key)), lines) for key, value in node.items()}
    if isinstance(node, list | tuple):
        for index in range(len(node)):
            _note(node, index, (*place, index), lines)
        return [_plain(value, (*place, index), lines) for index, value in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    if isinstance(node, datetime.date | datetime.datetime):
        return node.isoformat()
    return bool(node) if type(node).__name__ == "ScalarBoolean" else str(node)


def _note(node: Any, key: Any, place: Place, lines: dict[Place, int]) -> None:
    if isinstance(node, CommentedBase) and node.lc.data and key in node.lc.data:
        lines[place] = node.lc.data[key][0] + 1


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if (text or "").strip() else "unknown problem"


def _kind(value: Any) -> str:
    return "list" if isinstance(value, Sequence) and not isinstance(value, str) else type(value).__name__
