"""Commands that take a grid: launch, plan, predict."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.common import (
    BAD_INPUT,
    CLUSTER_LOST,
    INTERRUPTED,
    SOME_FAILED,
    STORE,
    SUCCESS,
    UNSTORED,
    WAIT,
    GridArgument,
    JsonOption,
    PluginsOption,
    SetOption,
    StoreOption,
    WaitOption,
    answering,
    check_output,
    echo,
    print_json,
)
from sweep.cli.outputs import ProvenanceOption
from sweep.formats import Format, write

if TYPE_CHECKING:
    from sweep.execution.session import Ended

ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Only part I of N of the runs, for machines that share no cluster."),
]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Run again what failed for good.")]


class Rows(StrEnum):
    """What progress has a row for."""

    total = "total"
    programs = "programs"


class Where(StrEnum):
    """Executors."""

    ray = "ray"
    local = "local"


@answering
def launch(
    grid: GridArgument,
    store: StoreOption = STORE,
    executor: Annotated[Where, typer.Option(help="Ray, or this process (for debugging).")] = Where.ray,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to join, HOST:PORT or auto; without it Ray starts here.")
    ] = None,
    set: SetOption = None,
    plugins: PluginsOption = True,
    report: Annotated[Path | None, typer.Option(help="Write the HTML report here at the end.")] = None,
    provenance: ProvenanceOption = False,
    workers: Annotated[int | None, typer.Option(min=1, help="CPUs of the Ray that is started here.")] = None,
    retry_failed: RetryOption = False,
    shard: ShardOption = None,
    max_failures: Annotated[int, typer.Option(min=1, help="Failed runs in a row that stop the sweep.")] = 10,
    progress: Annotated[Rows, typer.Option(help="A line for all, or a row for each program, too.")] = Rows.total,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Run what the store does not have yet of a grid. Launching again goes on where it stopped."""
    from sweep.execution.environment import check_environment
    from sweep.execution.session import Options, run
    from sweep.execution.shard import parse
    from sweep.grid.mistakes import GridError

    if executor is Where.local and address is not None:
        raise GridError(["--address is of --executor ray; leave one of them out"])
    if provenance and report is None:
        raise GridError(["--provenance is of a report; add --report FILE, or leave it out"])
    check_output("--report", report, store=store, grid=grid)
    check_environment(address)
    options = Options(
        store=store,
        local=executor is Where.local,
        address=address,
        overrides=tuple(set or ()),
        report=report,
        provenance=provenance,
        workers=workers,
        retry_failed=retry_failed,
        max_failures=max_failures,
        quiet=json,
        by_program=progress is Rows.programs,
        wait=wait,
        plugins=plugins,
        shard=None if shard is None else parse(shard),
    )
    ended = run(grid, options)
    if json:
        print_json(ended.to_dict())
    else:
        for line in ended.lines():
            echo(line)
    raise typer.Exit(exit_code(ended))


def exit_code(ended: "Ended") -> int:
    """The exit code of a launch."""
    if ended.interrupted:
        return INTERRUPTED
    if ended.unstored:
        return UNSTORED
    if ended.lost:
        return CLUSTER_LOST
    return SOME_FAILED if ended.counts["failed"] or ended.traceback else SUCCESS


@answering
def plan(
    grid: GridArgument,
    store: StoreOption = STORE,
    set: SetOption = None,
    plugins: PluginsOption = True,
    retry_failed: RetryOption = False,
    shard: ShardOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Of the launch; by default the machine's cores.")] = None,
    pilot: Annotated[
        bool, typer.Option("--pilot", help="Try some runs of programs never timed for half a minute; none is stored.")
    ] = False,
    json: JsonOption = False,
    wait: WaitOption = WAIT,
) -> None:
    """Say what launching would do: runs in all, stored and to do, what each rule dropped, batches, time.

    A module:Class of the grid's own is imported, that is, run; --no-plugins refuses it.
    """
    from sweep.cli.open import opened
    from sweep.execution.announcement import class_lines, plan_lines
    from sweep.execution.environment import check_environment
    from sweep.execution.estimate import foreseen
    from sweep.execution.plan import make_plan
    from sweep.execution.shard import parse
    from sweep.grid.grid import load

    found = opened(store, wait)
    loaded = load(grid, set or (), plugins)
    made = make_plan(loaded, found, retry_failed, None if shard is None else parse(shard))
    if pilot:
        check_environment(None)
    counts = foreseen(made, found, workers, pilot)
    classes = made.classes
    if json:
        print_json({**counts, "classes": {name: list(both) for name, both in classes.items()}})
    else:
        for line in (*plan_lines(counts), *class_lines(classes)):
            echo(line)
        if loaded.own_code:
            echo(f"planning has run code of the grid's own: {', '.join(loaded.own_code)}; --no-plugins refuses it")


@answering
def predict(
    grid: GridArgument,
    set: SetOption = None,
    plugins: PluginsOption = True,
    format: Annotated[Format, typer.Option("--format", help="How rows are printed.")] = Format.table,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file instead of stdout.")] = None,
) -> None:
    """Print what theory says of every run of a grid, without running any."""
    from sweep.execution.forecast import forecast_table
    from sweep.grid.grid import load

    check_output("-o", output, grid=grid)
    write(forecast_table(load(grid, set or (), plugins)), format, output)


__all__ = ["BAD_INPUT", "launch", "plan", "predict"]
