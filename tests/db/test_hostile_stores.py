"""Stores from somebody else: what is not a store to the letter is refused when it is opened, and nothing is read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from db import forget, labels, schema
from db.connection import raw
from db.export import export
from db.merge import merge
from db.store import NotAStore, OlderSchema, Store
from tests.db import store_rows as rows
from tests.marks import sampled

SECRET = "root:x:0:0"

AS_A_VIEW = """
    ALTER TABLE {table} RENAME TO kept;
    CREATE TABLE shape AS FROM kept LIMIT 0;
    DROP TABLE kept;
    CREATE VIEW {table} AS SELECT * FROM shape UNION ALL BY NAME SELECT content AS {column} FROM read_text('{file}')
"""
ALTERED = {
    "sweeps is a view": (AS_A_VIEW.replace("{table}", "sweeps").replace("{column}", "name"), "sweeps is a view, not a"),
    "runs is a view": (AS_A_VIEW.replace("{table}", "runs").replace("{column}", "message"), "runs is a view, not a"),
    "the version is a view": (
        "DROP TABLE alembic_version; CREATE VIEW alembic_version AS SELECT '0001' AS version_num",
        "not of this program",
    ),
    "a table is missing": ("DROP TABLE attempts", "the table attempts is missing"),
    "a table more": ("CREATE TABLE more (a INTEGER)", "there is a table more"),
    "a table for a view": ("DROP VIEW progress; CREATE TABLE progress (name VARCHAR)", "there is a table progress"),
    "a column is missing": ("ALTER TABLE runs DROP COLUMN message", "runs has no column message"),
    "a column more": ("ALTER TABLE runs ADD COLUMN note VARCHAR", "runs has a column note"),
    "another type": ("ALTER TABLE sweeps ALTER created_at TYPE VARCHAR", "sweeps.created_at is VARCHAR, not TIMESTAMP"),
    "text for numbers": ("ALTER TABLE runs ALTER alpha TYPE VARCHAR", "runs.alpha is VARCHAR, not DOUBLE"),
    "NULL where none may be": ("ALTER TABLE runs ALTER status DROP NOT NULL", "runs.status may be NULL"),
    "a default": ("ALTER TABLE runs ALTER message SET DEFAULT 'a'", r"runs.message is computed by the store \('a'\)"),
    "a macro for a function": ("CREATE MACRO count(a) AS 7", "there is a function count"),
    "a macro of a file": ("CREATE MACRO look() AS TABLE FROM read_text('{file}')", "there is a function look"),
    "a type": ("CREATE TYPE json AS VARCHAR", "there is a type json"),
    "an enum": ("CREATE TYPE mood AS ENUM ('a')", "there is a type mood"),
    "a schema": ("CREATE SCHEMA more", "there is a schema more"),
    "a table elsewhere": ("CREATE SCHEMA more; CREATE TABLE more.runs AS FROM runs", "there is a schema more"),
    "a sequence": ("CREATE SEQUENCE numbers", "there is a sequence numbers"),
    "an index": ("CREATE INDEX fast ON runs (run_id)", "there is an index fast"),
    "a view before DuckDB's": ("CREATE VIEW duckdb_tables AS SELECT 1", "the view duckdb_tables stands before"),
    "a view of a file": ("CREATE VIEW extra AS FROM read_text('{file}')", "the view extra calls read_text"),
    "a view of memory": (
        "CREATE VIEW extra AS FROM (SELECT 1) WHERE EXISTS (FROM duckdb_settings())",
        "the view extra calls duckdb_settings",
    ),
}


@pytest.fixture
def altered(store: Store, tmp_path: Path) -> Callable[[str], Store]:
    """A function that lets SQL change a store with results, as somebody with DuckDB would."""
    store.commit(rows.results(["a"]))
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)

    def alter(sql: str) -> Store:
        with duckdb.connect(str(store.path)) as connection:
            connection.execute(sql.replace("{file}", str(secret)))
        return store

    return alter


@pytest.mark.parametrize(("sql", "message"), sampled(ALTERED, 8))
def test_what_is_no_store_to_the_letter_is_refused(altered: Callable[[str], Store], sql: str, message: str) -> None:
    store = altered(sql)
    before = store.path.read_bytes()
    uses: list[Callable[[], object]] = [
        lambda: store.query("SELECT 1"),
        lambda: store.query("SELECT * FROM sweeps"),
        lambda: store.missing(pa.array(["a", "b"])),
        lambda: store.commit(rows.results(["b"])),
        store.create,
        store.upgrade,
        lambda: merge(Store(store.path.with_name("merged.duckdb")), [store]),
        lambda: forget.where(store, "true"),
        lambda: labels.note(store, "s", "words"),
        lambda: export(store, store.path.with_name("out")),
    ]
    for use in uses:
        with pytest.raises(NotAStore, match=message) as caught:
            use()
        assert SECRET not in str(caught.value)
    assert store.path.read_bytes() == before
    assert not {"merged.duckdb", "out"} & {path.name for path in store.path.parent.iterdir()}


def test_a_store_that_is_swapped_for_one_with_its_size_and_time_is_compared_again(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    shutil.copy(store.path, other)
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE MACRO abs(a) AS 42")
    good, bad = store.path.read_bytes(), other.read_bytes()
    size = max(len(good), len(bad))
    store.path.write_bytes(good.ljust(size, b"\0"))
    assert store.query("SELECT abs(-1) AS a")["a"].to_pylist() == [1]
    times = store.path.stat()
    store.path.write_bytes(bad.ljust(size, b"\0"))
    os.utime(store.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(NotAStore, match="there is a function abs"):
        Store(store.path).query("SELECT abs(-1)")


def test_the_refusal_names_a_few_differences_and_says_what_to_do(altered: Callable[[str], Store]) -> None:
    store = altered("; ".join(f"CREATE TABLE t{n} (a INTEGER)" for n in range(5)))
    with pytest.raises(
        NotAStore, match=r"table t0, .* and 2 more; remove what is not of this program, or name another"
    ):
        store.query("SELECT 1")


@pytest.mark.parametrize("view", sampled(["convergence", "orbits", "approach", "along_path", "slopes", "progress"], 3))
def test_a_view_of_the_store_is_not_believed(altered: Callable[[str], Store], view: str) -> None:
    store = altered(f"CREATE OR REPLACE VIEW {view} AS SELECT 'a lie' AS run_id, * FROM range(3)")
    found = store.query(f"SELECT * FROM {view}")
    assert "range" not in found.column_names
    assert "a lie" not in str(found.to_pylist())
    assert store.query("SELECT run_id FROM convergence").to_pylist() == [{"run_id": "a"}]


def test_views_of_an_older_version_are_read_as_todays(altered: Callable[[str], Store]) -> None:
    store = altered("CREATE OR REPLACE VIEW convergence AS SELECT 1 AS old; DROP VIEW slopes")
    assert store.query("SELECT prediction FROM convergence").num_rows == 1
    assert store.query("SELECT slope FROM slopes").num_rows == 0


def test_a_view_of_ones_own_that_reads_only_the_store_may_stay(altered: Callable[[str], Store]) -> None:
    store = altered("CREATE VIEW mine AS SELECT run_id, unnest(beta) AS b FROM runs")
    assert store.query("SELECT b FROM mine").num_rows == 2


def test_an_older_store_that_was_altered_is_refused_by_an_upgrade(
    altered: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = altered("CREATE MACRO count(a) AS 7")
    known = schema.revisions()
    monkeypatch.setattr(schema, "revisions", lambda: [*known, "9999"])
    with pytest.raises(OlderSchema):
        store.query("SELECT 1")
    with pytest.raises(NotAStore, match="there is a function count"):
        store.upgrade()


@pytest.mark.parametrize("name", ["temp.duckdb", "system.duckdb", "main.duckdb", "it's.duckdb", 'a"b.duckdb'])
def test_a_files_name_changes_nothing(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / name)
    store.create()
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("CREATE MACRO count(a) AS 7")
    with pytest.raises(NotAStore, match="there is a function count"):
        store.query("SELECT 1")


def test_a_new_store_is_what_the_models_say(store: Store) -> None:
    with store._file.open() as connection:
        schema.check_letter(raw(connection), store.path)
