"""Commands that read a store: status, query, show; and db upgrade."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.common import STORE, WAIT, JsonOption, StoreOption, WaitOption, answering, check_output, print_json
from sweep.cli.formats import Format, text, write


@answering
def status(store: StoreOption = STORE, json: JsonOption = False, wait: WaitOption = WAIT) -> None:
    """Sweeps in the store and how far they are; works while one is running."""
    from sweep import summary
    from sweep.cli.open import opened

    found = summary.status(opened(store, wait))
    if json:
        print_json(found)
        return
    for line in summary.status_lines(found):
        typer.echo(line)


@answering
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A SELECT; tables: runs, predictions, trajectories, ...")],
    store: StoreOption = STORE,
    format: Annotated[Format, typer.Option("--format", help="How rows are printed.")] = Format.table,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file instead of stdout.")] = None,
    wait: WaitOption = WAIT,
) -> None:
    """Ask the store in SQL, read-only; works while a sweep is running. The view `convergence` has all axes."""
    from sweep.cli.open import opened

    check_output("-o", output, store=store)
    write(opened(store, wait).query(sql), format, output)


@answering
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="A run's id, or the start of one.")],
    store: StoreOption = STORE,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """One run: what was asked, where the flow ended, every prediction, every attempt."""
    from sweep import summary
    from sweep.cli.open import opened

    found = summary.run(opened(store, wait), run_id)
    if json:
        print_json({name: table.to_pylist() for name, table in found.items()})
        return
    for name, table in found.items():
        if name == "run":
            width = max(map(len, table.column_names))
            for column, value in table.to_pylist()[0].items():
                if value is not None:
                    typer.echo(f"{column.ljust(width)}  {value}")
        elif table.num_rows:
            typer.echo(f"\n{name}\n{text(table)}", nl=False)


@answering
def upgrade(store: StoreOption = STORE, wait: WaitOption = WAIT) -> None:
    """Bring a store of an older version up to this version's schema."""
    from sweep.cli.open import opened

    before, after = opened(store, wait).upgrade()
    typer.echo(f"{store}: schema {before} is current" if before == after else f"{store}: schema {before} -> {after}")
