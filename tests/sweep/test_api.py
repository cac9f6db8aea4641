"""The functions of `sweep`: the same runs, counts and messages as the command line, and nothing left behind."""

import asyncio
import doctest
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import sweep
import sweep.api
from kernels.networks.base import Diagonal
from kernels.spec import AXES
from sweep.cli import app
from sweep.execution import signals
from sweep.grid.expansion import Expansion
from sweep.grid.grid import load
from sweep.grid.mapping import from_mapping
from tests.sweep.conftest import SMALL, Write, counts_of

POINT = {"points": {"x": [[1, 2]], "y": [1]}}
GRID: dict[str, Any] = {
    "name": "small", "task": "regression", "data": POINT, "rtol": 1e-4, "stop": {"residual": 1e-4}, "record": False,
    "grid": {"architecture": "diagonal", "depth": 2, "init": "gaussian", "alpha": [0.5, 1], "seed": range(4)},
}  # fmt: skip
"""SMALL of conftest.py, as a dict."""


def at(alpha: float) -> dict[str, Any]:
    """Four more runs of the same shape."""
    return {**GRID, "grid": {**GRID["grid"], "alpha": alpha}}


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> sweep.Ended:
    store = tmp_path_factory.mktemp("api") / "results.duckdb"
    return sweep.launch(GRID, store=store, executor="local", quiet=True)


def test_a_dict_has_the_runs_of_the_same_file(launched: sweep.Ended, write: Write) -> None:
    path = write(SMALL)
    ids = [candidate.run_id for candidate in Expansion(load(path)).candidates()]
    planned = sweep.plan(GRID, store=launched.store)
    assert planned.runs["run_id"].to_list() == ids
    assert sweep.plan(path, store=launched.store).counts == planned.counts
    assert planned.runs["stored"].all()
    assert set(launched.load().runs()["run_id"]) == set(ids)


def test_parts_are_the_grid(launched: sweep.Ended) -> None:
    parts = [sweep.plan(GRID, store=launched.store, shard=f"{k}/3") for k in (1, 2, 3)]
    assert sum(part.counts["total"] for part in parts) == 8
    with pytest.raises(sweep.GridError, match="parts count from 1 to 3"):
        sweep.plan(GRID, store=launched.store, shard="4/3")


@pytest.mark.slow
def test_a_report_is_written_at_the_end(launched: sweep.Ended, tmp_path: Path) -> None:
    with pytest.raises(sweep.AnalysisError, match="html"):
        sweep.launch(GRID, store=launched.store, executor="local", quiet=True, report=tmp_path / "report.txt")
    ended = sweep.launch(GRID, store=launched.store, executor="local", quiet=True, report=tmp_path / "report.html")
    assert "8 of 8 runs converged" in Path(str(ended.report)).read_text()


def test_counts_are_those_of_the_command_line(launched: sweep.Ended, write: Write) -> None:
    text = SMALL.replace("[0.5, 1]", "[1, 2]")
    done = CliRunner().invoke(app, ["plan", str(write(text)), "--json", "--store", str(launched.store)])
    planned = sweep.plan({**GRID, "grid": {**GRID["grid"], "alpha": [1, 2]}}, store=launched.store)
    assert json.loads(done.stdout) == {**planned.counts, "classes": planned.classes}
    assert (planned.counts["cached"], planned.counts["pending"]) == (4, 4)
    assert planned.runs.group_by("alpha", "stored").len().sort("alpha").rows() == [(1.0, True, 4), (2.0, False, 4)]
    assert planned.programs["runs"].to_list() == [4]
    assert "8 runs, 4 cached, 4 pending" in repr(planned)


def test_what_a_launch_returns(launched: sweep.Ended) -> None:
    assert launched.counts == counts_of(converged=8)
    assert not launched.interrupted
    exact = launched.table.filter(pl.col("prediction") == "minimum_bregman").row(0, named=True)
    assert (exact["kind"], exact["runs"]) == ("exact", 8)
    assert launched.found[0].startswith("8 runs met ")
    assert repr(launched).endswith("8 runs: 8 converged, 0 stopped, 0 diverged, 0 failed")
    assert launched.resume == f"sweep.launch(grid, store={str(launched.store)!r}, executor='local', quiet=True)"
    (row,) = launched.load().sql("SELECT sweep_id, command FROM sweeps WHERE sweep_id = ?", [launched.sweep_id]).rows()
    assert row == (launched.sweep_id, launched.resume)


