"""What people see while a sweep runs: a bar on a terminal, plain lines elsewhere."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from sweep.shown import lines_shown

LINE_SECONDS = 5.0
"""Between two plain lines."""


GAPS = {"exact": "exact predictions", "limit t->inf": "limits in time"}
"""Kinds of predictions whose worst gap is shown, the first that there is; gaps to limits in alpha are no error."""


class Progress(ABC):
    """Runs done of all, rate, remaining time, failures, and the worst gap of converged runs to a prediction so far.

    Args:
        total: runs of the grid.
        cached: those that were stored before.
    """

    def __init__(self, total: int, cached: int):
        self.total, self.finished, self.computed = total, cached, 0
        self.statuses: Counter[str] = Counter()
        self.worst: dict[str, float] = {}
        self.begin = time.monotonic()

    def done(self, runs: int, statuses: Counter[str], worst: Mapping[str, float]) -> None:
        """Note runs that ended."""
        self.finished += runs
        self.computed += runs
        self.statuses += statuses
        for kind, gap in worst.items():
            self.worst[kind] = max(gap, self.worst.get(kind, gap))
        self.show()

    @property
    def rate(self) -> float:
        """Runs a second, so far."""
        return self.computed / max(time.monotonic() - self.begin, 1e-9)

    def facts(self) -> str:
        """Rate, failures and gap, in words."""
        parts = [f"{self.rate:.3g} runs/s"]
        parts += [f"{self.statuses[name]} {name}" for name in ("failed", "diverged") if self.statuses[name]]
        for kind, words in GAPS.items():
            if kind in self.worst:
                parts.append(f"worst gap to {words} {self.worst[kind]:.1e}")
                break
        return ", ".join(parts)

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
    """A line now and then, for logs and pipes."""

    def __init__(self, total: int, cached: int, stream: TextIO):
        super().__init__(total, cached)
        self._stream, self._last = stream, time.monotonic()

    def show(self) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS or self.finished >= self.total:
            self._last = now
            left = (self.total - self.finished) / self.rate if self.computed else 0.0
            self.say(f"{self.finished}/{self.total} runs, {self.facts()}, {duration(left)} left")

    def say(self, text: str) -> None:
        print(lines_shown(text), file=self._stream, flush=True)


class Live(Progress):
    """A bar that moves, on a terminal."""

    def __init__(self, total: int, cached: int, console: Console):
        super().__init__(total, cached)
        self._bar = Bar(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=console,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("runs", total=total, completed=cached, facts="starting")

    def show(self) -> None:
        self._bar.update(self._task, completed=self.finished, facts=self.facts())

    def say(self, text: str) -> None:
        self._bar.console.print(lines_shown(text), markup=False, highlight=False)

    def __enter__(self) -> Self:
        super().__enter__()
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()
