"""When the ledger commits."""

from pathlib import Path

import pytest

from db.store import Store
from sweep.execution import ledger
from tests.db import store_rows as rows


@pytest.mark.slow
def test_many_rows_are_committed_before_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "results.duckdb")
    store.create()
    made = ledger.Ledger(store, print, "sweep")

    def stored() -> int:
        made.commit_if_due()
        return int(store.query("SELECT count(*) AS n FROM runs")["n"][0].as_py())

    monkeypatch.setattr(ledger, "EVERY_SECONDS", 3600.0)
    made._due = float("inf")
    made.add(rows.results(["a"]))
    assert stored() == 0
    monkeypatch.setattr(ledger, "ENOUGH_BYTES", rows.runs(["a"]).nbytes)
    assert stored() == 1
    made.add(rows.results(["b"]))
    assert made._bytes == sum(table.nbytes for table in rows.results(["b"]).values())
    assert stored() == 2
    assert made._bytes == 0
