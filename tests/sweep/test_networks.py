"""Networks with parameters from grid to store: S of an odeco network, and a class of the user's own beside the grid."""

import json
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from kernels.spec import RunSpec
from tests.sweep.conftest import SMALL, Launch, counts_of

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
