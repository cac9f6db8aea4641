"""--set does what the same edit of the file would do."""

from pathlib import Path
from typing import Any

import pytest

from sweep.grid.mistakes import GridError
from sweep.grid.overrides import override
from sweep.grid.source import Source, parse

GRID = """
alpha: 1
data: {gaussian: {samples: 3, dim: 8}}
blocks:
  - grid: {architecture: diagonal, depth: [2, 3], alpha: [0.1, 0.2]}
    exclude: ["depth == 2"]
  - grid: {network: walsh, init: gaussian}
    zip: {depth: [2, 3], alpha: [1, 2]}
  - list: [{architecture: odeco, alpha: 3}]
"""


def edited(*assignments: str) -> Source:
    source = parse(GRID, Path("grid.yaml"))
    override(source, assignments)
    return source


def at(source: Source, *place: str | int) -> Any:
    node: Any = source.tree
    for part in place:
        node = node[part]
    return node


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("seed=3", 3),
        ("seed=1,2", [1, 2]),
        ("seed={range: [0, 3]}", {"range": [0, 3]}),
        ("rtol=1e-9", 1e-9),
        ("architecture=my.module:Net", "my.module:Net"),
        ("init={structured: {eta: uniform}}", {"structured": {"eta": "uniform"}}),
        ("init=gaussian,{structured: {eta: uniform}}", ["gaussian", {"structured": {"eta": "uniform"}}]),
        ("name=a name", "a name"),
        ("record=false", False),
    ],
)
def test_values_are_yaml_and_commas_make_lists(assignment: str, value: Any) -> None:
    assert at(edited(assignment), assignment.partition("=")[0]) == value


def test_a_bare_axis_is_fixed_in_the_whole_grid() -> None:
    source = edited("alpha=0.5")
    assert source.tree["alpha"] == 0.5
    assert "alpha" not in str(source.tree["blocks"])
    assert at(source, "blocks", 1, "zip") == {"depth": [2, 3]}
    assert source.where(("alpha",)) == "--set alpha=0.5"


def test_network_is_architecture() -> None:
    source = edited("network=diagonal")
    assert source.tree["architecture"] == "diagonal"
    assert "walsh" not in str(source.tree)
    assert at(edited("grid.network=odeco"), "blocks", 1, "grid") == {"architecture": "odeco", "init": "gaussian"}


def test_a_sections_axis_is_replaced_in_the_blocks_that_have_it() -> None:
    source = edited("grid.depth=4,5")
    assert at(source, "blocks", 0, "grid", "depth") == [4, 5]
    assert "depth" not in at(source, "blocks", 1, "grid")
    assert source.where(("blocks", 0, "grid", "depth", 1)) == "--set grid.depth=4,5"


def test_a_sections_new_axis_joins_every_block_with_the_section() -> None:
    source = edited("grid.rtol=1e-5")
    assert [at(source, "blocks", n, "grid", "rtol") for n in (0, 1)] == [1e-5, 1e-5]
    assert "grid" not in at(source, "blocks", 2)


def test_a_path_sets_one_place() -> None:
    source = edited("blocks.0.grid.depth=7", "data.gaussian.samples=5", "stop.residual=1e-6", "blocks.2.list.0.alpha=4")
    assert at(source, "blocks", 0, "grid", "depth") == 7
    assert at(source, "data", "gaussian", "samples") == 5
    assert at(source, "stop") == {"residual": 1e-6}
    assert at(source, "blocks", 2, "list", 0, "alpha") == 4


def test_an_expression_keeps_its_commas() -> None:
    assert edited("when=depth in (2, 3)").tree["when"] == "depth in (2, 3)"


@pytest.mark.parametrize(
    ("text", "value"), [("id", ["id"]), ("[id]", ["id"]), ("id,name", ["id", "name"]), ("[id, name]", ["id", "name"])]
)
def test_columns_of_a_file_are_a_list(text: str, value: list[str]) -> None:
    for key in ("exclude", "features"):
        assert at(edited(f"data.{key}={text}"), "data", key) == value


def test_the_last_option_wins() -> None:
    assert edited("seed=1", "seed=2").tree["seed"] == 2


@pytest.mark.parametrize(
    "assignment",
    ["alpha", "=3", "alpha=", "alpha=[1", "blocks.9.grid.depth=2", "blocks.x.grid=2", "alpha.deep=2", "random.n=3"],
)
def test_mistakes_name_the_option(assignment: str) -> None:
    with pytest.raises(GridError) as caught:
        edited(assignment)
    assert f"--set {assignment}" in str(caught.value)
