"""Estimates: one number for everybody who asks, robust to single batches, and of likeness where nothing was timed."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sweep
from db.store import Store
from sweep.execution import pilot as pilots
from sweep.execution.costs import FEW_SPREAD, SHARES, Features, Kind, Model, fitted
from sweep.execution.driver import Outcome
from sweep.execution.estimate import Estimate, Part, estimate, estimate_lines, foreseen
from sweep.execution.history import History
from sweep.execution.pilot import pilot
from sweep.execution.plan import Plan, make_plan
from sweep.execution.programs import ProgramPlan, Shape
from sweep.execution.timing import Timing, keep, kept
from sweep.execution.worker import Raised
from sweep.grid.grid import load
from tests.db import store_rows as rows
from tests.sweep.conftest import SMALL, Launch, Write
from tests.sweep.test_cli import invoke

OTHER = SMALL.replace("depth: 2", "depth: 5").replace("name: small", "name: other")


def planned(path: Path, store: Path, *overrides: str) -> tuple[Plan, Store]:
    found = Store(store)
    return make_plan(load(path, overrides), found), found


def with_batches(store: Store, key: str, *batches: dict[str, Any]) -> Store:
    """A store with attempts of one program; each took a second of ten runs unless it says otherwise."""
    usual = {
        "compile_key": key, "outcome": "finished", "seconds": 1.0, "runs": 10, "worker": "w", "compile_seconds": 0.0
    }  # fmt: skip
    tries = [{**usual, "attempt_id": str(number), **batch} for number, batch in enumerate(batches)]
    store.create()
    store.commit({"attempts": rows.attempts(tries)})
    return store


def with_runs(
    store: Store, *ids: str, sweep_id: str = "s", compile_seconds: float | None = 0.0, **columns: Any
) -> Store:
    """A store with runs of one batch, of a second each unless they say otherwise."""
    usual = {"wall_seconds": 1.0, "steps": 100, "rejected": 0, "parameters": 4, "record": False, "sweep_id": sweep_id}
    tried = {
        "attempt_id": f"{sweep_id} {ids}",
        "sweep_id": sweep_id,
        "runs": len(ids),
        "compile_seconds": compile_seconds,
    }
    store.create()
    store.commit({**rows.results(ids, **{**usual, **columns}), "attempts": rows.attempts([tried])})
    return store


@pytest.fixture
def one(write: Write, tmp_path: Path) -> tuple[Plan, Store, str]:
    """A plan of one program with 80 runs, a store without any, and the program's key."""
    plan, store = planned(write(SMALL), tmp_path / "results.duckdb", "grid.seed={range: [0, 40]}")
    return plan, store, plan.programs[0].key


