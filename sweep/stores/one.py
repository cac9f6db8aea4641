"""One run or one sweep of a store, found by what a user wrote of it."""

from typing import Any, Literal

import pyarrow as pa

from db.errors import StoreError
from db.store import Store
from sweep.stores.names import candidates, matching

MOST = 5
"""Runs that are named where several are meant."""


def find(store: Store, word: str) -> tuple[Literal["run", "sweep"], str]:
    """What a word means: a run by the start of its id, or a sweep. Raises StoreError for nothing and for several."""
    sql = f"SELECT run_id FROM runs WHERE starts_with(run_id, ?) ORDER BY run_id LIMIT {MOST}"
    runs = store.query(sql, [word])["run_id"].to_pylist() if word else []
    sweeps = matching(store, word)
    if len(runs) + len(sweeps) == 1:
        return ("run", runs[0]) if runs else ("sweep", sweeps[0]["sweep_id"])
    if not runs and not sweeps:
        raise StoreError(
            f"no run has an id that starts with {word!r}, and no sweep an id or a name; list them: sweep list, "
            "sweep query 'SELECT run_id FROM runs'"
        )
    meant = [f"runs {', '.join(runs)}"] * bool(runs) + [f"sweeps {candidates(sweeps)}"] * bool(sweeps)
    raise StoreError(f"several are meant by {word!r}: {' and '.join(meant)}; write more of the id")


def run(store: Store, run_id: str) -> dict[str, pa.Table]:
    """One run with its predictions and attempts."""
    key = [run_id]
    return {
        "run": store.query("SELECT * FROM runs WHERE run_id = ?", key),
        "predictions": store.query("SELECT * EXCLUDE (run_id) FROM predictions WHERE run_id = ? ORDER BY ALL", key),
        "attempts": store.query("SELECT * EXCLUDE (run_id) FROM attempts WHERE run_id = ? ORDER BY started_at", key),
    }


def sweep(store: Store, sweep_id: str) -> dict[str, Any]:
    """One sweep: its row, and how its runs stand."""
    (row,) = store.query("SELECT * FROM sweeps WHERE sweep_id = ?", [sweep_id]).to_pylist()
    (progress,) = store.query("SELECT * FROM progress WHERE sweep_id = ?", [sweep_id]).to_pylist()
    return row | progress
