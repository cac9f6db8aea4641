"""The made-up launch of the benchmark of scale leaves a whole store with every run in it."""

from pathlib import Path

import pytest

from benchmarks.scale import DIM, GRID, POINTS, RUNS_A_SEED, launch
from db.check import check
from db.store import Store


@pytest.mark.slow
def test_a_made_up_launch_is_a_whole_store(tmp_path: Path) -> None:
    grid, path = tmp_path / "grid.yaml", tmp_path / "results.duckdb"
    grid.write_text(GRID.format(dim=DIM, record="true", seeds=1))
    parts, summed = launch(grid, path, report=False)
    assert (summed["runs"], summed["recorded"]) == (RUNS_A_SEED, True)
    assert {"plan", "driver, ledger and store", "sweep status", "slopes"} <= {part["what"] for part in parts}
    found = check(Store(path))
    assert found.whole
    assert found.without_checksum == 0
    assert found.rows["runs"] == found.rows["sweep_runs"] == RUNS_A_SEED
    assert found.rows["trajectories"] == RUNS_A_SEED
    points = Store(path).query("SELECT count(*) AS n FROM orbits")["n"][0].as_py()
    assert points == RUNS_A_SEED * POINTS
    assert Store(path).query("FROM slopes").num_rows > 0