def test_plan_launch_and_python_say_the_same(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, store = write(SMALL), tmp_path / "results.duckdb"
    plan, found = planned(path, store)
    batches = ({"seconds": 30.0, "compile_seconds": 9.0, "worker": name} for name in "abc")
    with_batches(found, plan.programs[0].key, *batches)
    told = invoke("plan", path, "--workers", "1", store=store).stdout.splitlines()
    assert told[2:] == [
        "estimated time: 25.8 s (20.2 s to 34.2 s) on 1 worker, 9 s of it compiling", "  1 program timed in this store"
    ]  # fmt: skip
    assert repr(sweep.plan(load(path).source.tree, store=store, workers=1)).splitlines() == told
    monkeypatch.setattr("sweep.execution.session._compute", lambda *_: Outcome())
    started = invoke("launch", path, "--executor", "local", store=store).stdout.splitlines()
    assert started[: len(told)] == told


def test_one_unlucky_batch_hardly_moves_the_estimate(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, {}, {"seconds": 1.2})
    before = estimate(plan, History(store), 1).seconds[1]
    with_batches(store, key, *[{}] * 2, {"attempt_id": "bad", "seconds": 1000.0})
    after = estimate(plan, History(store), 1).seconds[1]
    assert 1 / 1.5 < after / before < 1.5


def test_a_batch_that_waited_for_the_cpu_counts_by_what_it_had(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, {"seconds": 100.0, "cpu_seconds": 1.0})
    timing = History(store).of(plan.programs[0])
    assert timing is not None
    assert timing.middle == pytest.approx(0.1)
    assert timing.low < timing.middle < timing.high


def test_compiling_is_apart_and_every_worker_does_it(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, {"seconds": 9.0, "compile_seconds": 8.0}, {"attempt_id": "x"}, {"attempt_id": "y"})
    alone = estimate(plan, History(store), 1)
    assert (alone.compiling, alone.seconds[1]) == (pytest.approx(8.0), pytest.approx(8.0 + 80 * 0.1))
    (part,) = alone.parts
    both = estimate(plan, History(store), 2)
    assert both.seconds[1] == pytest.approx(
        8.0 * min(2, part.batches) / min(2, both.batches) + 8.0 / min(2, both.batches)
    )
    (line, source) = estimate_lines(foreseen(plan, store, 1))
    assert line.endswith(" on 1 worker, 8 s of it compiling")
    assert source == "  1 program timed in this store"


def test_more_workers_take_less(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, *[{"seconds": 20.0}] * 5)
    one_, four = (estimate(plan, History(store), workers) for workers in (1, 4))
    assert one_.seconds[1] - one_.compiling == pytest.approx(4 * (four.seconds[1] - four.compiling))


def part(runs: int, batches: int, seconds: float) -> Part:
    """So many runs of so many seconds each; a worker compiles their program for three."""
    shape = Shape("k", None, runs)
    return Part(ProgramPlan("k", [shape]), Timing(seconds / 2, seconds, 2 * seconds, "timed"), batches, 3.0)


def test_a_run_is_not_divided_among_workers() -> None:
    made = Estimate(16, (part(1, 1, 3600.0), part(1000, 100, 1.0)))
    assert made.seconds == (1803.0, 3603.0, 7203.0)
    assert made.compiling == 3.0
    many = Estimate(16, (part(1, 1, 36.0), part(1000, 100, 1.0)))
    assert many.seconds[1] == (1036 + 3 + 16 * 3) / 16
    assert many.compiling == (3 + 16 * 3) / 16


def test_batches_that_do_not_say_what_compiling_took_time_nothing(write: Write, tmp_path: Path) -> None:
    """Those of a store from before schema 0007; nor do runs of such a sweep, whose seconds hold it."""
    plan, store = planned(write(SMALL), tmp_path / "results.duckdb")
    with_batches(store, plan.programs[0].key, {"compile_seconds": None, "seconds": 60.0})
    with_runs(store, *"ab", sweep_id="old", compile_seconds=None, wall_seconds=6.0)
    assert History(store).of(plan.programs[0]) is None
    with_runs(store, *"cd")
    assert [row["seconds"] for row in store.query(SHARES).to_pylist()] == [1.0]


def test_runs_of_a_batch_that_was_interrupted_are_left_out(tmp_path: Path) -> None:
    """Their seconds hold those of runs that did not end."""
    store = with_runs(Store(tmp_path / "results.duckdb"), *"ab")
    with_runs(store, *"cde", wall_seconds=50.0, created_at=datetime(2026, 1, 3))
    (both,) = store.query(SHARES).to_pylist()
    assert both["seconds"] == 50.0
    tried = {"attempt_id": "i", "sweep_id": "s", "outcome": "interrupted", "runs": 3, "compile_seconds": 0.0}
    store.commit({"attempts": rows.attempts([tried])})
    (whole,) = store.query(SHARES).to_pylist()
    assert whole["seconds"] == 1.0


def test_a_worker_that_waits_for_a_gpu_spends_its_time(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, {"seconds": 100.0, "cpu_seconds": 1.0, "sweep_id": "s"})
    with_runs(store, *"ab", device="NVIDIA H200")
    timing = History(store).of(plan.programs[0])
    assert timing is not None
    assert timing.middle == pytest.approx(10.0)


NAN, INF = float("nan"), float("inf")
MOST = 2**63 - 1


@pytest.mark.parametrize("column", [
    {"wall_seconds": NAN}, {"wall_seconds": INF}, {"wall_seconds": 1e308}, {"alpha": INF}, {"alpha": NAN},
    {"steps": -20}, {"steps": MOST}, {"rejected": -120}, {"samples": None}, {"samples": -1}, {"parameters": None},
    {"dim": None}, {"depth": -3},
], ids=str)  # fmt: skip
def test_strange_numbers_of_a_run_are_left_out(column: dict[str, Any], one: tuple[Plan, Store, str]) -> None:
    plan, store, _ = one
    with_runs(store, *"ab", **column)
    assert foreseen(plan, store, 2)["estimated_seconds"] is None
    with_runs(store, *"cd", sweep_id="t")
    assert foreseen(plan, store, 2)["estimated_seconds"] > 0


@pytest.mark.parametrize("column", [
    {"seconds": NAN}, {"seconds": INF}, {"seconds": 1e308}, {"seconds": -1.0}, {"compile_seconds": NAN},
    {"compile_seconds": -INF}, {"seconds": 1e-320, "cpu_seconds": 1.0},
], ids=str)  # fmt: skip
def test_strange_numbers_of_a_batch_are_left_out(column: dict[str, Any], one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, column)
    assert History(store).timed == {}
    assert foreseen(plan, store, 2)["estimated_seconds"] is None


@pytest.mark.parametrize("spent", [NAN, INF, -1.0, 0.0])
def test_strange_cpu_seconds_of_a_batch_take_nothing_off(spent: float, one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, {"cpu_seconds": spent})
    timing = History(store).of(plan.programs[0])
    assert timing is not None
    assert timing.middle == pytest.approx(0.1)


def test_what_was_interrupted_or_failed_times_nothing(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, {"outcome": "interrupted"}, {"outcome": "failed"}, {"runs": 0}, {"compile_key": None})
    assert History(store).timed == {}
    found = foreseen(plan, store, 2)
    assert found["estimated_seconds"] is None
    assert list(estimate_lines(found)) == [
        "estimated time: unknown",
        "  + 1 program never timed (80 runs): sweep plan --pilot tries some runs",
    ]


def test_likeness_to_what_was_timed(write: Write, tmp_path: Path) -> None:
    """Five layers are known by two; classification and layers that are integrated are not."""
    plan, store = planned(write(OTHER), tmp_path / "results.duckdb")
    with_runs(store, *"abcd")
    timing = History(store).of(plan.programs[0])
    assert timing is not None
    assert timing.source == "alike"
    assert (timing.middle / timing.low, timing.high / timing.middle) == pytest.approx((FEW_SPREAD, FEW_SPREAD))
    assert 0.3 < timing.middle < 3
    labels = "data={points: {x: [[1, 2], [2, -1]], y: [1, -1]}}"
    for override in (
        ("task=classification", labels, "stop={log_loss: -10}"),
        ("grid.architecture=fully_connected", "width=3"),
        ("solver=kvaerno5",),
    ):
        plan, store = planned(write(OTHER), tmp_path / "results.duckdb", *override)
        assert foreseen(plan, store)["estimate"]["unknown"] == {"programs": 1, "runs": plan.pending}


def test_runs_of_a_batch_share_its_time_by_their_steps(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.duckdb")
    with_runs(store, "a", wall_seconds=0.3, steps=80, alpha=1.0)
    with_runs(store, "b", wall_seconds=0.3, steps=180, alpha=0.01)
    assert {row["scale"]: round(row["seconds"], 9) for row in store.query(SHARES).to_pylist()} == {0.0: 0.2, -2.0: 0.4}


def test_the_model_finds_a_power_of_alpha(tmp_path: Path) -> None:
    """Times made up as prior · 3 · alpha^(−1/2), with noise: programs of other sizes and scales are met."""
    rng = np.random.default_rng(0)
    kind = Kind("regression", True, True)
    known, seconds, names = [], [], []
    for number, (samples, size) in enumerate(((2, 5), (5, 9), (10, 30), (20, 40), (30, 60), (8, 12))):
        for scale in (-4.0, -2.0, 0.0):
            each = Features(kind, False, samples, size, 2, scale)
            known.append(each)
            seconds.append(3 * np.exp(each.prior) * 10 ** (-scale / 2) * np.exp(rng.normal(0, 0.1)))
            names.append(number)
    model = Model(known, seconds, names)
    asked = Features(kind, False, 15, 50, 2, -3.0)
    found = np.exp(asked.prior + model._fit.at(asked.row))
    assert 0.5 < found / (3 * np.exp(asked.prior) * 10**1.5) < 2
    assert 1.5 <= model._spread < 3


def test_an_empty_store_has_no_model(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.duckdb")
    assert fitted(store) is None
    store.create()
    assert fitted(store) is None


def test_a_pilot_times_and_stores_nothing(write: Write, tmp_path: Path) -> None:
    store = tmp_path / "results.duckdb"
    done = invoke("plan", write(SMALL), "--pilot", "--workers", "1", store=store)
    lines = done.stdout.splitlines()
    assert lines[2].startswith("pilot: 8 runs of 1 program in ")
    assert lines[2].endswith(", in memory; none of them is stored")
    assert lines[-1] == "  1 program by runs just now"
    assert not store.exists()


def test_a_pilot_of_what_was_timed_says_so(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, {})
    assert next(estimate_lines(foreseen(plan, store, 2, trying=True))) == (
        "pilot: nothing to try, every program was timed before"
    )


def test_a_pilot_is_bounded_in_time(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SMALL.replace("depth: 2", "depth: [2, 3]").replace("init: gaussian", "init: gaussian, solver: kvaerno5")
    plan, _ = planned(write(text), tmp_path / "results.duckdb")
    tried = pilot(plan, frozenset(), seconds=0.0)
    assert (tried.runs, tried.unreached, tried.timings) == (0, 2, {})
    assert pilot(plan, frozenset(program.key for program in plan.programs)).unreached == 0
    monkeypatch.setattr(pilots, "run_batch", lambda payload, watch: Raised("broken \x1b", "", "w"))
    failed = pilot(plan, frozenset())
    assert failed.failures == ("broken \x1b",) * 2
    assert "  a program failed: broken \\x1b" in list(pilots.pilot_lines(failed.to_dict()))


def test_a_pilot_stands_where_nothing_was_timed(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    tried = {key: Timing(1.0, 2.0, 4.0, "pilot", 5.0)}
    assert estimate(plan, History(store, tried), 1).seconds == (85.0, 165.0, 325.0)
    with_batches(store, key, {})
    assert estimate(plan, History(store, tried), 1).parts[0].timing != tried[key]


def test_a_launch_says_what_the_pilot_said(
    write: Write, tmp_path: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = planned(write(SMALL), tmp_path / "results.duckdb")
    said = foreseen(plan, store, 1, trying=True)
    assert said["estimated_seconds"] is not None
    assert not store.path.exists()
    expected = {**said["estimate"], "sources": {"kept": 1}}
    assert foreseen(plan, store, 1)["estimate"] == expected
    assert list(estimate_lines(foreseen(plan, store, 1)))[1] == "  1 program by an earlier pilot"
    ended = launch(SMALL)
    assert (ended.plan["estimate"], ended.plan["batches"]) == (expected, said["batches"])
    monkeypatch.setattr("sweep.execution.timing.KERNEL_VERSION", -1)  # numbers of other kernels say nothing
    fresh = Store(tmp_path / "other.duckdb")
    assert foreseen(plan, fresh, 1)["estimated_seconds"] is None


def test_what_was_timed_is_believed_before_an_earlier_pilot(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    tried = Timing(1.0, 2.0, 4.0, "pilot", 5.0)
    keep({key: tried})
    assert History(store).of(plan.programs[0]) == replace(tried, source="kept")
    with_batches(store, key, {})
    timing = History(store).of(plan.programs[0])
    assert timing is not None
    assert timing.source == "timed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"low": 1, "middle": 2, "high": NaN, "compiling": 0}',
        '{"low": 0, "middle": 2, "high": 3, "compiling": 0}',
        '{"low": 1, "middle": 2, "high": 3, "compiling": -1}',
    ],
)
def test_kept_times_that_are_damaged_say_nothing(text: str, pilots: Path) -> None:
    keep({"key": Timing(1.0, 2.0, 4.0, "pilot", 5.0)})
    (file,) = pilots.iterdir()
    assert kept("key") == Timing(1.0, 2.0, 4.0, "kept", 5.0)
    file.write_text(text, encoding="utf-8")
    assert kept("key") is None


def test_times_that_cannot_be_kept_are_told(write: Write, tmp_path: Path, pilots: Path) -> None:
    pilots.write_text("a file where the folder should be", encoding="utf-8")
    plan, store = planned(write(SMALL), tmp_path / "results.duckdb")
    said = foreseen(plan, store, 1, trying=True)
    assert said["estimated_seconds"] is not None
    assert list(estimate_lines(said))[1] == f"  a launch will not know these times: {pilots}: File exists"


def test_a_second_pilot_begins_with_what_the_first_did_not_reach(write: Write, tmp_path: Path) -> None:
    text = SMALL.replace("depth: 2", "depth: [2, 3]").replace("init: gaussian", "init: gaussian, solver: kvaerno5")
    plan, _ = planned(write(text), tmp_path / "results.duckdb")
    first, second = (program.key for program in plan.programs)
    keep({first: Timing(1.0, 2.0, 4.0, "pilot", 5.0)})
    assert list(pilot(plan, frozenset()).timings) == [second, first]


def test_an_estimate_as_json(one: tuple[Plan, Store, str]) -> None:
    plan, store, key = one
    with_batches(store, key, {})
    found = json.loads(json.dumps(foreseen(plan, store, 3)))
    assert found["estimate"]["workers"] == 3
    assert found["estimated_seconds"] == found["estimate"]["seconds"][1]
