"""Text of stores, grids and errors as it may be printed: it must not move a cursor, colour a line or pose as one."""

import unicodedata

INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode's categories of control and format characters (terminal sequences, text that runs backwards), of halves of
characters, and of line and paragraph separators."""


def shown(text: object, keep: str = "") -> str:
    r"""The text with every control character written as an escape (\x1b, \u202e); those in `keep` stay."""
    written = str(text)
    if written.isascii() and written.isprintable():
        return written
    return "".join(_escaped(c) if unicodedata.category(c) in INVISIBLE and c not in keep else c for c in written)


def lines_shown(text: object) -> str:
    """The same for text of several lines, such as a traceback or a table."""
    return shown(text, keep="\n")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
