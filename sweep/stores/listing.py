"""The sweeps of a store, as a table."""

from typing import Any

import pyarrow as pa

from db.store import Store
from kernels.spec import STATUSES
from sweep.formats import text
from sweep.stores.names import short

OPTIONAL = ("shard", "tags", "note")
LEAST_NOTE = 12
"""Characters of a note that are printed at least."""

SWEEPS = """
    FROM progress WHERE $tag IS NULL OR list_contains(tags, $tag) ORDER BY created_at DESC, sweep_id
"""


def sweeps(store: Store, tag: str | None = None) -> list[dict[str, Any]]:
    """The rows of `progress`, latest first; of one tag, if one is named."""
    found: list[dict[str, Any]] = store.query(SWEEPS, {"tag": tag}).to_pylist()
    return found


def table(found: list[dict[str, Any]], width: int | None = None) -> pa.Table:
    """Sweeps for people; columns that none of them fills are left out, and notes are cut for a terminal of a width."""
    columns = {
        "sweep": [short(row["sweep_id"]) for row in found],
        "when": [f"{row['created_at']:%Y-%m-%d %H:%M}" for row in found],
        "name": [row["name"] for row in found],
        "shard": [row["shard"] for row in found],
        "runs": [runs(row) for row in found],
        "tags": [", ".join(row["tags"] or ()) or None for row in found],
        "note": [row["note"] for row in found],
    }
    made = pa.table({name: pa.array(v, pa.string()) for name, v in columns.items() if name not in OPTIONAL or any(v)})
    if width is None or "note" not in made.column_names:
        return made
    others = max(map(len, text(made.drop_columns("note")).splitlines()))
    room = max(width - others - 2, LEAST_NOTE)
    cut = pa.array([_cut(note, room) for note in columns["note"]], pa.string())
    return made.set_column(made.num_columns - 1, "note", cut)


def _cut(note: str | None, room: int) -> str | None:
    return note if note is None or len(note) <= room else f"{note[: room - 3]}..."


def runs(row: dict[str, Any]) -> str:
    """How the runs of a sweep stand, by status."""
    parts = [f"{row[name]} {name}" for name in (*STATUSES, "pending") if row[name]]
    return ", ".join(parts) or "none"
