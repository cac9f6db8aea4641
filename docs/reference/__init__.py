"""Pages made from the code while the site is built, so that they cannot go stale; the repository holds none of them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference import commands, grids, python, store, variants

PAGES: Mapping[str, Callable[[], str]] = {
    "commands": commands.page,
    "grid": grids.page,
    "variants": variants.page,
    "store": store.page,
    "python": python.page,
}
"""Name of a page -> what it says, in Markdown."""


def write(folder: Path) -> None:
    """Every page as a file, and the JSON Schema that one of them links to; a file that is right stays as it is."""
    for name, content in {
        **{f"{name}.md": page() for name, page in PAGES.items()},
        grids.SCHEMA: grids.schema(),
    }.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != content:
            path.write_text(content, "utf-8")