def test_one_run_is_the_stored_one(launched: sweep.Ended) -> None:
    axes = {"rtol": 1e-4, "stop": {"residual": 1e-4}, "record": False, "init": "gaussian", "seed": 3}
    found = sweep.run(architecture="diagonal", alpha=0.5, data=(np.array([[1, 2]]), np.array([1.0])), **axes)
    results = launched.load()
    stored = results.runs(f"run_id = '{found.run_id}'").row(0, named=True)
    assert found.status == stored["status"] == "converged"
    np.testing.assert_allclose(found.beta, stored["beta"], rtol=1e-12)
    judged = results.convergence(f"run_id = '{found.run_id}'").sort("prediction")
    mine = found.predictions.sort("prediction")
    assert mine["prediction"].to_list() == judged["prediction"].to_list()
    np.testing.assert_allclose(mine["distance"], judged["distance"], rtol=1e-6, atol=1e-12)
    assert found.orbit.is_empty()


def test_an_orbit_beside_its_prediction() -> None:
    found = sweep.run(architecture="diagonal", alpha=0.1, data=([[1, 2]], [1]))
    orbit = found.orbit
    assert orbit["point"].to_list() == list(range(1, len(orbit) + 1))
    np.testing.assert_array_equal(orbit["beta"][-1], found.beta)
    assert orbit["residual"][0] == 1
    assert orbit["residual"][-1] <= 1e-10
    exact = found.predictions.row(by_predicate=pl.col("prediction") == "minimum_q_norm", named=True)
    gap = np.linalg.norm(found.beta - exact["predicted"]) / np.linalg.norm(exact["predicted"])
    assert exact["distance"] == pytest.approx(gap, rel=1e-6)
    assert "converged after" in repr(found)


def test_the_loss_implies_the_task() -> None:
    with pytest.raises(sweep.GridError, match=r"the labels are 1; classification needs -1 and \+1"):
        sweep.run(architecture="diagonal", loss="logistic", data=([[1, 2]], [1]))


def test_a_network_of_the_notebook_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Twice(Diagonal):
        def coefficients(self, layers: Any) -> Any:
            return 2 * super().coefficients(layers)

        def decomposition(self) -> None:
            return None

    monkeypatch.setattr(sys.modules["__main__"], "Twice", Twice, raising=False)
    with pytest.raises(sweep.GridError, match="__main__:Thrice"):
        sweep.run(architecture="__main__:Thrice", data=([[1, 2]], [1]))
    planned = sweep.plan({**GRID, "grid": {"architecture": "__main__:Twice", "init": "gaussian"}}, store="none.duckdb")
    assert planned.runs["architecture"].to_list() == ["__main__:Twice"]


def test_run_takes_every_axis() -> None:
    assert set(inspect.signature(sweep.run).parameters) == set(AXES)


def test_what_python_has_for_the_values_of_a_file() -> None:
    written = {
        "a": np.float64(0.5), "b": np.array([[1, 2]]), "c": range(2), "d": (1, True, None), "e": Path("x.csv"),
        "f": pl.Series([1.5]), "g": np.int32(3), 4: np.str_("t"),
    }  # fmt: skip
    tree = from_mapping(written).tree
    plain = {"a": 0.5, "b": [[1, 2]], "c": [0, 1], "d": [1, True, None], "e": "x.csv", "f": [1.5], "g": 3, "4": "t"}
    assert tree == plain
    assert json.loads(json.dumps(tree)) == plain


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "value": (
        {"grid": {"architecture": "diagonal", "depth": [2, 0]}},
        r"^grid\.depth\[1\]: depth: 0 is not an integer",
    ),
    "key": ({"gird": {}}, r"^gird: unknown key 'gird'; did you mean 'grid'"),
    "block": ({"blocks": [{"grid": {"architecture": "diagonl"}}]}, r"^blocks\[0\]\.grid\.architecture: .*'diagonal'"),
    "object": ({"alpha": object(), "architecture": "diagonal"}, r"^alpha: <object .* is no value of a grid"),
    "whole": ({"alpha": 10**30, "architecture": "diagonal"}, r"^alpha: a whole number of more than 63 bits"),
    "many": ({"seed": range(10**6), "architecture": "diagonal"}, r"^seed: more than 100,000 values"),
    "missing": ({}, r"^grid: architecture: missing"),
    "nothing left": ({"architecture": "diagonal", "when": "depth > 2"}, r"^grid: no run is left; dropped by when"),
}


