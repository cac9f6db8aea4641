"""Coordinates in which flows are integrated, against the networks' own parameters."""

from typing import Any

import numpy as np
import pytest

from kernels.architectures import Architecture, Diagonal, architecture_class
from kernels.decomposition import Decomposition
from kernels.ensemble import Program, run_ensemble
from kernels.flow import LaneData
from kernels.integrate import integrate, start_of
from kernels.lane import CONVERGED
from kernels.simulate import problem_of
from kernels.spec import InputError, compile_key
from kernels.validate import check_compatible
from tests.kernels.conftest import classification_data, regression_data, spec_of

TURNED: list[tuple[str, dict[str, Any]]] = [
    ("walsh", {}),
    pytest.param("convolutional", {}, marks=pytest.mark.slow),
    pytest.param("odeco", {"width": 6}, marks=pytest.mark.slow),
]


def test_coordinates_multiply_to_the_coefficients(architecture: Architecture) -> None:
    coordinates = architecture.coordinates()
    if coordinates is None:
        return
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal(shape) for shape in architecture.shapes]
    turned = coordinates.into(layers)
    product = architecture_class(coordinates.product)(len(coordinates.s), architecture.depth)
    assert product.axial
    assert product.shapes == architecture.shapes
    np.testing.assert_allclose(
        coordinates.s.T @ product.coefficients(turned), architecture.coefficients(layers), atol=1e-12
    )
    np.testing.assert_allclose(coordinates.back(np.concatenate(turned)[None])[0], np.concatenate(layers), atol=1e-12)
    for basis in coordinates.bases:
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-12)


def test_which_networks_have_them(architecture: Architecture) -> None:
    decomposable = architecture.decomposition() is not None
    assert (architecture.coordinates() is not None) == (decomposable and not architecture.axial)


@pytest.mark.parametrize(("name", "sizes"), TURNED)
@pytest.mark.parametrize("task", ["regression", pytest.param("classification", marks=pytest.mark.slow)])
def test_flow_ends_where_it_does_in_own_parameters(name: str, sizes: dict[str, Any], task: str) -> None:
    """Parameters, coefficients, orbit, Jacobian and invariants at the end, by either road."""
    dataset = regression_data(3, 8) if task == "regression" else classification_data(4, 8)
    axes = {"task": task, "architecture": name, "depth": 3, "init": "gaussian", "alpha": 0.5, "rtol": 1e-10, **sizes}
    stop = {"residual": 1e-11} if task == "regression" else {"log_loss": -30.0}
    spec = spec_of(dataset, stop=stop, **axes)
    problem = problem_of(spec, dataset)
    (turned,) = integrate([problem])
    start = start_of(problem)
    layers = np.concatenate([np.ravel(layer) for layer in problem.layers])
    own_start = start._replace(theta=layers, data=LaneData(dataset.x, dataset.y, problem.architecture.constants))
    (own,) = run_ensemble(Program(*compile_key(spec, 8, len(dataset.y))), [own_start])
    assert own.status == turned.status == CONVERGED
    tolerance = 1e-7 if task == "regression" else 1e-3  # where along the orbit it stops is met to 1e-4
    np.testing.assert_allclose(turned.theta, own.theta, atol=tolerance)
    np.testing.assert_allclose(turned.jacobian, own.jacobian, atol=10 * tolerance)
    np.testing.assert_allclose(turned.final[[5, *range(7, 15)]], own.final[[5, *range(7, 15)]], atol=10 * tolerance)
    np.testing.assert_allclose(turned.orbit[0, 2:], own.orbit[0, 2:], atol=1e-12)
    split = np.split(turned.theta, problem.architecture.depth)
    np.testing.assert_allclose(turned.final[7:], problem.architecture.coefficients(split), atol=1e-11)
    assert turned.drift < 1e-8


class Mistaken(Diagonal):
    """A network whose decomposition is of another one."""

    axial = False

    def decomposition(self) -> Decomposition:
        turn = np.eye(self.dim)[::-1]
        return Decomposition(2 * np.eye(self.dim), (turn,) * self.depth)


def test_a_users_network_with_a_wrong_decomposition_is_refused() -> None:
    dataset = regression_data(2, 4)
    axes: dict[str, Any] = {"task": "regression", "depth": 2, "init": "gaussian"}
    spec = spec_of(dataset, architecture=f"{__name__}:Mistaken", **axes)
    with pytest.raises(InputError, match=r"coefficients and decomposition of Mistaken disagree"):
        check_compatible(spec, dataset)
