"""What runs did not conserve, measured against what decides their ends, and the status that says so."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kernels.integrator.drift import gap_drifts
from kernels.integrator.passage import integrate
from kernels.problem import Problem, problem_of
from kernels.results import RunResult
from kernels.simulate import IMPRECISE, simulate
from tests.kernels.conftest import classification_data, regression_data, spec_of

LAYERS = {"init": "gaussian", "alpha": 1e-8, "depth": 2, "record": False, "rtol": 1e-5, "solver": "kvaerno5"}
"""In the layers themselves, which do not keep gaps of 1e-16 beside weights of order one."""


def problem(task: str = "regression", **axes: Any) -> Problem:
    data = regression_data(2, 4) if task == "regression" else classification_data(2, 4)
    return problem_of(spec_of(data, task=task, **{"architecture": "diagonal", "depth": 3, **axes}), data)


def result(**axes: Any) -> RunResult:
    data = regression_data(2, 4)
    (found,) = simulate([(spec_of(data, task="regression", **{"architecture": "diagonal", **axes}), data)])
    return found


@pytest.mark.slow
def test_the_drift_of_a_layer_is_measured_by_the_gap_of_its_coordinate() -> None:
    """A layer is moved by hand: the drift is the change of its square over the least gap of that coordinate."""
    drawn = problem(init="gaussian", alpha=0.3, solver="kvaerno5", record=False)
    (end,) = integrate([drawn])
    start = np.array(drawn.layers)
    moved = start.copy()
    moved[1, 2] *= 1.01
    squares = np.sort(start[:, 2] ** 2)
    expected = start[1, 2] ** 2 * (1.01**2 - 1) / (squares[1] - squares[0])
    (found,) = gap_drifts([drawn], [replace(end, theta=moved.ravel(), log_norm=0.0)])
    assert found == pytest.approx(expected, rel=1e-9)
    (kept,) = gap_drifts([drawn], [replace(end, theta=start.ravel(), log_norm=0.0)])
    assert kept == 0


@pytest.mark.slow
def test_a_run_whose_drift_exceeds_its_gaps_is_imprecise() -> None:
    # turned layers: in those of a diagonal network equal roundings of two layers may cancel
    bad = result(**{**LAYERS, "architecture": "walsh"})
    assert bad.gap_drift > IMPRECISE
    assert bad.status == "imprecise"
    assert f"drifted by {bad.gap_drift:.1g} of the gaps of the start" in bad.message
    assert "write solver: extrapolation" in bad.message
    assert bad.invariant_drift < 1e-15  # relative to the weights nothing shows
    good = result(**{**LAYERS, "alpha": 0.1})
    assert (good.status, good.message) == ("converged", "")
    assert 0 < good.gap_drift < IMPRECISE


@pytest.mark.slow
def test_curves_drift_by_nothing_and_classifiers_are_not_measured() -> None:
    curves = result(**{**LAYERS, "solver": "extrapolation"})
    assert (curves.status, curves.gap_drift) == ("converged", 0.0)
    drawn = problem("classification", init="gaussian", record=False, stop={"log_loss": -1.0})
    (end,) = integrate([drawn])
    assert np.isnan(gap_drifts([drawn], [end])[0])


@pytest.mark.slow
def test_gaps_of_a_network_with_one_saddle_decide_nothing() -> None:
    """From alpha = 1e-6 gaps are 1e-12 and drifts 1e-9 of the weights; the end is right all the same."""
    axes: dict[str, Any] = {"architecture": "fully_connected", "width": 5, "init": "orthogonal", "alpha": 1e-6}
    found = result(**axes, depth=3, record=False)
    (record,) = (made for made in found.predictions if made.prediction == "minimum_l2_norm")
    assert found.status == "converged"
    assert record.distance is not None
    assert record.distance < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_run_that_meets_its_stop_rule_at_the_start_has_nothing_to_do(task: str) -> None:
    if task == "regression":
        data, stop, layers = regression_data(2, 4), {"residual": 0.1}, np.ones((2, 4))
        layers[0] = np.linalg.lstsq(data.x, data.y, rcond=None)[0]
    else:
        data, stop = classification_data(2, 4), {"log_loss": -1.0}
        layers = np.array([100 * np.linalg.lstsq(data.x, data.y, rcond=None)[0], np.ones(4)])
    axes = {"architecture": "diagonal", "depth": 2, "init": {"layers": layers.tolist()}}
    (found,) = simulate([(spec_of(data, task=task, stop=stop, **axes), data)])
    assert (found.status, found.steps, found.predictions) == ("stopped", 0, ())
    assert found.message == "nothing to do: the stop rule is met at the start; lower alpha or tighten stop"
