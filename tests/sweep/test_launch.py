"""Launches in this process: resuming, sharing, and every way in which runs fail."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from sweep.grid.mistakes import GridError
from tests.sweep.conftest import FRAGILE, SMALL, Launch, counts_of


def rows(tmp_path: Path, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Store(tmp_path / "results.duckdb").query(sql).to_pylist()
    return found


def test_launching_again_computes_nothing(launch: Launch, tmp_path: Path) -> None:
    first, second = launch(SMALL), launch(SMALL)
    assert first.counts == second.counts == counts_of(converged=8)
    assert (sum(first.computed.values()), sum(second.computed.values())) == (8, 0)
    assert rows(tmp_path, "SELECT count(*) AS n FROM runs") == [{"n": 8}]
    assert rows(tmp_path, "SELECT runs, outcome FROM attempts") == [{"runs": 8, "outcome": "finished"}]
    assert [row["done"] for row in rows(tmp_path, "SELECT done FROM progress")] == [8, 8]


def test_an_extended_grid_runs_only_the_new_part(launch: Launch, tmp_path: Path) -> None:
    launch(SMALL)
    more = launch(SMALL, "grid.seed={range: [0, 6]}")
    assert (more.plan["cached"], sum(more.computed.values())) == (8, 4)
    assert more.counts["converged"] == 12
    other = launch(SMALL.replace("name: small", "name: other"), "alpha=1,2")
    assert (other.plan["cached"], sum(other.computed.values())) == (4, 4)
    repeated = rows(tmp_path, "SELECT run_id FROM runs GROUP BY ALL HAVING count(*) > 1")
    assert repeated == []


@pytest.mark.slow
def test_the_table_at_the_end_is_of_this_grid(launch: Launch) -> None:
    launch(SMALL, "grid.seed={range: [0, 6]}")
    found = launch(SMALL).table.to_dicts()
    exact = [row for row in found if row["prediction"] == "minimum_bregman"]
    assert [(row["architecture"], row["depth"], row["kind"], row["runs"]) for row in exact] == [
        ("diagonal", 2, "exact", 8)
    ]
    assert exact[0]["median"] <= exact[0]["worst"] < 1e-2


@pytest.mark.slow
def test_a_sweep_records_where_it_came_from(launch: Launch, tmp_path: Path) -> None:
    launch(SMALL, "grid.alpha=0.5")
    (row,) = rows(tmp_path, "SELECT * FROM sweeps")
    assert row["name"] == "small"
    assert "alpha: 0.5" in row["grid"]
    assert '"jax"' in row["packages"]
    assert '"pending":4' in row["counts"]


def test_a_run_that_raises_is_isolated_and_recorded(launch: Launch, tmp_path: Path) -> None:
    ended = launch(FRAGILE, "grid.alpha=1", "grid.seed={range: [0, 12]}", "when=seed not in [8, 9]")
    assert ended.counts == counts_of(converged=9, failed=1)
    (failed,) = rows(tmp_path, "SELECT seed, message FROM runs WHERE status = 'failed'")
    assert failed == {"seed": 7, "message": "RuntimeError: seed 7 is broken (raised in check of fragile.py, line 20)"}
    (attempt,) = rows(tmp_path, "SELECT * FROM attempts WHERE run_id IS NOT NULL")
    assert 'raise RuntimeError(f"seed {self.seed} is broken")' in attempt["traceback"]
    assert (attempt["retryable"], attempt["outcome"], attempt["runs"]) == (False, "failed", 1)
    halved = rows(tmp_path, "SELECT runs FROM attempts WHERE outcome = 'failed' ORDER BY runs DESC")
    assert [row["runs"] for row in halved] == [10, 5, 3, 1][: len(halved)] or halved[-1]["runs"] == 1
    finished = rows(tmp_path, "SELECT sum(runs) AS n FROM attempts WHERE outcome = 'finished'")
    assert finished == [{"n": 9}]


@pytest.mark.slow
def test_a_network_that_jax_cannot_trace_is_told_where(launch: Launch, tmp_path: Path) -> None:
    """Known in the worker only: planning imports no JAX."""
    launch(
        SMALL.replace("architecture: diagonal", "architecture: 'fragile:Untraceable'"), "grid.seed=1", "grid.alpha=1"
    )
    ((message,),) = (row.values() for row in rows(tmp_path, "SELECT message FROM runs"))
    assert message.startswith("TracerArrayConversionError: ")
    assert "raised in coefficients of fragile.py, line" in message
    assert "write it with what numpy and JAX arrays share" in message


@pytest.mark.slow
def test_what_failed_for_good_runs_again_only_if_asked(launch: Launch, tmp_path: Path) -> None:
    chosen = ("grid.alpha=1", "grid.seed=6,7")
    launch(FRAGILE, *chosen)
    again = launch(FRAGILE, *chosen)
    assert (again.plan["pending"], again.counts["failed"]) == (0, 1)
    retried = launch(FRAGILE, *chosen, retry_failed=True)
    assert (retried.plan["pending"], retried.counts["failed"], retried.computed) == (1, 1, {"failed": 1})
    assert rows(tmp_path, "SELECT count(*) AS n FROM runs") == [{"n": 2}]


@pytest.mark.slow
def test_running_out_of_memory_halves_is_capped_and_runs_again_later(launch: Launch, tmp_path: Path) -> None:
    chosen = ("grid.alpha=1", "grid.seed={range: [5, 9]}", "when=seed != 7")
    ended = launch(FRAGILE, *chosen)
    assert ended.counts == counts_of(converged=2, failed=1)
    tries = rows(tmp_path, "SELECT runs, retryable FROM attempts WHERE outcome = 'out of memory' ORDER BY attempt")
    assert [row["runs"] for row in tries][-3:] == [1, 1, 1]
    assert tries[-1]["retryable"] is True
    assert launch(FRAGILE, *chosen).plan["pending"] == 1


@pytest.mark.slow
def test_many_failures_in_a_row_stop_the_sweep(launch: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    ended = launch(FRAGILE, "grid.seed=7", "grid.alpha={linspace: [1, 2, 40]}", max_failures=3)
    assert ended.counts["failed"] == 3
    assert ended.traceback is not None
    assert "seed 7 is broken" in ended.traceback
    lines = "\n".join(ended.lines())
    assert "stopped after too many failures in a row" in lines
    assert "to go on: " in lines
    assert lines.splitlines()[-1] == "40 runs: 0 converged, 0 stopped, 0 diverged, 3 failed, 37 pending"


@pytest.mark.slow
def test_good_runs_between_failures_keep_the_sweep_going(launch: Launch) -> None:
    ended = launch(FRAGILE, "grid.seed=6,7", "grid.alpha=1,2,3", max_failures=3)
    assert ended.traceback is None
    assert ended.counts == counts_of(converged=3, failed=3)


@pytest.mark.slow
def test_runs_out_of_steps_are_results(launch: Launch) -> None:
    ended = launch(SMALL, "stop={residual: 1e-10, max_steps: 1}")
    assert ended.counts == counts_of(stopped=8)
    assert launch(SMALL, "stop={residual: 1e-10, max_steps: 1}").plan["pending"] == 0


@pytest.mark.slow
def test_predictions_are_compared_with_converged_runs_only(launch: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    """A run out of steps is on its way to the limit: its distance is no evidence."""
    launch(SMALL)
    met = launch(SMALL).table
    assert {row["runs"] for row in met.to_dicts() if row["kind"] == "exact"} == {8}
    capsys.readouterr()
    both = launch(SMALL, "stop=[{residual: 1e-4}, {residual: 1e-10, max_steps: 1}]")
    assert both.counts == counts_of(converged=8, stopped=8)
    assert both.table.equals(met)
    assert "worst gap" not in capsys.readouterr().out


@pytest.mark.slow
def test_data_that_change_between_plan_and_run_are_noticed(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    path.write_text("a,b,y\n1,2,1\n")
    text = SMALL.replace("{points: {x: [[1, 2]], y: [1]}}", "{file: samples.csv, target: y}")
    assert launch(text).counts["converged"] == 8
    path.write_text("a,b,y\n1,2,2\n")
    assert launch(text).plan["pending"] == 8


def test_bad_input_leaves_the_store_as_it_was(launch: Launch, tmp_path: Path) -> None:
    launch(SMALL)
    before = (tmp_path / "results.duckdb").read_bytes()
    with pytest.raises(GridError):
        launch(SMALL, "grid.depth=0")
    assert (tmp_path / "results.duckdb").read_bytes() == before


@pytest.mark.slow
def test_results_do_not_depend_on_the_batch(launch: Launch, tmp_path: Path) -> None:
    launch(SMALL)
    whole = rows(tmp_path, "SELECT run_id, beta FROM runs ORDER BY run_id")
    parts = tmp_path / "parts.duckdb"
    for seed in (3, 1, 0, 2):
        launch(SMALL, f"grid.seed={seed}", store=parts)
    alone = Store(parts).query("SELECT run_id, beta FROM runs ORDER BY run_id").to_pylist()
    assert [row["run_id"] for row in whole] == [row["run_id"] for row in alone]
    for one, other in zip(whole, alone, strict=True):
        assert one["beta"] == pytest.approx(other["beta"], rel=1e-9)


@pytest.mark.slow
def test_a_report_is_written_at_the_end(launch: Launch, tmp_path: Path) -> None:
    ended = launch(SMALL, report=tmp_path / "report.html")
    assert ended.report == str(tmp_path / "report.html")
    assert "<html" in (tmp_path / "report.html").read_text()[:200].lower()


def test_plain_lines_show_progress(launch: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    launch(SMALL)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "small: 8 runs, 0 cached, 8 pending"
    assert any(line.startswith("8/8 runs, ") and "worst gap to exact predictions" in line for line in lines)
    assert Counter(map(str.isprintable, lines))[False] == 0
