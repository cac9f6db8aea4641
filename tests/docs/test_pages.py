"""The pages for users: links lead somewhere, commands are commands, and the cover is short."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from sweep.cli import app
from sweep.grid.expansion import Expansion
from sweep.grid.grid import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def text(page: Path) -> str:
    return page.read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """Of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text(page), re.M | re.S)


def commands(page: Path) -> list[str]:
    """Lines of shell blocks that call sweep, and what is behind a prompt in blocks of output."""
    found = []
    for kind, start in (("bash", r"^(?:.*&& )?(?:uv run )?(sweep .*)$"), ("text", r"^\$ (sweep .*)$")):
        for block in blocks(page, kind):
            joined = re.sub(r'"[^"]*"', lambda quoted: " ".join(quoted[0].split()), block).replace("\\\n", " ")
            found += re.findall(start, joined, re.M)
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize(
    ("page", "line"), [(name, line) for name, page in zip(NAMES, PAGES, strict=True) for line in commands(page)]
)
def test_commands_are_taken(page: str, line: str) -> None:
    """Every option and argument is known, and of its type; nothing runs."""
    words = shlex.split(line, comments=True)[1:]
    command, context = get_command(app), None
    while words and hasattr(command, "get_command"):
        context = command.make_context("sweep", [], parent=context, resilient_parsing=True)
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
    command.make_context(command.name or "", words, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_grids_are_grids(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every grid on a page expands, with the modules of that page beside it."""
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    for module in blocks(page, "python"):
        name = re.match(r"# (\w+\.py)\n", module)
        assert name is not None, "the first line of a module on a page names its file"
        (tmp_path / name[1]).write_text(module)
    for number, grid in enumerate(each for each in blocks(page, "yaml") if re.search("^task:", each, re.M)):
        path = tmp_path / f"{number}.yaml"
        path.write_text(grid)
        assert any(True for _ in Expansion(load(path)).candidates())


def test_every_page_is_named_on_the_cover() -> None:
    cover = text(ROOT / "README.md")
    assert all(f"docs/{page.name}" in cover for page in PAGES if page.parent == ROOT / "docs")


def test_the_cover_is_short() -> None:
    assert 6_000 <= len(text(ROOT / "README.md").encode()) <= 8_000
