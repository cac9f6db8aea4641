"""The page about Python: what its snippets print is what they print; and the notebook runs."""

import ast
import doctest
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_pages import ROOT, blocks
from tests.needs import lack

NOTEBOOK = ROOT / "examples" / "notebook.py"


class Rounded(doctest.OutputChecker):
    """Floats count to three digits, and those near rounding not at all: they differ from one CPU to the next."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(self._rounded(want), self._rounded(got), optionflags)

    def _rounded(self, text: str) -> str:
        short = re.sub(
            r"\d+\.\d+(e-?\d+)?", lambda found: f"{float(found[0]) if float(found[0]) > 1e-7 else 0:.3g}", text
        )
        return re.sub(r"─+", "─", re.sub(r"═+", "═", short))


@pytest.mark.slow
def test_the_snippets_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "python.md"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    session = doctest.DocTestParser().get_doctest("\n".join(blocks(page, "pycon")), {}, page.name, str(page), 0)
    assert len(session.examples) > 20
    runner = doctest.DocTestRunner(Rounded(), optionflags=flags)
    runner.run(session)
    assert runner.summarize(verbose=False).failed == 0
    assert (tmp_path / "scale.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_snippet_of_the_cover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the grid of the cover, as it says."""
    monkeypatch.chdir(tmp_path)
    cover = ROOT / "README.md"
    (grid,), (snippet,) = blocks(cover, "yaml"), blocks(cover, "python")
    Path("grid.yaml").write_text(grid, encoding="utf-8")
    names: dict[str, Any] = {}
    exec(compile(snippet, str(cover), "exec"), names)
    assert names["ended"].counts["converged"] == 14
    assert names["ended"].uncertified == 0
    assert names["run"].status == "converged"
    assert Path("scale.svg").stat().st_size > 10_000


def test_the_notebook_names_what_is_there() -> None:
    """A cell's arguments are what other cells return: a name that none defines would fail only when it runs."""
    cells = [node for node in ast.walk(ast.parse(NOTEBOOK.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)]
    asked = {argument.arg for cell in cells for argument in cell.args.args}
    given = {name.id for cell in cells for node in ast.walk(cell) if isinstance(node, ast.Return) and node.value
             for name in ast.walk(node.value) if isinstance(name, ast.Name)}  # fmt: skip
    assert len(cells) == 7
    assert asked <= given


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    """As marimo runs it, where that is installed: `export` fails if a cell does."""
    if importlib.util.find_spec("marimo") is None:
        lack("marimo", "uv sync --extra notebook")
    command = [
        sys.executable,
        "-m",
        "marimo",
        "-q",
        "export",
        "html",
        shutil.copy(NOTEBOOK, tmp_path),
        "-o",
        "out.html",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out.html").read_text("utf-8")
    assert "18 converged" in page
    assert "vega-lite" in page
