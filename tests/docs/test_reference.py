"""The reference of the site says all that the code has: every command, axis, variant, column and function."""

import json
from pathlib import Path

import pytest

import analysis
import sweep
from db.store import Store
from docs.reference import PAGES, commands, grids, store, write
from docs.reference.markdown import docstring
from kernels.data.kinds import DATASETS, takes
from kernels.data.preparation import PREPARATIONS
from kernels.losses import LOSSES
from kernels.networks.initialisations import INITIALISATIONS
from kernels.networks.table import ARCHITECTURES
from kernels.observables import OBSERVABLES
from kernels.spec import AXES
from kernels.theory.table import PREDICTIONS


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("reference")
    write(folder)
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def rows(page: str, section: str) -> dict[str, str]:
    """First cell -> line, of the table below a heading."""
    _, below = page.split(f"\n{section}\n", 1)
    part = below.split("\n#", 1)[0]
    return {line.split("|")[1].strip(" `"): line for line in part.splitlines() if line.startswith("| `")}


@pytest.mark.slow
def test_the_pages_are_these_and_the_schema(pages: dict[str, str]) -> None:
    assert set(pages) == {f"{name}.md" for name in PAGES} | {grids.SCHEMA}
    assert "$defs" in json.loads(pages[grids.SCHEMA])


@pytest.mark.slow
def test_every_command_has_its_help(pages: dict[str, str]) -> None:
    told = pages["commands.md"]
    for words in ("## sweep", "## sweep launch", "## sweep db upgrade"):
        assert f"\n{words}\n" in told
    assert told.count("Usage: sweep") == told.count("\n## ")
    assert "--max-failures" in commands.help_of(("launch",))


@pytest.mark.slow
def test_every_axis_and_data_set_has_a_row(pages: dict[str, str]) -> None:
    assert list(rows(pages["grid.md"], "## Axes")) == list(AXES)
    assert "| `2` |" in rows(pages["grid.md"], "## Axes")["depth"]
    assert list(rows(pages["grid.md"], "## Data sets")) == list(DATASETS)
    told = pages["grid.md"].split("\n## Data sets\n", 1)[1]
    schema = json.loads(pages[grids.SCHEMA])
    for kind in DATASETS:
        assert all(f"`{name}" in told for name in takes(kind)), kind
    assert all(name in str(schema["properties"]["data"]) for name in PREPARATIONS)


@pytest.mark.slow
def test_every_variant_has_what_its_docstring_says(pages: dict[str, str]) -> None:
    told = pages["variants.md"]
    for table in (ARCHITECTURES, INITIALISATIONS, PREDICTIONS):
        assert all(f"\n### {name}\n" in told for name in table)
    for made in PREDICTIONS.values():
        _, below = told.split("\n## Predictions\n", 1)[1].split(f"\n### {made.name}\n", 1)
        part = below.split("\n### ", 1)[0]
        assert f"Predicts {made.meaning}." in part
        assert all(f"**{label}**:" in part for label in ("Applies", "Kind", "Reference")), made.name
        assert "**Certificate**:" in part or "**No certificate**:" in part, made.name
    assert list(rows(told, "## Losses")) == list(LOSSES)
    imprecise = told.split("\n## Statuses\n", 1)[1]
    assert "drift" in imprecise
    assert "nearly the same least norm" in imprecise
    assert list(rows(told, "## Observables")) == list(OBSERVABLES)


@pytest.mark.slow
def test_every_column_of_a_store_has_a_row(pages: dict[str, str], tmp_path: Path) -> None:
    made = Store(tmp_path / "new.duckdb")
    made.create()
    names = made.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'").to_pylist()
    known = {row["table_name"] for row in names} - {"alembic_version"}
    assert {*store.views(), *(part.split("\n")[0] for part in pages["store.md"].split("\n### ")[1:])} == known
    for name in known:
        columns = made.query(f"SELECT * FROM {name} LIMIT 0").column_names
        assert list(rows(pages["store.md"], f"### {name}")) == columns
    assert "number of parameters P of the network" in rows(pages["store.md"], "### runs")["parameters"]
    assert AXES["alpha"].help in rows(pages["store.md"], "### convergence")["alpha"]


@pytest.mark.slow
def test_every_public_name_has_its_docstring(pages: dict[str, str]) -> None:
    for module in (sweep, analysis):
        for name in module.__all__:
            assert f"\n## {module.__name__}.{name}\n" in pages["python.md"]
    assert 'executor: Literal["ray", "local"] = "ray",' in pages["python.md"]
    assert "### chart" in pages["python.md"]


def test_a_docstring_keeps_marks_code_and_lists() -> None:
    def function() -> None:
        """|w_l| > *all* of `a|b`.

            w = [1, 2]

        >>> 1
        1

        Args:
            x: of shape (n, d);
                or more.

        Kind: exact. Certificate: none.
        """

    assert docstring(function).split("\n\n") == [
        "\\|w\\_l\\| \\> \\*all\\* of `a|b`.",
        "```text\nw = [1, 2]\n```",
        "```pycon\n>>> 1\n1\n```",
        "**Args:**",
        "- `x`: of shape (n, d); or more.",
        "**Kind**: exact.",
        "**Certificate**: none.",
    ]
