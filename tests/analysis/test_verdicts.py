"""What is said of runs and predictions: from rows that are written here, so that every word has a known reason."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from analysis.frames import counts, scale
from analysis.wording import endings, headlines
from db.store import Store
from sweep.execution import records, summary
from tests.db import store_rows as rows

NOTHING = "nothing to do: the stop rule is met at the start; lower alpha or tighten stop"


def headline(store: Store, prediction: str) -> list[str]:
    (head,) = counts.HEAD.read(store).iter_rows(named=True)
    found = headlines(head, counts.ENDS.read(store), counts.PREDICTIONS.read(store), counts.LIMITS.read(store))
    return [sentence for sentence in found if prediction in sentence]


@pytest.mark.parametrize(
    ("residual", "remaining", "distance", "beyond", "unjudged"),
    [
        pytest.param(1e-10, 1e-10, 0.9e-5, 0, 0, marks=pytest.mark.slow),  # 100 rtol
        (1e-10, 1e-10, 1.1e-5, 1, 0),
        pytest.param(1e-3, 4e-3, 7.9e-3, 0, 0, marks=pytest.mark.slow),  # twice what the stop rule left of the way
        (1e-3, 4e-3, 8.1e-3, 1, 0),
        (0.1, 4e-3, 0.5, 0, 1),  # first order says nothing
        pytest.param(1e-10, None, 1.1e-5, 1, 0, marks=pytest.mark.slow),  # of an older version
        pytest.param(1e-3, None, 1.1e-5, 0, 1, marks=pytest.mark.slow),
    ],
)
def test_an_exact_prediction_is_judged_by_rtol_and_stop_rule(
    residual: float, remaining: float | None, distance: float, beyond: int, unjudged: int, empty: Path
) -> None:
    store = Store(empty)
    detail = json.dumps({} if remaining is None else {"remaining": remaining})
    predictions = rows.predictions(["a"], distance=distance, detail=detail)
    store.commit({"runs": rows.runs(["a"], residual=residual), "predictions": predictions})
    (row,) = counts.PREDICTIONS.read(store).iter_rows(named=True)
    assert (row["beyond"], row["unjudged"]) == (beyond, unjudged)
    assert counts.EXACTNESS.read(store)["beyond"].sum() == beyond
    assert counts.UNJUDGED.read(store).item() == unjudged
    (sentence,) = headline(store, "minimum_q_norm")
    assert ("contradicts it" in sentence) == bool(beyond)
    assert ("cannot be judged" in sentence) == bool(unjudged)
    assert ("as near as rtol and stop rule allow" in sentence) == (not beyond and not unjudged)


@pytest.mark.slow
def test_losses_are_told_apart(empty: Path) -> None:
    store = Store(empty)
    for loss, distance in (("exponential", 0.1), ("logistic", 0.3)):
        runs = rows.runs([loss], task="classification", loss=loss)
        predictions = rows.predictions([loss], prediction="max_margin_l2", kind="limit t->inf", distance=distance)
        asked = {"sweep_id": ["s"], "run_id": [loss]}
        store.commit({"runs": runs, "predictions": predictions, "sweep_runs": records.table("sweep_runs", asked)})
    assert counts.PREDICTIONS.read(store).select("loss", "worst").rows() == [("exponential", 0.1), ("logistic", 0.3)]
    assert ["exponential loss" in s for s in headline(store, "max_margin_l2")] == [True, False]
    table = summary.table(store, "s").to_pydict()
    assert (table["loss"], table["worst"]) == (["exponential", "logistic"], [0.1, 0.3])


def test_a_limit_is_judged_at_its_own_alpha(empty: Path) -> None:
    """Far from the limit the distance is no gap."""
    store = Store(empty)
    for name, alpha, near, far in (("a", 0.01, 0.02, 0.9), ("b", 1.0, 0.8, 0.03)):
        zero = rows.predictions([name], prediction="weighted_l1", kind="limit alpha->0", distance=near)
        infinite = rows.predictions([name], prediction="weighted_l2", kind="limit alpha->inf", distance=far)
        asked = records.table("sweep_runs", {"sweep_id": ["s"], "run_id": [name]})
        predictions = pa.concat_tables([zero, infinite])
        store.commit({"runs": rows.runs([name], alpha=alpha), "predictions": predictions, "sweep_runs": asked})
    judged = counts.PREDICTIONS.read(store).select("prediction", "runs", "judged", "judged_at", "worst").rows()
    assert judged == [("weighted_l1", 2, 1, 0.01, 0.02), ("weighted_l2", 2, 1, 1.0, 0.03)]
    table = summary.table(store, "s").to_pydict()
    assert (table["runs"], table["at alpha"], table["worst"]) == ([1, 1], [0.01, 1.0], [0.02, 0.03])


def test_a_count_is_of_the_runs_whose_distance_is_shown(empty: Path) -> None:
    store = Store(empty)
    for name, distance in (("a", 1e-9), ("b", None)):
        asked = records.table("sweep_runs", {"sweep_id": ["s"], "run_id": [name]})
        predictions = rows.predictions([name], distance=distance)
        store.commit({"runs": rows.runs([name]), "predictions": predictions, "sweep_runs": asked})
    assert counts.PREDICTIONS.read(store).select("runs", "judged", "without_distance").rows() == [(2, 1, 1)]
    table = summary.table(store, "s").to_pydict()
    assert (table["runs"], table["worst"]) == ([1], [1e-9])


def test_why_runs_did_not_converge_is_counted_by_reason(empty: Path) -> None:
    store = Store(empty)
    steps = "out of steps before the stop rule was met; raise stop.max_steps or loosen stop"
    names = ["a", "b", "c"]
    stopped = [
        rows.runs(names[:2], status="stopped", message=NOTHING),
        rows.runs(["c"], status="stopped", message=steps),
    ]
    drifted = [
        rows.runs([f"d{k}"], status="imprecise", message=f"conserved quantities drifted by {k} of the gaps")
        for k in range(2)
    ]
    asked = records.table("sweep_runs", {"sweep_id": ["s"] * 3, "run_id": names})
    runs = pa.concat_tables([*stopped, *drifted])
    store.commit({"runs": runs, "predictions": rows.predictions(["c", "d0", "d1"]), "sweep_runs": asked})
    said = endings(counts.ENDS.read(store))
    assert said == [
        "2 runs came out imprecise: conserved quantities drifted by a tenth or more of the gaps.",
        f"2 runs stopped: {NOTHING} (they are compared with no prediction, and in none of these counts).",
        f"1 run stopped: {steps}.",
    ]
    assert summary.endings(store, "s") == said[1:]
    (head,) = counts.HEAD.read(store).iter_rows(named=True)
    sentences = headlines(head, counts.ENDS.read(store), counts.PREDICTIONS.read(store), counts.LIMITS.read(store))
    assert sentences[:4] == ["0 of 5 runs converged.", *said]


def test_a_launch_says_what_it_found_and_what_to_do_next(empty: Path) -> None:
    store = Store(empty)
    asked = records.table("sweep_runs", {"sweep_id": ["s"] * 3, "run_id": ["a", "b", "c"]})
    runs = pa.concat_tables([rows.runs(["a", "b"], residual=1e-10), rows.runs(["c"], residual=0.5)])
    met = rows.predictions(["a", "c"], distance=2e-10, detail='{"remaining": 1e-10}')
    missed = rows.predictions(["b"], distance=0.25, detail='{"remaining": 1e-10}')
    store.commit({"runs": runs, "predictions": pa.concat_tables([met, missed]), "sweep_runs": asked})
    found = summary.found_lines(store, "s", "my results.duckdb")
    assert found[0] == "1 run met 1 exact prediction within 2.0e-10, as near as rtol and stop rule allow"
    assert found[1].startswith(
        "1 run ended farther from exact predictions than rtol and stop rule allow, up to 2.5e-01;"
    )
    assert found[2].startswith("1 run cannot be judged by exact predictions")
    assert found[3] == (
        "next: sweep report --store 'my results.duckdb', "
        "sweep chart exactness -o exactness.png --store 'my results.duckdb'"
    )


@pytest.mark.slow
def test_the_report_has_the_slopes_of_the_view(empty: Path) -> None:
    """Two data sets, of powers 1 and 2: not one line through both."""
    store = Store(empty)
    for power in (1, 2):
        for k, alpha in enumerate((3e-3, 1e-2, 5e-2)):
            name = f"{power}{k}"
            runs = rows.runs([name], alpha=alpha, dataset=f"drawn-{power}", residual=1e-10)
            limit = rows.predictions([name], prediction="weighted_l1", kind="limit alpha->0", distance=alpha**power)
            store.commit({"runs": runs, "predictions": limit})
    (row,) = scale.LIMIT_SLOPES.read(store).iter_rows(named=True)
    assert (row["curves"], row["runs"]) == (2, 6)
    assert (row["least"], row["slope"], row["largest"]) == pytest.approx((1.0, 1.5, 2.0))
    assert scale.LIMIT_SLOPES.read(store, "dataset = 'drawn-2'")["slope"].to_list() == [pytest.approx(2.0)]
