"""The grids that come with the program: in a checkout beside it, in an installed package inside it."""

from pathlib import Path

from sweep.grid.mistakes import GridError

PACKAGE = Path(__file__).resolve().parent.parent
FOLDERS = (PACKAGE.parent / "examples", PACKAGE / "examples")
COPIED = ("*.yaml", "claims/*.yaml", "data/*")
"""Grids, and the data that they name."""


def folder() -> Path:
    """Where the shipped grids are. Raises GridError where they are missing."""
    for each in FOLDERS:
        if (each / "quickstart.yaml").is_file():
            return each
    raise GridError([f"the shipped grids are not at {FOLDERS[0]}; install the package again, or use a checkout"])


def copy_to(target: Path) -> list[Path]:
    """Copy the grids and their data to a folder, and return the files. Nothing that is there is overwritten.

    Raises GridError, before anything is written, if a file is there already, and where the folder cannot be written.
    """
    source = folder()
    names = sorted(file.relative_to(source) for pattern in COPIED for file in source.glob(pattern) if file.is_file())
    taken = [name for name in names if (target / name).exists()]
    if taken:
        raise GridError([f"{target / taken[0]} is there already; name an empty or a new folder"])
    try:
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((source / name).read_bytes())
    except OSError as error:
        raise GridError([f"{error.filename or target} cannot be written: {error.strerror}"]) from error
    return [target / name for name in names]
