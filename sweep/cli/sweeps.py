"""Commands about the sweeps of a store: list, tag, note, diff."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.common import STORE, WAIT, JsonOption, StoreOption, WaitOption, answering, echo, print_json
from sweep.formats import text
from sweep.shown import shown

if TYPE_CHECKING:
    import pyarrow as pa

    from sweep.stores.diff import Diff, Ends, Side

SweepArgument = Annotated[str, typer.Argument(metavar="SWEEP", help="Its id, the start of one, or its name.")]

MOST_VALUES = 6
"""Values of an axis that are named."""


@answering
def listing(
    store: StoreOption = STORE,
    tag: Annotated[str | None, typer.Option("--tag", help="Only sweeps with this tag.")] = None,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """List the sweeps of the store, latest first: when, runs by status, tags, note."""
    import shutil
    import sys

    from sweep.cli.open import opened_or_empty
    from sweep.formats import fitting
    from sweep.stores.listing import sweeps, table

    with opened_or_empty(store, wait) as source:
        found = sweeps(source, tag)
    if json:
        print_json({"store": str(store.absolute()), "sweeps": found})
    elif found:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        made = table(found, width)
        echo((text(made) if width is None else fitting(made, width)).rstrip("\n"))
    elif store.exists():  # else it was said that there is none yet
        echo(f"{store}: no sweep" + (f" has the tag {tag}" if tag else ""))


@answering
def tag(
    sweep: SweepArgument,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Words; several sweeps may have one.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take these tags away.")] = False,
    store: StoreOption = STORE,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Give tags to a sweep, or take them away."""
    from db import labels
    from sweep.cli.open import opened
    from sweep.stores.names import the_sweep

    source = opened(store, wait)
    sweep_id = the_sweep(source, sweep)
    after = labels.tag(source, sweep_id, () if remove else tags, tags if remove else ())
    if json:
        print_json({"sweep_id": sweep_id, "tags": after})
    else:
        echo(f"{sweep_id}: {', '.join(after) or 'no tags'}")


@answering
def note(
    sweep: SweepArgument,
    words: Annotated[str, typer.Argument(metavar="TEXT", help="In the place of the note it has; '' takes it away.")],
    store: StoreOption = STORE,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Write a note to a sweep."""
    from db import labels
    from sweep.cli.open import opened
    from sweep.stores.names import the_sweep

    source = opened(store, wait)
    sweep_id = the_sweep(source, sweep)
    labels.note(source, sweep_id, words)
    if json:
        print_json({"sweep_id": sweep_id, "note": words or None})
    else:
        echo(f"{sweep_id}: {words or 'no note'}")


@answering
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="SWEEP of --store; or FILE, a store's runs; or FILE:SWEEP.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same of the other side.")],
    store: StoreOption = STORE,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Compare two sweeps or stores: runs in one alone, axes that differ, and whether runs of both ended alike."""
    from sweep.stores.diff import diff as compared

    side_a, side_b = _side(a, store, wait), _side(b, store, wait)
    found = compared(side_a, side_b)
    if json:
        print_json(_as_json(found, side_a, side_b))
    else:
        for line in _lines(found, side_a, side_b):
            echo(line)


def _side(word: str, store: Path, wait: float) -> "Side":
    """What a side of a comparison names: a file there, a file and a sweep behind a colon, or a sweep of the store."""
    from db.errors import StoreError
    from sweep.cli.open import opened
    from sweep.stores.diff import Side
    from sweep.stores.names import matching, the_sweep

    if Path(word).is_file():
        return Side(opened(Path(word), wait), None, word)
    file, colon, sweep = word.rpartition(":")
    source = opened(Path(file) if colon else store, wait)
    if not colon and not matching(source, word):
        raise StoreError(f"{word!r} is no file, and no sweep of {store}; see: sweep list")
    sweep_id = the_sweep(source, sweep)
    return Side(source, sweep_id, f"{file}:{sweep_id}" if colon else sweep_id)


def _as_json(found: "Diff", a: "Side", b: "Side") -> dict[str, Any]:
    sides = {name: {"store": str(side.store.path), "sweep_id": side.sweep_id} for name, side in (("a", a), ("b", b))}
    ends = found.ends
    return {
        **sides,
        "only_a": found.only_a.to_pylist(), "only_b": found.only_b.to_pylist(), "both": len(found.both),
        "axes": {name: {"only_a": only_a, "only_b": only_b} for name, only_a, only_b in found.axes},
        "ends": None if ends is None else {
            "compared": ends.compared, "beyond": ends.beyond, "statuses": ends.statuses,
            "worst": ends.worst.to_pylist(),
        },
    }  # fmt: skip


def _lines(found: "Diff", a: "Side", b: "Side") -> Iterator[str]:
    yield f"A  {shown(a.label)}"
    yield f"B  {shown(b.label)}"
    yield f"runs: {len(found.only_a)} only in A, {len(found.only_b)} only in B, {len(found.both)} in both"
    for name, only_a, only_b in found.axes:
        sides = (("A", only_a), ("B", only_b))
        yield f"{name}: " + "; ".join(f"only in {side} {_values(values)}" for side, values in sides if values)
    if found.ends is not None:
        yield from _ends(found.ends)


def _values(values: list[Any]) -> str:
    """The first few values."""
    named = [f"{v:g}" if isinstance(v, float) else "none" if v is None else shown(v) for v in values[:MOST_VALUES]]
    more = len(values) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _ends(ends: "Ends") -> Iterator[str]:
    if ends.statuses:
        yield f"{ends.statuses} runs of both have another status in B"
    yield f"{ends.compared} runs converged in both; {ends.beyond} ended farther apart than 100 rtol"
    if ends.worst.num_rows:
        yield "\n" + text(_narrow(ends.worst)).rstrip("\n")


def _narrow(worst: "pa.Table") -> "pa.Table":
    """The runs that are named, for a terminal: the start of each id, and statuses where they differ."""
    import pyarrow as pa

    rows = worst.to_pylist()
    statuses = [f"{r['status_a']}, {r['status_b']}" if r["status_a"] != r["status_b"] else None for r in rows]
    columns = {"run": pa.array([row["run_id"][:12] for row in rows])}
    columns |= {name: worst[name] for name in ("architecture", "depth", "alpha", "seed", "distance")}
    columns |= {"in A, in B": pa.array(statuses)} if any(statuses) else {}
    return pa.table(columns)
