"""What people say of a sweep: tags and a note. Nothing that was computed depends on them."""

import re
from collections.abc import Sequence
from typing import Any

from db.connection import raw
from db.errors import StoreError
from db.store import Store

TAG = re.compile(r"[^\s,]{1,60}")
"""One word, so that a list of tags reads as one."""


def tag(store: Store, sweep_id: str, added: Sequence[str] = (), removed: Sequence[str] = ()) -> list[str]:
    """Add tags to a sweep and remove others; returns those that it then has, in the order in which they were added.

    Raises StoreError for what is no tag, and for one to be removed that the sweep does not have.
    """
    wrong = next((word for word in (*added, *removed) if not TAG.fullmatch(word)), None)
    if wrong is not None:
        raise StoreError(f"{wrong!r} is no tag; write one word of at most 60 characters without commas")
    with store.writing() as connection:
        duck = raw(connection)
        before = _stored(duck, sweep_id, "tags") or []
        absent = next((word for word in removed if word not in before), None)
        if absent is not None:
            has = f"it has {', '.join(before)}" if before else "it has none"
            raise StoreError(f"{sweep_id} has no tag {absent!r}; {has}")
        after = [word for word in dict.fromkeys([*before, *added]) if word not in removed]
        duck.execute("UPDATE sweeps SET tags = ? WHERE sweep_id = ?", [after or None, sweep_id])
    return after


def note(store: Store, sweep_id: str, text: str) -> None:
    """Put a note to a sweep in the place of the one that it had; an empty one takes it away."""
    with store.writing() as connection:
        duck = raw(connection)
        _stored(duck, sweep_id, "note")
        duck.execute("UPDATE sweeps SET note = ? WHERE sweep_id = ?", [text or None, sweep_id])


def _stored(duck: Any, sweep_id: str, column: str) -> Any:
    """What a sweep has in a column. Raises StoreError where it is gone since it was looked up."""
    row = duck.execute(f"SELECT {column} FROM sweeps WHERE sweep_id = ?", [sweep_id]).fetchone()
    if row is None:
        raise StoreError(f"the sweep {sweep_id} is not there any more; see: sweep list")
    return row[0]
