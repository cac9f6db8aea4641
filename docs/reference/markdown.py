"""Text of the code as Markdown: docstrings, tables, fenced blocks."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence

LABELS = "Applies|Kind|Certificate|No certificate|Reference|Returns|Raises|Yields"
"""Words that begin a part of a docstring, where they begin a line and a colon or a name follows."""


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown already, on one line each."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()) for cell in line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Words as they are: what Markdown would take for marks is escaped, but for `code`."""
    parts = re.split(r"(`+[^`]*`+)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>\[\]|#~$])", r"\\\1", part) for part in parts)


def cell(text: str) -> str:
    """Escaped for a table, in which a bar ends a cell even within code."""
    return escaped(text) if "`" not in text else escaped(text).replace("|", "\\|").replace("\\\\|", "\\|")


def docstring(of: object) -> str:
    """A docstring as Markdown: its indented lines and examples as code, lists of arguments as lists."""
    text = inspect.getdoc(of) or ""
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n\s*\n", text) if part.strip())


def summary(of: object) -> str:
    """The first paragraph of a docstring, on one line."""
    first, _, _ = (inspect.getdoc(of) or "").partition("\n\n")
    return " ".join(first.split())


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    if lines[0].startswith(">>>"):
        return fenced(text, "pycon")
    if lines[0].startswith("    "):
        return fenced(textwrap.dedent(text))
    if re.fullmatch(r"(Args|Attributes):", lines[0]):
        return f"**{lines[0]}**\n\n{_listed(lines[1:])}"
    begun = re.sub(rf"(?<=\.) (?=(?:{LABELS}):)", "\n", text)
    return re.sub(rf"^({LABELS})\b", r"\n**\1**", escaped(begun), flags=re.M).strip()


def _listed(lines: Sequence[str]) -> str:
    """Lines of "    name: words", continued where they are indented more, as a list."""
    items: list[str] = []
    for line in lines:
        if line.startswith("     ") and items:
            items[-1] += " " + line.strip()
        else:
            items.append(line.strip())
    named = (item.partition(": ") for item in items)
    return "\n".join(f"- `{name}`: {escaped(words)}" if words else f"- {escaped(name)}" for name, _, words in named)
