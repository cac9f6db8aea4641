"""The sweeps of a store, as a table."""

from typing import Any

import pyarrow as pa

from db.store import Store
from kernels.spec import STATUSES
from sweep.stores.names import short

SWEEPS = """
    FROM progress WHERE $tag IS NULL OR list_contains(tags, $tag) ORDER BY created_at DESC, sweep_id
"""


def sweeps(store: Store, tag: str | None = None) -> list[dict[str, Any]]:
    """The rows of `progress`, latest first; of one tag, if one is named."""
    found: list[dict[str, Any]] = store.query(SWEEPS, {"tag": tag}).to_pylist()
    return found


def table(found: list[dict[str, Any]]) -> pa.Table:
    """Sweeps for people; columns that none of them fills are left out."""
    columns = {
        "sweep": [short(row["sweep_id"]) for row in found],
        "when": [f"{row['created_at']:%Y-%m-%d %H:%M}" for row in found],
        "name": [row["name"] for row in found],
        "shard": [row["shard"] for row in found],
        "runs": [runs(row) for row in found],
        "tags": [", ".join(row["tags"] or ()) or None for row in found],
        "note": [row["note"] for row in found],
    }
    optional = ("shard", "tags", "note")
    return pa.table({name: pa.array(v, pa.string()) for name, v in columns.items() if name not in optional or any(v)})


def runs(row: dict[str, Any]) -> str:
    """How the runs of a sweep stand, by status."""
    parts = [f"{row[name]} {name}" for name in (*STATUSES, "pending") if row[name]]
    return ", ".join(parts) or "none"
