"""Versions of the schema: which one a store has, whether it is ours to the letter, how it is brought up to date."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Connection, DateTime, Double, Integer, String, text
from sqlalchemy.types import ARRAY, TypeEngine

from db.columns import COMMON, OWN, words
from db.errors import Damaged, NewerSchema, NotAStore, OlderSchema
from db.models import Base
from db.statements import foreign_calls

MIGRATIONS = Path(__file__).parent / "migrations"
HEADERS = 3 * 4096
"""Bytes before the first block of a DuckDB file."""

VIEWS = Path(__file__).parent / "views.sql"

VERSION = "alembic_version"
"""The table that holds the revision."""

TYPES: dict[type[TypeEngine[Any]], str] = {
    String: "VARCHAR",
    JSON: "JSON",
    Integer: "INTEGER",
    BigInteger: "BIGINT",
    Double: "DOUBLE",
    Boolean: "BOOLEAN",
    DateTime: "TIMESTAMP",
}

Columns = Mapping[str, tuple[str, bool]]
"""Type and nullability by name."""

MOST_DIFFERENCES = 3


def revisions() -> list[str]:
    """Every revision in order, oldest first, from the files' names (r0001_create_the_tables.py): no Alembic import."""
    return sorted(file.name[1:5] for file in (MIGRATIONS / "versions").glob("r[0-9][0-9][0-9][0-9]_*.py"))


def version(raw: Any, path: Path) -> str:
    """The revision of an open store. Raises NotAStore for a database of something else."""
    tables = {name for _, name in _own(raw, "tables", "schema_name, table_name")}
    row = raw.execute(f"SELECT version_num FROM {VERSION}").fetchone() if VERSION in tables else None
    if row is None:
        raise NotAStore(f"{path} is a DuckDB database, but not of this program; name another file with --store")
    return str(row[0])


def check(raw: Any, path: Path) -> None:
    """Raise OlderSchema or NewerSchema unless an open store is of this version, NotAStore unless it is ours."""
    check_version(raw, path)
    check_letter(raw, path)


def check_version(raw: Any, path: Path) -> None:
    """The part of `check` that costs no time: OlderSchema, NewerSchema, NotAStore for another database."""
    found, known = version(raw, path), revisions()
    if found not in known:
        raise NewerSchema(
            f"{path} has schema {found}, newer than the {known[-1]} that this version knows; install a newer version"
        )
    if found != known[-1]:
        raise OlderSchema(
            f"{path} has schema {found}, this version needs {known[-1]}; "
            f"run: sweep db upgrade --store {quote(str(path))}"
        )


def check_letter(raw: Any, path: Path) -> None:
    """Raise NotAStore unless a store has our tables, column by column, and nothing that could stand for others."""
    _refuse([*_strangers(raw), *_differences(raw)], path)


def check_strangers(raw: Any, path: Path) -> None:
    """The part of `check_letter` that holds for older versions too: nothing changes what our own SQL means.

    A view in the place of a table could answer with anything, as could a function or a type of the name of one of
    DuckDB's. Views of other names shadow nothing, and may stay if they only read.
    """
    _refuse([*_strangers(raw)], path)


def _refuse(found: list[str], path: Path) -> None:
    if found:
        more = f" and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
        raise NotAStore(
            f"{path} is not as this program makes a store: {', '.join(found[:MOST_DIFFERENCES])}{more}; "
            "remove what is not of this program, or name another file with --store"
        )


def expected() -> dict[str, Columns]:
    """The columns of every table of a store, by the models."""
    tables: dict[str, Columns] = {VERSION: {"version_num": ("VARCHAR", False)}}
    for name, table in Base.metadata.tables.items():
        tables[name] = {column.name: (_type(column.type), bool(column.nullable)) for column in table.columns}
    return tables


def _type(sql: TypeEngine[Any]) -> str:
    return f"{_type(sql.item_type)}{'[]' * (sql.dimensions or 1)}" if isinstance(sql, ARRAY) else TYPES[type(sql)]


def _strangers(raw: Any) -> Iterator[str]:
    """What is not of ours besides tables, in words. The SQL calls no function but DuckDB's own, by their full names."""
    views = dict(_own(raw, "views", "view_name, sql"))
    system = raw.execute("SELECT view_name FROM system.main.duckdb_views() WHERE database_name = 'system'").fetchall()
    yield from (f"{name} is a view, not a table" for name in expected() if name in views)
    yield from (f"the view {name} stands before DuckDB's own" for (name,) in system if name in views)
    for name, sql in views.items():
        yield from (f"the view {name} calls {function}" for function in foreign_calls(sql))
    yield from (f"there is a schema {name}" for (name,) in _own(raw, "schemas", "schema_name") if name != "main")
    builtin = raw.execute("SELECT type_name FROM system.main.duckdb_types() WHERE database_name = 'temp'").fetchall()
    known = {name.casefold() for (name,) in builtin}  # every database has these, spelt as they were first used
    yield from (f"there is a type {t}" for (t,) in _own(raw, "types", "type_name") if t.casefold() not in known)
    yield from (f"there is a function {name}" for (name,) in _own(raw, "functions", "function_name"))


def _differences(raw: Any) -> Iterator[str]:
    """How the tables differ from the models', in words."""
    found, ours = _columns_by_table(raw), expected()
    for name, columns in ours.items():
        if name in found:
            yield from _column_differences(name, found[name], columns)
        else:
            yield f"the table {name} is missing"
    yield from (f"there is a table {name}" for (name,) in _own(raw, "tables", "table_name") if name not in ours)
    yield from (f"there is a sequence {name}" for (name,) in _own(raw, "sequences", "sequence_name"))
    yield from (f"there is an index {name}" for (name,) in _own(raw, "indexes", "index_name"))
    for table, kind in _own(raw, "constraints", "table_name, constraint_type"):
        if kind != "NOT NULL" and (table, kind) != (VERSION, "PRIMARY KEY"):
            yield f"{table} has a constraint of the kind {kind}"


