"""A random part of a store, for figures that would show no more of all of its runs."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from analysis.frames.frame import EVERY_RUN, Source
from db.insert import OF_A_RUN
from db.store import Store

DRAWN_RUNS = 20_000
"""Runs of a store of which every one counts in the figures; of more the figures have a sample of about so many."""


def sample(runs: int) -> str:
    """The condition on runs that figures of a store of so many draw: ids are digests, so the first are random ones."""
    share = DRAWN_RUNS / max(runs, 1)
    return EVERY_RUN if share >= 1 else f"run_id < '{round(share * 16**6):06x}'"


@contextlib.contextmanager
def part(store: Source, condition: str) -> Iterator[Source]:
    """The store itself if every run meets the condition, which is on run_id alone; else a store of those that do.

    Every figure would read all rows of all runs again to find them, which takes most of a report's time.
    """
    if condition == EVERY_RUN:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="sweep-report-") as folder:
        drawn = Store(Path(folder) / "part.duckdb")
        drawn.create()
        drawn.commit({name: store.query(f"FROM {name} WHERE {condition}") for name in ("runs", *OF_A_RUN)})
        yield drawn
