"""What is seen while a sweep runs: nothing is cut, batches in flight count, what was done corrects the time left."""

import io
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from db.store import Store
from sweep.execution import tally as tallies
from sweep.execution.batches import Batch
from sweep.execution.estimate import Estimate, Part
from sweep.execution.history import Timing
from sweep.execution.plan import make_plan
from sweep.execution.programs import ProgramPlan
from sweep.execution.progress import Live, Plain, packed
from sweep.execution.tally import Tally
from sweep.grid.grid import load
from tests.sweep.conftest import SMALL, Write

LONGEST = {"failed": 12, "diverged": 345}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(tallies.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def programs(write: Write, tmp_path: Path) -> list[ProgramPlan]:
    """Two programs of 100 runs."""
    text = SMALL.replace("depth: 2", "depth: [2, 3]").replace("init: gaussian", "init: gaussian, solver: kvaerno5")
    path = write(text.replace("[0, 4]", "[0, 50]"))
    return make_plan(load(path), Store(tmp_path / "none.duckdb")).programs


def tally_of(programs: list[ProgramPlan], *seconds: float | None, workers: int = 1, total: int = 200) -> Tally:
    """Of programs whose runs are estimated to take so long."""
    timings = [None if each is None else Timing(each / 2, each, 2 * each, "timed") for each in seconds]
    parts = [Part(program, timing, 2, 3.0) for program, timing in zip(programs, timings, strict=True)]
    return Tally(total, total - 100 * len(parts), Estimate(workers, tuple(parts)))


def batch_of(program: ProgramPlan, runs: int, number: int = 1) -> Batch:
    spec = program.shapes[0].structure.spec
    return Batch(program.key, ((spec, None),) * runs, (), number=number)


def test_time_left_before_anything_is_done_is_the_estimate(programs: list[ProgramPlan]) -> None:
    assert tally_of(programs, 1.0, 0.5, workers=2).left == pytest.approx((150 + 2 * 3) / 2)
    assert tally_of(programs, 1.0, None).left is None


def test_time_left_is_at_least_that_of_the_longest_batch(programs: list[ProgramPlan]) -> None:
    """Of 100 runs of 36 s in two batches on 16 workers, 14 of which have nothing to do."""
    tally = tally_of(programs[:1], 36.0, workers=16, total=100)
    assert tally.left == pytest.approx(50 * 36 + 3)
    tally.look([(batch_of(programs[0], 50, number), 40) for number in (1, 2)], 16)
    assert tally.left == pytest.approx(10 * 36 + 3)
    tally.look([(batch_of(programs[0], 50), 49)], 16)
    tally.done(programs[0].key, 50, 50 * 36.0, Counter(converged=50), {})
    tally.look([(batch_of(programs[0], 50), 49)], 16)
    assert tally.left == pytest.approx(36)


def test_time_left_is_corrected_by_what_was_done(programs: list[ProgramPlan]) -> None:
    """The first program takes three times as long as estimated, so that the second one is expected to, too."""
    one = programs[0].key
    tally = tally_of(programs, 1.0, 0.5)
    tally.done(one, 100, 300.0, Counter(converged=100), {"exact": 1e-9})
    assert tally.left == pytest.approx(3 * 0.5 * 100 + 3)
    tally.done(programs[1].key, 50, 5000.0, Counter(converged=50), {})
    assert tally.left is not None
    assert 50 * 50 < tally.left < 50 * 100
    unknown = tally_of(programs, 1.0, None)
    unknown.done(one, 50, 100.0, Counter(converged=50), {})
    assert unknown.left == pytest.approx(50 * (20 * 2 + 100) / 70 + 100 * 2 + 3)


def test_runs_in_flight_count_once(programs: list[ProgramPlan], clock: list[float]) -> None:
    batch = batch_of(programs[0], 64)
    tally = tally_of(programs, None, None)
    tally.look([(batch, 0)], 1)
    clock[0] += 60  # of compiling
    tally.look([(batch, 4)], 1)
    assert (tally.finished, tally.running, tally.left) == (4, 1, None)
    clock[0] += 10
    tally.look([(batch, 24)], 1)
    assert tally.left == pytest.approx(0.5 * 176 + 3)
    tally.done(batch.key, 64, 30.0, Counter(converged=64), {})
    assert tally.finished == 64
    tally.look([], 2)
    assert (tally.finished, tally.running) == (64, 0)
    assert tally.left == pytest.approx((30 / 64 * 136 + 3) / 2)


def test_a_distance_from_a_limit_is_called_no_gap(programs: list[ProgramPlan], clock: list[float]) -> None:
    tally = tally_of(programs, 1.0, 1.0)
    tally.done(programs[0].key, 40, 12.0, Counter(), {"limit alpha->0": 0.5})
    assert "0.5" not in " ".join(Plain(tally, io.StringIO()).facts())
    tally.done(programs[0].key, 40, 12.0, Counter(), {"limit t->inf": 0.1})
    said = Plain(tally, io.StringIO()).facts()
    assert said[-1] == "farthest from limits in time 1.0e-01"
    assert not any("gap" in fact for fact in said)
    tally.done(programs[0].key, 20, 12.0, Counter(), {"exact": 2e-9})
    assert Plain(tally, io.StringIO()).facts()[-1] == "worst gap to exact predictions 2.0e-09"


@pytest.mark.parametrize("width", [80, 60, 40])
def test_nothing_is_cut(width: int, programs: list[ProgramPlan], clock: list[float]) -> None:
    tally = tally_of(programs, 5432.1, None, total=10_000_000)
    tally.done(programs[0].key, 40, 12.0, Counter(LONGEST), {"exact": 1.23e-10})
    tally.look([(batch_of(programs[1], 64, number), 3) for number in range(16)], 16)
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=False)
    live = Live(tally, console, by_program=True)
    clock[0] += 100
    console.print(live)
    lines = stream.getvalue().splitlines()
    text = " ".join(stream.getvalue().split())
    assert max(map(len, lines)) <= width
    assert "…" not in text
    for word in (*live.head().split(", "), *live.facts(), "40/100", "48/100", "0.3 s a run", "never timed"):
        assert word in text
    assert "9999888/10000000 runs" in lines[0]
    assert ("━" in lines[0]) is (width > 40)
    for number in (2, 3):
        assert f"diagonal of depth {number}, 1 x 2" in text


def test_lines_of_a_log_say_the_same(programs: list[ProgramPlan], clock: list[float]) -> None:
    tally, stream = tally_of(programs, 1.0, 1.0), io.StringIO()
    plain = Plain(tally, stream, by_program=True)
    plain.look([], 1)
    assert stream.getvalue() == ""
    clock[0] += 6
    plain.look([(batch_of(programs[0], 64), 30)], 1)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("30/200 runs, 2.93 min left, 1 batch in flight, ")
    assert lines[1] == "  30/100  about 1 s a run  diagonal of depth 2, 1 x 2"
    clock[0] += 6
    plain.look([(batch_of(programs[0], 64), 30)], 1)  # nothing new
    assert len(stream.getvalue().splitlines()) == len(lines) == 3
    clock[0] += 60
    plain.look([(batch_of(programs[0], 64), 30)], 1)
    assert len(stream.getvalue().splitlines()) == 6


def test_parts_are_packed_into_lines() -> None:
    assert packed(["abc", "def", "ghi"], 9) == ["abc, def,", "ghi"]
    assert packed(["abc", "def", "ghi"], 8) == ["abc,", "def,", "ghi"]
    assert packed(["abcdefgh", "i"], 4) == ["abcdefgh,", "i"]
