"""Which SQL is run: one statement that reads, as DuckDB's own parser sees it; and which conditions are conditions."""

import functools
import json
import re
from typing import Any

import duckdb

from db.errors import QueryError

SEALED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}
"""A connection that sees no file but its own database: nothing is downloaded or loaded, no secret is read from disk,
and a table name in SQL is never a Python variable."""

READERS = frozenset(
    (
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "histogram"),
        *("summary", "duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_constraints", "duckdb_types"),
        *("duckdb_functions", "duckdb_keywords", "pragma_table_info", "pragma_storage_info"),
        *("pragma_database_size", "pragma_version"),
    )
)
"""Table functions that make rows or read the store's tables and catalogue. Others of DuckDB's read files, write logs to
the terminal, or take addresses in memory, which no statement's type tells."""

NO_FILES = "SQL sees the store and nothing else: no file, no network, no other database; write a table of the store"
ONE_EXPRESSION = (
    "write one SQL expression, such as depth = 3 AND alpha < 0.1, and nothing behind it, not even a comment"
)
NO_TEXT = "it holds a NUL or bytes that are no text in UTF-8; write it again"
WRITE = "write SELECT, WITH, VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW, or EXPLAIN before one of them"


def one_query(duck: Any, sql: str) -> Any:
    """The one statement of a text, ready to be executed. Raises QueryError unless it is a SELECT, or EXPLAIN of one.

    DESCRIBE, SUMMARIZE, SHOW, VALUES and FROM are SELECTs to DuckDB.
    """
    found = _statements(duck, sql)
    if not found:
        raise QueryError(f"{sql!r} is no query; write SQL such as SELECT * FROM convergence")
    if len(found) > 1:
        raise QueryError(
            f"there are {len(found)} statements; write one SELECT (a PIVOT is one only with its values: "
            "PIVOT runs ON status IN ('converged', 'failed') USING count(*))"
        )
    of = ""
    if found[0].type == duckdb.StatementType.EXPLAIN:
        of, sql = "EXPLAIN of ", _explained(duck, sql)
        found = [*_statements(duck, sql), *found]
    kind = found[0].type
    if kind != duckdb.StatementType.SELECT:
        name = kind.name if kind.name.isidentifier() else "this statement"
        raise QueryError(f"{of}{name} is no query, and the store is read-only here; {WRITE}")
    tree = _serialise(sql)
    if tree["error"]:  # DuckDB rewrites PRAGMAs into SELECTs before it gives their type, but not before this
        raise QueryError(f"{of}PRAGMA is no query, and the store is read-only here; {WRITE}")
    others = sorted(_table_functions(tree) - READERS)
    if others:
        raise QueryError(
            f"the table function {others[0]} is not of the store, and SQL sees the store and nothing else; "
            f"in FROM may stand tables, views and {', '.join(sorted(READERS))}"
        )
    return found[-1]


def _statements(duck: Any, sql: str) -> list[Any]:
    _check_text(sql)
    try:
        return list(duck.extract_statements(sql))
    except duckdb.PermissionException as error:
        raise QueryError(NO_FILES) from error
    except duckdb.Error as error:
        raise QueryError(str(error)) from error


def _check_text(sql: str) -> None:
    """Raise QueryError for halves of characters, and for a NUL, at which DuckDB's parser stops reading."""
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise QueryError(NO_TEXT) from error
    if "\0" in sql:
        raise QueryError(NO_TEXT)


def _explained(duck: Any, sql: str) -> str:
    """What follows EXPLAIN, or EXPLAIN ANALYZE, or EXPLAIN (options)."""
    text = sql.encode()
    places = [place for place, _ in duckdb.tokenize(sql)]
    words = [text[a:b].split(maxsplit=1)[0].upper() for a, b in zip(places, [*places[1:], len(text)], strict=True)]
    first = next((n for n, word in enumerate(words) if word.startswith(b"EXPLAIN")), len(words)) + 1
    rest = words[first:]
    if rest and rest[0].startswith(b"ANALYZE"):
        first += 1
    elif rest and rest[0] == b"(" and not _parses(duck, text[places[first] :].decode()):
        first += rest.index(b")") + 1 if b")" in rest else 0
    return text[places[first] :].decode() if first < len(places) else ""


