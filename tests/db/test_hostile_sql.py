"""SQL that would write, read files, reach the network or change settings: refused, and nothing on disk changes."""

import os
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from db.errors import QueryError, TooMuch
from db.limits import Limits, parse_memory, parse_seconds
from db.statements import check_condition
from db.store import Store
from tests.db import store_rows as rows
from tests.marks import sampled

OTHER_STATEMENTS = """
COPY (SELECT 1) TO '{store}'
COPY (SELECT 1) TO '{folder}/out.csv'
COPY runs TO '{folder}/out.parquet' (FORMAT parquet)
COPY runs FROM '{folder}/in.csv'
COPY FROM DATABASE {name} TO memory
EXPORT DATABASE '{folder}/out'
IMPORT DATABASE '{folder}/out'
ATTACH '{folder}/out.duckdb' AS out (READ_WRITE)
ATTACH '{store}' AS again (READ_WRITE)
ATTACH ':memory:' AS out
DETACH {name}
USE {name}
INSTALL httpfs
FORCE INSTALL httpfs
INSTALL quack FROM community
LOAD httpfs
LOAD '{folder}/in.csv'
UPDATE EXTENSIONS
SET enable_external_access = true
SET GLOBAL lock_configuration = false
SET threads = 1
SET VARIABLE a = 1
SET SESSION search_path = 'temp'
RESET threads
PRAGMA database_list
PRAGMA threads = 1
PRAGMA enable_profiling
PRAGMA storage_info('runs')
PRAGMA version
PRAGMA disable_checkpoint_on_shutdown
CALL pragma_version()
CALL read_text('{folder}/in.csv')
CREATE TABLE t AS SELECT 1
CREATE TEMP TABLE t AS SELECT 1
CREATE TABLE t AS FROM read_csv('{folder}/in.csv')
CREATE VIEW v AS SELECT 1
CREATE OR REPLACE TEMP VIEW runs AS SELECT 1
CREATE MACRO f(a) AS a
CREATE MACRO f() AS TABLE FROM read_text('{folder}/in.csv')
CREATE SCHEMA s
CREATE SEQUENCE s
CREATE TYPE t AS ENUM ('a')
CREATE INDEX i ON runs (run_id)
CREATE SECRET s (TYPE s3)
CREATE PERSISTENT SECRET s (TYPE s3)
DROP TABLE runs
DROP VIEW convergence
ALTER TABLE runs ADD COLUMN note VARCHAR
ALTER TABLE runs RENAME TO walks
COMMENT ON TABLE runs IS 'mine'
INSERT INTO runs SELECT * FROM runs
INSERT INTO runs FROM read_csv('{folder}/in.csv')
UPDATE runs SET status = 'converged'
DELETE FROM runs
TRUNCATE runs
MERGE INTO runs USING runs o ON runs.run_id = o.run_id WHEN MATCHED THEN DELETE
PREPARE p AS SELECT 1
EXECUTE p
DEALLOCATE p
VACUUM
ANALYZE
CHECKPOINT
FORCE CHECKPOINT
BEGIN
COMMIT
ROLLBACK
EXPLAIN COPY (SELECT 1) TO '{folder}/out.csv'
EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/out.csv'
EXPLAIN (FORMAT json) COPY (SELECT 1) TO '{folder}/out.csv'
EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{folder}/out.csv'
EXPLAIN ANALYZE DELETE FROM runs
EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1
EXPLAIN PRAGMA version
/* SELECT */ COPY (SELECT 1) TO '{folder}/out.csv'
WITH a AS (SELECT 1) INSERT INTO runs FROM a
WITH a AS (DELETE FROM runs RETURNING *) SELECT * FROM a
SELECT 1; SELECT 2
SELECT 1; COPY (SELECT 1) TO '{folder}/out.csv'
SELECT 1 /*; */ ; COPY (SELECT 1) TO '{folder}/out.csv' --
PIVOT runs ON status USING count(*)
"""

