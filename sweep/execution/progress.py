"""What people see while a sweep runs: lines that change on a terminal, plain lines elsewhere; nothing is ever cut."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.execution.batches import Batch
from sweep.execution.tally import Pace, Tally
from sweep.execution.words import duration, plural
from sweep.shown import lines_shown, shown

LINE_SECONDS = 5.0
"""Between two plain lines, where something has ended meanwhile."""

QUIET_SECONDS = 60.0
"""Between two plain lines where nothing has."""

DRAWN_SECONDS = 0.25
"""Between two pictures on a terminal."""

BAR = 30
LEAST_BAR = 8
"""Cells of the bar: where fewer are left of the line, there is none."""

MOST_ROWS = 20
"""Programs that have a row of their own: those that run, then those with most runs left."""

WORST = {"exact": "worst gap to exact predictions", "limit t->inf": "farthest from limits in time"}
"""Kinds of predictions whose largest distance is shown, the first that there is. A limit is approached, so that its
distance is no gap; far from a limit in alpha it says nothing."""


class Progress(ABC):
    """Runs done of all, batches that run, remaining time, rate, failures, and the largest distance from a prediction.

    Args:
        tally: of the launch.
        by_program: whether each program has a row.
    """

    def __init__(self, tally: Tally, by_program: bool = False):
        self.tally, self.by_program = tally, by_program
        self.begin = time.monotonic()

    def done(self, key: str, runs: int, seconds: float, statuses: Counter[str], worst: Mapping[str, float]) -> None:
        """Note runs of a program that ended."""
        self.tally.done(key, runs, seconds, statuses, worst)

    def look(self, batches: Iterable[tuple[Batch, int]], workers: int) -> None:
        """Note how far the batches are that run now, and show it."""
        self.tally.look(batches, workers)
        self.show()

    def head(self) -> str:
        """How many runs have ended, and how long the rest takes."""
        runs, left = f"{self.tally.finished}/{self.tally.total} runs", self.tally.left
        if self.over:
            return runs
        return f"{runs}, {'time left unknown' if left is None else f'{duration(left)} left'}"

    @property
    def over(self) -> bool:
        """Whether every run has ended, and its batch."""
        return self.tally.finished >= self.tally.total and not self.tally.running

    def facts(self) -> list[str]:
        """Batches, rate, failures and the largest distance, in words."""
        tally = self.tally
        rate = tally.computed / max(time.monotonic() - self.begin, 1e-9)
        parts = [] if self.over else [f"{plural(tally.running, 'batch', 'batches')} in flight"]
        parts.append(f"{rate:.3g} runs/s")
        parts += [f"{tally.statuses[name]} {name}" for name in ("failed", "diverged") if tally.statuses[name]]
        for kind, words in WORST.items():
            if kind in tally.worst:
                parts.append(f"{words} {tally.worst[kind]:.1e}")
                break
        return parts

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Of each program: runs, pace, name."""
        paces = sorted(self.tally.paces.values(), key=lambda pace: (-pace.running, -pace.left))
        for pace in paces[:MOST_ROWS]:
            yield f"{pace.done + pace.ended}/{pace.pending}", _pace(pace), shown(pace.part.program.name)
        if len(paces) > MOST_ROWS:
            rest = paces[MOST_ROWS:]
            done, pending = sum(p.done + p.ended for p in rest), sum(p.pending for p in rest)
            yield f"{done}/{pending}", "", f"{plural(len(rest), 'program')} more"

    @abstractmethod
    def show(self) -> None:
        """Bring what is seen up to date."""

    @abstractmethod
    def say(self, text: str) -> None:
        """One line, kept on the screen."""

    def __enter__(self) -> Self:
        self.begin = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        return None


class Plain(Progress):
    """Lines now and then, for logs and pipes."""

    def __init__(self, tally: Tally, stream: TextIO, by_program: bool = False):
        super().__init__(tally, by_program)
        self._stream, self._last, self._said = stream, time.monotonic(), (tally.finished, False)

    def show(self) -> None:
        now, finished = time.monotonic(), self.tally.finished
        due = self.over or now - self._last >= LINE_SECONDS
        if (due and self._said != (finished, self.over)) or now - self._last >= QUIET_SECONDS:
            self._last, self._said = now, (finished, self.over)
            self.say(", ".join((self.head(), *self.facts())))
            for row in self.rows() if self.by_program else ():
                self.say("  " + "  ".join(row))

    def say(self, text: str) -> None:
        print(lines_shown(text), file=self._stream, flush=True)


class Troubles(Plain):
    """Only what is said once: what failed, and what was tried again."""

    def show(self) -> None:
        return None


class Live(Progress):
    """A bar that moves, on a terminal, with the facts below it in as many lines as they take."""

    def __init__(self, tally: Tally, console: Console, by_program: bool = False):
        super().__init__(tally, by_program)
        self._console = console
        self._screen, self._drawn = Screen(self, console=console, auto_refresh=False), 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        head = self.head()
        bar = min(BAR, width - len(head) - 1)
        first: Table | Text = Text(head)
        if bar >= LEAST_BAR:
            first = Table.grid(padding=(0, 1))
            first.add_row(ProgressBar(self.tally.total, self.tally.finished, width=bar), Text(head, no_wrap=True))
        yield Group(first, *map(Text, packed(self.facts(), width)))
        if self.by_program:
            table = Table.grid(padding=(0, 2))
            for runs, pace, name in self.rows():
                table.add_row(Text(runs, no_wrap=True), Text(pace, no_wrap=True), Text(name))
            yield table

    def show(self) -> None:
        """By the driver's own thread: another one would see counts that are half brought up to date."""
        if time.monotonic() - self._drawn >= DRAWN_SECONDS:
            self._screen.refresh()
            self._drawn = time.monotonic()

    def say(self, text: str) -> None:
        self._console.print(lines_shown(text), markup=False, highlight=False)

    def __enter__(self) -> Self:
        super().__enter__()
        self._screen.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._screen.stop()


def packed(parts: Iterable[str], width: int) -> list[str]:
    """The parts with commas between them, in lines of so many characters."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] = f"{lines[-1]}, {part}"
        else:
            lines = [*(f"{line}," if line is lines[-1] else line for line in lines), part]
    return lines


def _pace(pace: Pace) -> str:
    """Seconds of a run, observed or as estimated."""
    runs, seconds = pace.observed
    if runs:
        return f"{duration(seconds / runs)} a run"
    return "never timed" if pace.expected is None else f"about {duration(pace.expected)} a run"