def _columns_by_table(raw: Any) -> Mapping[str, dict[str, tuple[str, bool, str | None]]]:
    found: dict[str, dict[str, tuple[str, bool, str | None]]] = {}
    what = "schema_name, table_name, column_name, data_type, is_nullable, column_default"
    for place, table, column, *rest in _own(raw, "columns", what):
        if place == "main":
            found.setdefault(table, {})[column] = tuple(rest)
    return found


def _column_differences(table: str, found: Mapping[str, tuple[str, bool, str | None]], ours: Columns) -> Iterator[str]:
    for name, (kind, nullable) in ours.items():
        if name not in found:
            yield f"{table} has no column {name}"
            continue
        its, may_be_null, default = found[name]
        if its != kind:
            yield f"{table}.{name} is {its}, not {kind}"
        elif may_be_null != nullable:
            yield f"{table}.{name} {'may' if may_be_null else 'must not'} be NULL"
        elif default is not None:
            yield f"{table}.{name} is computed by the store ({default})"
    yield from (f"{table} has a column {name}" for name in found if name not in ours)


def _own(raw: Any, what: str, columns: str) -> list[tuple[Any, ...]]:
    """What the store's own catalogue says: rows of one of DuckDB's functions duckdb_tables() and so on."""
    of_the_store = "database_name <> 'system' AND database_name <> 'temp'"
    sql = f"SELECT {columns} FROM system.main.duckdb_{what}() WHERE {of_the_store}"
    return list(raw.execute(sql).fetchall())


def check_whole(raw: Any, path: Path) -> None:
    """Raise Damaged if the file ends before the last block of a table: DuckDB opens some files cut short."""
    size = raw.execute("SELECT max(block_size) FROM pragma_database_size()").fetchone()[0]
    for table in Base.metadata.tables:
        last = raw.execute(f"SELECT max(block_id) FROM pragma_storage_info('{table}') WHERE persistent").fetchone()[0]
        if last is not None and path.stat().st_size < HEADERS + (last + 1) * size:
            raise Damaged(
                f"{path} is damaged: rows of {table} are cut off; restore it from a copy, or save what is left: "
                "sweep check --salvage NEW"
            )


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the missing revisions and make the views again, in the connection's transaction.

    An older revision than the last gets no views: these are of the last one's tables.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    if revision == "head":
        make_views(connection)


def views_current(raw: Any) -> bool:
    """Whether the store's views are those of views.sql, and its columns have the words of `db.columns`."""
    row = raw.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'convergence'").fetchone()
    return row is not None and row[0] == _views_digest()


def make_views(connection: Connection) -> None:
    """Create or replace the views of views.sql, and say of every column what it holds.

    A comment on `convergence` holds the digest of both.
    """
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.execute(VIEWS.read_text(encoding="utf-8"))
    raw.execute(";".join(_comments(raw)))
    connection.execute(text(f"COMMENT ON VIEW convergence IS '{_views_digest()}'"))


def _comments(raw: Any) -> Iterator[str]:
    """A statement for each column of ours. DuckDB takes no parameters here; names and words are of this program."""
    ours = {*expected(), *re.findall(r"CREATE OR REPLACE VIEW (\w+)", VIEWS.read_text(encoding="utf-8"))}
    for table, column in _own(raw, "columns", "table_name, column_name"):
        said = words(table, column) if table in ours else None
        if said is not None:
            quoted = said.replace("'", "''")
            yield f"""COMMENT ON COLUMN "{table}"."{column}" IS '{quoted}'"""


_known_views: dict[str, dict[str, str]] = {}
"""The views of views.sql as DuckDB prints them, by that file's digest."""


def make_temporary_views(raw: Any) -> None:
    """The views of views.sql for one reader's connection, before those that the store holds, whatever these say.

    Where the store's own are the same there are only those, so that SHOW TABLES names each once.
    """
    stored = {name: _printed(sql) for name, sql in _own(raw, "views", "view_name, sql")}
    digest = _views_digest()
    if digest in _known_views and _known_views[digest].items() <= stored.items():
        return
    raw.execute(VIEWS.read_text(encoding="utf-8").replace("CREATE OR REPLACE VIEW", "CREATE OR REPLACE TEMP VIEW"))
    made = raw.execute("SELECT view_name, sql FROM system.main.duckdb_views() WHERE database_name = 'temp'").fetchall()
    _known_views[digest] = {name: _printed(sql) for name, sql in made}
    if _known_views[digest].items() <= stored.items():
        for name in _known_views[digest]:
            raw.execute(f"DROP VIEW temp.main.{name}")


def _printed(sql: str) -> str:
    """A view as DuckDB prints it, whether it was just made (with types in quotes) or read from a file.

    Names after EXCLUDE are a set to DuckDB, which prints them in any order.
    """
    found = re.sub(r"\blambda (\w+): ", r"\1 -> ", sql.replace("CREATE TEMP VIEW", "CREATE VIEW", 1))
    found = re.sub(r"EXCLUDE \(([^)]*)\)", lambda names: f"EXCLUDE ({sorted(names[1].split(', '))})", found)
    return re.sub(r'\bAS "([A-Z]+)"\)', r"AS \1)", found)


def _views_digest() -> str:
    return hashlib.sha256(VIEWS.read_bytes() + repr((COMMON, OWN)).encode()).hexdigest()
