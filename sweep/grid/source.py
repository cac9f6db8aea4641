"""A grid file as plain Python values, with the line of every one of them, and with `--set` applied."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from sweep.grid import bounded_yaml
from sweep.grid.mistakes import GridError

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
        keyed: whether it is no file but a dict of Python's, whose places are told by their keys.
    """

    path: Path
    tree: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)
    overrides: dict[Place, str] = field(default_factory=dict)
    keyed: bool = False

    @property
    def base(self) -> Path:
        """The folder that relative paths and user modules are looked up in."""
        return self.path.resolve().parent

    def where(self, place: Place) -> str:
        """ "grid.yaml:7" of a place, or of the nearest one around it; "--set ..." where an option wrote it.

        Of a dict, "grid.depth[1]".
        """
        if self.keyed:
            return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)[1:] or str(self.path)
        around = [place[:length] for length in range(len(place), -1, -1)]
        for option in (self.overrides[each] for each in around if each in self.overrides):
            return option
        for line in (self.lines[each] for each in around if each in self.lines):
            return f"{self.path}:{line}"
        return str(self.path)


def read(path: Path) -> Source:
    """Parse a grid file (YAML 1.2: 1e-7 is a number, yes is a word). Raises GridError."""
    return parse(bounded_yaml.read_text(path), path)


def parse(text: str, path: Path) -> Source:
    """The tree and the lines of a grid's text. Raises GridError."""
    try:
        loaded = bounded_yaml.load(text)
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
    plain = _Plain(source.lines)
    try:
        source.tree = plain.value(loaded, ())
    except ValueError as error:
        raise GridError([f"{source.where(plain.place)}: {error}"]) from error
    return source


def parse_value(text: str) -> Any:
    """One YAML value, without positions. Raises ValueError."""
    try:
        return _Plain({}).value(bounded_yaml.load(text), ())
    except YAMLError as error:
        raise ValueError(f"not YAML: {_first_line(str(error))}") from error


class _Plain:
    """ruamel's nodes as plain values, noting lines on the way. An alias counts as often as it is used."""

    def __init__(self, lines: dict[Place, int]):
        self.lines, self.count = lines, 0
        self.place: Place = ()

    def value(self, node: Any, place: Place) -> Any:
        """Raises ValueError for too many values, or one that is too large; `place` is then where."""
        self.place, self.count = place, self.count + 1
        if self.count > bounded_yaml.VALUES:
            raise ValueError(bounded_yaml.TOO_MANY)
        if len(place) > bounded_yaml.DEPTH:
            raise ValueError("an alias stands inside what it names; write the values out")
        if isinstance(node, Mapping):
            for key in node:
                _note(node, key, (*place, str(key)), self.lines)
            return {str(key): self.value(value, (*place, str(key))) for key, value in node.items()}
        if isinstance(node, list | tuple):
            for index in range(len(node)):
                _note(node, index, (*place, index), self.lines)
            return [self.value(value, (*place, index)) for index, value in enumerate(node)]
        return _scalar(node)


def _scalar(node: Any) -> Any:
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int) and not -bounded_yaml.LARGEST <= node < bounded_yaml.LARGEST:
        raise ValueError("a whole number of more than 63 bits; write it with an exponent, as in 1e20")
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
