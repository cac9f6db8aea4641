"""What is printed drives no terminal, runs in no spreadsheet, and loses no column."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from db.errors import StoreError
from db.store import Store
from sweep.cli import app
from sweep.execution import summary
from sweep.execution.announcement import plan_lines
from sweep.execution.estimate import Estimate
from sweep.execution.progress import Plain
from sweep.execution.tally import Tally
from sweep.formats import Format, fitting, render, text
from sweep.shown import INVISIBLE, lines_shown, shown
from tests.db import store_rows as rows
from tests.marks import sampled

HOSTILE = "a\x1b[2Jb\x07\r\x9b31m\u202etxt\x7f\u2028\x00"
"""Clears the screen, rings, returns to the line's start, colours by C1, runs backwards, deletes, ends a line."""

SWEEP: dict[str, Any] = {"sweep_id": "s\x1b]0;title\x07", "name": HOSTILE, "created_at": datetime(2026, 1, 2)}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def is_tame(text: str, keep: str = "\n") -> bool:
    return not any(unicodedata.category(c) in INVISIBLE for c in text if c not in keep)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose every text is hostile."""
    made = Store(tmp_path / "results.duckdb")
    made.create()
    made.commit(
        {
            **rows.results(["a"], status=HOSTILE, message=HOSTILE, dataset=HOSTILE, device=HOSTILE),
            "attempts": rows.attempts(
                [{"attempt_id": "1", "run_id": "a", "error": HOSTILE, "traceback": f"line\n{HOSTILE}\nline"}]
            ),
            "sweeps": rows.table("sweeps", SWEEP, [{}]),
            "sweep_runs": rows.table("sweep_runs", {}, [{"sweep_id": SWEEP["sweep_id"], "run_id": "a"}]),
        }
    )
    return made


def test_control_characters_are_shown_as_escapes() -> None:
    assert shown(HOSTILE) == r"a\x1b[2Jb\x07\r\x9b31m\u202etxt\x7f\u2028\x00"
    assert shown("β − α, naïve, 数\ttab\nline") == r"β − α, naïve, 数\ttab\nline"
    assert lines_shown("one\ntwo\r\x1b") == "one\ntwo" + r"\r\x1b"
    assert shown("\ud800") == r"\ud800"
    assert shown(12) == "12"
    assert shown("\U000e0041") == r"\U000e0041"


@pytest.mark.parametrize(
    "arguments",
    sampled([
        ["status"],
        ["status", "--json"],
        ["show", "a"],
        ["show", "a", "--json"],
        *(["query", sql, "--format", kind] for kind in ("table", "csv", "json")
          for sql in ("FROM runs", "FROM attempts", "FROM sweeps", "SELECT dataset AS \"\x1b[31m\" FROM runs")),
        ["query", "SELECT '\x1b[31m' FROM nothing"],
        ["query", "SELECT error('\x1b[31m')"],
        ["chart", "\x1b[31m", "-o", "a.svg"],
        ["chart", "overview", "-o", "a.svg", "--where", "\x1b[31m"],
        ["chart", "overview", "-o", "\x1b[31m.doc"],
        ["report", "-o", "\x1b[31m.doc"],
        ["show", "\x1b[31m"],
        ["plan", "\x1b[31m.yaml"],
    ], every=3),
)  # fmt: skip
def test_no_command_prints_a_control_character(store: Store, arguments: list[str], tmp_path: Path) -> None:
    done = invoke(*arguments, "--store", store.path)
    assert done.stdout + done.stderr != ""
    assert is_tame(done.stdout)
    assert is_tame(done.stderr)
    assert not isinstance(done.exception, UnicodeError | TypeError | KeyError)


def test_a_grid_prints_no_control_character(tmp_path: Path) -> None:
    grid = tmp_path / "grid.yaml"
    grid.write_text('name: "\\e[2J"\n"\\e[31m": 1\ntask: "\\u202eregression"\n')
    done = invoke("plan", grid, "--store", tmp_path / "none.duckdb")
    assert done.exit_code == 2
    assert is_tame(done.stderr)


def test_messages_of_runs_are_shown_tame_while_a_sweep_runs() -> None:
    stream = io.StringIO()
    Plain(Tally(1, 0, Estimate(1, ())), stream).say(f"run a failed: {HOSTILE}\nline")
    assert is_tame(stream.getvalue())
    plan = {
        "name": HOSTILE,
        "total": 1,
        "cached": 0,
        "pending": 1,
        "dropped": {HOSTILE: 2},
        "batches": 1,
        "programs": 1,
    }
    assert all(is_tame(line, "") for line in plan_lines({**plan, **Estimate(1, ()).to_dict()}))


def test_a_name_of_several_lines_poses_as_no_other_line(store: Store) -> None:
    lines = list(summary.status_lines({"store": "s", "runs": {}, "sweeps": [
        {"sweep_id": "1", "name": "a\n  2  b: 3/3 runs, finished", "done": 0, "runs": 1, "pending": 1, "shard": None,
         **dict.fromkeys(summary.STATUSES, 0)}]}))  # fmt: skip
    assert all("\n" not in line for line in lines)


CELLS = {
    "=1+1": "'=1+1",
    "=cmd|'/c calc'!A1": "'=cmd|'/c calc'!A1",
    "+1+1": "'+1+1",
    "-1+1": "'-1+1",
    "@SUM(1)": "'@SUM(1)",
    "\t=1": "'\t=1",
    "\r=1": "'\\r=1",
    "\n=1": "'\n=1",
    "＝1": "'＝1",
    "-1.5e-3": "-1.5e-3",
    "+2": "+2",
    "plain": "plain",
    "a=1": "a=1",
    '"quoted", comma': '"quoted", comma',
    "": "",
}


@pytest.mark.parametrize("cell", CELLS)
def test_csv_cells_that_a_spreadsheet_would_run_are_text(cell: str) -> None:
    text = render(pa.table({"text": [cell], "=name": [1]}), Format.csv)
    assert isinstance(text, str)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["text", "'=name"], [CELLS[cell], "1"]]


def test_numbers_in_csv_stay_numbers() -> None:
    table = pa.table(
        {
            "a": pa.array([-1], pa.int64()),
            "b": pa.array([-1.5e-300]),
            "c": pa.array([Decimal("-12.50")]),
            "d": pa.array([True]),
            "e": pa.array([[-1.0, 2.0]]),
            "f": pa.array([None], pa.string()),
            "g": pa.array([datetime(2026, 1, 2, tzinfo=UTC)]),
            "h": pa.array([float("-inf")]),
        }
    )
    text = render(table, Format.csv)
    assert isinstance(text, str)
    assert text.splitlines()[1] == '-1,-1.5e-300,-12.50,True,"[-1.0, 2.0]",,2026-01-02 00:00:00+00:00,-inf'


def test_columns_of_one_name_are_all_there_or_refused(store: Store, tmp_path: Path) -> None:
    sql = "SELECT 1 AS a, 2 AS a, 3 AS b"
    text = invoke("query", sql, "--store", store.path)
    assert [line.split() for line in text.stdout.splitlines()] == [["a", "a", "b"], ["-", "-", "-"], ["1", "2", "3"]]
    assert invoke("query", sql, "--format", "csv", "--store", store.path).stdout == "a,a,b\n1,2,3\n"
    for kind in ("json", "parquet"):
        output = tmp_path / f"out.{kind}"
        done = invoke("query", sql, "--format", kind, "-o", output, "--store", store.path)
        assert done.exit_code == 2
        assert (
            f"error: {kind} needs a name of its own for every column, and 'a' stands there more than once"
            in done.stderr
        )
        assert 'rename one, as in SELECT ... AS "a_2"' in done.stderr
        assert not output.exists()


def test_sums_of_integers_are_numbers_in_json(store: Store) -> None:
    columns = "sum(depth) AS total, 2.50::DECIMAL(5, 2) AS exact, [1::HUGEINT] AS list, (1::HUGEINT << 70) AS large"
    done = invoke("query", f"SELECT {columns} FROM runs", "--format", "json", "--store", store.path)
    assert json.loads(done.stdout) == [{"total": 2, "exact": 2.5, "list": [1], "large": 2**70}]
    assert '"total": 2,' in done.stdout
    table = invoke("query", "SELECT sum(depth) AS total FROM runs", "--store", store.path).stdout.splitlines()
    assert table == ["total", "-----", "    2"]


def test_a_file_is_written_by_this_program_in_every_format(store: Store, tmp_path: Path) -> None:
    for kind in Format:
        output = tmp_path / f"out.{kind}"
        done = invoke("query", "SELECT 1 AS a", "--format", kind, "-o", output, "--store", store.path)
        assert (done.exit_code, done.stdout) == (0, "")
        assert output.stat().st_size > 0
    assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {"a": [1]}


def test_parquet_is_not_printed_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from sweep.formats import write

    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours):
        monkeypatch.setattr(sys, "stdout", terminal)
        with pytest.raises(StoreError, match="parquet is binary"):
            write(pa.table({"a": [1]}), Format.parquet, None)


@pytest.mark.slow
def test_limits_are_options_of_the_commands_that_ask(store: Store, tmp_path: Path) -> None:
    endless = "SELECT sum(a.range * b.range) FROM range(10_000_000) a, range(10_000_000) b"
    done = invoke("query", endless, "--max-seconds", "0.3", "--store", store.path)
    assert (done.exit_code, "error: the query took longer than 0.3 s; ask for less" in done.stderr) == (2, True)
    done = invoke("query", "SELECT list(range) FROM range(100_000_000)", "--max-memory", "100MB", "--store", store.path)
    assert (done.exit_code, "needs more than 0.1 GB of memory" in done.stderr) == (2, True)
    condition = f"({endless}) > 0"
    done = invoke("chart", "overview", "-o", tmp_path / "a.svg", "--where", condition, "--max-seconds", "0.3",
                  "--store", store.path)  # fmt: skip
    assert (done.exit_code, "took longer than 0.3 s" in done.stderr) == (2, True)
    for option in ("--max-seconds", "--max-memory"):
        done = invoke("query", "SELECT 1", option, "lots", "--store", store.path)
        assert (done.exit_code, f"error: {option} lots: write a number" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_function_that_heeds_no_interrupt_is_ended_with_the_process(store: Store) -> None:
    endless = "SELECT levenshtein(repeat('a', 3000000), repeat('b', 3000000))"
    code = "from sweep.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", code, "query", endless, "--max-seconds", "0.5", "--store", str(store.path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "took longer than 0.5 s" in done.stderr
    assert done.stderr.endswith("DuckDB did not heed an interrupt\n")


def test_a_table_wider_than_the_terminal_is_one_line_a_column() -> None:
    table = pa.table({"name": ["a", "b"], "a_long_number": [1.5, None]})
    assert fitting(table, 80) == text(table)
    assert fitting(table, 18) == (
        "-- row 1 -------------\nname           a\na_long_number  1.5\n"
        "-- row 2 -------------\nname           b\na_long_number\n"
    )
    assert fitting(table.slice(0, 0), 3) == text(table.slice(0, 0))
