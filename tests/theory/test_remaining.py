"""What a stopped run still had to go: against finite differences, and against flows by scipy."""

from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.theory.base import Endpoint
from kernels.theory.remaining import decomposed, fully_connected, remaining
from kernels.theory.table import comparisons
from tests.theory.problems import connected_limit, decomposed_limit, problem, regression_data

NETWORKS: dict[str, dict[str, Any]] = {
    "fully_connected": {"width": 3, "depth": 3},
    "convolutional": {"depth": 3},
    "odeco": {"width": 3, "depth": 2},
    "diagonal": {"depth": 4},
}


def drawn(name: str, dataset: Dataset) -> Any:
    axes = {"task": "regression", "architecture": name, "init": "gaussian", "alpha": 1.0, "seed": 5}
    return problem(dataset, **axes, **NETWORKS[name])


@pytest.mark.parametrize("name", NETWORKS)
def test_directions_in_which_coefficients_move(name: str) -> None:
    """M M^T = (dbeta / dTheta)(dbeta / dTheta)^T; beta is multilinear, its derivatives are values at unit layers."""
    known = drawn(name, regression_data(3, 4))
    network, layers = known.architecture, list(known.layers)
    columns = []
    for place, layer in enumerate(layers):
        for entry in np.ndindex(layer.shape):
            unit = np.zeros_like(layer)
            unit[entry] = 1.0
            columns.append(network.coefficients([*layers[:place], unit, *layers[place + 1 :]]))
    expected = np.array(columns).T @ np.array(columns)
    states, eye = [layer[None] for layer in layers], np.eye(4)
    if name == "fully_connected":
        m, back = fully_connected(eye, states)
    else:
        m, back = decomposed(eye, states, network.decomposed)
    np.testing.assert_allclose(m[0] @ m[0].T, expected, rtol=1e-10, atol=1e-12)
    z = np.random.default_rng(0).normal(size=m.shape[-1])
    np.testing.assert_allclose(back(z[None])[0], m[0] @ z, rtol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_flow_goes_on_for_as_long_as_is_said(name: str) -> None:
    """To first order: from a state that is 1e-4 of its outputs away from fitting the targets."""
    inputs = regression_data(2, 4)
    start = drawn(name, inputs)
    beta = np.asarray(start.architecture.coefficients(start.layers))
    fitted = inputs.x @ beta
    known = drawn(name, Dataset("near", inputs.x, fitted * (1 + 1e-4 * np.array([1.0, -2.0]))))
    network, dataset = known.architecture, known.dataset
    if name == "fully_connected":
        limit = connected_limit(dataset, known.layers)
    else:
        assert network.decomposed is not None
        w = np.array(network.decomposed.transform(known.layers))
        limit = np.real(network.decomposed.s.T @ decomposed_limit(inputs.x @ network.decomposed.s.T, dataset.y, w))
    (found,) = remaining([known], [Endpoint(known.layers, beta, np.zeros((1, 1)), 0.0, 0.0, 0.0)])
    assert found == pytest.approx(np.linalg.norm(limit - beta) / np.linalg.norm(limit), rel=5e-3)
    assert found > 1e-5


def test_exact_predictions_say_it_and_no_others() -> None:
    known = problem(regression_data(), task="regression", architecture="diagonal", depth=3, alpha=0.1)
    layers = [np.full_like(layer, 0.5) for layer in known.layers]
    where = Endpoint(tuple(layers), np.prod(layers, axis=0), np.zeros((1, 1)), 0.0, 0.0, 0.0)
    (records,) = comparisons([known], [where])
    assert {each.kind for each in records} == {"exact", "limit alpha->0", "limit alpha->inf"}
    assert all(("remaining" in each.detail) == (each.kind == "exact") for each in records)


def test_a_state_that_overflows_has_no_rest() -> None:
    known = problem(regression_data(), task="regression", architecture="diagonal", depth=3, alpha=0.1)
    layers = [np.full_like(layer, 1e200) for layer in known.layers]
    where = Endpoint(tuple(layers), np.ones(8), np.zeros((1, 1)), 0.0, 0.0, 0.0)
    assert np.isnan(remaining([known], [where])).all()
