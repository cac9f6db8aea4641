"""Programs are compiled quickly, or well; both give the same ends."""

import time

import numpy as np
import pytest

from kernels.integrator import ensemble
from kernels.integrator.loop import OPTIMISATION, Levels, Loop, quick, well
from kernels.integrator.passage import passage_of
from kernels.problem import problem_of
from tests.kernels.conftest import classification_data, regression_data, spec_of
from tests.kernels.test_flow import ends_of


class Always(Levels):
    """One level for all."""

    def __init__(self, loop: Loop):
        super().__init__()
        self._loop = loop

    def of(self, size: object) -> Loop:
        return self._loop


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["diagonal", pytest.param("fully_connected", marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", ["regression", pytest.param("classification", marks=pytest.mark.slow)])
def test_both_levels_end_alike(task: str, architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = regression_data(2, 4) if task == "regression" else classification_data(2, 4)
    width = 3 if architecture == "fully_connected" else None
    axes = {"task": task, "architecture": architecture, "depth": 3, "width": width, "init": "gaussian", "record": False}
    runs = [(spec_of(dataset, alpha=alpha, seed=1, **axes), dataset) for alpha in (0.1, 1.0)]
    first = quick()
    assert first is not None
    ends = []
    for loop in (first, well()):
        monkeypatch.setattr(ensemble, "LEVELS", Always(loop))
        ends.append(ends_of(runs))
    for one, other in zip(*ends, strict=True):
        assert one.theta.tobytes() != other.theta.tobytes()  # different code did compute them
        assert one.status == other.status
        np.testing.assert_allclose(one.theta, other.theta, rtol=1e-7, atol=1e-7 * np.abs(other.theta).max())


def test_a_program_is_compiled_well_once_its_steps_have_cost_as_much() -> None:
    dataset = regression_data(2, 4)
    axes = {"task": "regression", "architecture": "diagonal", "depth": 2, "init": "gaussian"}
    size = (passage_of(problem_of(spec_of(dataset, **axes), dataset)).program, 8)
    levels = Levels()
    assert levels.of(size) is quick()
    for _ in range(2):  # the first call compiles and does not count
        assert levels.of(size) is quick()
        levels.took(size, time.perf_counter() - 2 * OPTIMISATION)
    assert levels.of(size) is well()
    assert levels.of((size[0], 64)) is quick()
