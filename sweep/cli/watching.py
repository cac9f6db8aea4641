"""Saying again what changes while a sweep runs."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

EVERY_SECONDS = 2.0

WatchOption = Annotated[
    bool,
    typer.Option("--watch", help="Again whenever the store has more, until the latest sweep is done; Ctrl-C ends it."),
]


def watch(state: Callable[[], Mapping[str, Any]], say: Callable[[Mapping[str, Any]], None]) -> None:
    """Say the state of a store, as `summary.status` has it, now and whenever it is another.

    It is over when the latest sweep is done; others may have been given up. A store without a sweep is one that a
    launch has yet to make or to fill.
    """
    said: Mapping[str, Any] | None = None
    while True:
        found = state()
        if found != said:
            say(found)
            said = found
        if found["sweeps"] and not found["sweeps"][0]["pending"]:
            return
        time.sleep(EVERY_SECONDS)
