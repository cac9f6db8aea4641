"""Versions of the schema: which one a store has, how it is brought up to date, and its views."""

import hashlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from db.errors import NewerSchema, NotAStore, OlderSchema
from db.models import Base

MIGRATIONS = Path(__file__).parent / "migrations"
HEADERS = 3 * 4096
"""Bytes before the first block of a DuckDB file."""

VIEWS = Path(__file__).parent / "views.sql"


def revisions() -> list[str]:
    """Every revision in order, oldest first, from the files' names (r0001_create_the_tables.py): no Alembic import."""
    return sorted(file.name[1:5] for file in (MIGRATIONS / "versions").glob("r[0-9][0-9][0-9][0-9]_*.py"))


def version(raw: Any, path: Path) -> str:
    """The revision of an open store. Raises NotAStore for a database of something else."""
    tables = {name for (name,) in raw.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    row = raw.execute("SELECT version_num FROM alembic_version").fetchone() if "alembic_version" in tables else None
    if row is None or "runs" not in tables:
        raise NotAStore(f"{path} is a DuckDB database, but not of this program; name another file with --store")
    return str(row[0])


def check(raw: Any, path: Path) -> None:
    """Raise OlderSchema or NewerSchema unless an open store is of this version."""
    found, known = version(raw, path), revisions()
    if found not in known:
        raise NewerSchema(
            f"{path} has schema {found}, newer than the {known[-1]} that this version knows; install a newer version"
        )
    if found != known[-1]:
        raise OlderSchema(f"{path} has schema {found}, this version needs {known[-1]}; run: sweep db upgrade")


def check_whole(raw: Any, path: Path) -> None:
    """Raise NotAStore if the file ends before the last block of a table: DuckDB opens some files cut short."""
    size = raw.execute("SELECT max(block_size) FROM pragma_database_size()").fetchone()[0]
    for table in Base.metadata.tables:
        last = raw.execute(f"SELECT max(block_id) FROM pragma_storage_info('{table}') WHERE persistent").fetchone()[0]
        if last is not None and path.stat().st_size < HEADERS + (last + 1) * size:
            raise NotAStore(f"{path} is damaged: rows of {table} are cut off; restore it from a copy")


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the missing revisions and make the views again, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    make_views(connection)


def views_current(raw: Any) -> bool:
    """Whether the store's views are those of views.sql."""
    row = raw.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'convergence'").fetchone()
    return row is not None and row[0] == _views_digest()


def make_views(connection: Connection) -> None:
    """Create or replace the views of views.sql; a comment on `convergence` holds the digest of that file."""
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.execute(VIEWS.read_text(encoding="utf-8"))
    connection.execute(text(f"COMMENT ON VIEW convergence IS '{_views_digest()}'"))


def _views_digest() -> str:
    return hashlib.sha256(VIEWS.read_bytes()).hexdigest()
