"""Networks with parameters from grid to store: S of an odeco network, and a class of the user's own beside the grid."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.store import Store
from kernels.data.kinds import load as load_data
from kernels.networks.groups import group_of
from kernels.spec import RunSpec
from kernels.theory.table import forecasts
from sweep.grid.expansion import Expansion
from sweep.grid.grid import load
from sweep.grid.mistakes import GridError
from sweep.grid.schema import json_schema
from tests.sweep.conftest import EXAMPLES, SMALL, Launch, Write, counts_of

HEAD = """
task: regression
data: {points: {x: [[1, 2]], y: [1]}}
record: false
grid: {architecture: [%s], depth: 2, alpha: [0.3, 1]}
"""
ODECO = HEAD % "{odeco: {s: [[1, 0], [1, 1]]}}, {odeco: {s: [[2, 0], [0, 1]]}}, odeco"
MINE = HEAD % "'scaled:Scaled', {'scaled:Scaled': {scale: 2}}"


def rows(path: Path, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Store(path).query(sql).to_pylist()
    return found


@pytest.mark.slow
def test_given_s_from_grid_to_store(launch: Launch, tmp_path: Path) -> None:
    """`architecture` stays a name to filter on; S is in the spec, from which the run can be repeated."""
    ended = launch(ODECO)
    assert ended.counts == counts_of(converged=6)
    store = tmp_path / "results.duckdb"
    found = rows(store, "SELECT run_id, width, alpha, spec FROM runs WHERE architecture = 'odeco'")
    assert len(found) == 6
    assert {row["width"] for row in found} == {2}
    for row in found:
        assert RunSpec.from_dict(json.loads(row["spec"])).run_id == row["run_id"]
    sql = """
        SELECT architecture_detail AS given, count(*) AS n, max(distance) AS worst
        FROM convergence WHERE architecture = 'odeco' AND prediction = 'minimum_q_norm' GROUP BY ALL
    """
    exact = rows(store, sql)
    assert sorted(json.loads(row["given"] or "{}").get("s", [[0]])[0][0] for row in exact) == [0, 1, 2]
    assert all(row["n"] == 2 and row["worst"] < 1e-5 for row in exact)
    assert launch(ODECO).plan["pending"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("local", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["local", "ray"])
def test_a_network_of_the_users_own(
    local: bool, launch: Launch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A module beside the grid is found here and by Ray's workers; its decomposition is what predictions go by."""
    if not local:
        request.getfixturevalue("cluster")
    ended = launch(MINE, local=local)
    assert ended.counts == counts_of(converged=4)
    sql = """
        SELECT architecture_detail AS given, alpha, max(distance) AS worst, count(*) AS predictions
        FROM convergence WHERE architecture = 'scaled:Scaled' AND kind = 'exact' GROUP BY ALL ORDER BY ALL
    """
    found = rows(tmp_path / "results.duckdb", sql)
    assert [json.loads(row["given"] or "null") for row in found] == [{"scale": 2}] * 2 + [None] * 2
    assert all(row["predictions"] == 2 and row["worst"] < 1e-5 for row in found)


@pytest.mark.slow
def test_a_wrong_invariant_is_named_at_the_end_of_a_launch(launch: Launch, tmp_path: Path) -> None:
    ended = launch(
        SMALL.replace("architecture: diagonal", "architecture: [diagonal, 'scaled:Unbalanced']"), "rtol=1e-6"
    )
    assert (ended.counts["converged"], ended.drifting, ended.to_dict()["drifting"]) == (16, 8, 8)
    (line,) = [line for line in ended.lines() if "drifted" in line]
    assert line.startswith(
        "conserved quantities drifted by more than 100 rtol in 8 converged runs: check the invariants "
    )
    found = Store(tmp_path / "results.duckdb").query(line.split('"')[1])
    assert found["architecture"].to_pylist() == ["scaled:Unbalanced"] * 8
    right = launch(SMALL, "rtol=1e-6")
    assert right.drifting == 0
    assert not any("drifted" in line for line in right.lines())


TENSOR = """
task: regression
data: {points: {x: [[1, 2]], y: [1]}}
record: false
grid: {architecture: [%s], init: gaussian, seed: {range: [0, 2]}}
"""
LISTED = "{tensor: {values: [[[1, 2], [0, 1]], [[0.5, -1], [3, 1]]]}}"
STORED = "{tensor: {file: arrays/m.npy}}"


def store_array(folder: Path, scale: float = 1.0) -> np.ndarray:
    array = scale * np.array([[[1, 2], [0, 1]], [[0.5, -1], [3, 1]]])
    (folder / "arrays").mkdir(exist_ok=True)
    np.save(folder / "arrays" / "m.npy", array)
    return array


