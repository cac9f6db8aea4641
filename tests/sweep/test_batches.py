"""Batches: every pending run goes out once, with runs of its own program, in batches of a sensible size."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.execution import batches
from sweep.execution.batches import FIRST, GROWTH, TARGET_SECONDS, Batch, Batcher, Sizer
from sweep.execution.programs import ProgramPlan, Shape, programs
from sweep.grid.expansion import Candidate, Expansion
from sweep.grid.grid import from_source
from sweep.grid.source import Source


def expand(**axes: object) -> tuple[Expansion, list[Candidate]]:
    tree = {"task": "regression", "data": {"points": {"x": [[1, 2]], "y": [1]}}, "init": "gaussian", "grid": axes}
    expansion = Expansion(from_source(Source(Path("grid.yaml"), tree)))
    return expansion, list(expansion.candidates())


EXPANSION, CANDIDATES = expand(
    architecture=["diagonal", "walsh"], depth=[2, 3], seed={"range": [0, 90]}, record=[False, True]
)
(STRUCTURE,) = {id(c.structure): c.structure for c in expand(architecture="diagonal", seed=[0, 1])[1]}.values()


PROGRAM = ProgramPlan(STRUCTURE.key, [Shape(STRUCTURE.key, STRUCTURE, 2)])


def shapes_of(candidates: list[Candidate]) -> list[Shape]:
    structures = {candidate.structure.key: candidate.structure for candidate in candidates}
    pending = Counter(candidate.structure.key for candidate in candidates)
    return [Shape(key, structure, pending[key], pending[key]) for key, structure in structures.items()]


def hand_out(candidates: list[Candidate], sizer: Sizer, plans: list[ProgramPlan], rates: list[float]) -> list[Batch]:
    batcher = Batcher(candidates, plans, sizer, EXPANSION.catalogue)
    rate = dict(zip((program.key for program in plans), rates, strict=False))
    found = []
    while (batch := batcher.next({})) is not None:
        found.append(batch)
        sizer.observe(batch, rate[batch.key] * len(batch))
    return found


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.booleans(), st.integers(0, 1000), st.integers(1, 8), st.lists(st.floats(1e-4, 30), min_size=8, max_size=8))
def test_every_run_goes_out_once(shared: bool, seed: int, slots: int, rates: list[float]) -> None:
    candidates = list(CANDIDATES)
    random.Random(seed).shuffle(candidates)
    shapes = shapes_of(candidates)
    plans = programs(shapes) if shared else [ProgramPlan(shape.key, [shape]) for shape in shapes]
    found = hand_out(candidates, Sizer({}, slots=slots), plans, rates)
    out = Counter(spec.run_id for batch in found for spec, _ in batch.runs)
    assert set(out.values()) == {1}
    assert set(out) == {candidate.run_id for candidate in candidates}
    owner = {shape.key: program for program in plans for shape in program.shapes}
    program = {candidate.run_id: owner[candidate.structure.key] for candidate in candidates}
    assert all(
        (program[spec.run_id].key, program[spec.run_id].room) == (batch.key, batch.room)
        for batch in found
        for spec, _ in batch.runs
    )


def two_programs() -> tuple[list[Candidate], list[ProgramPlan]]:
    """Runs of depth 2, then as many of depth 3, each through its own program: depth 3 is more work."""
    candidates = [each for each in CANDIDATES if each.spec.architecture == "diagonal" and not each.spec.record]
    candidates.sort(key=lambda each: each.spec.depth)
    return candidates, [ProgramPlan(shape.key, [shape]) for shape in shapes_of(candidates)]


def test_workers_are_on_different_programs() -> None:
    candidates, plans = two_programs()
    deep, shallow = plans[1].key, plans[0].key
    batcher = Batcher(candidates, plans, Sizer({}, dict.fromkeys((deep, shallow), 1.0), slots=2), EXPANSION.catalogue)
    out: Counter[str] = Counter()
    handed = []
    for _ in range(4):
        batch = batcher.next(out)
        assert batch is not None
        out[batch.key] += 1
        handed.append(batch.key)
    assert handed == [deep, shallow, deep, shallow]
    out[shallow] -= 1
    batch = batcher.next(out)
    assert batch is not None
    assert batch.key == shallow


def test_one_worker_ends_one_program_before_the_next() -> None:
    candidates, plans = two_programs()
    keys = [batch.key for batch in hand_out(candidates, Sizer({}), plans, [10.0, 10.0])]
    assert keys == sorted(keys, key=[plans[1].key, plans[0].key].index)
    assert len(keys) > 2


def test_few_runs_are_held_for_the_sake_of_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deep program is to be first, but its runs come after more than may be held."""
    monkeypatch.setattr(batches, "AHEAD", 20)
    candidates, plans = two_programs()
    read = iter(candidates)
    guesses = {program.key: 1.0 for program in plans}
    batcher = Batcher(read, plans, Sizer({}, guesses), EXPANSION.catalogue)
    first = batcher.next({})
    assert first is not None
    assert first.key == plans[0].key
    rest = list(read)
    assert len(rest) == len(candidates) - 20
    batcher = Batcher(candidates, plans, Sizer({}, guesses, slots=2), EXPANSION.catalogue)
    handed = list(iter(lambda: batcher.next({plans[1].key: 0, plans[0].key: 1}), None))
    assert sorted(spec.run_id for batch in handed for spec, _ in batch.runs) == sorted(c.run_id for c in candidates)
    assert all(len(batch) >= 9 for batch in handed)


