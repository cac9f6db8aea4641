"""The command line: what `--help` prints of every command."""

from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from docs.reference.markdown import fenced
from sweep.cli import app

COLUMNS = "90"


def page() -> str:
    sections = [f"## {' '.join(['sweep', *path])}\n\n{fenced(help_of(path))}\n" for path in every(get_command(app))]
    return "\n".join(["# Commands\n\nWhat `--help` prints of every command.\n", *sections])


def every(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words behind `sweep` of every command, itself first."""
    inner = getattr(command, "commands", {})
    return [path, *(each for name, one in inner.items() if not one.hidden for each in every(one, (*path, name)))]


def help_of(path: tuple[str, ...]) -> str:
    """As in a terminal of COLUMNS columns without colours."""
    where = {"COLUMNS": COLUMNS, "TERMINAL_WIDTH": COLUMNS, "NO_COLOR": "1", "TERM": "dumb"}
    told = CliRunner().invoke(app, [*path, "--help"], env=where, prog_name="sweep")
    assert told.exit_code == 0, told.output
    return "\n".join(line.rstrip() for line in told.output.strip("\n").splitlines())