def check_condition(text: str) -> None:
    """Raise QueryError unless a text is one SQL expression, whole by itself: `(text)` then cannot be anything else.

    It must parse as the only column of a SELECT that has nothing but columns, as it stands and in parentheses: a
    comment that swallows the closing one, a parenthesis closed too early, and a second statement all fail.
    """
    alone, inside = _columns(f"SELECT {text}"), _columns(f"SELECT ({text})")
    if len(alone) != 1 or alone != inside:
        raise QueryError(ONE_EXPRESSION)


def _columns(sql: str) -> list[Any]:
    """The columns of a SELECT without a FROM, or of anything behind it. Raises QueryError for all other SQL."""
    answer = _serialise(sql)
    if answer["error"]:
        said = str(answer["error_message"]).partition("\n")[0]
        raise QueryError(f"{ONE_EXPRESSION}; DuckDB's parser says: {said}")
    nodes = [statement["node"] for statement in answer["statements"]]
    columns = nodes[0].pop("select_list", []) if len(nodes) == 1 else []
    if nodes != _nothing_else() or any(column["alias"] or _is_star(column) for column in columns):
        raise QueryError(ONE_EXPRESSION)
    return [_without_places(column) for column in columns]


def _is_star(column: Any) -> bool:
    """Whether it is * and not COLUMNS(*)."""
    return column["class"] == "STAR" and not column["columns"]


@functools.cache
def _nothing_else() -> list[Any]:
    """What DuckDB makes of SELECT and a column, less the column."""
    (statement,) = _serialise("SELECT 1")["statements"]
    del statement["node"]["select_list"]
    return [statement["node"]]


def _without_places(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_places(value) for key, value in tree.items() if key != "query_location"}
    return [_without_places(each) for each in tree] if isinstance(tree, list) else tree


def _serialise(sql: str) -> Any:
    """DuckDB's tree of a text that holds SELECTs only, {"error": true, ...} for any other text."""
    _check_text(sql)
    try:
        ((tree,),) = _parser().execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
        return json.loads(tree)
    except (duckdb.Error, RecursionError) as error:
        raise QueryError("it nests too deeply; write IN (...) in place of a long chain of operators") from error


def _table_functions(tree: Any) -> set[str]:
    """Names of the functions that stand in FROM, wherever in a statement."""
    found, todo = set(), [tree]
    while todo:
        node = todo.pop()
        todo += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        if isinstance(node, dict) and node.get("type") == "TABLE_FUNCTION":
            found.add(str(node["function"]["function_name"]).lower())
    return found


def equalities(sql: str) -> list[tuple[str, str | int]]:
    """(column, value) wherever a column is compared with a text or a whole number by = or IN, in SELECTs."""
    found: list[tuple[str, str | int]] = []
    todo = [_serialise(sql)]
    while todo:
        node = todo.pop()
        todo += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        if isinstance(node, dict) and node.get("type") == "COMPARE_EQUAL":
            found += _compared(node["left"], [node["right"]]) + _compared(node["right"], [node["left"]])
        elif isinstance(node, dict) and node.get("type") == "COMPARE_IN":
            found += _compared(node["children"][0], node["children"][1:])
    return found


def _compared(column: Any, others: list[Any]) -> list[tuple[str, str | int]]:
    if column.get("class") != "COLUMN_REF":
        return []
    values = [other["value"] for other in others if other.get("class") == "CONSTANT"]
    kinds = {"VARCHAR": str, "INTEGER": int}
    plain = [v["value"] for v in values if isinstance(v.get("value"), kinds.get(v["type"]["id"], ()))]
    return [(column["column_names"][-1], value) for value in plain]


def foreign_calls(sql: str) -> list[str]:
    """Table functions outside READERS that a text may call. A word before a parenthesis counts, wherever it stands."""
    return sorted({name.lower() for name in re.findall(r'(\w+)"?\s*\(', sql)} & _foreign())


@functools.cache
def _foreign() -> frozenset[str]:
    sql = "SELECT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')"
    return frozenset(name for (name,) in _parser().execute(sql).fetchall()) - READERS


def _parses(duck: Any, sql: str) -> bool:
    try:
        return bool(duck.extract_statements(sql))
    except duckdb.Error:
        return False


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {**SEALED, "temp_directory": "", "threads": "1"}
    config["lock_configuration"] = "true"
    return duckdb.connect(":memory:", config=config)


def _parser() -> duckdb.DuckDBPyConnection:
    """A connection to an empty database, for DuckDB's parser alone; each caller's own, so that threads may call."""
    return _database().cursor()
