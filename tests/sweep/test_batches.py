"""Batches: every pending run goes out once, with runs of its own shape, in batches of a sensible size."""

import random
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sweep import batches
from sweep.batches import FIRST, GROWTH, TARGET_SECONDS, Batch, Batcher, Sizer
from sweep.expansion import Candidate, Expansion
from sweep.grid import from_source
from sweep.source import Source


def expand(**axes: object) -> tuple[Expansion, list[Candidate]]:
    tree = {"task": "regression", "data": {"points": {"x": [[1, 2]], "y": [1]}}, "init": "gaussian", "grid": axes}
    expansion = Expansion(from_source(Source(Path("grid.yaml"), tree)))
    return expansion, list(expansion.candidates())


EXPANSION, CANDIDATES = expand(
    architecture=["diagonal", "walsh"], depth=[2, 3], seed={"range": [0, 90]}, record=[False, True]
)
(STRUCTURE,) = {id(c.structure): c.structure for c in expand(architecture="diagonal", seed=[0, 1])[1]}.values()


def hand_out(candidates: list[Candidate], sizer: Sizer, rates: dict[str, float]) -> list[Batch]:
    pending = Counter(candidate.structure.key for candidate in candidates)
    batcher = Batcher(candidates, pending, sizer, EXPANSION.catalogue)
    found = []
    while (batch := batcher.next()) is not None:
        found.append(batch)
        sizer.observe(batch, rates[batch.key] * len(batch))
    return found


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 8), st.lists(st.floats(1e-4, 30), min_size=8, max_size=8))
def test_every_run_goes_out_once(seed: int, slots: int, rates: list[float]) -> None:
    candidates = list(CANDIDATES)
    random.Random(seed).shuffle(candidates)
    keys = sorted({candidate.structure.key for candidate in candidates})
    found = hand_out(candidates, Sizer({}, slots), dict(zip(keys, rates, strict=True)))
    out = Counter(spec.run_id for batch in found for spec, _ in batch.runs)
    assert set(out.values()) == {1}
    assert set(out) == {candidate.run_id for candidate in candidates}
    owner = {candidate.run_id: candidate.structure.key for candidate in candidates}
    assert all(owner[spec.run_id] == batch.key for batch in found for spec, _ in batch.runs)


def test_a_batch_takes_about_the_target_time() -> None:
    for rate in (1e-3, 0.1, 1.0):
        size = Sizer({STRUCTURE.key: rate}).size(STRUCTURE.key, STRUCTURE, 10**6)
        assert 0.5 * TARGET_SECONDS <= rate * size <= 2 * TARGET_SECONDS


def test_a_run_that_takes_longer_than_the_target_goes_alone() -> None:
    assert Sizer({STRUCTURE.key: 100.0}).size(STRUCTURE.key, STRUCTURE, 50) == 1


def test_batches_grow_from_a_first_one() -> None:
    sizer = Sizer({})
    key = STRUCTURE.key
    sizes = []
    for _ in range(4):
        sizes.append(sizer.size(key, STRUCTURE, 10**6))
        batch = Batch(key, (CANDIDATES[0],) * sizes[-1], ())
        sizer.observe(batch, 1e-4 * len(batch))
    assert sizes == [FIRST * GROWTH**n for n in range(4)]


def test_slots_share_what_is_left_and_no_crumbs_stay() -> None:
    sizer = Sizer({STRUCTURE.key: 1e-3}, slots=4)
    assert sizer.size(STRUCTURE.key, STRUCTURE, 4000) == 1000
    assert sizer.size(STRUCTURE.key, STRUCTURE, FIRST + 10) == FIRST + 10
    assert sizer.size(STRUCTURE.key, STRUCTURE, 3) == 3


def test_memory_bounds_a_batch() -> None:
    _, large = expand(architecture="fully_connected", width=2000, depth=3)
    small = Sizer({STRUCTURE.key: 1e-9}).most(STRUCTURE.key, STRUCTURE)
    assert Sizer({}).most(large[0].structure.key, large[0].structure) < small < batches.MEMORY
    assert Sizer({large[0].structure.key: 1e-9}).size(large[0].structure.key, large[0].structure, 10**6) < 100


def test_halves_hold_the_same_runs() -> None:
    runs = tuple((candidate.spec, None) for candidate in CANDIDATES[:5])
    batch = Batch("key", runs, tuple(range(5)), lost=2)
    first, second = batch.halves(lost=0)
    assert first.runs + second.runs == batch.runs
    assert first.entries + second.entries == batch.entries
    assert (first.attempt, first.lost, second.lost) == (2, 0, 0)
    assert len({batch.number, first.number, second.number}) == 3
