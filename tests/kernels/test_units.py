"""Inputs times c, with alpha times c^{-1/L}, are the same run: no rule of a classification is in units of the data."""

from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.results import RunResult
from kernels.simulate import simulate
from tests.kernels.conftest import classification_data, spec_of

NETWORKS: list[dict[str, Any]] = [
    {"architecture": "diagonal", "depth": 3, "init": "ordered"},
    {"architecture": "convolutional", "depth": 3, "init": "gaussian"},
    {"architecture": "convolutional", "depth": 2, "filter": 3, "init": "gaussian"},
    {"architecture": "fully_connected", "depth": 3, "width": 5, "init": "gaussian"},
]


def run(factor: Any, alpha: float, **axes: Any) -> RunResult:
    data = classification_data(4, 6)
    scaled = Dataset("scaled", data.x * factor, data.y)
    (found,) = simulate([(spec_of(scaled, task="classification", alpha=alpha, record=False, **axes), scaled)])
    return found


def distances(result: RunResult) -> dict[str, float]:
    return {made.prediction: made.distance for made in result.predictions if made.distance is not None}


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("axes", NETWORKS, ids=lambda axes: f"{axes['architecture']}-{axes['depth']}")
def test_units_of_inputs_are_units_of_weights(axes: dict[str, Any], loss: str) -> None:
    whole = run(1.0, 0.3, loss=loss, **axes)
    assert whole.status == "converged"
    for factor in (1e-4, 1e-2, 1e2, 1e4):
        scaled = run(factor, 0.3 * factor ** (-1 / axes["depth"]), loss=loss, **axes)
        assert (scaled.status, scaled.message) == (whole.status, whole.message)
        assert scaled.log_loss == pytest.approx(whole.log_loss, rel=2e-4)  # what a stop may overshoot by, twice
        assert scaled.steps + scaled.rejected <= 1.2 * (whole.steps + whole.rejected) + 5
        directions = [found.beta / np.linalg.norm(found.beta) for found in (whole, scaled)]
        np.testing.assert_allclose(*directions, atol=1e-5)
        assert distances(scaled) == pytest.approx(distances(whole), rel=1e-2, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("axes", NETWORKS, ids=lambda axes: f"{axes['architecture']}-{axes['depth']}")
def test_samples_of_mixed_norms_reach_the_stop_rule(axes: dict[str, Any]) -> None:
    mixed = run(np.array([[1e-2], [1.0], [10.0], [1e2]]), 0.3, **axes)
    assert mixed.status == "converged"
    assert mixed.log_loss <= -1e6
    assert distances(mixed)["parameter_kkt"] < 0.2
