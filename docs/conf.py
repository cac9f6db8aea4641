"""The site: README as the cover, the pages of docs/, and a reference made from the code whenever the site is built.

    uv run --group docs sphinx-build -W -E -c docs . site

-W makes every warning an error, a link that leads nowhere among them; -E reads every page anew. No page loads anything
from another host, and the search is a script beside the pages, so that site/index.html may be opened as a file.
"""

import logging
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
COVER = "README"
sys.path.insert(0, str(ROOT))

from docs import reference  # noqa: E402  (found by the line above)

project = "Gradient flow sweeps"
html_title = project
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_show_search_summary = False  # opened as files, pages cannot fetch the pages that summaries are of
smartquotes = False  # quotes of commands and dots of formulas stay as they are
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as GitHub makes them
root_doc = COVER
include_patterns = ["*.md", "docs/**.md", "benchmarks/results/*.md"]
exclude_patterns = ["site", ".*"]


def contents() -> str:
    """The side bar: pages in the order in which the README names them, then what else the site has."""
    _, listed = (ROOT / f"{COVER}.md").read_text("utf-8").split("## Where to read on")
    named = re.findall(r"\]\((docs/\w+)\.md\)", listed)
    measured = sorted(f"benchmarks/results/{page.stem}" for page in (ROOT / "benchmarks/results").glob("*.md"))
    parts = {
        "Guide": named,
        "Reference": [f"docs/reference/{name}" for name in reference.PAGES],
        "Project": ["CONTRIBUTING", "CHANGELOG"],
        "Measurements": measured,
    }
    return "\n".join(
        "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"])
        for title, pages in parts.items()
    )


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the side bar's tables of contents below the cover, where GitHub would show them as code."""
    if page == COVER:
        source[0] += contents()


def add_index(app: Sphinx, failure: Exception | None) -> None:
    """Where servers and people look first."""
    if failure is None:
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={COVER}.html"><title>{project}</title>\n'
        (Path(app.outdir) / "index.html").write_text(page, "utf-8")


def make_reference(app: Sphinx) -> None:
    """Pages from the code, before the builder looks for pages; a store is made for them, of which nothing is told."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    reference.write(ROOT / "docs/reference")


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", make_reference)
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_index)
