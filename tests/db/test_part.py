"""A part of a store answers as the store does about those runs, and stays as it was."""

import pyarrow as pa
import pytest

from db.connection import SEAL
from db.errors import QueryError
from db.part import part
from db.store import Store
from tests.db import store_rows as rows

TABLES = ("runs", "predictions", "trajectories", "path_predictions", "saddles")
VIEWS = ("convergence", "orbits", "approach", "along_path", "slopes")


@pytest.mark.parametrize("name", [*TABLES, *VIEWS])
def test_a_part_answers_as_the_store_about_its_runs(store: Store, name: str) -> None:
    ids = ["a", "b", "c"]
    of_the_path = pa.concat_tables([rows.predictions(ids), rows.predictions(ids, prediction="lasso_path")])
    store.commit({**rows.results(ids), "predictions": of_the_path})
    asked = "" if name == "slopes" else "WHERE run_id < 'c'"
    with part(store, "run_id < 'c'") as some:
        found = some.query(f"FROM {name} ORDER BY ALL")
    expected = store.query(f"FROM {name} {asked} ORDER BY ALL")
    assert found.column_names == expected.column_names
    assert str(found.to_pylist()) == str(expected.to_pylist())  # NaN is not NaN
    assert name == "slopes" or found.num_rows > 0


def test_a_part_is_of_one_moment_and_lets_the_store_be_written(store: Store) -> None:
    store.commit(rows.results(["a"]))
    with part(store, "true") as some:
        store.commit(rows.results(["b"]))
        assert some.query("SELECT run_id FROM runs")["run_id"].to_pylist() == ["a"]
    assert store.query("SELECT count(*) AS n FROM runs")["n"].to_pylist() == [2]


@pytest.mark.parametrize(
    "sql", ["FROM '/etc/hosts'", "COPY runs TO '/tmp/runs.csv'", "SET threads = 9", "DELETE FROM runs", SEAL]
)
def test_a_part_sees_no_file_and_changes_nothing(store: Store, sql: str) -> None:
    with part(store, "true") as some, pytest.raises(QueryError):
        some.query(sql)
