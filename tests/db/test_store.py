"""What goes in comes out, once; a result is final, a failure is not."""

import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.arrow import TABLES, schema
from db.store import NoStore, QueryError, Store
from tests.db import store_rows as rows


def statuses(store: Store) -> dict[str, str]:
    found = store.query("SELECT run_id, status FROM runs").to_pydict()
    assert len(set(found["run_id"])) == len(found["run_id"])
    return dict(zip(found["run_id"], found["status"], strict=True))


def counts(store: Store) -> dict[str, int]:
    return {name: store.query(f"SELECT count(*) AS n FROM {name}")["n"][0].as_py() for name in TABLES}


def everything() -> dict[str, pa.Table]:
    """Rows of every table."""
    sweep = {"sweep_id": "s", "name": "n", "created_at": datetime(2026, 1, 1), "packages": '{"jax":"0.10"}'}
    return {
        **rows.results(["a", "b"]),
        "sweeps": rows.table("sweeps", {}, [sweep]),
        "sweep_runs": rows.table("sweep_runs", {"sweep_id": "s"}, [{"run_id": "a"}, {"run_id": "b"}]),
        "attempts": rows.attempts([{"attempt_id": "1", "batch_id": "x"}]),
    }


@pytest.mark.parametrize("name", TABLES)
def test_rows_come_back_as_they_went_in(store: Store, name: str) -> None:
    tables = everything()
    assert store.commit(tables) == 2
    found = store.query(f"SELECT * FROM {name} ORDER BY ALL")
    assert found.column_names == schema(name).names
    # text, because NaN is not equal to itself
    assert str(found.to_pylist()) == str(tables[name].to_pylist())


def test_committing_again_changes_nothing(store: Store) -> None:
    store.commit(everything())
    before = counts(store)
    assert store.commit(everything()) == 0
    assert counts(store) == before == {name: 1 if name in ("sweeps", "attempts") else 2 for name in TABLES}


def test_a_run_twice_in_one_commit_is_stored_once(store: Store) -> None:
    twice = {name: pa.concat_tables([table, table]) for name, table in everything().items()}
    assert store.commit(twice) == 2
    assert counts(store) == {name: 1 if name in ("sweeps", "attempts") else 2 for name in TABLES}


def test_a_result_is_final(store: Store) -> None:
    store.commit(rows.results(["a"], log_loss=-1.0))
    assert store.commit(rows.results(["a"], status="stopped", log_loss=-2.0)) == 0
    assert store.commit({"runs": rows.runs(["a"], status="failed", beta=None)}) == 0
    assert store.query("SELECT status, log_loss FROM runs").to_pylist() == [{"status": "converged", "log_loss": -1.0}]


def test_a_failure_is_replaced(store: Store) -> None:
    store.commit({"runs": rows.runs(["a", "b"], status="failed", beta=None)})
    assert store.commit({"runs": rows.runs(["b"], status="failed", beta=None, message="again")}) == 1
    assert store.commit(rows.results(["a"])) == 1
    assert statuses(store) == {"a": "converged", "b": "failed"}
    assert store.query("SELECT message FROM runs WHERE run_id = 'b'")["message"].to_pylist() == ["again"]
    assert counts(store)["trajectories"] == 1


def test_of_a_failure_and_a_result_in_one_commit_the_result_stays(store: Store) -> None:
    both = pa.concat_tables([rows.runs(["a"], status="failed"), rows.runs(["a"])])
    store.commit({"runs": both, "trajectories": rows.trajectories(["a"])})
    assert statuses(store) == {"a": "converged"}


def test_rows_of_a_run_come_with_it(store: Store) -> None:
    with pytest.raises(ValueError, match="predictions of a run that is not in the same commit"):
        store.commit({"runs": rows.runs(["a"]), "predictions": rows.predictions(["b"])})
    with pytest.raises(ValueError, match="no table is named 'run'"):
        store.commit({"run": rows.runs(["a"])})
    assert counts(store)["runs"] == 0


def test_a_commit_that_fails_leaves_nothing(store: Store) -> None:
    broken = rows.attempts([{"attempt_id": "1"}]).drop_columns(["outcome"])
    with pytest.raises(Exception, match="NOT NULL"):
        store.commit({**rows.results(["a"]), "attempts": broken})
    assert set(counts(store).values()) == {0}


def test_columns_may_be_left_out(store: Store) -> None:
    store.commit({"runs": rows.runs(["a"]).drop_columns(["width", "beta"])})
    assert store.query("SELECT width, beta FROM runs").to_pylist() == [{"width": None, "beta": None}]


def test_missing_is_the_set_difference_in_order(store: Store) -> None:
    store.commit(rows.results(["c", "a"]))
    asked = pa.array(["e", "c", "d", "a", "b"])
    for form in (asked, pa.chunked_array([asked[:2], asked[2:]]), pa.table({"run_id": asked})):
        assert store.missing(form).to_pylist() == ["e", "d", "b"]
    assert store.missing(pa.array([], pa.string())).to_pylist() == []


