"""A chart is a query or more, and a pure function from their answers to a drawing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl
from altair.utils.schemapi import debug_mode

from analysis.absent import absent_values
from analysis.charts.theme import Drawing, styled
from analysis.errors import AnalysisError, EndedEarly, NoData, NoRun
from analysis.frames.counts import RECORDED, RUNS
from analysis.frames.frame import EVERY_RUN, Frame, Source


@dataclass(frozen=True)
class Chart:
    """One figure that any store may have the data for.

    Attributes:
        title: a few words.
        shows: one to three sentences for the caption: what is drawn, and what theory says must be seen.
        frames: its queries, by the name under which `draw` takes their answers.
        draw: answers, as keyword arguments, to a drawing; no query, no file, no randomness.
        needs: what the store must hold, as in "the store holds no ...".
        run: a command that would compute it.
        main: the frames of which at least one must have rows (by default the first).
        from_one: whether it shows recorded paths of classification from -log Loss = 1 on.
    """

    title: str
    shows: str
    frames: Mapping[str, Frame]
    draw: Callable[..., Drawing]
    needs: str
    run: str
    main: tuple[str, ...] = ()
    from_one: bool = False

    def read(self, store: Source, where: str = EVERY_RUN) -> dict[str, pl.DataFrame]:
        """The answers to its queries, about the runs that satisfy `where`."""
        return {name: frame.read(store, where) for name, frame in self.frames.items()}

    def without_data(self, answers: Mapping[str, pl.DataFrame]) -> bool:
        """Whether there is nothing to draw."""
        main = self.main or tuple(self.frames)[:1]
        return all(answers[name].is_empty() for name in main)

    def drawing(self, name: str, store: Source, where: str = EVERY_RUN) -> Drawing:
        """The styled figure. Raises NoData, which says what to run first."""
        answers = self.read(store, where)
        if self.without_data(answers):
            raise self._no_data(name, store, where)
        with debug_mode(False):  # Altair would check every scale and axis by itself; `to_dict` checks the whole
            return styled(self.draw(**answers))

    def _no_data(self, name: str, store: Source, where: str) -> AnalysisError:
        """Why there is nothing to draw: no run meets the condition, those there are ended early, or there are none."""
        if where != EVERY_RUN and not RUNS.read(store, where).item():
            return NoRun(name, where, absent_values(store, f"SELECT 1 FROM runs WHERE {where}"))
        early = RECORDED.read(store, where).item() if self.from_one else 0
        if early:
            return EndedEarly(name, early)
        return NoData(name, self.needs if where == EVERY_RUN else f"{self.needs} where {where}", self.run)
