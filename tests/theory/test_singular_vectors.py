"""Singular vectors of the data tensor: what the gradient says, against the tensor written out."""

from typing import Any

import numpy as np
import pytest

from kernels.networks.table import ARCHITECTURES
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint
from kernels.theory.table import PREDICTIONS
from tests.networks import named
from tests.theory.problems import classification_data, problem
from tests.theory.test_predictions import endpoint


def drawn(name: str, depth: int) -> Problem:
    sizes: dict[str, Any] = {"width": 3} if "width" in ARCHITECTURES[name].uses else {}
    axes = {"architecture": named(name, 4, depth), "depth": depth, "init": "gaussian", **sizes}
    return problem(classification_data(3, 4), task="classification", **axes)


def contracted(m: np.ndarray, vectors: list[np.ndarray | None]) -> np.ndarray:
    """M with every axis contracted but those of None."""
    for axis in reversed(range(len(vectors))):
        if vectors[axis] is not None:
            m = np.tensordot(m, vectors[axis], ([axis], [0]))
    return m


def shares(known: Problem, end: Endpoint) -> np.ndarray:
    """-dLoss/df of the exponential loss at Theta = e^{log_norm} theta, up to a factor."""
    margins = known.dataset.y * (known.dataset.x @ end.beta)
    return known.dataset.y * np.exp(-np.exp(known.depth * end.log_norm) * (margins - margins.min()))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_gradient_is_the_contraction_of_the_tensor(name: str, depth: int) -> None:
    """Distance and singular value from M(u), u = X^T s, at random layers: the Jacobian enters nowhere."""
    known = drawn(name, depth)
    end = endpoint(known)
    layers = [layer.ravel() / np.linalg.norm(layer) for layer in end.layers]
    u = known.dataset.x.T @ shares(known, end)
    of_u = np.tensordot(u / np.linalg.norm(u), known.architecture.data_tensor(), 1)
    worst = 0.0
    for place, layer in enumerate(layers):
        rest = contracted(of_u, [*layers[:place], None, *layers[place + 1 :]])
        worst = max(worst, 1 - abs(layer @ rest) / np.linalg.norm(rest))
    found = PREDICTIONS["singular_vectors"].compare(known, None, end)
    assert found.distance == pytest.approx(worst, abs=1e-8)
    assert found.singular_value == pytest.approx(float(contracted(of_u, layers)), rel=1e-9, abs=1e-12)
    ranks = (found.singular_ratio, found.rank, found.adjacent_alignment)
    assert all(number is not None for number in ranks) == (name == "fully_connected" and depth > 1)


def test_singular_vectors_of_a_matrix_are_recognised() -> None:
    """L = 2, at a scale at which all shares are equal: those of M(X^T y) are at distance zero, others are not."""
    known = drawn("tensor", 2)
    m, x, y = known.architecture.data_tensor(), known.dataset.x, known.dataset.y
    left, values, right = np.linalg.svd(np.tensordot(x.T @ y, m, 1))

    def compared(a: np.ndarray, b: np.ndarray) -> PredictionRecord:
        layers = (a / np.sqrt(2), b / np.sqrt(2))
        by_first, by_second = (np.tensordot(x, contracted(m, [None, *pair]), 1) for pair in ((None, b), (a, None)))
        beta = known.architecture.coefficients(layers)
        end = Endpoint(layers, beta, np.hstack([by_first, by_second]) / np.sqrt(2), -40.0, 0.0, 0.0)
        return PREDICTIONS["singular_vectors"].compare(known, None, end)

    for place in range(2):
        found = compared(left[:, place], right[place])
        assert found.distance == pytest.approx(0, abs=1e-12)
        assert found.singular_value == pytest.approx(values[place] / np.linalg.norm(x.T @ y), rel=1e-9)
    other = compared(left[:, 0] + left[:, 1], right[0]).distance
    assert other is not None
    assert other > 0.01