@pytest.mark.parametrize(("more", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told_by_their_keys(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(sweep.GridError, match=said):
        sweep.plan({"task": "regression", "data": POINT, **more}, store=tmp_path / "none.duckdb")
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(tmp_path: Path) -> None:
    store = tmp_path / "none.duckdb"
    with pytest.raises(sweep.GridError, match=r"executor: 'rya' is not one of ray, local; did you mean 'ray'"):
        sweep.launch(GRID, store=store, executor="rya")
    with pytest.raises(sweep.GridError, match="address is of executor='ray'"):
        sweep.launch(GRID, store=store, executor="local", address="auto")
    with pytest.raises(sweep.GridError, match="workers: 0 is not an integer >= 1"):
        sweep.launch(GRID, store=store, workers=0)
    with pytest.raises(sweep.GridError, match="which --no-plugins refuses"):
        sweep.plan({**GRID, "grid": {"architecture": "mine:Net"}}, store=store, plugins=False)
    with pytest.raises(sweep.GridError, match=r"these are 2 runs; sweep\.launch takes several"):
        sweep.run(architecture="diagonal", depth=[2, 3], data=([[1, 2]], [1]))
    with pytest.raises(sweep.GridError, match=r"^architecture: 'diagonl' is not one of"):
        sweep.run(architecture="diagonl", data=([[1, 2]], [1]))
    with pytest.raises(sweep.GridError, match=r"data: 3 is no pair \(x, y\)"):
        sweep.run(architecture="diagonal", data=3)
    with pytest.raises(sweep.StoreError, match="is not a folder"):
        sweep.launch(GRID, store=tmp_path / "nowhere" / "a.duckdb", executor="local", quiet=True)


@pytest.mark.slow
def test_nothing_is_left_behind(launched: sweep.Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not by a module of the user's own beside the grid, which a dict has in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "db.py").write_text("def draw(task):\n    return [[1.0, 2.0]], [1.0]\n")
    before = (list(sys.path), list(sys.meta_path), dict(os.environ), sys.modules["db"])
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    ended = sweep.launch({**at(0.5), "data": {"db:draw": {}}}, store="own.duckdb", executor="local", quiet=True)
    assert ended.counts == counts_of(converged=4)
    assert (sys.path, sys.meta_path, dict(os.environ), sys.modules["db"]) == before
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.slow
def test_inside_an_event_loop(launched: sweep.Ended) -> None:
    async def cell() -> sweep.Ended:
        return sweep.launch(at(2.0), store=launched.store, executor="local", quiet=True)

    assert asyncio.run(cell()).counts == counts_of(converged=4)


@pytest.mark.slow
def test_quiet_prints_nothing(launched: sweep.Ended, capfd: pytest.CaptureFixture[str]) -> None:
    ended = sweep.launch(at(5.0), store=launched.store, executor="local", quiet=True)
    assert sum(ended.computed.values()) > 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_outside_of_the_main_thread(launched: sweep.Ended, capsys: pytest.CaptureFixture[str]) -> None:
    """No handler of a signal can be set there; progress is plain lines."""
    found: list[sweep.Ended] = []
    work = lambda: found.append(sweep.launch(at(4.0), store=launched.store, executor="local"))  # noqa: E731
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [ended.counts for ended in found] == [counts_of(converged=4)]
    said = capsys.readouterr().out
    assert "running 4 runs in this process\n4/4 runs, " in said
    assert "\x1b" not in said


@pytest.mark.slow
def test_an_earlier_signal_is_none_to_the_next_launch(launched: sweep.Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_arrived", [signal.SIGINT])
    ended = sweep.launch(at(8.0), store=launched.store, executor="local", quiet=True)
    assert (ended.interrupted, ended.counts) == (False, counts_of(converged=4))


@pytest.mark.parametrize("function", [sweep.api.plan, sweep.api.run], ids=["plan", "run"])
def test_the_examples_of_the_docstrings(function: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestFinder(recurse=False).find(function, globs=dict(vars(sweep.api)))
    assert sum(len(example.examples) for example in examples) > 2
    runner = doctest.DocTestRunner()
    for example in examples:
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


def test_importing_it_is_light() -> None:
    code = (
        "import sys, sweep, analysis; print(sorted(sweep.__all__) == sorted(set(dir(sweep)) & set(sweep.__all__)))\n"
        "print([name for name in ('jax', 'ray', 'polars', 'numpy', 'duckdb', 'altair') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n[]\n"


def test_every_name_is_there() -> None:
    assert all(getattr(sweep, name).__name__ == name for name in sweep.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lunch'"):
        sweep.lunch  # noqa: B018


@pytest.mark.slow
def test_a_notebook_without_widgets(tmp_path: Path) -> None:
    """There DuckDB refuses every setting of its progress bar, which it does not have."""
    code = (
        "import sys, types\n"
        "notebook = sys.modules['IPython'] = types.ModuleType('IPython')\n"
        "notebook.get_ipython = lambda: types.SimpleNamespace(config={'IPKernelApp': {}})\n"
        "from db.store import Store\n"
        "store = Store('r.duckdb'); store.create(); print(store.query('SELECT count(*) AS n FROM runs')['n'][0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "0\n", done.stderr


INTERRUPTED = """
import os, signal, threading, sweep
grid = {"task": "regression", "data": {"gaussian": {"samples": 4, "dim": 12}}, "rtol": 1e-10, "record": False,
        "grid": {"architecture": "diagonal", "alpha": {"geomspace": [1e-4, 1, 30]}, "init": "gaussian",
                 "seed": range(300)}}
handler = signal.getsignal(signal.SIGINT)
def stop():
    while True:
        try:
            if sweep.plan(grid, store="r.duckdb").counts["cached"]:
                return os.kill(os.getpid(), signal.SIGINT)
        except sweep.StoreError:
            pass
threading.Thread(target=stop, daemon=True).start()
first = sweep.launch(grid, store="r.duckdb", executor="local")
stored = first.load().runs().height
assert first.interrupted and 0 < stored < 9000, (first.interrupted, stored)
assert signal.getsignal(signal.SIGINT) is handler
small = {**grid, "grid": {**grid["grid"], "seed": [0]}}
assert sweep.launch(small, store="r.duckdb", executor="local").counts["converged"] == 30
print("as it should be")
"""


@pytest.mark.slow
def test_an_interrupt_stores_what_has_arrived_and_returns(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "to go on: sweep.launch(grid, store='r.duckdb', executor='local')" in done.stdout
    assert done.stdout.endswith("as it should be\n")


@pytest.mark.slow
def test_a_ray_of_the_users_stays_up(cluster: Any, launched: sweep.Ended) -> None:
    ended = sweep.launch(at(16.0), store=launched.store, quiet=True)
    assert ended.counts == counts_of(converged=4)
    assert cluster.is_initialized()
    assert cluster.get(cluster.remote(num_cpus=1)(lambda: 7).remote()) == 7


@pytest.mark.slow
def test_ray_from_another_thread(tmp_path: Path) -> None:
    """Ray of its own, in a process that has none; JAX is not imported here."""
    code = (
        "import sys, threading, sweep\n"
        f"def work(): print(sweep.launch({GRID!r}, store='r.duckdb', workers=2, quiet=True).counts['converged'])\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "print([name for name in ('jax', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.stdout == "8\n[]\n", done.stderr
