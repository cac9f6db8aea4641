"""Commands that write files or print what the project knows: report, chart, schema, init, examples."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.common import STORE, WAIT, MemoryOption, SecondsOption, StoreOption, answering, check_output, echo
from sweep.cli.watching import WatchOption

ProvenanceOption = Annotated[
    bool, typer.Option("--provenance", help="Show in the report host, folders and uncommitted changes of launches too.")
]
ColorOption = Annotated[
    str | None, typer.Option("--color", metavar="AXIS", help="An axis, such as alpha, a colour a value.")
]
RowOption = Annotated[str | None, typer.Option("--row", metavar="AXIS", help="An axis, a row of panels a value.")]
ColumnOption = Annotated[
    str | None, typer.Option("--column", metavar="AXIS", help="An axis, a column of panels a value.")
]
DashOption = Annotated[
    str | None, typer.Option("--dash", metavar="AXIS", help="An axis, a dash of lines a value; five at most.")
]
STARTER = Path(__file__).parent.parent / "grid" / "starter.yaml"


@answering
def report(
    store: StoreOption = STORE,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file.")] = Path("report.html"),
    provenance: ProvenanceOption = False,
    watch: WatchOption = False,
    max_seconds: SecondsOption = None,
    max_memory: MemoryOption = None,
) -> None:
    """Write one HTML file that says where gradient flow ended and where theory says it must; works offline."""
    from analysis.report import write_report
    from sweep.cli import watching
    from sweep.cli.open import opened, status_of

    check_output("-o", output, store=store)
    source = opened(store, seconds=max_seconds, memory=max_memory)

    def write() -> None:
        echo(write_report(source, output, provenance=provenance))

    if watch:
        watching.watch(lambda: status_of(store, WAIT), lambda found: write() if found["runs"] else None)
    else:
        write()


def _list(wanted: bool) -> None:
    """Every chart in a line, instead of the command."""
    if wanted:
        from analysis.charts import CHARTS

        width = max(map(len, CHARTS))
        for name, chart in CHARTS.items():
            echo(f"{name:<{width}}  {chart.title}")
        raise typer.Exit


@answering
def chart(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A chart; an unknown name lists them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="FILE.html, .svg, .png, .pdf or .json (Vega-Lite).")],
    store: StoreOption = STORE,
    where: Annotated[
        str, typer.Option("--where", help="A SQL condition on the columns of runs: one expression.")
    ] = "true",
    color: ColorOption = None,
    row: RowOption = None,
    column: ColumnOption = None,
    dash: DashOption = None,
    title: Annotated[str | None, typer.Option("--title", help="Instead of the chart's own.")] = None,
    width: Annotated[int | None, typer.Option("--width", help="Of every panel, in pixels.")] = None,
    height: Annotated[int | None, typer.Option("--height", help="Of every panel, in pixels.")] = None,
    font: Annotated[str | None, typer.Option("--font", help="Of all text; installed, for png and pdf.")] = None,
    theme: Annotated[str, typer.Option("--theme", help="paper, dark or slides (larger text).")] = "paper",
    data: Annotated[Path | None, typer.Option("--data", help="FILE.csv for the rows drawn.")] = None,
    list_: Annotated[
        bool, typer.Option("--list", callback=_list, is_eager=True, help="Print every chart's name and title.")
    ] = False,
    max_seconds: SecondsOption = None,
    max_memory: MemoryOption = None,
) -> None:
    """Write one chart as html, svg, png, pdf or json."""
    from analysis.charts import Look, save
    from sweep.cli.open import opened

    check_output("-o", output, store=store)
    if data is not None:
        check_output("--data", data, store=store)
    look, source = Look(title, width, data, height, font, theme), opened(store, seconds=max_seconds, memory=max_memory)
    echo(save(name, source, output, where, color=color, row=row, column=column, dash=dash, look=look))


@answering
def schema() -> None:
    """Print the JSON Schema of grid files, for editors."""
    import json

    from sweep.grid.schema import json_schema

    echo(json.dumps(json_schema(), indent=2))


@answering
def init(
    path: Annotated[Path, typer.Argument(metavar="GRID", help="The file to write.")] = Path("grid.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
) -> None:
    """Write a commented grid to start from."""
    from sweep.grid.mistakes import GridError

    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(STARTER.read_text(encoding="utf-8"))
    except FileExistsError:
        raise GridError([f"{path} is there already; name another file, or overwrite it with --force"]) from None
    except OSError as error:
        raise GridError([f"{path} cannot be written: {error.strerror}"]) from error
    echo(f"{path}: edit it, then try: sweep plan {path}")


@answering
def examples(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; made if need be.")] = Path("examples"),
) -> None:
    """Copy the shipped grids, and the data that they name."""
    from sweep.grid.shipped import copy_to

    made = copy_to(folder)
    echo(f"{len(made)} files in {folder}; try: sweep launch {folder / 'quickstart.yaml'}")
