"""Options that several commands share, and how errors are answered."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from sweep.shown import lines_shown
from sweep.streams import written

P = ParamSpec("P")
R = TypeVar("R")

SUCCESS, SOME_FAILED, BAD_INPUT, CLUSTER_LOST, UNSTORED, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes."""

GridArgument = Annotated[Path, typer.Argument(metavar="GRID", help="Grid file (grid.yaml); `sweep init` writes one.")]
StoreOption = Annotated[Path, typer.Option("--store", envvar="SWEEP_STORE", help="The DuckDB file of results.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the grid: alpha=0.1, grid.depth=2,3."),
]
PluginsOption = Annotated[
    bool,
    typer.Option("--plugins/--no-plugins", help="Whether a grid may name code of its own, module:Class, which is run "
                 "when the grid is read."),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
WaitOption = Annotated[
    float, typer.Option("--wait", envvar="SWEEP_WAIT", min=0, help="Seconds to wait for a store that is in use.")
]
SecondsOption = Annotated[
    str | None,
    typer.Option("--max-seconds", metavar="SECONDS", envvar="SWEEP_MAX_SECONDS",
                 help="A query that takes longer is ended; 0 for no limit. [default: 300]"),
]  # fmt: skip
MemoryOption = Annotated[
    str | None,
    typer.Option("--max-memory", metavar="SIZE", envvar="SWEEP_MAX_MEMORY",
                 help="A query that needs more memory is ended: 4GB, 512MiB. [default: 4GB]"),
]  # fmt: skip
STORE = Path("results.duckdb")
WAIT = 30.0


def answering(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose errors of input end in one message on stderr and exit code 2, an interrupt in 130."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with written():
                return command(*args, **kwargs)
        except KeyboardInterrupt:
            echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the reader has gone; nothing is left to flush
            raise typer.Exit(SUCCESS) from None
        except Exception as error:
            said = _message(error)
            if said is None:
                raise
            with contextlib.suppress(OSError):  # where stderr is full too, the exit code alone is left
                echo(said, err=True)
            raise typer.Exit(BAD_INPUT) from None

    return wrapped


def _known() -> tuple[type[Exception], ...]:
    """Errors that say what the user has to change; only of modules that are loaded, so none is imported for this."""
    names = (
        ("kernels.spec", "InputError"),
        ("sweep.grid.mistakes", "GridError"),
        ("sweep.execution.executors", "ExecutorError"),
        ("db.errors", "StoreError"),
        ("analysis.errors", "AnalysisError"),
        ("sweep.streams", "OutputError"),
    )
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def _message(error: Exception) -> str | None:
    """One line, or one line a mistake; None for an error that no user can mend."""
    if isinstance(error, OSError):
        from sweep.execution.environment import explained

        said = explained(error)
        return None if said is None else f"error: {said}"
    if not isinstance(error, _known()):
        return None
    mistakes: tuple[str, ...] = getattr(error, "mistakes", (str(error),))
    return "\n".join(f"error: {mistake}" for mistake in mistakes)


def check_output(option: str, output: Path | None, *, store: Path | None = None, grid: Path | None = None) -> None:
    """Raise GridError where an output is the store or the grid of the same command: it would be lost."""
    from sweep.grid.mistakes import GridError

    log = None if store is None else Path(f"{store}.wal")  # DuckDB would read it back into the store
    for what, path in (("store", store), ("store", log), ("grid", grid)):
        if output is not None and path is not None and _same(output, path):
            raise GridError([f"{option} {output}: that is the {what} of this command; name another file"])


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, there or yet to be made."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def print_json(value: Any) -> None:
    """One JSON object on stdout, without NaN."""
    from sweep.formats import json_text

    echo(json_text(value))


def echo(text: object, *, err: bool = False) -> None:
    """Print lines; control characters in them, whoever wrote them, are printed as escapes."""
    typer.echo(lines_shown(text), err=err)


def last_resort(message: str) -> None:
    """End the process: a query that heeds no interrupt would keep it alive."""
    print(f"error: {lines_shown(message)}", file=sys.stderr, flush=True)
    os._exit(BAD_INPUT)
