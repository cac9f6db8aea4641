"""Grids from strangers: whatever would take hours, gigabytes or somebody else's code ends at once, in a clear error."""

import contextlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kernels.spec import InputError
from sweep.cli import app
from sweep.grid import bounded_yaml
from sweep.grid.grid import load
from sweep.grid.mistakes import MOST_CHARACTERS, MOST_LINES, GridError, Mistakes
from sweep.grid.source import parse
from sweep.grid.values import MAX_DATA_SETS, data_sets
from tests.marks import sampled
from tests.sweep.conftest import FRAGILE, SMALL, Write

HEAD = "task: regression\ndata: {points: {x: [[1, 2]], y: [1]}}\n"
DATA = "{points: {x: [[1, 2]], y: [1]}}"
LAUGHS = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MILLION = "{linspace: [0.1, 1, 1000000]}"

BOUNDS = {
    "aliases that explode": (HEAD + LAUGHS, "more than 100,000 values, aliases written out"),
    "an alias inside itself": (HEAD + "when: &a [*a]", "when: None is not an expression"),
    "a mapping inside itself": ("&a\ntask: *a\n", "an alias stands inside what it names; write the values out"),
    "a mapping merged into itself": (HEAD + "when: &a\n  <<: *a\n", "it cannot be read (AttributeError); write"),
    "lists in lists": (HEAD + "when: " + "[" * 5000 + "]" * 5000, "more than 32 deep inside each other"),
    "mappings in mappings": (HEAD + "when: " + "{a: " * 5000 + "1" + "}" * 5000, "more than 32 deep inside each other"),
    "dashes": (HEAD + "when:\n  " + "- " * 5000 + "1", "more than 32 deep inside each other"),
    "a large file": (HEAD + "#" + "x" * (1 << 20), "larger than 1 MiB; keep data in a file of their own"),
    "a number of many digits": (HEAD + f"alpha: {'9' * 4000}", "a number of 4,000 characters"),
    "a number in hexadecimal": (HEAD + f"alpha: 0x{'f' * 100_000}", "a number of 100,002 characters"),
    "a number of YAML 1.1": ("%YAML 1.1\n---\n" + HEAD + f"alpha: 1{':1' * 9000}", "a number of 18,001 characters"),
    "a whole number too large": (HEAD + f"alpha: {'9' * 30}", "of more than 63 bits; write it with an exponent"),
    "a range of 1e14": (SMALL.replace("[0, 4]", "[0, 100000000000000]"), "holds 100,000,000,000,000 values; write one"),
    "a range without end": (SMALL.replace("[0, 4]", "[-1.0e+308, 1.0e+308]"), "holds inf values"),
    "a product of 1e14": (
        SMALL.replace("[0.5, 1]", "{range: [1, 10000001]}").replace("[0, 4]", "[0, 10000000]"),
        "100,000,000,000,000 combinations up to here, before filters; write at most 10,000,000 in one grid",
    ),
    "blocks of 1e8": (
        HEAD + "architecture: diagonal\nblocks:\n" + "  - grid: {seed: {range: [0, 9000000]}}\n" * 12,
        "18,000,000 combinations up to here",
    ),
    "rows of 1e13": (
        HEAD + "list:\n  - {architecture: diagonal, alpha: {range: [1, 10000000]}, seed: {range: [0, 1000000]}}",
        "more than 10,000,000 values up to here",
    ),
    "zip of many": (
        HEAD + "zip: {architecture: diagonal, seed: {range: [0, 10000000]}, depth: 2, alpha: 1}",
        "more than 10,000,000 values up to here",
    ),
    "draws": (HEAD + "random: {n: 100000000, architecture: diagonal, alpha: {uniform: [1, 2]}}", "random.n: 100000000"),
    "forms in a list": (
        HEAD + f"random: {{n: 1, architecture: diagonal, alpha: {{choice: [{MILLION}, {MILLION}]}}}}",
        "the list holds more than 1,000,000 values",
    ),
    "depth of 1e8": (SMALL.replace("depth: 2", "depth: 100000000"), "depth: 100000000 is more than 10,000 layers"),
    "width of 1e8": (
        SMALL.replace("diagonal", "fully_connected, width: 100000000"),
        "take 20,000,000,100,000,000 numbers, more than 100,000,000; write a smaller one",
    ),
    "data of 1e12": (
        SMALL.replace(DATA, "{gaussian: {samples: 1000000, dim: 1000000}}"),
        "1,000,000 samples of dimension 1,000,000 are 1,000,000,000,000 numbers; write at most 10,000,000",
    ),
    "data of 1e12, written as floats": (
        SMALL.replace(DATA, "{gaussian: {samples: 1e6, dim: 1e6}}"),
        "samples is 1000000.0; write an integer >= 1",
    ),
    "data sets of 1e9": (
        SMALL.replace(DATA, "{gaussian: {samples: {range: [1, 1001]}, dim: {range: [1, 1001]}, "
                            "seed: {range: [0, 1000]}}}"),
        "the product of its lists is 1,000,000,000 data sets; write at most 100,000",
    ),
    "inputs of 1e6": (
        SMALL.replace(DATA, "{gaussian: {samples: 1, dim: 1000000}}"),
        "architecture: 2 layers of width 1000000 on inputs of dimension 1000000 take 1,000,002,000,000 numbers",
    ),
    "a group of 1e9": (
        SMALL.replace("diagonal", "{group_convolutional: {group: {cyclic: 1000000000}}}"),
        "architecture: a group of 1,000,000,000 elements; write one of at most 1,000",
    ),
    "a device for a tensor": (
        SMALL.replace("diagonal, depth: 2", "{tensor: {file: zero.npy}}"),
        "zero.npy is not a file",
    ),
    "a device for a file": (SMALL.replace(DATA, "{file: zero.csv, target: y}"), "zero.csv is not a file"),
    "parentheses": (SMALL + "when: '" + "(" * 5000 + "'", "is not an expression"),
    "a long expression": (SMALL + "when: '" + "+".join(["alpha"] * 5000) + " > 1'", "is too long"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), sampled(BOUNDS, 2))
