"""Programs that shapes share: as few as are quicker, with room for all, and results that do not depend on them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from kernels.room import Room, room_for
from kernels.simulate import simulate
from sweep.execution.programs import COMPILATION, ProgramPlan, Shape, programs, seconds, steps
from sweep.grid.expansion import Expansion
from sweep.grid.grid import from_source
from sweep.grid.source import Source


def shapes_of(pending: int | None = None, **axes: object) -> list[Shape]:
    """The runs of a grid by compile key, none stored; of each `pending`, or as many as the grid has."""
    expansion = Expansion(from_source(Source(Path("grid.yaml"), {"init": "gaussian", "grid": axes})))
    candidates = list(expansion.candidates())
    counts = Counter(candidate.structure.key for candidate in candidates)
    structures = {candidate.structure.key: candidate.structure for candidate in candidates}
    return [
        Shape(key, structure, pending or counts[key], pending or counts[key]) for key, structure in structures.items()
    ]


SIZES = [{"gaussian": {"samples": samples, "dim": 60, "seed": 1}} for samples in range(1, 41)]


@pytest.mark.slow
def test_few_runs_of_many_shapes_share_and_all_fit() -> None:
    shapes = shapes_of(25, task="regression", architecture="diagonal", depth=[2, 3, 4, 5], data=SIZES)
    found = programs(shapes)
    assert len(shapes) == 160
    assert 2 <= len(found) <= 8
    assert sorted(shape.key for program in found for shape in program.shapes) == sorted(shape.key for shape in shapes)
    for program in found:
        assert program.room is not None
        for shape in program.shapes:
            assert shape.size[0] <= program.room.samples
            assert shape.size[1] <= program.room.coordinates
            assert shape.structure.spec.depth <= program.room.depth
            assert room_for(shape.structure.spec, 60, shape.size[0]) is not None


def test_sharing_costs_less_than_it_saves() -> None:
    def cost(found: list[ProgramPlan]) -> float:
        spent = 0.0
        for program in found:
            for shape in program.shapes:
                size = (program.room.samples, program.room.coordinates) if program.room else shape.size
                spent += shape.pending * shape.steps * seconds(*size)
        return spent + COMPILATION * len(found)

    for pending in (1, 30, 1000, 30_000):
        shapes = shapes_of(pending, task="regression", architecture="diagonal", depth=[2, 3], data=SIZES[::5])
        own = COMPILATION * len(shapes) + sum(pending * shape.steps * seconds(*shape.size) for shape in shapes)
        assert cost(programs(shapes)) <= own * (1 + 1e-12)


def test_many_runs_have_their_own_program() -> None:
    shapes = shapes_of(10**7, task="regression", architecture="diagonal", depth=[2, 3], data=SIZES[28:30])
    assert all(program.room is None for program in programs(shapes))


def test_networks_without_curves_and_different_tolerances_do_not_share() -> None:
    axes = {"task": "regression", "data": SIZES[:2], "depth": 2, "width": 60}
    found = programs(shapes_of(1, architecture=["diagonal", "fully_connected"], rtol=[1e-4, 1e-7], **axes))
    assert sorted(len(program.shapes) for program in found) == [1, 1, 2, 2]


def test_a_room_shrinks_to_its_runs_where_that_saves_more_than_a_compilation() -> None:
    shapes = {
        pending: shapes_of(pending, task="regression", architecture="diagonal", depth=[4, 5], data=SIZES[32:])
        for pending in (1, 25)
    }
    rooms = {pending: {program.room for program in programs(each)} for pending, each in shapes.items()}
    assert rooms == {1: {Room(48, 72, 8)}, 25: {Room(40, 60, 8)}}


def test_groups_that_end_in_one_room_are_one_program() -> None:
    """Of these some choose the ladder's room, whose sizes others have already."""
    shapes = []
    for samples, dim, depth, runs in (
        (20, 32, 3, 11), (24, 48, 3, 364), (24, 32, 4, 170), (32, 40, 6, 353), (32, 44, 6, 38), (18, 44, 6, 17),
    ):  # fmt: skip
        data = {"gaussian": {"samples": samples, "dim": dim, "seed": 1}}
        shapes += shapes_of(runs, task="regression", architecture="diagonal", depth=[depth], data=[data])
    found = programs(shapes)
    assert len({program.key for program in found}) == len(found)
    assert sum(program.pending for program in found) == 953


def test_steps_are_those_of_sweeps() -> None:
    """Means over alpha = 0.01, 0.03, 0.1, 0.3, 1 at 60 coordinates, squared loss."""
    measured = {(12, 3): 70, (12, 4): 167, (12, 5): 281, (37, 3): 154, (37, 4): 465, (37, 5): 893}
    measured |= {(20, 6): 642, (35, 8): 1944, (35, 12): 3803}
    for (samples, depth), found in measured.items():
        assert found / 2 <= steps(samples, depth) <= 2 * found


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("architectures", [["diagonal"], ["diagonal", "signed_diagonal", "walsh"]])
def test_results_do_not_depend_on_sharing(task: str, architectures: list[str]) -> None:
    """Networks of two depths, two and three samples, through one program and through each their own."""
    x = [[1.0, 2.0, -0.5, 0.3], [0.3, -1.0, 2.0, 0.2], [0.1, 0.4, 1.0, -1.0]]
    y = [1.0, -0.7, 0.4] if task == "regression" else [1.0, -1.0, 1.0]
    points = [{"points": {"x": x[:n], "y": y[:n]}} for n in ((3,) if len(architectures) == 1 else (2, 3))]
    axes = {"task": task, "data": points, "depth": [1, 3], "architecture": architectures, "record": [False]}
    expansion = Expansion(from_source(Source(Path("grid.yaml"), {"init": "gaussian", "grid": axes})))
    candidates = list(expansion.candidates())
    runs = [(c.spec, expansion.catalogue.dataset(c.structure.entry)) for c in candidates]
    (program,) = programs([Shape(c.structure.key, c.structure, 1, 1) for c in candidates])
    assert program.room is not None
    for own, shared in zip(simulate(runs), simulate(runs, program.room), strict=True):
        assert own.status == shared.status == "converged"
        # near the stop rule errors are rounding, and which of the last few steps are rejected is chance; of one layer,
        # whose limit is met to 1e-13, that is most steps
        assert own.spec.depth == 1 or abs(own.steps - shared.steps) <= max(4, 0.1 * own.steps)
        np.testing.assert_allclose(shared.beta, own.beta, rtol=0, atol=1e-7 * np.linalg.norm(own.beta))
