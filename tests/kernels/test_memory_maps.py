"""A process that compiles many programs must not meet Linux's bound on memory maps."""

import pytest

from kernels.integrator.ensemble import MAPS, make_room
from tests.kernels.conftest import regression_data, spec_of
from tests.kernels.test_flow import ends_of
from tests.needs import lack


def maps() -> int:
    return len(MAPS.read_text().splitlines())


@pytest.mark.slow
def test_compiled_programs_give_their_maps_back() -> None:
    if not MAPS.exists():
        lack("memory maps", f"there is no {MAPS}")
    dataset = regression_data(2, 5)
    run = spec_of(dataset, task="regression", architecture="diagonal", depth=2, alpha=0.5), dataset
    (end,) = ends_of([run])
    make_room()
    held = maps()
    make_room(share=0.0)
    assert maps() < held - 100
    (again,) = ends_of([run])
    assert (again.theta == end.theta).all()
