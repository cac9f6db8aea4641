"""What scripts and notebooks import: signatures and docstrings of `sweep` and `analysis`."""

import inspect
import re
from collections.abc import Callable, Iterator

import analysis
import sweep
from docs.reference.markdown import docstring, fenced

WIDTH = 80


def page() -> str:
    sections = [
        section(f"{module.__name__}.{name}", getattr(module, name))
        for module in (sweep, analysis)
        for name in sorted(module.__all__, key=lambda name: (name[0].isupper(), name))
    ]
    head = "# Functions and classes\n\nHow they are used: [From Python](../python.md)."
    return "\n\n".join([head, *sections]) + "\n"


def section(name: str, of: object) -> str:
    """A function, or a class with what it has to offer."""
    parts = [f"## {name}"]
    if inspect.isfunction(of):
        parts.append(fenced(f"{name}{signature(of)}", "python"))
    parts.append(docstring(of))
    if isinstance(of, type) and not issubclass(of, Exception):
        parts += [member for each, value in vars(of).items() for member in _member(each, value)]
    return "\n\n".join(part for part in parts if part)


def signature(function: Callable[..., object]) -> str:
    """Arguments, one a line where they do not fit one, with types by their short names."""
    found = inspect.signature(function)
    shown: list[str] = []
    for each in found.parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        shown.append(str(each))
    returned = (
        "" if found.return_annotation is found.empty else f" -> {inspect.formatannotation(found.return_annotation)}"
    )
    line = f"({', '.join(shown)}){returned}"
    several = "(\n    " + ",\n    ".join(shown) + f",\n){returned}"
    text = line if len(line) <= WIDTH else several
    return re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", text).replace("'", '"')


def _member(name: str, value: object) -> Iterator[str]:
    """A method or property with a docstring; fields stand in the docstring of their class."""
    if name.startswith("_"):
        return
    function = getattr(value, "fget", getattr(value, "func", value))
    if inspect.isfunction(function):
        called = signature(function) if function is value else ""
        yield f"### {name}\n\n{fenced(f'{name}{called}', 'python')}\n\n{docstring(function)}"