@pytest.mark.parametrize("command", ["plan", pytest.param("predict", marks=pytest.mark.slow)])
def test_what_would_take_hours_or_gigabytes_ends_at_once(
    command: str, text: str, words: str, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    grid = write(text)
    store = [] if command == "predict" else ["--store", str(tmp_path / "none.duckdb")]
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = CliRunner().invoke(app, [command, str(grid), *store])
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr) < 10_000
    assert time.monotonic() - begin < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # kB


@pytest.mark.slow
def test_a_list_of_many_forms_ends_before_the_memory(write: Write) -> None:
    with pytest.raises(GridError, match="more than 10,000,000 values up to here"):
        load(write(HEAD + f"grid: {{architecture: diagonal, alpha: [{', '.join([MILLION] * 100)}]}}"))


def test_data_sets_of_one_grid_are_bounded_together(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweep.grid import catalogue
    from sweep.grid.expansion import Expansion

    monkeypatch.setattr(catalogue, "MOST_NUMBERS", 100)
    grid = load(write(SMALL.replace(DATA, "{gaussian: {samples: 2, dim: 20, seed: {range: [0, 100]}}}")))
    with pytest.raises(GridError, match="more than 100 numbers in the data sets of one grid; write fewer"):
        list(Expansion(grid).candidates())


@pytest.mark.slow
def test_what_is_within_the_bounds_is_read() -> None:
    rows = ", ".join(["[1, 2]"] * 10_000)
    assert len(parse(f"data: {{points: {{x: [{rows}]}}}}", Path("a")).tree["data"]["points"]["x"]) == 10_000
    deep = "[" * (bounded_yaml.DEPTH - 1) + "]" * (bounded_yaml.DEPTH - 1)
    assert parse(f"a: {deep}", Path("a")).tree
    assert parse(f"a: '{'9' * 5000}'", Path("a")).tree == {"a": "9" * 5000}
    assert parse(f"a: {2**63 - 1}", Path("a")).tree == {"a": 2**63 - 1}
    several = {"gaussian": {"samples": list(range(1, 1001)), "seed": {"range": [0, MAX_DATA_SETS // 1000]}}}
    assert sum(1 for _ in data_sets(several)) == MAX_DATA_SETS
    with pytest.raises(InputError, match="is 101,000 data sets"):
        list(data_sets({"gaussian": {**several["gaussian"], "seed": {"range": [0, 101]}}}))


PIECES = [
    "a",
    ": ",
    "\n",
    "\n  ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&x ",
    "*x",
    "<<",
    "!!int ",
    "!t ",
    "1",
    ".",
    "'",
    '"',
    "|",
    ">",
    "? ",
    "#",
    "%YAML 1.1",
    "---",
    "...",
    "\t",
    "\x00",
    "\ud800",
    "0x",
    "1:1",
    "2020-01-01",
    "~",
    "=",
    "@",
    "`",
]
"""What YAML is made of."""  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_text_is_a_tree_or_a_mistake(pieces: list[str]) -> None:
    with contextlib.suppress(GridError):
        assert isinstance(parse("".join(pieces), Path("grid.yaml")).tree, dict)


def test_many_mistakes_are_cut() -> None:
    mistakes = Mistakes()
    for n in range(100_000):
        mistakes.add(f"grid.yaml:{n}", "x" * 5000)
    with pytest.raises(GridError) as caught:
        mistakes.check()
    assert len(caught.value.mistakes) == MOST_LINES + 1
    assert caught.value.mistakes[-1] == f"and {100_000 - MOST_LINES} more mistakes"
    assert max(map(len, caught.value.mistakes)) <= MOST_CHARACTERS + 10


PLUGINS = {
    "a network": FRAGILE.replace("fragile:Fragile", "spy:Network"),
    "a network with parameters": SMALL.replace("diagonal", "{'spy:Network': {a: 1}}"),
    "data": SMALL.replace(DATA, "{'spy:draw': {}}"),
    "in a list": SMALL.replace("diagonal", "[diagonal, 'spy:Network']"),
    "in a block": HEAD + "blocks:\n  - grid: {architecture: ['spy:Network'], depth: 2}\n",
    "in rows": HEAD + "list:\n  - {architecture: diagonal}\n  - {architecture: 'spy:Network'}\n",
    "in step": HEAD + "zip: {architecture: [diagonal, 'spy:Network'], depth: [1, 2]}\n",
    "drawn": HEAD + "random: {n: 9, architecture: {choice: [diagonal, 'spy:Network']}}\n",
    "by its other name": SMALL.replace("architecture: diagonal", "network: 'spy:Network'"),
}


@pytest.mark.parametrize("text", PLUGINS.values(), ids=list(PLUGINS))
@pytest.mark.parametrize("command", ["plan", "launch", "predict"])
def test_without_plugins_no_code_of_a_grid_is_run(command: str, text: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "spy.py").write_text("from pathlib import Path\nPath(__file__).with_name('was_run').touch()\n")
    store = [] if command == "predict" else ["--store", str(tmp_path / "none.duckdb")]
    before = list(sys.path)
    done = CliRunner().invoke(app, [command, str(write(text)), "--no-plugins", *store])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is code of the grid's own, which --no-plugins refuses" in done.stderr
    assert "spy:" in done.stderr
    assert not (tmp_path / "was_run").exists()
    assert "spy" not in sys.modules
    assert sys.path == before


def test_without_plugins_set_is_refused_too(write: Write, tmp_path: Path) -> None:
    with pytest.raises(GridError, match="--no-plugins refuses"):
        load(write(SMALL), ["architecture=spy:Network"], plugins=False)


def test_plan_says_what_it_has_run(write: Write, tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "none.duckdb")]
    done = CliRunner().invoke(app, ["plan", str(write(FRAGILE)), *store])
    assert "planning has run code of the grid's own: fragile:Fragile; --no-plugins refuses it" in done.stdout
    assert "planning has run" not in CliRunner().invoke(app, ["plan", str(write(SMALL)), "--no-plugins", *store]).stdout


@pytest.mark.slow
def test_a_module_beside_a_grid_that_names_none_is_never_imported(write: Write, tmp_path: Path) -> None:
    """pandas, say, which is looked for where it is not installed."""
    for name in ("pandas", "numba", "cupy", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\nPath(__file__).with_name('was_run').touch()\n")
    write(SMALL)
    code = "from sweep.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "launch", "--executor", "local", "grid.yaml", "--store", "results.duckdb"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "was_run").exists()