def test_a_batch_takes_about_the_target_time() -> None:
    for rate in (1e-3, 0.1, 1.0):
        size = Sizer({STRUCTURE.key: rate}).size(PROGRAM, 10**6)
        assert 0.5 * TARGET_SECONDS <= rate * size <= 2 * TARGET_SECONDS


def test_a_run_that_takes_longer_than_the_target_goes_alone() -> None:
    assert Sizer({STRUCTURE.key: 100.0}).size(PROGRAM, 50) == 1


def test_batches_grow_from_a_first_one() -> None:
    sizer = Sizer({})
    key = STRUCTURE.key
    sizes = []
    for _ in range(4):
        sizes.append(sizer.size(PROGRAM, 10**6))
        batch = Batch(key, (CANDIDATES[0],) * sizes[-1], ())
        sizer.observe(batch, 1e-4 * len(batch))
    assert sizes == [FIRST * GROWTH**n for n in range(4)]


def test_a_guess_makes_first_batches_smaller_never_larger() -> None:
    key = STRUCTURE.key
    assert Sizer({}, {key: TARGET_SECONDS / 5}).size(PROGRAM, 10**6) == 5
    assert Sizer({}, {key: 100 * TARGET_SECONDS}).size(PROGRAM, 10**6) == 1
    assert Sizer({}, {key: 1e-6}).size(PROGRAM, 10**6) == FIRST


def test_slots_share_what_is_left_and_no_crumbs_stay() -> None:
    sizer = Sizer({STRUCTURE.key: 1e-3}, slots=4)
    assert sizer.size(PROGRAM, 4000) == 1000
    assert sizer.size(PROGRAM, FIRST + 10) == FIRST + 10
    assert sizer.size(PROGRAM, 3) == 3


def test_memory_bounds_a_batch() -> None:
    _, large = expand(architecture="fully_connected", width=2000, depth=3)
    small = Sizer({STRUCTURE.key: 1e-9}).most(PROGRAM)
    (program,) = programs(shapes_of(large))
    assert Sizer({}).most(program) < small < batches.MEMORY
    assert Sizer({program.key: 1e-9}).size(program, 10**6) < 100


def test_halves_hold_the_same_runs() -> None:
    runs = tuple((candidate.spec, None) for candidate in CANDIDATES[:5])
    batch = Batch("key", runs, tuple(range(5)), lost=2)
    first, second = batch.halves(lost=0)
    assert first.runs + second.runs == batch.runs
    assert first.entries + second.entries == batch.entries
    assert (first.attempt, first.lost, second.lost) == (2, 0, 0)
    assert len({batch.number, first.number, second.number}) == 3
