"""Machines as users have them: whatever they set, mount or name ends in exit code 2 and its name, in no traceback.

One row a case. What needs a process of its own is slow where JAX starts in it.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from db.names import LONGEST
from db.store import Store, StoreError
from sweep.cli import app
from sweep.execution.environment import explained, unusual
from tests.sweep.conftest import SMALL, Write

REFUSED = {
    "memory": (":memory:", "names no file to DuckDB, but memory"),
    "memory with a name": (":memory:runs", "names no file to DuckDB, but memory"),
    "MotherDuck": ("md:runs", "names no file to DuckDB"),
    "MotherDuck, whole": ("motherduck:runs", "names no file to DuckDB"),
    "a bucket": ("s3://bucket/runs.duckdb", "'s3:' in"),
    "a page": ("https://example.org/runs.duckdb", "'https:' in"),
    "a database of SQLite": ("sqlite:runs.db", "names no file to DuckDB"),
    "a URL of SQLAlchemy": ("duckdb:///runs.duckdb", "names no file to DuckDB"),
    "a question mark": ("runs?.duckdb", "holds a question mark"),
    "settings": ("runs.duckdb?access_mode=read_only", "holds a question mark"),
    "a question mark in a folder": ("what?/runs.duckdb", "holds a question mark"),
    "NUL": ("a\0b", "holds a NUL"),
    "bytes that are no text": ("a\udcff.duckdb", "holds bytes that are no text in UTF-8"),
    "a long name": ("a" * (LONGEST + 1), f"is a name of {LONGEST + 1} bytes; write at most {LONGEST}"),
}

TAKEN = "*[a] b'c\"d;e#f%20g\né@x:1".ljust(LONGEST - 1, "x")
"""As long as a name may be: one of its characters is of two bytes."""


@pytest.mark.parametrize(("name", "words"), REFUSED.values(), ids=list(REFUSED))
def test_a_name_that_duckdb_reads_otherwise_is_refused(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        Store(os.path.join(tmp_path, name))
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_any_other_name_is_the_file_of_that_name(tmp_path: Path) -> None:
    store = Store(tmp_path / TAKEN)
    store.create()
    assert store.query("SELECT count(*) AS n FROM runs").to_pylist() == [{"n": 0}]
    assert os.listdir(tmp_path) == [TAKEN]


def test_a_name_is_refused_by_every_command(write: Write) -> None:
    grid = str(write(SMALL))
    for arguments in (["status"], ["query", "SELECT 1"], ["plan", grid], ["launch", grid, "--executor", "local"]):
        done = CliRunner().invoke(app, [*arguments, "--store", ":memory:"])
        assert (done.exit_code, "names no file to DuckDB" in done.stderr) == (2, True)


@pytest.mark.parametrize(("charset", "shown"), [("ascii", r"\u03b2 \xe9"), ("latin-1", r"\u03b2 é"), ("utf-8", "β é")])
def test_a_terminal_without_a_character_shows_its_number(charset: str, shown: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "results.duckdb")
    store.create()
    asked = ["query", "SELECT 'β é' AS a", "--store", str(store.path)]
    done = CliRunner(charset=charset).invoke(app, asked)
    assert (done.exit_code, done.stdout.splitlines()[-1].strip()) == (0, shown)
    done = CliRunner(charset=charset).invoke(app, [*asked, "--format", "json"])
    assert done.stdout == '[{"a": "\\u03b2 \\u00e9"}]\n'
    done = CliRunner(charset=charset).invoke(app, [*asked, "--format", "csv"])
    if charset == "utf-8":
        assert (done.exit_code, done.stdout) == (0, "a\nβ é\n")
    else:
        assert (done.exit_code, done.stdout) == (2, "")
        assert rf"standard output takes {charset}, which lacks '\u03b2'; set PYTHONIOENCODING=utf-8" in done.stderr
        output = tmp_path / "out.csv"
        assert CliRunner(charset=charset).invoke(app, [*asked, "--format", "csv", "-o", str(output)]).exit_code == 0
        assert output.read_text(encoding="utf-8") == "a\nβ é\n"


USUAL = [
    {},
    {"JAX_PLATFORMS": "cpu"},
    {"JAX_PLATFORMS": ""},
    {"XLA_FLAGS": ""},
    {"XLA_FLAGS": "--xla_cpu_enable_concurrency_optimized_scheduler=false"},
    {"JAX_COMPILATION_CACHE_DIR": "/x"},
    {"PATH": "x", "OMP_NUM_THREADS": "x"},
]
UNUSUAL = [{"JAX_PLATFORMS": "cuda"}, {"JAX_PLATFORMS": "cuda,cpu"}, {"JAX_ENABLE_X64": "maybe"}, {"XLA_FLAGS": "--x"},
           {"JAX_DEBUG_NANS": "1"}, {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "x"}]  # fmt: skip


def test_what_jax_may_not_start_with_is_tried() -> None:
    assert [unusual(variables) for variables in USUAL] == [{}] * len(USUAL)
    assert [unusual(variables) for variables in UNUSUAL] == UNUSUAL


def test_errors_of_the_machine_name_the_file_and_others_are_the_programs_own() -> None:
    full = explained(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/results"))
    assert full == "/x/results: No space left on device; free some space, or name another"
    assert "/x/y: Permission denied" in str(explained(PermissionError(errno.EACCES, "Permission denied", "/x/y")))
    assert "TMPDIR=" in str(explained(OSError("AF_UNIX path length cannot exceed 107 bytes: /x")))
    assert explained(FileNotFoundError(errno.ENOENT, "No such file or directory", "x")) is None
    assert explained(OSError("anything else")) is None


MAIN = "from sweep.cli import app; app()"

SHELLS = {
    "a full disk": (
        "exec > /dev/full; {sweep} schema",
        2,
        "standard output cannot be written: No space left on device",
    ),
    "a full disk under the help": ("exec > /dev/full; {sweep} --help", 2, "cannot be written: No space left on device"),
    "everything full": ("exec > /dev/full 2> /dev/full; {sweep} plan none.yaml", 2, ""),
    "no output": ("exec >&-; {sweep} schema", 0, ""),
    "a folder that is gone": ("mkdir a; cd a; rmdir ../a; {sweep} plan grid.yaml", 2, "the current folder is gone"),
    "a reader that leaves": ("{sweep} schema | head -n 1 > /dev/null; exit ${{PIPESTATUS[0]}}", 0, ""),
}


@pytest.mark.slow
@pytest.mark.parametrize(("shell", "code", "words"), SHELLS.values(), ids=list(SHELLS))
def test_what_a_shell_connects(shell: str, code: int, words: str, tmp_path: Path) -> None:
    command = shell.format(sweep=f"{sys.executable} -c '{MAIN}'")
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


VARIABLES = {
    "JAX_PLATFORMS of no backend": ({"JAX_PLATFORMS": "nonsense"}, "error: JAX_PLATFORMS=nonsense: JAX does not start"),
    "JAX_ENABLE_X64": (
        {"JAX_ENABLE_X64": "maybe"},
        "error: JAX_ENABLE_X64=maybe: JAX does not start with it (ValueError",
    ),
    "XLA_FLAGS": ({"XLA_FLAGS": "--nonsense"}, "Unknown flag in XLA_FLAGS: --nonsense"),
    "JAX_DEBUG_NANS": ({"JAX_DEBUG_NANS": "1"}, "error: JAX_DEBUG_NANS=1: JAX does not start with it (FloatingPoint"),
    "SWEEP_WAIT": ({"SWEEP_WAIT": "long"}, "SWEEP_WAIT"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("variables", "words"), VARIABLES.values(), ids=list(VARIABLES))
def test_a_variable_with_which_no_run_can_end_is_refused_before_any(
    variables: dict[str, str], words: str, write: Write, tmp_path: Path
) -> None:
    write(SMALL)
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "launch", "--executor", "local", "grid.yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, env={**os.environ, **variables},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results.duckdb").exists()


@pytest.mark.slow
def test_ray_starts_under_a_long_temporary_folder_and_without_a_home(write: Write, tmp_path: Path) -> None:
    """As batch systems set them: a socket's path has at most 107 bytes; nothing can be kept in a home."""
    long = tmp_path / ("t" * 100)
    long.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"TMPDIR": str(long), "HOME": "/proc/nowhere"}
    command = ["launch", str(write(SMALL)), "--store", str(tmp_path / "s.duckdb"), "--workers", "1"]
    done = subprocess.run([sys.executable, "-m", "sweep", *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "8 converged" in done.stdout.splitlines()[-1]
    assert done.stderr == ""
    assert not list(long.iterdir())
