"""Cards of runs: what the store holds of a run, and nothing where lists are no path."""

from typing import Any

import pytest

from analysis.cards import MOST_COORDINATES, MOST_POINTS, _path, cards
from db.store import Store


def test_a_card_is_what_the_store_holds(store: Store) -> None:
    (run,) = store.query("SELECT * FROM runs WHERE task = 'regression' ORDER BY run_id LIMIT 1").to_pylist()
    (card,) = cards(store, [run["run_id"]]).values()
    assert card["axes"]["architecture"] == run["architecture"]
    assert card["axes"]["depth"] == str(run["depth"])
    found = store.query("SELECT prediction FROM predictions WHERE run_id = ?", [run["run_id"]])["prediction"]
    assert sorted(line[0] for line in card["predictions"]) == sorted(found.to_pylist())
    (beta,) = store.query("SELECT beta FROM trajectories WHERE run_id = ?", [run["run_id"]])["beta"].to_pylist()
    ends = [line["values"][-1] for line in card["path"]["beta"]]
    assert ends == pytest.approx(beta[-1][: len(ends)], rel=1e-3)


def test_a_long_path_is_thinned_and_its_end_stays() -> None:
    beta = [[float(k * j) for j in range(20)] for k in range(500)]
    found = _path([float(k) for k in range(500)], beta)
    assert found is not None
    assert found["time"][-1] == 499
    assert len(found["time"]) <= MOST_POINTS + 1
    assert [line["coordinate"] for line in found["beta"]] == [f"β{j}" for j in range(15, 21)]
    assert len(found["beta"]) == MOST_COORDINATES


@pytest.mark.parametrize(
    ("log_time", "beta"),
    [
        ([0.0, 1.0], [[1.0], [1.0, 2.0]]),
        ([0.0], [[1.0], [2.0]]),
        ([None, float("nan")], [[1.0], [2.0]]),
        ([0.0, 1.0], [[None], [float("inf")]]),
        ([0.0], [None]),
    ],
)
def test_what_is_no_path_is_not_drawn(log_time: list[Any], beta: list[Any]) -> None:
    found = _path(log_time, beta)
    assert found is None or not found["beta"]