FILES = """
FROM read_text('{folder}/in.csv')
FROM read_blob('{folder}/in.csv')
FROM read_csv('{folder}/in.csv')
FROM read_csv_auto('{folder}/in.csv')
FROM READ_CSV('{folder}/in.csv')
FROM "read_csv"('{folder}/in.csv')
FROM system.main.read_text('{folder}/in.csv')
FROM read_json('{folder}/in.json')
FROM read_json_objects('{folder}/in.json')
FROM read_ndjson('{folder}/in.json')
FROM read_parquet('{folder}/in.parquet')
FROM parquet_scan('{folder}/in.parquet')
FROM parquet_metadata('{folder}/in.parquet')
FROM parquet_schema('{folder}/in.parquet')
FROM sniff_csv('{folder}/in.csv')
FROM read_duckdb('{store}')
FROM glob('{folder}/*')
FROM '{folder}/in.csv'
FROM "{folder}/in.csv"
FROM '{folder}/in.parquet'
FROM '{store}'
FROM 'https://localhost:1/a.csv'
FROM read_text('https://localhost:1/a')
FROM 's3://bucket/a.parquet'
DESCRIBE '{folder}/in.csv'
DESCRIBE FROM read_csv('{folder}/in.csv')
SUMMARIZE '{folder}/in.csv'
SUMMARIZE FROM read_csv('{folder}/in.csv')
EXPLAIN FROM read_csv('{folder}/in.csv')
EXPLAIN ANALYZE FROM read_text('{folder}/in.csv')
WITH a AS (FROM read_text('{folder}/in.csv')) FROM a
WITH a AS MATERIALIZED (FROM read_text('{folder}/in.csv')) SELECT 1
SELECT (SELECT content FROM read_text('{folder}/in.csv'))
SELECT * FROM runs WHERE EXISTS (FROM read_text('{folder}/in.csv'))
SELECT 1 ORDER BY (SELECT size FROM read_blob('{folder}/in.csv'))
SELECT 1 LIMIT (SELECT size FROM read_blob('{folder}/in.csv'))
SELECT 1 UNION ALL SELECT size FROM read_blob('{folder}/in.csv')
VALUES ((SELECT content FROM read_text('{folder}/in.csv')))
SELECT * FROM runs, LATERAL (FROM read_text('{folder}/in.csv'))
SELECT * FROM runs JOIN read_text('{folder}/in.csv') ON true
SELECT [x.content FOR x IN (SELECT list(t) FROM read_text('{folder}/in.csv') t)]
FROM query('FROM read_text(''{folder}/in.csv'')')
FROM query_table('{folder}/in.csv')
FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
SELECT getenv('HOME')
FROM duckdb_secrets()
FROM duckdb_settings()
FROM duckdb_extensions()
FROM duckdb_logs()
FROM duckdb_temporary_files()
FROM duckdb_external_file_cache()
FROM which_secret('s3://a', 's3')
FROM checkpoint()
FROM force_checkpoint()
FROM enable_logging()
FROM truncate_duckdb_logs()
FROM seq_scan('runs')
FROM arrow_scan(1::UBIGINT::POINTER, 2::UBIGINT::POINTER, 3::UBIGINT::POINTER)
FROM pandas_scan(1)
FROM python_map_function(1)
FROM test_all_types()
FROM seen
FROM frame
"""
HOSTILE = [line for text in (OTHER_STATEMENTS, FILES) for line in text.strip().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and files beside it; every test must leave it as it is."""
    folder = tmp_path_factory.mktemp("hostile")
    store = Store(folder / "results.duckdb")
    store.create()
    store.commit(rows.results(["a", "b"]))
    (folder / "in.csv").write_text("a,b\n1,secret\n")
    (folder / "in.json").write_text('{"a": 1}\n')
    pq.write_table(pa.table({"a": [1]}), folder / "in.parquet")
    return folder


@pytest.mark.parametrize("sql", sampled(HOSTILE, 4))
def test_a_hostile_statement_is_refused_and_changes_nothing(
    place: Path, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    seen = frame = pa.table({"secret": ["a variable of Python's"]})  # what a replacement scan would find
    before = contents(place)
    text = sql.format(folder=place, store=place / "results.duckdb", name="results")
    with pytest.raises(QueryError) as caught:
        Store(place / "results.duckdb").query(text)
    assert "secret" not in str(caught.value).replace("duckdb_secrets", "").replace("which_secret", "")
    assert contents(place) == before
    assert seen is frame


def test_a_relative_path_is_refused_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    before = contents(place)
    for sql in ("COPY (SELECT 1) TO 'results.duckdb'", "FROM 'in.csv'", "FROM in.csv", "FROM read_text('in.csv')"):
        with pytest.raises(QueryError):
            Store("results.duckdb").query(sql)
    assert contents(place) == before


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("COPY (SELECT 1) TO 'a'", "COPY is no query, and the store is read-only here; write SELECT, WITH"),
        ("PRAGMA version", "PRAGMA is no query"),
        ("SELECT 1; SELECT 2", "there are 2 statements; write one SELECT"),
        ("FROM read_text('a')", "the table function read_text is not of the store"),
        ("FROM 'a.csv'", "SQL sees the store and nothing else: no file, no network"),
        ("EXPLAIN DELETE FROM runs", "EXPLAIN of DELETE is no query"),
        ("SELECT '\udcff'", "no text in UTF-8"),
        ("SELECT 1\0; COPY (SELECT 1) TO 'a'", "it holds a NUL"),
    ],
)
def test_the_refusal_says_what_to_write(place: Path, sql: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        Store(place / "results.duckdb").query(sql)


@pytest.mark.parametrize(
    "sql",
    """
    SELECT count(*) FROM runs
    SELECT run_id FROM runs WHERE status = 'converged'; -- the end
    (SELECT 1)
    FROM runs
    TABLE runs
    VALUES (1), (2)
    WITH a AS (SELECT 1 AS n) SELECT n FROM a
    WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t
    SELECT 1 UNION ALL SELECT 2
    DESCRIBE runs
    DESCRIBE SELECT 1
    SUMMARIZE runs
    SHOW TABLES
    SHOW ALL TABLES
    SHOW runs
    EXPLAIN SELECT 1
    EXPLAIN ANALYZE SELECT count(*) FROM convergence
    EXPLAIN (FORMAT json) SELECT 1
    PIVOT runs ON status IN ('converged', 'failed') USING count(*)
    UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b
    SELECT * FROM range(3)
    SELECT unnest(beta) FROM runs
    SELECT * FROM unnest([1, 2])
    SELECT * FROM runs, json_each(runs.stop)
    SELECT table_name FROM duckdb_tables()
    SELECT * FROM information_schema.tables
    SELECT list_transform([1, 2], lambda x: x + 1)
    SELECT count(*) FROM approach JOIN slopes ON true JOIN progress ON true JOIN orbits ON true
    """.strip().splitlines(),
)
def test_what_reads_goes_on_working(place: Path, sql: str) -> None:
    assert Store(place / "results.duckdb").query(sql.strip()).num_columns > 0


CONDITIONS = """
depth = 3
depth = 3 and init <> 'gaussian'
(depth = 3) OR (alpha < 0.1)
status IN ('converged', 'failed')
run_id IN (SELECT run_id FROM predictions WHERE distance > 1)
EXISTS (SELECT 1 FROM sweep_runs w WHERE w.run_id = runs.run_id)
CASE WHEN depth > 2 THEN alpha < 1 ELSE true END
name LIKE '%--%'
name = ');'
alpha BETWEEN 0.1 AND 1
"""
NO_CONDITIONS = """
true); COPY (SELECT 1) TO 'out.csv' --
true) --
true --
true -- )
true /*
true /* a */) UNION SELECT * FROM main.runs WHERE (true
true) UNION ALL (SELECT * FROM main.runs
true) OR (true
) OR (
true; SELECT 1
true;
true, false
true AS a
a: true
true FROM runs
true WHERE false
true LIMIT 1
true ORDER BY 1
true GROUP BY ALL
true UNION SELECT 2
true QUALIFY true
true WINDOW w AS ()
DISTINCT true
DISTINCT ON (depth) true
*
* EXCLUDE (depth)
COLUMNS(*) > 1, true
depth =
= 3
'
"
$$
$a$ true
"""


@pytest.mark.parametrize("condition", CONDITIONS.strip().splitlines())
def test_a_condition_is_one_expression(condition: str) -> None:
    check_condition(condition)


@pytest.mark.parametrize("condition", [*NO_CONDITIONS.strip().splitlines(), "", " ", "-- a", "true\0", "\udcff"])
def test_what_is_more_than_one_expression_is_no_condition(condition: str) -> None:
    with pytest.raises(QueryError):
        check_condition(condition)


def test_a_query_ends_in_time(place: Path) -> None:
    store = Store(place / "results.duckdb", limits=Limits(seconds=0.5))
    begin = time.monotonic()
    with pytest.raises(TooMuch, match=r"longer than 0.5 s; ask for less .* --max-seconds"):
        store.query("SELECT sum(a.range * b.range) FROM range(10_000_000) a, range(10_000_000) b")
    assert time.monotonic() - begin < 10
    assert store.query("SELECT 1").num_rows == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list(range) FROM range(200_000_000)",
        "SELECT range, repeat('x', 1000) AS text FROM range(10_000_000)",
        "SELECT count(*) FROM (SELECT DISTINCT hash(range) FROM range(100_000_000))",
        "SELECT repeat('x', 2_000_000_000)",
    ],
)
def test_a_query_ends_within_its_memory(place: Path, sql: str) -> None:
    store = Store(place / "results.duckdb", limits=Limits(memory=parse_memory("100MB")))
    before = set(os.listdir(place))
    with pytest.raises(TooMuch, match=r"more than 0.1 GB of memory; ask for less .* --max-memory"):
        store.query(sql)
    assert store.query("SELECT 1").num_rows == 1
    assert set(os.listdir(place)) == before


@pytest.mark.slow
def test_many_threads_may_ask_at_once(place: Path) -> None:
    store, answers = Store(place / "results.duckdb"), list[int]()
    threads = [
        threading.Thread(target=lambda: answers.append(store.query("SELECT * FROM runs").num_rows)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [2] * 8


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_MAX_SECONDS", "7")
    monkeypatch.setenv("SWEEP_MAX_MEMORY", "512MiB")
    assert (Limits().seconds, Limits().memory) == (7.0, 512 << 20)
    for wrong in ("", "many", "1PB", "1MB", "-1GB", "nan"):
        with pytest.raises(QueryError, match="--max-memory"):
            parse_memory(wrong)
    for wrong in ("", "long", "-1", "nan", "inf"):
        with pytest.raises(QueryError, match="--max-seconds"):
            parse_seconds(wrong)
