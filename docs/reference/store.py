"""The store: the columns of its tables and views, with their types and what they hold."""

import re
import tempfile
from pathlib import Path

from db import models
from db.columns import words
from db.store import Store
from docs.reference.markdown import cell, docstring, escaped, table

VIEWS = Path(models.__file__).with_name("views.sql")


def page() -> str:
    types = _types()
    tables = {mapper.local_table.description: mapper.class_ for mapper in models.Base.registry.mappers}
    told = [(name, docstring(tables[name])) for name in models.Base.metadata.tables]
    return "\n\n".join([
        "# Tables and views of a store",
        "Tables hold what was computed, views what people ask for. How to ask: [Ask in SQL](../querying.md).",
        "## Tables",
        *(f"### {name}\n\n{about}\n\n{_columns(name, types[name])}" for name, about in told),
        "## Views",
        *(f"### {name}\n\n{about}\n\n{_columns(name, types[name])}" for name, about in views().items()),
    ]) + "\n"  # fmt: skip


def _types() -> dict[str, list[tuple[str, str]]]:
    """Of every table and view of a new store: names and types of its columns, as DuckDB has them."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "new.duckdb")
        store.create()
        names = [*models.Base.metadata.tables, *views()]
        found = {name: store.query(f"DESCRIBE {name}").to_pylist() for name in names}
    return {name: [(row["column_name"], row["column_type"]) for row in rows] for name, rows in found.items()}


def views() -> dict[str, str]:
    """Name -> what the comment before a view says of it."""
    said = re.findall(r"((?:^--.*\n)+)CREATE OR REPLACE VIEW (\w+)", VIEWS.read_text("utf-8"), re.M)
    return {name: escaped(re.sub(r"^-- ?", "", words, flags=re.M).strip()) for words, name in said}


def _columns(table_name: str, types: list[tuple[str, str]]) -> str:
    rows = [(f"`{name}`", f"`{kind}`", cell(words(table_name, name) or "")) for name, kind in types]
    return table(("column", "type", "what it is"), rows)
