"""The application and its commands."""

import typer

from sweep.cli import check, claims, keeping, outputs, runs, stores, sweeps
from sweep.streams import Application

app = Application(
    name="sweep",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Gradient flow on linear networks: sweep over grids, keep results in DuckDB, compare them with theory.",
)
database = typer.Typer(no_args_is_help=True, help="The store itself.")
app.add_typer(database, name="db")

app.command()(runs.launch)
app.command()(runs.plan)
app.command()(claims.claims)
app.command()(stores.status)
app.command()(stores.query)
app.command()(outputs.report)
app.command()(outputs.chart)
app.command()(stores.show)
app.command("list")(sweeps.listing)
app.command()(sweeps.tag)
app.command()(sweeps.note)
app.command()(sweeps.diff)
app.command()(keeping.forget)
app.command()(keeping.merge)
app.command()(keeping.export)
app.command()(check.check)
app.command()(stores.gc)
app.command()(runs.predict)
app.command()(outputs.schema)
app.command()(outputs.init)
app.command()(outputs.examples)
database.command()(stores.upgrade)


@app.callback(invoke_without_command=True)
def main(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Gradient flow on linear networks: sweep over grids, keep results in DuckDB, compare them with theory."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(installed("gradient-flow-sweep"))
        raise typer.Exit
