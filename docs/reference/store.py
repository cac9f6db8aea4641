"""The store: columns of its tables with their types and what the models say of them, and its views."""

import ast
import inspect
import re
import tempfile
from pathlib import Path

from db import models
from db.store import Store
from docs.reference.markdown import cell, docstring, escaped, table
from kernels.observables import OBSERVABLES
from kernels.spec import AXES

VIEWS = Path(models.__file__).with_name("views.sql")


def page() -> str:
    types = _types()
    tables = {mapper.local_table.description: mapper.class_ for mapper in models.Base.registry.mappers}
    told = [(name, docstring(tables[name]), _said(tables[name])) for name in models.Base.metadata.tables]
    return "\n\n".join([
        "# Tables and views of a store",
        "Tables hold what was computed, views what people ask for. How to ask: [Ask in SQL](../querying.md).",
        "## Tables",
        *(f"### {name}\n\n{words}\n\n{_columns(types[name], said)}" for name, words, said in told),
        "## Views",
        *(f"### {name}\n\n{words}\n\n{_columns(types[name], {})}" for name, words in views().items()),
    ]) + "\n"  # fmt: skip


WORDS = {name: axis.help for name, axis in AXES.items()} | {name: each.words for name, each in OBSERVABLES.items()}
"""Columns that several tables and views have."""


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


def _said(model: type) -> dict[str, str]:
    """Column -> the text below it in the model's source."""
    (tree,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(tree, ast.ClassDef)
    pairs = zip(tree.body, tree.body[1:], strict=False)
    return {
        column.target.id: " ".join(str(text.value.value).split())
        for column, text in pairs
        if isinstance(column, ast.AnnAssign) and isinstance(column.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _columns(types: list[tuple[str, str]], said: dict[str, str]) -> str:
    rows = [(f"`{name}`", f"`{kind}`", cell(said.get(name, WORDS.get(name, "")))) for name, kind in types]
    if any(words for _, _, words in rows):
        return table(("column", "type", "what it is"), rows)
    return table(("column", "type"), [row[:2] for row in rows])
