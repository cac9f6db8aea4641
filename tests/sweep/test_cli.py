"""The command line: every command has help, bad input ends in one message and exit code 2, programs get JSON."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.main import get_command
from typer.testing import CliRunner

from db.store import Store
from kernels.theory.table import forecasts
from sweep.cli import app
from sweep.grid.expansion import Expansion
from sweep.grid.grid import load
from tests.sweep.conftest import FRAGILE, SMALL, Write, counts_of

HEAVY = ("jax", "ray", "altair", "sqlalchemy", "polars", "duckdb", "scipy", "pyarrow", "pydantic")


def invoke(*arguments: object, store: Path | None = None) -> Result:
    options = [] if store is None else ["--store", store]
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, *options)])


def commands(group: Any = None, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and group by its path."""
    group = group or get_command(app)
    found = [path] if path else []
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name))
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A grid and a store with its runs."""
    folder = tmp_path_factory.mktemp("filled")
    grid, store = folder / "grid.yaml", folder / "results.duckdb"
    grid.write_text(SMALL)
    done = invoke("launch", grid, "--executor", "local", "--json", store=store)
    assert done.exit_code == 0, done.output
    return grid, store


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sweep.cli import app\n"
        "try: app(['--help'])\n"
        f"except SystemExit: print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_and_option_has_help(path: tuple[str, ...]) -> None:
    done = invoke(*path, "--help")
    assert done.exit_code == 0
    command: Any = get_command(app)
    for name in path:
        command = command.commands[name]
    assert command.help
    assert all(parameter.help for parameter in command.params)


def test_the_commands_are_those_of_the_contract() -> None:
    assert {" ".join(path) for path in commands()} == {
        "launch", "claims", "plan", "status", "query", "report", "chart", "show", "predict", "schema", "init", "check",
        "examples", "gc", "list", "tag", "note", "diff", "forget", "merge", "export", "db", "db upgrade",
    }  # fmt: skip


def test_launch_prints_progress_a_table_and_counts(write: Write, tmp_path: Path) -> None:
    done = invoke("launch", write(SMALL), "--executor", "local", store=tmp_path / "results.duckdb")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "small: 8 runs, 0 cached, 8 pending"
    assert any(line.startswith("diagonal") and "minimum_bregman" in line for line in lines)
    assert lines[-1] == "8 runs: 8 converged, 0 stopped, 0 diverged, 0 failed"


def test_launch_prints_one_json_object(filled: tuple[Path, Path]) -> None:
    grid, store = filled
    done = invoke("launch", grid, "--executor", "local", "--json", store=store)
    found = json.loads(done.stdout)
    assert (found["total"], found["cached"], found["computed"], found["interrupted"]) == (8, 8, 0, False)
    assert found["statuses"] == counts_of(converged=8)
    assert {row["prediction"] for row in found["table"]} == {"minimum_bregman", "weighted_l1", "saddle_sequence"}


def test_a_failed_run_is_exit_code_1(write: Write, tmp_path: Path) -> None:
    grid = write(FRAGILE)
    options = ["--executor", "local", "--set", "grid.seed=6,7", "--set", "grid.alpha=1"]
    done = invoke("launch", grid, *options, store=tmp_path / "results.duckdb")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == "2 runs: 1 converged, 0 stopped, 0 diverged, 1 failed"


def test_plan_for_people_and_programs(filled: tuple[Path, Path]) -> None:
    grid, store = filled
    done = invoke("plan", grid, "--set", "alpha=1", "--set", "exclude=seed > 2", store=store)
    assert done.stdout.splitlines() == [
        "small: 3 runs, 3 cached, 0 pending",
        "combinations dropped:",
        "  1  exclude: seed > 2",
        "batches: 0, of 0 compiled programs",
        "estimated time: 0 s",
    ]
    found = json.loads(invoke("plan", grid, "--json", store=store.with_name("none.duckdb")).stdout)
    assert (found["total"], found["pending"], found["estimated_seconds"]) == (8, 8, None)


def test_status(filled: tuple[Path, Path]) -> None:
    _, store = filled
    assert "8 converged" in invoke("status", store=store).stdout
    found = json.loads(invoke("status", "--json", store=store).stdout)
    assert found["runs"] == {"converged": 8}
    assert found["sweeps"][-1]["name"] == "small"
    assert found["sweeps"][-1]["pending"] == 0


def test_query_in_every_format(filled: tuple[Path, Path], tmp_path: Path) -> None:
    _, store = filled
    sql = "SELECT seed, alpha, beta, CASE WHEN seed > 0 THEN 'nan'::DOUBLE END AS x FROM runs ORDER BY ALL"
    expected = Store(store).query(sql)
    found = json.loads(invoke("query", sql, "--format", "json", store=store).stdout)
    assert [row["beta"] for row in found] == expected["beta"].to_pylist()
    assert {row["x"] for row in found} == {None}
    rows = list(csv.DictReader(io.StringIO(invoke("query", sql, "--format", "csv", store=store).stdout)))
    assert [json.loads(row["beta"]) for row in rows] == expected["beta"].to_pylist()
    text = invoke("query", sql, store=store).stdout.splitlines()
    assert text[0].split() == ["seed", "alpha", "beta", "x"]
    assert len(text) == 2 + 8
    path = tmp_path / "out.parquet"
    assert invoke("query", sql, "--format", "parquet", "-o", path, store=store).exit_code == 0
    assert pq.read_table(path)["beta"].to_pylist() == expected["beta"].to_pylist()


def test_show_a_run_by_the_start_of_its_id(filled: tuple[Path, Path]) -> None:
    _, store = filled
    run_id = Store(store).query("SELECT run_id FROM runs ORDER BY 1 LIMIT 1")["run_id"].to_pylist()[0]
    for start in (run_id, run_id[:12]):
        done = invoke("show", start, store=store)
        assert run_id in done.stdout
        assert "minimum_bregman" in done.stdout
    found = json.loads(invoke("show", run_id, "--json", store=store).stdout)
    assert found["run"][0]["architecture"] == "diagonal"


def test_predict_prints_what_theory_says_without_a_flow(write: Write) -> None:
    grid = write(SMALL)
    found = json.loads(invoke("predict", grid, "--format", "json").stdout)
    expansion = Expansion(load(grid))
    for candidate in expansion.candidates():
        dataset = expansion.catalogue.dataset(candidate.structure.entry)
        for record in forecasts(candidate.spec, dataset):
            (row,) = (r for r in found if (r["run_id"], r["prediction"]) == (candidate.run_id, record.prediction))
            assert (row["beta"] is None) == (record.beta is None)
            if record.beta is not None:  # a batch is its runs one by one, up to rounding
                assert row["beta"] == pytest.approx(record.beta.tolist(), rel=1e-13, abs=0)
    assert len({row["run_id"] for row in found}) == 8


def test_schema_is_json() -> None:
    assert json.loads(invoke("schema").stdout)["title"] == "grid.yaml"


def test_init_writes_a_grid_that_plans_and_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    assert invoke("init", path).exit_code == 0
    found = json.loads(invoke("plan", path, "--json", store=tmp_path / "none.duckdb").stdout)
    assert found["total"] > 10
    again = invoke("init", path)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert invoke("init", path, "--force").exit_code == 0


def test_chart(filled: tuple[Path, Path], tmp_path: Path) -> None:
    _, store = filled
    assert invoke("chart", "overview", "-o", tmp_path / "chart.svg", store=store).exit_code == 0
    assert (tmp_path / "chart.svg").read_text().startswith("<svg")


def test_upgrade_of_a_current_store_changes_nothing(filled: tuple[Path, Path]) -> None:
    _, store = filled
    before = store.read_bytes()
    done = invoke("db", "upgrade", store=store)
    assert (done.exit_code, "is current" in done.stdout) == (0, True)
    assert store.read_bytes() == before


def refused(done: Result, words: str) -> None:
    """Exit code 2, nothing on stdout, one message."""
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")


GRIDS = {
    SMALL.replace("diagonal", "diagnal"): "did you mean 'diagonal'",
    SMALL.replace("depth: 2", "depth: 0"): "depth: 0 is not an integer >= 1",
    SMALL.replace("depth: 2", "depth: 2, width: 3"): "width: not an axis of diagonal",
    SMALL.replace("diagonal", "convolutional, filter: 5"): "filter: 5 does not fit inputs of dimension 2",
    SMALL.replace("regression", "classification").replace("[1]", "[1]"): "classification",
    SMALL.replace("[[1, 2]], y: [1]", "[[1, 2], [1, 2]], y: [1, 2]"): "data: ",
    SMALL + 'when: "alpha / 0 > 1"': "9: when: 'alpha / 0 > 1' divides by zero",
    SMALL + 'exclude: "1 / (depth - 2) > 1"': "9: exclude: '1 / (depth - 2) > 1' divides by zero",
    SMALL.replace("name", "nome"): "did you mean 'name'",
    SMALL + "  grid: {": "not YAML",
    SMALL.replace("{points: {x: [[1, 2]], y: [1]}}", "{file: absent.csv, target: y}"): "absent.csv",
    SMALL.replace("{points: {x: [[1, 2]], y: [1]}}", "{file: nan.csv, target: y}"): "nan.csv",
    SMALL.replace("{points: {x: [[1, 2]], y: [1]}}", "{file: nan.csv, target: z}"): "'z'",
}


@pytest.mark.parametrize("text", GRIDS, ids=list(GRIDS.values()))
@pytest.mark.parametrize("command", ["plan", "launch", "predict"])
def test_a_bad_grid_is_one_message_and_leaves_no_store(command: str, text: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "nan.csv").write_text("a,b,y\n1,2,3\nnan,4,5\n")
    store = tmp_path / "results.duckdb"
    grid = write(text)
    done = invoke(command, grid, store=None if command == "predict" else store)
    refused(done, GRIDS[text])
    assert not store.exists()


def test_a_missing_grid_is_named(tmp_path: Path) -> None:
    refused(invoke("plan", tmp_path / "absent.yaml"), "absent.yaml: cannot be read")


def test_stores_that_are_none(write: Write, tmp_path: Path) -> None:
    store = tmp_path / "results.duckdb"
    for content in (b"these are words, not a database" * 100, b""):
        store.write_bytes(content)
        for command in (["launch", write(SMALL), "--executor", "local"], ["plan", write(SMALL)], ["status"]):
            refused(invoke(*command, store=store), str(store))
            assert store.read_bytes() == content


def test_a_store_of_a_newer_schema(filled: tuple[Path, Path], tmp_path: Path) -> None:
    grid, full = filled
    store = tmp_path / "newer.duckdb"
    store.write_bytes(full.read_bytes())
    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = store.read_bytes()
    for command in (["launch", grid, "--executor", "local"], ["plan", grid], ["status"], ["query", "SELECT 1"]):
        refused(invoke(*command, store=store), "newer")
    assert store.read_bytes() == before


def test_a_store_whose_tables_are_views_of_files_is_refused(filled: tuple[Path, Path], tmp_path: Path) -> None:
    grid, full = filled
    store, secret = tmp_path / "theirs.duckdb", tmp_path / "secret.txt"
    store.write_bytes(full.read_bytes())
    secret.write_text("root:x:0:0")
    with duckdb.connect(str(store)) as connection:
        connection.execute("ALTER TABLE sweeps RENAME TO kept")
        connection.execute(
            f"CREATE VIEW sweeps AS SELECT * REPLACE (t.content AS name) FROM kept, read_text('{secret}') t"
        )
    before = store.read_bytes(), set(tmp_path.iterdir())
    for command in (
        ["status"], ["query", "FROM sweeps"], ["report", "-o", tmp_path / "report.html"], ["show", "a"], ["plan", grid],
        ["chart", "overview", "-o", tmp_path / "a.svg"], ["launch", grid, "--executor", "local"], ["db", "upgrade"],
    ):  # fmt: skip
        refused(invoke(*command, store=store), "sweeps is a view, not a table, the view sweeps calls read_text")
    assert (store.read_bytes(), set(tmp_path.iterdir())) == before


def test_a_locked_store(filled: tuple[Path, Path], tmp_path: Path) -> None:
    grid, full = filled
    store = tmp_path / "locked.duckdb"
    store.write_bytes(full.read_bytes())
    code = f"import duckdb, time; c = duckdb.connect({str(store)!r}); print('open', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        for command in (["launch", grid, "--executor", "local"], ["plan", grid], ["query", "SELECT 1"]):
            refused(invoke(*command, "--wait", 0.1, store=store), f"locked by process {holder.pid}")
    finally:
        holder.kill()
        holder.communicate()
    assert store.read_bytes() == full.read_bytes()


def test_outputs_onto_what_is_read_are_refused(filled: tuple[Path, Path], tmp_path: Path) -> None:
    """By whatever path: a link, a hard link, a way round."""
    grid, store = tmp_path / "grid.yaml", tmp_path / "results.duckdb"
    grid.write_bytes(filled[0].read_bytes())
    store.write_bytes(filled[1].read_bytes())
    before = grid.read_bytes(), store.read_bytes()
    (tmp_path / "link.html").symlink_to(store)
    (tmp_path / "hard.html").hardlink_to(store)
    around = tmp_path / "folder" / ".." / store.name
    for output in (store, around, tmp_path / "link.html", tmp_path / "hard.html", Path(f"{store}.wal")):
        for command in (["query", "SELECT 1"], ["report"], ["chart", "overview"]):
            refused(invoke(*command, "-o", output, store=store), f"-o {output}: that is the store of this command")
        done = invoke("launch", grid, "--executor", "local", "--report", output, store=store)
        refused(done, f"--report {output}: that is the store of this command")
    refused(invoke("predict", grid, "-o", grid), f"-o {grid}: that is the grid of this command")
    refused(invoke("launch", grid, "--report", grid, store=store), f"--report {grid}: that is the grid of this command")
    assert (grid.read_bytes(), store.read_bytes()) == before


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_computed(write: Write, tmp_path: Path) -> None:
    store = tmp_path / "results.duckdb"
    (tmp_path / "folder.html").mkdir()
    for name, words in (
        ("none/report.html", "cannot be written (No such file or directory)"),
        ("folder.html", "cannot be written (Is a directory)"),
        ("report.pdf", "write one of .html, .htm"),
    ):
        done = invoke("launch", write(SMALL), "--executor", "local", "--report", tmp_path / name, store=store)
        refused(done, words)
    assert not store.exists()


def test_a_store_that_is_not_made_yet_is_an_answer(tmp_path: Path) -> None:
    absent = tmp_path / "absent.duckdb"
    words = "there is no store yet; sweep launch makes it"
    done = invoke("status", store=absent)
    assert (done.exit_code, words in done.stdout, done.stderr) == (0, True, "")
    done = invoke("status", "--json", store=absent)
    assert json.loads(done.stdout) == {"store": str(absent), "runs": {}, "sweeps": []}
    assert words in done.stderr
    done = invoke("query", "SELECT count(*) AS n FROM runs", "--format", "csv", store=absent)
    assert (done.exit_code, done.stdout, words in done.stderr) == (0, "n\n0\n", True)
    done = invoke("list", store=absent)
    assert (done.exit_code, done.stdout, done.stderr.count("\n"), words in done.stderr) == (0, "", 1, True)
    done = invoke("report", "-o", tmp_path / "report.html", store=absent)
    refused(done, "does not exist; sweep launch makes it")
    assert not list(tmp_path.iterdir())


def test_other_mistakes(filled: tuple[Path, Path], tmp_path: Path) -> None:
    grid, store = filled
    absent = tmp_path / "absent.duckdb"
    refused(invoke("show", "zzz", store=absent), "does not exist")
    refused(invoke("status", store=tmp_path / "none" / "absent.duckdb"), "does not exist")
    for sql, words in (("SELECT nothing FROM runs", '"nothing" not found'), ("DELETE FROM runs", "read-only")):
        done = invoke("query", sql, store=store)
        assert (done.exit_code, done.stdout, words in done.stderr) == (2, "", True)
    refused(invoke("show", "zzz", store=store), "no run has an id that starts with 'zzz'")
    refused(invoke("show", "", store=store), "no run has an id")
    refused(invoke("chart", "overvew", "-o", tmp_path / "a.svg", store=store), "did you mean overview")
    refused(invoke("chart", "overview", "-o", tmp_path / "a.doc", store=store), "a.doc")
    for name in ("report.pdf", "report"):
        refused(invoke("report", "-o", tmp_path / name, store=store), "write one of .html, .htm")
        assert not (tmp_path / name).exists()
    refused(invoke("launch", grid, "--executor", "local", "--address", "auto", store=store), "--address is of")
    refused(invoke("launch", grid, "--provenance", store=store), "--provenance is of a report; add --report FILE")
    refused(invoke("launch", grid, store=tmp_path / "no" / "folder.duckdb"), "folder")
    assert invoke("launch", grid, "--executor", "slurm", store=store).exit_code == 2
    assert invoke("query", "SELECT 1", "--format", "xml", store=store).exit_code == 2


@pytest.mark.slow
def test_what_is_saved_of_a_damaged_store_is_not_computed_again(filled: tuple[Path, Path], tmp_path: Path) -> None:
    grid, whole = filled
    assert "whole; read 8 runs" in invoke("check", whole).output
    store, new = Path(shutil.copy(whole, tmp_path / "damaged.duckdb")), tmp_path / "new.duckdb"
    lost = Store(store).query("SELECT min(run_id) AS run_id FROM predictions")["run_id"][0].as_py()
    with duckdb.connect(str(store)) as connection:
        connection.execute("DELETE FROM predictions WHERE run_id = ?", [lost])
    damaged = invoke("check", store)
    assert damaged.exit_code == 1
    assert f"runs: 1 runs do not add up to their checksum: {lost}" in damaged.output
    assert "--salvage NEW" in damaged.output
    saved = invoke("check", "--salvage", new, "--json", store=store)
    assert saved.exit_code == 1
    answer = json.loads(saved.output)
    assert [each["run_ids"] for each in answer["damages"]] == [[lost]]
    assert answer["salvaged"]["rows"]["runs"] == 7
    plan = json.loads(invoke("plan", grid, "--json", store=new).output)
    assert (plan["cached"], plan["pending"]) == (7, 1)
    assert invoke("check", new).exit_code == 0
    assert invoke("check", store, "--salvage", new).exit_code == 2


def test_a_store_that_cannot_be_opened_is_damaged(filled: tuple[Path, Path], tmp_path: Path) -> None:
    store = tmp_path / "cut.duckdb"
    store.write_bytes(filled[1].read_bytes()[:20_000])
    assert invoke("check", store).exit_code == 1
    assert json.loads(invoke("check", store, "--json").output)["whole"] is False
    assert invoke("check", tmp_path / "none.duckdb").exit_code == 2