def test_runs_that_failed_retryably_are_missing(store: Store) -> None:
    store.commit(
        {
            "runs": rows.runs(["lost", "bug", "lost then bug", "untold"], status="failed", beta=None),
            "attempts": rows.attempts(
                {
                    "attempt_id": str(number),
                    "run_id": run,
                    "outcome": "failed",
                    "retryable": retryable,
                    "started_at": at,
                }
                for number, (run, retryable, at) in enumerate(
                    [
                        ("lost", True, datetime(2026, 1, 1)),
                        ("bug", False, datetime(2026, 1, 1)),
                        ("lost then bug", False, datetime(2026, 1, 2)),
                        ("lost then bug", True, datetime(2026, 1, 1)),
                        (None, True, datetime(2026, 1, 3)),
                    ]
                )
            ),
        }
    )
    asked = pa.array(["bug", "lost", "lost then bug", "untold"])
    assert store.missing(asked).to_pylist() == ["lost"]
    assert store.missing(asked, retry_failed=True).to_pylist() == asked.to_pylist()


def test_a_store_that_does_not_exist_has_no_results(tmp_path: Path) -> None:
    store = Store(tmp_path / "none.duckdb")
    assert store.missing(pa.array(["a"])).to_pylist() == ["a"]
    for use in (lambda: store.query("SELECT 1"), lambda: store.commit(everything()), store.upgrade):
        with pytest.raises(NoStore, match="does not exist"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_query_takes_parameters_and_tables(store: Store) -> None:
    store.commit(rows.results(["a", "b"]))
    wanted = pa.table({"run_id": ["b", "z"]})
    found = store.query("SELECT run_id FROM runs JOIN wanted USING (run_id) WHERE depth = ?", [2], {"wanted": wanted})
    assert found.to_pydict() == {"run_id": ["b"]}
    assert store.query("SELECT $x AS x", {"x": 3}).to_pydict() == {"x": [3]}


LONG = "SELECT count(*) AS n FROM (SELECT row_number() OVER (ORDER BY hash(range)) FROM range(15000000))"


@pytest.mark.slow
def test_a_long_query_prints_no_bar_into_the_output(tmp_path: Path) -> None:
    """DuckDB draws one after two seconds in a Python that has no file as its program."""
    store = Store(tmp_path / "results.duckdb")
    store.create()
    script = f"from db.store import Store; Store({str(store.path)!r}).query({LONG!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_an_interrupted_query_is_an_interrupt(store: Store) -> None:
    """DuckDB makes a RuntimeError of it."""
    done = threading.Event()

    def interrupt() -> None:
        while not done.wait(0.5):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may ignore it
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            store.query("SELECT count(*) FROM range(1000000) a, range(100000) b WHERE a.range * b.range % 7 = 3")
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert store.query("SELECT 1 AS x").to_pydict() == {"x": [1]}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 FROM", "syntax error"),
        ("SELECT * FROM run", "Did you mean"),
        ("SELECT depht FROM runs", "depth"),
        ("", "is no query; write SQL such as SELECT"),
        (" \n", "is no query"),
        ("-- a comment", "is no query"),
        ("DELETE FROM runs", "read-only"),
        ("DROP TABLE runs", "read-only"),
        ("SELECT 'a'::INTEGER", "Could not convert"),
        ("SELECT * FROM wanted", "does not exist"),
    ],
)
def test_wrong_sql_is_told(store: Store, sql: str, message: str) -> None:
    wanted = pa.table({"run_id": ["a"]})  # SQL must not see Python's variables
    with pytest.raises(QueryError, match=message):
        store.query(sql)
    assert wanted.num_rows == 1


STATUSES = st.sampled_from(["converged", "stopped", "diverged", "failed"])
COMMITS = st.lists(st.lists(st.tuples(st.sampled_from("abcd"), STATUSES), max_size=4), max_size=4)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=COMMITS)
def test_any_order_of_commits_keeps_first_results(
    new_store: Callable[[], Store], commits: list[list[tuple[str, str]]]
) -> None:
    store, model = new_store(), dict[str, str]()
    for commit in commits:
        tables = [rows.runs([run], status=status) for run, status in commit]
        if tables:
            runs = pa.concat_tables(tables)
            ids = runs["run_id"].unique().to_pylist()
            store.commit({"runs": runs, "predictions": rows.predictions(ids), "trajectories": rows.trajectories(ids)})
        good = {run: status for run, status in reversed(commit) if status != "failed"}
        for run, _ in commit:
            if model.get(run, "failed") == "failed":
                model[run] = good.get(run, "failed")
    assert statuses(store) == model
    assert counts(store)["predictions"] == counts(store)["trajectories"] == len(model)
    kept = {run for run, status in model.items() if status != "failed"}
    assert set(store.missing(pa.array(list("abcd")), retry_failed=True).to_pylist()) == set("abcd") - kept


def test_infinities_and_nan_survive_in_lists(store: Store) -> None:
    store.commit(rows.results(["a"]))
    (found,) = store.query("SELECT log_time, residual, norm FROM trajectories").to_pylist()
    assert found["log_time"][0] == -math.inf
    assert math.isnan(found["residual"][1])
    assert found["norm"][1] == math.inf
