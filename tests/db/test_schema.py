"""Migrations lead to the models; other versions are refused; views agree with the tables."""

import math
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import duckdb_sqlalchemy.alembic_impl  # noqa: F401
import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import configure_mappers

from db import columns as words
from db import schema
from db.models import Base
from db.store import NewerSchema, OlderSchema, Store
from tests.db import store_rows as rows
from tests.marks import sampled

REVISION = '''"""Add a note."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{last}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("note", sa.String()))
    {then}


def downgrade() -> None:
    op.drop_column("runs", "note")
'''


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations and models of a later version of this program: one revision more. Returns its file."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder)
    file = folder / "versions" / "r9999_add_a_note.py"
    file.write_text(REVISION.format(last=schema.revisions()[-1], then="pass"))
    monkeypatch.setattr(schema, "MIGRATIONS", folder)
    before = schema.expected

    def models() -> dict[str, schema.Columns]:
        tables = before()
        return {**tables, "runs": {**tables["runs"], "note": ("VARCHAR", True)}} if file.exists() else tables

    monkeypatch.setattr(schema, "expected", models)
    return file


def columns(store: Store) -> set[str]:
    return set(
        store.query("SELECT column_name FROM duckdb_columns() WHERE table_name = 'runs'")["column_name"].to_pylist()
    )


def test_models_are_mapped() -> None:
    configure_mappers()


def test_migrations_lead_to_the_models(store: Store) -> None:
    engine = sa.create_engine(sa.URL.create("duckdb", database=str(store.path)), poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, Base.metadata)
    assert [each for each in found if each[0][0] != "modify_comment"] == []  # the words are no part of the models


def test_revisions_are_those_of_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert schema.revisions() == [revision.revision for revision in reversed(list(script.walk_revisions()))]
    assert script.get_heads() == [schema.revisions()[-1]]


