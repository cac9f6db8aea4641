"""Which names a store may have: those that DuckDB, its driver and the file system all read as the same local file."""

import re
from pathlib import Path

from db.errors import StoreError

LONGEST = 240
"""Bytes of a name: a new store is made in a folder beside it, whose name is longer."""

ELSEWHERE = re.compile(
    r":memory:.*|(md|motherduck|s3[an]?|gcs?|gs|r2|hf|https?|az|azure|abfss?|file|duckdb|ducklake|sqlite|postgres|"
    r"mysql|quack):.*",
    re.IGNORECASE,
)
"""What DuckDB takes for memory, an extension or a place in the network."""


def check_name(path: Path) -> None:
    """Raise StoreError for a path that would not be this file, or not everywhere."""
    elsewhere = next((part for part in path.parts if ELSEWHERE.fullmatch(part)), None)
    if elsewhere is not None:
        raise StoreError(f"{elsewhere!r} in {path} names no file to DuckDB, but memory, an extension or the network; "
                         "a store is a local file: name one with --store, such as results.duckdb")  # fmt: skip
    if "?" in str(path):
        raise StoreError(f"{path} holds a question mark, behind which DuckDB's driver reads settings; rename it")
    if "\0" in str(path):
        raise StoreError(f"{str(path)!r} holds a NUL, which no file's name can; name another file with --store")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"{str(path)!r} holds bytes that are no text in UTF-8; rename it") from error
    size = len(path.name.encode())
    if size > LONGEST:
        raise StoreError(f"{path.name[:20]}... is a name of {size} bytes; write at most {LONGEST}")