def runs_of(path: Path) -> list[RunSpec]:
    return [candidate.spec for candidate in Expansion(load(path)).candidates()]


def test_nested_lists_are_one_network(write: Write) -> None:
    """Not a list of several; its depth follows."""
    runs = runs_of(write(TENSOR % f"{LISTED}, {{group_convolutional: {{group: {{cyclic: 2}}}}}}"))
    assert [(run.architecture_name, run.depth) for run in runs[::2]] == [("tensor", 2), ("group_convolutional", 2)]


@pytest.mark.parametrize(
    "section",
    ["grid: {architecture: %s}", "architecture: %s", "list: [{architecture: %s}]", "zip: {network: [%s]}",
     "random: {n: 1, architecture: {choice: [%s]}}",
     "architecture: diagonal\nblocks: [{architecture: %s}]"],
)  # fmt: skip
def test_a_tensors_file_is_found_from_the_grids_folder(
    section: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the launch is, and wherever in the grid it stands; the file counts by its content."""
    store_array(tmp_path)
    head = "task: regression\ndata: {points: {x: [[1, 2]], y: [1]}}\ninit: gaussian\n"
    path = write(head + section % STORED)
    monkeypatch.chdir("/")
    (run,) = runs_of(path)
    assert isinstance(run.architecture, dict)
    given = run.architecture["tensor"]
    assert given["file"] == str(tmp_path / "arrays" / "m.npy")
    assert "values" not in given or given["values"] is None
    other = tmp_path / "elsewhere"
    other.mkdir()
    store_array(other)
    (other / "grid.yaml").write_text(path.read_text())
    assert runs_of(other / "grid.yaml")[0].run_id == run.run_id
    store_array(other, 2.0)
    assert runs_of(other / "grid.yaml")[0].run_id != run.run_id


def test_a_missing_file_is_a_mistake_with_its_line(write: Write) -> None:
    with pytest.raises(GridError, match=r"grid.yaml:5: architecture: file .*arrays/m.npy does not exist; a relative"):
        load(write(TENSOR % STORED))


def test_names_that_need_parameters_say_so(write: Write) -> None:
    for name, wanted in (("tensor", "tensor needs its numbers"), ("group_convolutional", "needs its group")):
        with pytest.raises(GridError, match=wanted):
            load(write(TENSOR % name))
        assert name not in json_schema()["properties"]["architecture"]["anyOf"][0]["anyOf"][0]["enum"]


def test_the_example_of_a_group() -> None:
    """Its data are unit columns of the real Fourier matrix of the group, and the optimum is 4 sqrt 2."""
    runs = runs_of(EXAMPLES / "group.yaml")
    assert {(run.depth, run.seed) for run in runs} == {(depth, seed) for depth in (2, 3) for seed in range(5)}
    entries = group_of({"dihedral": 4}).irreps[-1].matrices[:, 0, :].T / 2
    np.testing.assert_array_equal(runs[0].data["points"]["x"], entries)
    shown = [each for each in forecasts(runs[0], load_data(runs[0].data, "classification")) if each.objective]
    assert {each.prediction: each.objective for each in shown}["max_margin_schatten"] == pytest.approx(4 * np.sqrt(2))


@pytest.mark.slow
def test_the_example_of_a_group_ends_where_theory_says(launch: Launch, tmp_path: Path) -> None:
    ended = launch((EXAMPLES / "group.yaml").read_text())
    assert ended.counts == counts_of(converged=10)
    sql = "SELECT depth, distance, detail FROM convergence WHERE prediction = 'max_margin_schatten'"
    found = rows(tmp_path / "results.duckdb", sql)
    assert len(found) == 10
    assert all(row["distance"] < 1e-2 for row in found)
    reached = [json.loads(row["detail"])["objective_reached"] for row in found if row["depth"] == 2]
    assert reached == pytest.approx([4 * np.sqrt(2)] * 5, rel=1e-5)


@pytest.mark.slow
def test_a_tensor_from_grid_to_store(launch: Launch, tmp_path: Path) -> None:
    """Listed and from a file: the same ends, under two names."""
    array = store_array(tmp_path)
    ended = launch(TENSOR % f"{LISTED}, {STORED}")
    assert ended.counts == counts_of(converged=4)
    found = rows(tmp_path / "results.duckdb", "SELECT seed, beta, spec FROM runs ORDER BY seed, run_id")
    for one, other in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_allclose(one["beta"], other["beta"], rtol=1e-12)
        assert np.dot(one["beta"], [1, 2]) == pytest.approx(1)
    assert np.linalg.matrix_rank(array.reshape(2, -1)) == 2
    assert launch(TENSOR % STORED).plan["pending"] == 0
