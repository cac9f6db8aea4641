"""The command that reads a whole store and says what of it is lost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.common import (
    SOME_FAILED,
    STORE,
    WAIT,
    JsonOption,
    MemoryOption,
    StoreOption,
    WaitOption,
    answering,
    echo,
    print_json,
)

if TYPE_CHECKING:
    from db.check import Checked


@answering
def check(
    file: Annotated[Path | None, typer.Argument(metavar="[STORE]", help="The store; else --store.")] = None,
    store: StoreOption = STORE,
    salvage: Annotated[
        Path | None, typer.Option("--salvage", metavar="NEW", help="Write what is whole into a new store.")
    ] = None,
    json: JsonOption = False,
    max_memory: MemoryOption = None,
    wait: WaitOption = WAIT,
) -> None:
    """Read everything in the store and say what is damaged: exit code 0 if it is whole, 1 if not."""
    from db.check import check as checked
    from db.errors import Damaged
    from sweep.cli.open import opened

    path = file or store
    try:
        found = checked(opened(path, wait, None, max_memory), salvage)
    except Damaged as error:
        if json:
            print_json({"store": str(path), "whole": False, "error": str(error)})
        else:
            echo(f"error: {error}", err=True)
        raise typer.Exit(SOME_FAILED) from None
    if json:
        print_json(_as_json(path, found, salvage))
    else:
        _print(path, found, salvage)
    if not found.whole:
        raise typer.Exit(SOME_FAILED)


def _as_json(path: Path, found: "Checked", salvage: Path | None) -> dict[str, Any]:
    return {
        "store": str(path), "whole": found.whole, "rows": dict(found.rows),
        "runs_without_checksum": found.without_checksum,
        "damages": [
            {"table": each.table, "what": each.what, "rows": each.rows, "run_ids": list(each.run_ids)}
            for each in found.damages
        ],
        "salvaged": None if found.saved is None else {"store": str(salvage), "rows": dict(found.saved)},
    }  # fmt: skip


def _print(path: Path, found: "Checked", salvage: Path | None) -> None:
    for damage in found.damages:
        echo(damage)
    if found.without_checksum:
        echo(f"runs: {found.without_checksum} have no checksum: an older version wrote them")
    counts = ", ".join(f"{count} {name}" for name, count in found.rows.items())
    echo(f"{path}: {'whole' if found.whole else 'damaged'}; read {counts}")
    if found.saved is not None:
        left = {name: count - found.saved[name] for name, count in found.rows.items() if count > found.saved[name]}
        out = ", ".join(f"{count} {name}" for name, count in left.items())
        echo(f"{salvage}: {found.saved['runs']} runs written" + (f"; left out of what was read: {out}" if out else ""))
        echo(f"to compute what is missing: sweep launch GRID --store {salvage}")
    elif not found.whole:
        echo(
            f"restore {path} from a copy; or `sweep check {path} --salvage NEW` writes what is whole into a new store, "
            "and `sweep launch GRID --store NEW` computes only what is missing"
        )