def of_revision(path: Path, revision: str) -> Path:
    """An empty store as an older version made it."""
    engine = sa.create_engine(sa.URL.create("duckdb", database=str(path)), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        schema.migrate(connection, revision)
    return path


@pytest.mark.parametrize("revision", sampled(schema.revisions(), 4))
def test_every_older_store_upgrades(tmp_path: Path, revision: str) -> None:
    path = of_revision(tmp_path / f"{revision}.duckdb", revision)
    assert Store(path).upgrade() == (revision, schema.revisions()[-1])
    Store(path).create()


def test_older_runs_get_the_loss_of_their_task(tmp_path: Path) -> None:
    path = of_revision(tmp_path / "0001.duckdb", "0001")
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE VIEW convergence AS SELECT task FROM runs")
        for task in ("regression", "classification"):
            incoming = rows.runs([task], task=task).drop_columns(["loss", "gap_drift", "condition", "checksum"])
            connection.register("incoming", incoming)
            connection.execute("INSERT INTO runs BY NAME FROM incoming")
    with pytest.raises(OlderSchema, match="sweep db upgrade"):
        Store(path).create()
    store = Store(path)
    store.upgrade()
    store.create()
    found = store.query("SELECT run_id, loss FROM runs ORDER BY run_id").to_pydict()
    assert found == {"run_id": ["classification", "regression"], "loss": ["exponential", "squared"]}


def test_an_older_store_is_refused_until_upgraded(store: Store, later: Path) -> None:
    revision = later.read_text()
    later.unlink()
    store.commit(rows.results(["a"]))
    later.write_text(revision)
    before = store.path.read_bytes()
    for use in (store.create, lambda: store.query("SELECT 1"), lambda: store.commit(rows.results(["b"]))):
        with pytest.raises(OlderSchema, match="sweep db upgrade"):
            use()
    assert store.path.read_bytes() == before
    assert store.upgrade() == (schema.revisions()[-2], "9999")
    assert store.upgrade() == ("9999", "9999")
    store.create()
    assert "note" in columns(store)
    assert store.query("SELECT run_id FROM convergence").num_rows == 1


def test_a_failed_upgrade_rolls_back(store: Store, later: Path) -> None:
    later.write_text(REVISION.format(last=schema.revisions()[-2], then='op.drop_table("no_such_table")'))
    with pytest.raises(Exception, match="no_such_table"):
        store.upgrade()
    later.unlink()
    store.create()
    assert "note" not in columns(store)


def test_a_newer_store_is_refused(store: Store, later: Path) -> None:
    store.upgrade()
    later.unlink()
    before = store.path.read_bytes()
    for use in (store.create, store.upgrade, lambda: store.query("SELECT 1")):
        with pytest.raises(NewerSchema, match="newer than"):
            use()
    assert store.path.read_bytes() == before


def test_changed_views_are_made_again(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.path.stat().st_mtime_ns
    store.create()
    assert store.path.stat().st_mtime_ns == before
    changed = tmp_path / "views.sql"
    changed.write_text(schema.VIEWS.read_text() + "CREATE OR REPLACE VIEW two AS SELECT 2 AS n;")
    monkeypatch.setattr(schema, "VIEWS", changed)
    store.create()
    assert store.query("FROM two").to_pydict() == {"n": [2]}


def test_every_column_says_what_it_holds(store: Store) -> None:
    silent = "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal"
    assert store.query(silent).to_pylist() == []
    said = "SELECT comment FROM duckdb_columns() WHERE table_name = $table AND column_name = 'beta'"
    assert store.query(said, {"table": "runs"}) != store.query(said, {"table": "saddles"})


def test_no_words_are_of_a_column_that_is_not_there(store: Store) -> None:
    there = store.query("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal").to_pylist()
    having = {(row["table_name"], row["column_name"]) for row in there}
    assert {(table, column) for table, own in words.OWN.items() for column in own} <= having
    assert words.COMMON.keys() <= {column for _, column in having}


def test_a_store_without_the_words_gets_them_at_the_next_launch(store: Store) -> None:
    with duckdb.connect(str(store.path)) as older:
        older.execute("COMMENT ON COLUMN runs.alpha IS NULL; COMMENT ON VIEW convergence IS 'of older views'")
    store.create()
    said = "SELECT comment FROM duckdb_columns() WHERE table_name = 'runs' AND column_name = 'alpha'"
    assert store.query(said)["comment"].to_pylist() == ["initialisation scale"]


def test_plain_duckdb_reads_the_views(store: Store) -> None:
    store.commit(rows.results(["a"]))
    with duckdb.connect(str(store.path), read_only=True) as connection:
        for view in ("convergence", "orbits", "approach", "along_path", "slopes", "progress"):
            connection.sql(f"FROM {view}").fetchall()


def test_orbits_are_the_lists_unnested(store: Store) -> None:
    integrals = rows.table("trajectories", rows.TRAJECTORY, [{"run_id": "b", "residual_integral": [[1.0], [2.0]]}])
    both = pa.concat_tables([rows.trajectories(["a"]), integrals])
    store.commit({"runs": rows.runs(["a", "b"]), "trajectories": both})
    plain = """SELECT r.run_id, r.alpha, generate_subscripts(step, 1) AS point, unnest(COLUMNS(t.* EXCLUDE (run_id)))
        FROM runs r JOIN trajectories t USING (run_id) ORDER BY run_id, point"""
    found = store.query("FROM orbits ORDER BY run_id, point")
    expected = store.query(plain)
    assert str(found.select(expected.column_names).to_pylist()) == str(expected.to_pylist())  # NaN is not NaN
    assert found.num_rows == 4


def test_convergence_has_a_row_a_run_and_prediction(store: Store) -> None:
    store.commit(
        {
            "runs": rows.runs(["a", "b", "c"]),
            "predictions": pa.concat_tables(
                [rows.predictions(["a", "b"]), rows.predictions(["a"], prediction="other")]
            ),
        }
    )
    found = store.query("SELECT run_id, prediction FROM convergence ORDER BY ALL").to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("a", "minimum_q_norm"),
        ("a", "other"),
        ("b", "minimum_q_norm"),
    ]


def test_convergence_tells_what_is_not_certified(store: Store) -> None:
    """A certificate without coefficients; statements that need no certificate are neither."""
    kinds: dict[str, dict[str, Any]] = {
        "good": {"certificate": 1e-12},
        "bad": {"certificate": 1.0, "beta": None, "distance": None},
        "stated": {"beta": None},
    }
    parts = [rows.predictions(["a"], prediction=name, **columns) for name, columns in kinds.items()]
    store.commit({"runs": rows.runs(["a"]), "predictions": pa.concat_tables(parts)})
    found = store.query("SELECT prediction, certified FROM convergence ORDER BY ALL").to_pylist()
    assert {row["prediction"]: row["certified"] for row in found} == {"good": True, "bad": False, "stated": None}


def test_approach_is_the_distance_along_the_orbit(store: Store) -> None:
    store.commit(rows.results(["r"]))
    store.commit(rows.results(["c"], task="classification"))
    found = store.query("SELECT run_id, point, norm, distance FROM approach ORDER BY ALL").to_pylist()
    assert [(row["run_id"], row["point"], row["norm"]) for row in found] == [
        ("c", 1, 1.0),
        ("c", 2, math.inf),
        ("r", 1, 1.0),
        ("r", 2, math.inf),
    ]
    beta, predicted = np.array([3.0, 4.0]), np.array([3.0, 0.0])
    unit = np.linalg.norm(beta / 5 - predicted / 3)
    assert found[0]["distance"] is None
    expected = [unit, 1.0, np.linalg.norm(beta - predicted) / 3]
    assert [row["distance"] for row in found[1:]] == pytest.approx(expected, rel=1e-15)


def test_along_path_is_the_orbit_at_the_point(store: Store) -> None:
    """beta, times and loss of the recorded point, numbered from 1, beside what is predicted of it."""
    tables = rows.results(["r"])
    tables["predictions"] = rows.predictions(["r"], prediction="lasso_path", kind="limit alpha->0")
    tables["path_predictions"] = pa.concat_tables(
        [
            rows.path_predictions(["r"], certificate=1e-12, bound=0.5),
            rows.path_predictions(["r"], point=1, certificate=1.0, beta=None),
        ]
    )
    store.commit(tables)
    columns = "point, kind, step, log_time, log_loss, beta, predicted, certified, bound"
    first, second = store.query(f"SELECT {columns} FROM along_path ORDER BY point").to_pylist()
    assert tuple(second.values()) == (2, "limit alpha->0", 7, 1.0, -9.0, [3.0, 4.0], [1.0, 0.0], True, 0.5)
    assert tuple(first.values()) == (1, "limit alpha->0", 0, -math.inf, 0.0, [0.0, 0.0], None, False, None)
    # what is said of points is no word on where the run ends
    assert store.query("SELECT * FROM approach").num_rows == 0


def test_slopes_are_the_least_squares_fit(store: Store) -> None:
    rng = np.random.default_rng(0)
    alphas = np.geomspace(1e-3, 1, 9)
    distances = 0.05 * alphas**1.5 * np.exp(0.1 * rng.standard_normal(9))
    names = [f"run {index}" for index in range(9)]
    runs = [{"run_id": name, "alpha": alpha} for name, alpha in zip(names, alphas, strict=True)]
    told = ['{"slope": 1.4}', "{}", '{"slope": 1.6}'] * 3
    gaps = [
        {"run_id": name, "distance": gap, "detail": detail}
        for name, gap, detail in zip(names, distances, told, strict=True)
    ]
    lost = [{"run_id": name, "alpha": 7.0} for name in ("exact", "noise", "far", "endless")]
    limit = {**rows.PREDICTION, "kind": "limit alpha->0"}
    store.commit(
        {
            "runs": rows.table("runs", rows.RUN, runs + lost),
            "predictions": rows.table(
                "predictions",
                limit,
                [
                    *gaps,
                    {"run_id": "exact", "kind": "exact", "distance": 0.05},
                    {"run_id": "noise", "distance": 1e-8},
                    {"run_id": "far", "distance": 0.5},
                    {"run_id": "endless", "kind": "limit t->inf", "distance": 0.05},
                ],
            ),
        }
    )
    (row,) = store.query("SELECT * FROM slopes").to_pylist()
    (slope, intercept), covariance = np.polyfit(np.log(alphas), np.log(distances), 1, cov=True)
    assert row["runs"] == row["alphas"] == 9
    assert row["predicted_slope"] == pytest.approx(1.5)
    assert (row["slope"], row["intercept"]) == pytest.approx((slope, intercept), rel=1e-10)
    assert row["standard_error"] == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-10)


def test_progress_counts_the_runs_of_a_sweep(store: Store) -> None:
    sweep = {"sweep_id": "s", "name": "n", "created_at": datetime(2026, 1, 1)}
    asked = [{"run_id": run} for run in "abc"]
    store.commit(
        {"sweeps": rows.table("sweeps", {}, [sweep]), "sweep_runs": rows.table("sweep_runs", {"sweep_id": "s"}, asked)}
    )
    store.commit({"runs": rows.runs(["a"])})
    store.commit({"runs": rows.runs(["b"], status="failed")})
    (row,) = store.query("SELECT * FROM progress").to_pylist()
    assert (row["runs"], row["done"], row["converged"], row["failed"], row["pending"]) == (3, 2, 1, 1, 1)
    assert row["finished_at"] is None
    store.commit({"runs": rows.runs(["c"], created_at=datetime(2026, 2, 1))})
    assert store.query("SELECT finished_at FROM progress")["finished_at"].to_pylist() == [datetime(2026, 2, 1)]
