"""How people name a sweep: by the start of its id or of the end of it, which `sweep list` prints, or by its name."""

from typing import Any

from db.errors import StoreError
from db.store import Store

MOST = 10
"""Sweeps that are named where several are meant."""

MATCHING = f"""
    SELECT sweep_id, name, created_at FROM sweeps
    WHERE starts_with(sweep_id, $word) OR starts_with(split_part(sweep_id, '-', -1), $word) OR name = $word
    ORDER BY sweep_id <> $word, created_at DESC, sweep_id LIMIT {MOST}
"""


def short(sweep_id: str) -> str:
    """The end of an id, in which those of one day differ."""
    return sweep_id.rpartition("-")[2] or sweep_id


def matching(store: Store, word: str) -> list[dict[str, Any]]:
    """The sweeps that a word may mean, at most MOST; one alone whose id it is."""
    found: list[dict[str, Any]] = store.query(MATCHING, {"word": word}).to_pylist() if word else []
    return found[:1] if found and found[0]["sweep_id"] == word else found


def the_sweep(store: Store, word: str) -> str:
    """The id of the one sweep that a word means. Raises StoreError for none and for several."""
    found = matching(store, word)
    if not found:
        raise StoreError(f"no sweep of {store.path} has the name {word!r} or an id that starts so; see: sweep list")
    if len(found) > 1:
        raise StoreError(f"several sweeps may be meant by {word!r}: {candidates(found)}; write the id of one")
    return str(found[0]["sweep_id"])


def candidates(found: list[dict[str, Any]]) -> str:
    """Sweeps among which one has to be chosen."""
    return ", ".join(f"{short(row['sweep_id'])} ({row['name']}, {row['created_at']:%Y-%m-%d %H:%M})" for row in found)
