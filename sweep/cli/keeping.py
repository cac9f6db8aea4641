"""Commands that move or remove what a store holds: forget, merge, export."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.common import SOME_FAILED, STORE, WAIT, JsonOption, StoreOption, WaitOption, answering, echo, print_json

if TYPE_CHECKING:
    from db.forget import Doomed
    from db.merge import Merged
    from db.store import Store

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]


@answering
def forget(
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="SWEEP", help="This sweep, and its runs that no other sweep asked for."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", help="Runs that meet a SQL condition on the columns of runs.")
    ] = None,
    store: StoreOption = STORE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Remove sweeps or runs for good; says first what would go, and asks."""
    from db.forget import forget as removed
    from sweep.cli.open import opened

    source = opened(store, wait)
    doomed = _doomed(source, sweep or [], where)
    if not json:
        for line in _said(doomed, store):
            echo(line)
    gone = 0
    if not dry_run and (doomed.runs.num_rows or doomed.sweeps):
        _ask(yes)
        gone = removed(source, doomed)
    if json:
        print_json({
            "store": str(store.absolute()), "sweeps": list(doomed.sweeps), "runs": doomed.runs.num_rows,
            "statuses": doomed.statuses, "staying": doomed.staying, "dry_run": dry_run, "removed": gone,
        })  # fmt: skip
    elif dry_run:
        echo("nothing was removed")
    else:
        echo(f"removed {gone} runs" + (f" and {_sweeps(len(doomed.sweeps))}" if doomed.sweeps else ""))


def _doomed(source: "Store", sweeps: list[str], where: str | None) -> "Doomed":
    from db import forget
    from sweep.grid.mistakes import GridError
    from sweep.stores.names import the_sweep

    if bool(sweeps) == (where is not None):
        raise GridError(["write what to remove, --sweep SWEEP or --where CONDITION, one of them"])
    if where is not None:
        return forget.where(source, where)
    return forget.of_sweeps(source, list(dict.fromkeys(the_sweep(source, word) for word in sweeps)))


def _said(doomed: "Doomed", store: Path) -> Iterator[str]:
    ends = ", ".join(f"{count} {name}" for name, count in doomed.statuses.items())
    of = f"{_sweeps(len(doomed.sweeps))} ({', '.join(doomed.sweeps)}) and " if doomed.sweeps else ""
    yield f"{store}: {of}{doomed.runs.num_rows} runs go" + (f" ({ends})" if ends else "")
    if doomed.staying:
        yield f"{doomed.staying} runs stay, since other sweeps asked for them"
    if doomed.unsourced:
        yield f"of {doomed.unsourced} that stay the record of the code that computed them goes with their sweep"
    if doomed.unfinished:
        yield f"{doomed.unfinished} runs are pending: a launch of it that still runs would go on, and store them"


def _sweeps(count: int) -> str:
    return f"{count} sweep{'' if count == 1 else 's'}"


def _ask(yes: bool) -> None:
    """Go on with --yes or a y on the terminal; else end the command with exit code 1."""
    try:
        if yes or typer.confirm("remove them for good?", err=True):
            return
    except typer.Abort:
        echo("", err=True)
    echo("nothing was removed (without a terminal: --yes)", err=True)
    raise typer.Exit(SOME_FAILED)


@answering
def merge(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The store that takes all; made if there is none.")],
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Stores that are read; they stay.")],
    strict: Annotated[
        bool, typer.Option("--strict", help="Merge nothing where results of one run differ; exit code 1.")
    ] = False,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Put the runs and sweeps of stores into one; a run of several is kept once, a result before a failure."""
    from db.merge import EndsDiffer
    from db.merge import merge as merged
    from sweep.cli.open import opened

    refused = False
    try:
        found = merged(opened(target, wait), [opened(source, wait) for source in sources], strict)
    except EndsDiffer as error:
        found, refused = error.merged, True
    if json:
        print_json({"target": str(target.absolute()), "merged": not refused, "sources": [_as_json(e) for e in found]})
    else:
        for line in _merged_lines(list(zip(sources, found, strict=True)), target, refused):
            echo(line)
    if refused:
        raise typer.Exit(SOME_FAILED)


def _as_json(each: "Merged") -> dict[str, Any]:
    return {
        "source": str(each.source), "added": each.added, "replaced": each.replaced, "known": each.known,
        "sweeps": each.sweeps, "apart": each.apart, "worst": each.worst,
    }  # fmt: skip


def _merged_lines(found: "list[tuple[Path, Merged]]", target: Path, refused: bool) -> Iterator[str]:
    for source, each in found:
        failed = f", {each.replaced} in the place of failed ones" if each.replaced else ""
        yield f"{source}: {each.added} runs new{failed}, {each.known} there already; {_sweeps(each.sweeps)} new"
        if each.apart:
            kept = "" if refused else f"; those of {target} stay"
            yield f"  {each.apart} runs of both ended farther apart than 100 rtol, or with another status{kept}"
        for row in each.worst:
            far = "" if row["distance"] is None else f" {row['distance']:.1e}"
            yield f"    {row['run_id']}  {row['status']} there, {row['other']} here{far}"
    if refused:
        yield "nothing was merged (--strict)"
    else:
        sweeps = _sweeps(sum(each.sweeps for _, each in found))
        yield f"{target}: {sum(each.added + each.replaced for _, each in found)} runs and {sweeps} added"


@answering
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    store: StoreOption = STORE,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Write every table as Parquet, a folder each; runs and trajectories by task and architecture."""
    from db.export import export as exported
    from sweep.cli.open import opened

    rows = exported(opened(store, wait), folder, force)
    if json:
        print_json({"store": str(store.absolute()), "folder": str(folder.absolute()), "rows": rows})
    else:
        echo(f"{folder}: {', '.join(f'{count} {name}' for name, count in rows.items())}")
