"""Commands that read a store: status, query, show; and db upgrade."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sweep.cli.common import (
    STORE,
    WAIT,
    JsonOption,
    MemoryOption,
    SecondsOption,
    StoreOption,
    WaitOption,
    answering,
    check_output,
    echo,
    print_json,
)
from sweep.cli.watching import WatchOption
from sweep.formats import Format, text, write
from sweep.shown import shown


@answering
def status(
    store: StoreOption = STORE, watch: WatchOption = False, json: JsonOption = False, wait: WaitOption = WAIT
) -> None:
    """Sweeps in the store and how far they are; works while one is running."""
    from sweep.cli import watching
    from sweep.cli.open import NOT_YET, status_of
    from sweep.execution.summary import status_lines

    def say(found: Mapping[str, Any]) -> None:
        if not store.exists():
            echo(f"{store}: {NOT_YET}", err=json)
        if json:
            print_json(found)
        elif store.exists():
            for line in status_lines(found):
                echo(line)

    if watch:
        watching.watch(lambda: status_of(store, wait), say)
    else:
        say(status_of(store, wait))


@answering
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A SELECT; tables: runs, predictions, trajectories, ...")],
    store: StoreOption = STORE,
    format: Annotated[Format, typer.Option("--format", help="How rows are printed.")] = Format.table,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file instead of stdout.")] = None,
    max_seconds: SecondsOption = None,
    max_memory: MemoryOption = None,
    wait: WaitOption = WAIT,
) -> None:
    """Ask the store in SQL, which sees nothing else; works while a sweep is running. `convergence` has all axes."""
    from sweep.cli.open import opened_or_empty

    check_output("-o", output, store=store)
    with opened_or_empty(store, wait, max_seconds, max_memory) as source:
        found = source.query(sql)
        write(found, format, output)
        if not found.num_rows:
            from analysis.absent import absent_values

            for each in absent_values(source, sql):
                echo(each, err=True)


@answering
def show(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID|SWEEP", help="A run's id or its start, or a sweep as `sweep list` has it.")
    ],
    store: StoreOption = STORE,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """One run: what was asked, where the flow ended, predictions, attempts. One sweep: grid, runs, provenance."""
    from sweep.cli.open import opened
    from sweep.stores import one

    source = opened(store, wait)
    kind, its_id = one.find(source, run_id)
    if kind == "sweep":
        _show_sweep(one.sweep(source, its_id), json)
        return
    found = one.run(source, its_id)
    if json:
        print_json({name: table.to_pylist() for name, table in found.items()})
        return
    for name, table in found.items():
        if name == "run":
            width = max(map(len, table.column_names))
            for column, value in table.to_pylist()[0].items():
                if value is not None:
                    echo(f"{column.ljust(width)}  {shown(value)}")
        elif table.num_rows:
            echo(f"\n{name}\n{text(table).removesuffix(chr(10))}")


def _show_sweep(found: dict[str, Any], json: bool) -> None:
    """Its grid last, as it can be launched again; uncommitted changes are counted, and printed as JSON only."""
    from sweep.formats import json_text

    if json:
        print_json({"sweep": found})
        return
    grid, diff = found.pop("grid"), found.pop("git_diff")
    width = max(map(len, found))
    for name, value in found.items():
        if value is not None:
            echo(f"{name.ljust(width)}  {shown(json_text(value) if isinstance(value, list) else value)}")
    if diff:
        lines = len(diff.splitlines())
        echo(f"{'git_diff'.ljust(width)}  {lines} lines; sweep show {found['sweep_id']} --json has them")
    if grid:
        echo(f"\ngrid\n{grid.rstrip()}")


@answering
def gc(
    store: StoreOption = STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove what killed launches left: their folders of Ray, and of a store that was being made. Keeps all results."""
    from sweep.execution.leftovers import left_behind, remove

    found = list(left_behind(store.absolute()))
    for folder in () if dry_run else found:
        remove(folder)
    if json:
        print_json({"folders": [str(folder) for folder in found], "removed": not dry_run})
        return
    for folder in found:
        echo(f"{'would remove' if dry_run else 'removed'} {folder}")
    if not found:
        echo("nothing is left of killed launches")


@answering
def upgrade(store: StoreOption = STORE, wait: WaitOption = WAIT) -> None:
    """Bring a store of an older version up to this version's schema."""
    from sweep.cli.open import opened

    before, after = opened(store, wait).upgrade()
    echo(f"{store}: schema {before} is current" if before == after else f"{store}: schema {before} -> {after}")
