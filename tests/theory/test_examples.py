"""Every prediction's docstring ends in an example with a number that can be checked on paper, and it holds."""

import doctest
from typing import Any

import numpy as np
import pytest

from kernels.spec import InputError
from kernels.theory.table import PREDICTIONS, forecast_of, forecasts
from tests.theory.problems import problem, regression_data


def run_examples(docstring: str, name: str) -> tuple[int, int]:
    """Failed and tried ones, as a reader would paste them: with no names but those that they import."""
    session = doctest.DocTestParser().get_doctest(docstring, {}, name, None, None)
    return tuple(doctest.DocTestRunner().run(session))


def example(name: str) -> Any:
    """Slow where it integrates a flow."""
    integrates = "sweep.run(" in (type(PREDICTIONS[name]).__doc__ or "")
    return pytest.param(name, marks=pytest.mark.slow if integrates else ())


@pytest.mark.parametrize("name", PREDICTIONS)
def test_there_is_one_of_itself_after_the_reference(name: str) -> None:
    mathematics, _, end = (type(PREDICTIONS[name]).__doc__ or "").partition("Reference:")
    assert ">>>" not in mathematics
    assert f'"{name}"' in end, f"{name} needs an example: >>> forecast_of({name!r}, ...), or sweep.run of a tiny run"


@pytest.mark.parametrize("name", [example(name) for name in PREDICTIONS])
def test_it_holds(name: str) -> None:
    failed, tried = run_examples(type(PREDICTIONS[name]).__doc__ or "", name)
    assert failed == 0
    assert tried >= 2


def test_a_wrong_number_fails() -> None:
    docstring = type(PREDICTIONS["minimum_q_norm"]).__doc__ or ""
    assert run_examples(docstring.replace("array([2., 5.])", "array([2., 4.])"), "wrong")[0] == 1


def test_the_forecast_is_that_of_a_run() -> None:
    data = regression_data()
    axes = {"architecture": "diagonal", "depth": 3, "alpha": 0.3}
    of_run = {each.prediction: each for each in forecasts(problem(data, task="regression", **axes).spec, data)}
    made = forecast_of("minimum_q_norm", data.x, data.y, **axes)
    np.testing.assert_array_equal(made.beta, of_run["minimum_q_norm"].beta)
    assert made.distance is None
    assert run_examples(forecast_of.__doc__ or "", "forecast_of") == (0, 2)


@pytest.mark.parametrize(
    ("name", "axes", "said"),
    [
        ("minimum_norm", {}, "'minimum_norm' is not one of minimum_q_norm, "),
        ("balanced", {}, "balanced does not apply to this run; those that do: minimum_q_norm, "),
        ("lasso_path", {}, "lasso_path speaks of how a flow ended; call sweep.run"),
        ("minimum_q_norm", {"dpeth": 3}, "dpeth: no axis; write some of task, loss, architecture, depth, "),
        ("minimum_q_norm", {"data": {}}, "data: no axis"),
        ("minimum_q_norm", {"alpha": -1}, "alpha: "),
        ("minimum_q_norm", {"task": "regresion"}, "task: 'regresion' is not one of regression, classification"),
    ],
)
def test_what_is_asked_wrongly_is_told(name: str, axes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        forecast_of(name, [[1, 2]], [1], **{"architecture": "diagonal", "alpha": 0.5, **axes})


def test_a_network_is_asked_for() -> None:
    with pytest.raises(InputError, match="architecture: missing; write one of fully_connected, diagonal, "):
        forecast_of("minimum_q_norm", [[1, 2]], [1])
