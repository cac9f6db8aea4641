"""`--set KEY=VALUE`: the same edit that one would make in the file, from the command line."""

from collections.abc import Sequence
from typing import Any

from kernels.spec import AXES
from sweep.grid.mistakes import GridError, nearest
from sweep.grid.source import Place, Source, parse_value
from sweep.grid.values import LISTS

SECTIONS = ("grid", "zip", "list", "random")
EXPRESSIONS = ("when", "exclude", "include")
NETWORK = "network"
"""An alias of the axis `architecture`."""


def override(source: Source, assignments: Sequence[str]) -> None:
    """Apply `--set` options in order. Raises GridError.

    A bare axis (`alpha=0.1`) fixes the axis in the whole grid, wherever blocks declare it. A section's axis
    (`grid.depth=2,3`) replaces it in every block that declares it there, or joins every block's section.
    Anything else (`blocks.0.grid.depth=2`, `data.gaussian.samples=5`) is a path into the file.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        option = f"--set {assignment}"
        if not equals or not key.strip():
            raise GridError([f"{option}: write --set KEY=VALUE, for example --set grid.depth=2,3"])
        place = _place(key.strip())
        _assign(source, place, _value(place, text, option), option)


def _place(key: str) -> Place:
    """Parts of a dotted key, numbers as list indices, the alias `network` resolved."""
    parts = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
    return tuple("architecture" if part == NETWORK else part for part in parts)


def _value(place: Place, text: str, option: str) -> Any:
    """The YAML value of an option; commas make a list, except inside an expression, and what is in LISTS is one."""
    if text.strip() == "":
        raise GridError([f"{option}: the value is missing; write --set KEY=VALUE"])
    if "data" not in place and any(part in EXPRESSIONS for part in place):
        return text
    try:
        values = parse_value(f"[{text}]")
    except ValueError as error:
        raise GridError([f"{option}: {error}"]) from error
    alone = len(values) == 1 and (place[-1] not in LISTS or isinstance(values[0], list))
    return values[0] if alone else values


def _assign(source: Source, place: Place, value: Any, option: str) -> None:
    tree = source.tree
    head = place[0]
    blocks = tree.get("blocks")
    if len(place) == 1 and head in AXES:
        for block, around in _blocks(tree):
            _forget(block, str(head), around, source)
        _put(source, place, value, option)
    elif head in SECTIONS and isinstance(blocks, list) and head not in tree:
        having = [n for n, block in enumerate(blocks) if isinstance(block, dict) and head in block]
        declaring = [n for n in having if len(place) > 1 and _declares(blocks[n][str(head)], place[1])]
        if not having:
            raise GridError([f"{option}: no block has a section {head!r}"])
        for n in declaring or having:
            _put(source, ("blocks", n, *place), value, option)
    else:
        _put(source, place, value, option)


def _blocks(tree: dict[str, Any]) -> list[tuple[dict[str, Any], Place]]:
    """Every mapping that may declare axes: the top level and each block."""
    blocks = tree.get("blocks")
    found: list[tuple[dict[str, Any], Place]] = [(tree, ())]
    if isinstance(blocks, list):
        found += [(block, ("blocks", n)) for n, block in enumerate(blocks) if isinstance(block, dict)]
    return found


def _forget(block: dict[str, Any], axis: str, around: Place, source: Source) -> None:
    """Remove every declaration of an axis from a block and its sections."""
    names = (axis, NETWORK) if axis == "architecture" else (axis,)
    for name in names:
        block.pop(name, None)
        for section in SECTIONS:
            rows = block.get(section)
            for row in rows if isinstance(rows, list) else [rows]:
                if isinstance(row, dict):
                    row.pop(name, None)
    for section in SECTIONS:
        if _empty(section, block.get(section)):
            del block[section]


def _empty(section: str, content: Any) -> bool:
    """Whether a section has no axes left, so that it no longer multiplies anything."""
    if section == "random" and isinstance(content, dict):
        return not set(content) - {"n", "seed"}
    return content == {} or (isinstance(content, list) and content != [] and not any(content))


def _declares(section: Any, axis: str | int) -> bool:
    rows = section if isinstance(section, list) else [section]
    names = {axis, NETWORK} if axis == "architecture" else {axis}
    return any(isinstance(row, dict) and names & set(row) for row in rows)


def _put(source: Source, place: Place, value: Any, option: str) -> None:
    """Set a path, making mappings on the way."""
    node: Any = source.tree
    for depth, part in enumerate(place):
        last = depth == len(place) - 1
        if isinstance(node, list):
            if not isinstance(part, int) or part >= len(node):
                raise GridError([f"{option}: {part!r} is no position in a list of {len(node)}; positions count from 0"])
        elif not isinstance(node, dict):
            around = ".".join(str(p) for p in place[:depth])
            raise GridError([f"{option}: {around} is {node!r}, it has no {part!r}"])
        else:
            part = str(part)
            if not last and part not in node and part == "blocks":
                raise GridError([f"{option}: this grid has no blocks{nearest(place[-1], node)}"])
            if part == "architecture":
                node.pop(NETWORK, None)
        if last:
            node[part] = value
        else:
            if isinstance(node, dict):
                node.setdefault(part, {})
            node = node[part]
    source.overrides[tuple(place)] = option
