"""The site of docs/: it builds without a warning, needs no other host, and its search finds words."""

import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs.reference import PAGES
from tests.needs import lack

ROOT = Path(__file__).parents[2]
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Elements whose file a browser fetches by itself, and the attribute that names it."""


class Fetched(HTMLParser):
    """The addresses of a page that a browser fetches without being asked."""

    def __init__(self, page: str):
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(FETCHED.get(tag, ""))
        if address:
            self.addresses.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of docs/conf.py, into a folder of the test's own."""
    for module in ("sphinx", "myst_parser", "furo"):
        if importlib.util.find_spec(module) is None:
            lack("sphinx", f"no module {module}")
    made = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-E", "-c", "docs", ".", str(made)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return made


@pytest.mark.slow
def test_every_page_is_made(site: Path) -> None:
    sources = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / f"docs/reference/{name}.md" for name in PAGES),
    ]
    assert all((site / page.relative_to(ROOT)).with_suffix(".html").exists() for page in sources)
    assert "README.html" in (site / "index.html").read_text("utf-8")


@pytest.mark.slow
def test_no_page_needs_another_host(site: Path) -> None:
    """Nothing that is fetched, of pages and of styles, has an address with a host."""
    assert Fetched((site / "README.html").read_text("utf-8")).addresses
    for page in site.rglob("*.html"):
        there = Fetched(page.read_text("utf-8")).addresses
        assert not [each for each in there if re.match(r"(https?:)?//", each)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text("utf-8")), style


@pytest.mark.slow
def test_the_search_knows_a_word_and_its_page(site: Path) -> None:
    """The index is a script, which a page that was opened as a file may load."""
    index = (site / "searchindex.js").read_text("utf-8")
    found = json.loads(index.removeprefix("Search.setIndex(").rstrip().removesuffix(")"))
    where = found["terms"]["plateaus"]
    pages = [found["docnames"][k] for k in ([where] if isinstance(where, int) else where)]
    assert "docs/charts" in pages
