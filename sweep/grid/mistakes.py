"""What is wrong with a grid: one line a mistake, each with its place, the bad value, the choices, the nearest match."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from kernels.spec import InputError

MOST_LINES = 50
MOST_CHARACTERS = 2000
"""Of what is said of a grid: a mistake may repeat a value as long as the file, and stand in every line of it."""


class GridError(Exception):
    """One or more mistakes in what the user wrote; `str` has one line for each, up to MOST_LINES."""

    def __init__(self, mistakes: Sequence[str]):
        left = len(mistakes) - MOST_LINES
        mistakes = [_cut(line) for line in mistakes[:MOST_LINES]] + ([f"and {left} more mistakes"] if left > 0 else [])
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


@dataclass
class Mistakes:
    """Collects mistakes so that they are reported together."""

    lines: dict[str, None] = field(default_factory=dict)

    def add(self, where: str, message: str) -> None:
        """Note one mistake; the same line twice counts once, and a key that says where and what stands once."""
        self.lines[message if message.startswith(f"{where}: ") else f"{where}: {message}"] = None

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Note an InputError of the body at this place, and go on."""
        try:
            yield
        except InputError as error:
            self.add(where, str(error))

    def check(self) -> None:
        """Raise GridError if there is any mistake so far."""
        if self.lines:
            raise GridError(list(self.lines))


def _cut(line: str) -> str:
    return (
        line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS // 2]} ... {line[-MOST_CHARACTERS // 2 :]}"
    )


def nearest(value: object, choices: Iterable[str]) -> str:
    """ "; did you mean 'x'?", or nothing where no choice is close."""
    close = difflib.get_close_matches(str(value), list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def not_one_of(value: object, choices: Iterable[str]) -> str:
    """The message for a name that is none of the known ones."""
    known = list(choices)
    return f"{value!r} is not one of {', '.join(known)}{nearest(value, known)}"
