"""Two launches at once, each with a Ray of its own, again and again: a busy machine starts both.

SWEEP_PAIRS sets how many pairs follow one another.
"""

import os
import time
from pathlib import Path

import pytest

from db.store import Store
from tests.sweep.conftest import SMALL, Write
from tests.sweep.torture import launched, none_left

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("proc")]

PAIRS = int(os.environ.get("SWEEP_PAIRS", "2"))


def test_launches_in_pairs_all_succeed(write: Write, tmp_path: Path) -> None:
    grid, mark = write(SMALL), f"pair-{os.getpid()}"
    for pair in range(1, PAIRS + 1):
        begin = time.monotonic()
        stores = [tmp_path / f"{pair}-{side}.duckdb" for side in "ab"]
        both = [launched(tmp_path, mark, grid, "--store", store, "--workers", "1") for store in stores]
        for running, store in zip(both, stores, strict=True):
            assert running.end(600) == 0, running.said()
            assert Store(store).query("SELECT count(*) AS n FROM runs")["n"].to_pylist() == [8]
        print(f"pair {pair}: {time.monotonic() - begin:.0f} s", flush=True)
    none_left(mark)
