"""Filters that match nothing say which value no run has."""

from pathlib import Path

import pytest

from analysis.absent import absent_values
from analysis.charts import save
from analysis.errors import BadFilter, EndedEarly, NoRun
from db.store import Store
from tests.db import store_rows as rows


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("two") / "results.duckdb")
    store.create()
    store.commit(rows.results(["a"], architecture="diagonal", depth=2))
    store.commit(rows.results(["b"], architecture="convolutional", depth=3))
    return store


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (
            "architecture = 'diagnal'",
            ["no run has architecture = 'diagnal' (did you mean diagonal?); there is convolutional, diagonal"],
        ),
        ("depth IN (2, 7) AND 'diagonal' = architecture", ["no run has depth = 7; there is 2, 3"]),
        ("prediction = 'weighted_l1'", ["no run has prediction = 'weighted_l1'; there is minimum_q_norm"]),
        ("depth = 2 AND architecture = 'convolutional'", []),
        ("upper(architecture) = 'X' OR alpha < 0", []),
    ],
)
def test_values_that_no_run_has(two: Store, where: str, said: list[str]) -> None:
    assert absent_values(two, f"SELECT * FROM convergence WHERE {where}") == said


def test_a_chart_without_runs_says_why(two: Store, tmp_path: Path) -> None:
    with pytest.raises(NoRun, match=r"no run of the store meets .*did you mean diagonal\?\); there is convolutional"):
        save("exactness", two, tmp_path / "a.svg", "architecture = 'diagnal'")
    with pytest.raises(BadFilter, match="did you mean architecture"):
        save("exactness", two, tmp_path / "a.svg", "architectur = 'diagonal'")


@pytest.mark.parametrize("name", ["margins", "loss_rate", "classification_distance"])
def test_runs_that_ended_early_are_counted(empty: Path, tmp_path: Path, name: str) -> None:
    store = Store(empty)
    trajectories = rows.table("trajectories", rows.TRAJECTORY, [{"run_id": "a", "log_loss": [0.5, -0.5]}])
    store.commit({"runs": rows.runs(["a"], task="classification"), "trajectories": trajectories})
    with pytest.raises(EndedEarly, match="starts at -log Loss = 1: none of the 1 classification runs"):
        save(name, store, tmp_path / "a.svg")
