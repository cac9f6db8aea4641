"""A process that compiles many programs must not meet Linux's bound on memory maps."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from kernels.integrator.ensemble import MAPS, make_room
from tests.kernels.conftest import regression_data, spec_of
from tests.kernels.test_flow import ends_of
from tests.needs import lack


def maps() -> int:
    return len(MAPS.read_text().splitlines())


def given_back() -> tuple[int, bool]:
    """How many maps come back when a program is forgotten, and whether its run ends the same when compiled again."""
    dataset = regression_data(2, 5)
    run = spec_of(dataset, task="regression", architecture="diagonal", depth=2, alpha=0.5), dataset
    (end,) = ends_of([run])
    make_room()
    held = maps()
    make_room(share=0.0)
    freed = held - maps()
    (again,) = ends_of([run])
    return freed, bool((again.theta == end.theta).all())


@pytest.mark.slow
def test_compiled_programs_give_their_maps_back() -> None:
    """In a process of its own: in that of other tests a thread may still be in the program, which keeps its maps."""
    if not MAPS.exists():
        lack("memory maps", f"there is no {MAPS}")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        freed, same = process.submit(given_back).result()
    assert freed > 100
    assert same
