"""Files that ship with the project: example grids, their data, the starter."""

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris

from analysis.charts import CHARTS
from kernels.data.kinds import canonical, load
from sweep.cli.outputs import STARTER
from sweep.grid.expansion import Expansion
from sweep.grid.grid import load as load_grid
from tests.sweep.conftest import EXAMPLES
from tests.sweep.test_cli import invoke


def test_the_data_are_those_of_their_source() -> None:
    with (EXAMPLES / "data" / "iris.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    iris = load_iris()
    kept = iris.target < 2
    columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    np.testing.assert_array_equal([[float(row[name]) for name in columns] for row in rows], iris.data[kept])
    assert [row["species"] for row in rows] == [str(iris.target_names[label]) for label in iris.target[kept]]
    assert {row["bias"] for row in rows} == {"1"}


def test_the_data_are_separable_and_their_source_is_named() -> None:
    data = canonical({"file": "iris.csv", "target": "species"}, "classification", EXAMPLES / "data")
    dataset = load(data, "classification")
    assert dataset.x.shape == (100, 5)
    assert set(dataset.y) == {-1.0, 1.0}
    text = (EXAMPLES / "data" / "README.md").read_text()
    assert all(word in text for word in ("Fisher", "scikit-learn", "CC BY 4.0"))


def test_the_quickstart_is_the_contracts() -> None:
    runs = [candidate.spec for candidate in Expansion(load_grid(EXAMPLES / "quickstart.yaml")).candidates()]
    assert len(runs) == 2 * 3 * 13 + 2 * 2 * 3 * (1 + 5)
    assert {spec.architecture for spec in runs} == {"diagonal", "convolutional", "fully_connected"}


def test_the_starter_shows_every_section() -> None:
    grid = load_grid(STARTER)
    text = STARTER.read_text()
    assert all(f"{word}:" in text for word in ("grid", "zip", "random", "exclude", "data", "stop"))
    assert len(grid.blocks) == 3


def test_examples_are_copied_whole_and_over_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    assert invoke("examples", folder).exit_code == 0
    assert (folder / "claims" / "special.yaml").is_file()
    for grid in folder.glob("*.yaml"):
        assert invoke("plan", grid, "--json", store=tmp_path / "none.duckdb").exit_code == 0
    (folder / "quickstart.yaml").write_text("mine")
    again = invoke("examples", folder)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert (folder / "quickstart.yaml").read_text() == "mine"


def test_chart_lists_every_chart() -> None:
    listed = invoke("chart", "--list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(CHARTS)
