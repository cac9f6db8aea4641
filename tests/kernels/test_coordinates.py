"""Coordinates in which flows are integrated, against the networks' own parameters."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.linalg

from kernels.integrator.drift import invariant_drift
from kernels.integrator.ensemble import End, run_ensemble
from kernels.integrator.lane import CONVERGED
from kernels.integrator.passage import CurvePassage, LayerPassage, integrate, passage_of
from kernels.networks.base import Architecture, Diagonal
from kernels.networks.decomposable import Walsh
from kernels.networks.decomposition import Decomposition
from kernels.networks.fully_connected import FullyConnected
from kernels.problem import Problem, problem_of
from kernels.spec import InputError
from kernels.validate import check_compatible
from tests.kernels.conftest import classification_data, regression_data, spec_of

TURNED: list[tuple[str, dict[str, Any]]] = [
    pytest.param("walsh", {}, marks=pytest.mark.slow),
    pytest.param("convolutional", {}, marks=pytest.mark.slow),
    pytest.param("odeco", {"width": 6}, marks=pytest.mark.slow),
]


def test_coordinates_multiply_to_the_coefficients(architecture: Architecture) -> None:
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal(shape) for shape in architecture.shapes]
    x = rng.standard_normal((2, architecture.dim))
    coordinates = architecture.coordinates(layers, x)
    if coordinates is None:
        return
    product = coordinates.network
    turned = coordinates.into(layers)
    assert product.axial
    assert product.depth == architecture.depth
    assert product.shapes == tuple(layer.shape for layer in turned)
    beta = product.coefficients(turned)
    np.testing.assert_allclose(coordinates.coefficients(beta), architecture.coefficients(layers), atol=1e-12)
    np.testing.assert_allclose(coordinates.inputs(x) @ beta, x @ architecture.coefficients(layers), atol=1e-12)
    flat = np.concatenate([np.ravel(layer) for layer in turned])
    whole = np.concatenate([np.ravel(layer) for layer in layers])
    rest = coordinates.rest(layers)
    np.testing.assert_allclose(coordinates.back(flat[None])[0] + rest, whole, atol=1e-12)
    assert np.abs(coordinates.back(np.eye(flat.size)) @ rest).max() < 1e-12
    np.testing.assert_allclose(np.sum(flat**2) + np.sum(rest**2), np.sum(whole**2), rtol=1e-12)


def test_which_networks_have_them(architecture: Architecture) -> None:
    layers = [np.ones(shape) for shape in architecture.shapes]
    found = architecture.coordinates(layers, np.eye(architecture.dim)) is not None
    connected = isinstance(architecture, FullyConnected) and architecture.depth > 1
    decomposable = architecture.decomposition() is not None
    assert found == (connected or (decomposable and not architecture.axial))


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
    own = in_own_parameters(problem)
    assert own.status == turned.status == CONVERGED
    tolerance = 1e-7 if task == "regression" else 1e-3  # where along the orbit it stops is met to 1e-4
    np.testing.assert_allclose(turned.theta, own.theta, atol=tolerance)
    np.testing.assert_allclose(turned.jacobian, own.jacobian, atol=10 * tolerance)
    np.testing.assert_allclose(turned.final[[5, *range(7, 15)]], own.final[[5, *range(7, 15)]], atol=10 * tolerance)
    if task == "classification":  # log t + log Loss: where it stops matters little
        assert turned.final[1] + turned.final[2] == pytest.approx(own.final[1] + own.final[2], abs=1e-3)
    for end in (turned, own):
        np.testing.assert_allclose(end.orbit[-1], end.final, atol=1e-12)
    np.testing.assert_allclose(turned.orbit[0, 2:], own.orbit[0, 2:], atol=1e-12)
    layers = problem.architecture.split(turned.theta)
    np.testing.assert_allclose(turned.final[7:], problem.architecture.coefficients(layers), atol=1e-11)
    assert invariant_drift(problem, turned) < 1e-8


def in_own_parameters(problem: Problem) -> End:
    """The end of the flow without coordinates."""
    passage = LayerPassage(problem, passage_of(problem).system, None)
    (end,) = run_ensemble(passage.program, [passage.start])
    return end


class Mistaken(Diagonal):
    """A network whose decomposition is of another one."""

    def coefficients(self, layers: Any) -> Any:
        return super().coefficients(layers)

    def decomposition(self) -> Decomposition:
        return Decomposition(2 * np.eye(self.dim), (np.eye(self.dim)[::-1],) * self.depth)


class Unnormalised(Walsh):
    """S = H and U_l = H give the coefficients, but H is not orthonormal."""

    def decomposition(self) -> Decomposition:
        h = scipy.linalg.hadamard(self.dim) * self.dim ** (-0.5 + 1 / (2 * self.depth + 2))
        return Decomposition(h * self.dim ** (-1 / 2), (h,) * self.depth)


class TooFew(Diagonal):
    """A basis is missing."""

    def decomposition(self) -> Decomposition:
        return Decomposition(np.eye(self.dim), (np.eye(self.dim),))


class Unfinished(Architecture):
    """Two parts are missing."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.dim,),) * self.depth

    def coefficients(self, layers: Any) -> Any:
        return layers[0] * layers[1]


class Undecorated(Diagonal):
    """Shapes without @property."""

    def shapes(self) -> Any:
        return ((self.dim,),) * self.depth


class Hidden(Diagonal):
    """A parameter that the coefficients read from the network, not from its constants."""

    defaults = MappingProxyType({"scale": 1.0})

    def coefficients(self, layers: Any) -> Any:
        return self.given.get("scale", 1.0) * super().coefficients(layers)

    def decomposition(self) -> Any:
        return None


class Needy(Hidden):
    """Cannot be made without its parameters."""

    def check(self) -> None:
        self.scale = self.given["scale"]


class Biased(Diagonal):
    """Affine in every layer."""

    def coefficients(self, layers: Any) -> Any:
        return super().coefficients(layers) + 1


class Rectified(Diagonal):
    """Not linear in its second layer."""

    def coefficients(self, layers: Any) -> Any:
        return layers[0] * np.abs(layers[1])


class Summed(Diagonal):
    """Homogeneous, but not additive."""

    def coefficients(self, layers: Any) -> Any:
        return layers[0] * np.cbrt((layers[1] ** 3).sum())


class Outer(Diagonal):
    """Coefficients of a wrong shape."""

    def coefficients(self, layers: Any) -> Any:
        return layers[0][:, None] * layers[1]


class Broken(Diagonal):
    """Coefficients that cannot be computed."""

    def coefficients(self, layers: Any) -> Any:
        return layers[0] * layers[2]


class Untold(Diagonal):
    """Nothing is returned."""

    def coefficients(self, layers: Any) -> Any:
        return super().coefficients(layers)

    def invariants(self, layers: Any) -> Any:
        return None


class Flat(Diagonal):
    """Sizes in place of shapes."""

    @property
    def shapes(self) -> Any:
        return (self.dim,) * self.depth


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Mistaken", "coefficients and decomposition of Mistaken disagree"),
        ("Unnormalised", r"U_1 in the decomposition of Unnormalised is not orthonormal"),
        ("Biased", r"coefficients of Biased are not linear in layer 1: at -3 v_1 they are not -3 times those at v_1"),
        ("Rectified", "coefficients of Rectified are not linear in layer 2: at -3 v_2 they"),
        ("Summed", r"coefficients of Summed are not linear in layer 2: at v_2 \+ u they are not the sum"),
        ("Outer", r"coefficients of Outer returns float64 of shape \(4, 4\); inputs of dimension 4 need .* \(4,\)"),
        ("Broken", r"coefficients of Broken raised IndexError: .* \(test_coordinates.py, line \d+\)"),
        ("Untold", r"invariants of Untold returns NoneType; write a list of arrays, \[\] if"),
        ("Flat", r"shapes of Flat at depth 2 is \(4, 4\); write one tuple for each layer"),
        ("TooFew", r"bases of shapes \[\(4, 4\)\]; inputs of dimension 4 and its layers need"),
    ],
)
def test_a_users_network_that_is_not_what_it_says_is_refused(name: str, message: str) -> None:
    dataset = regression_data(2, 4)
    axes: dict[str, Any] = {"task": "regression", "depth": 2, "init": "gaussian"}
    spec = spec_of(dataset, architecture=f"{__name__}:{name}", **axes)
    with pytest.raises(InputError, match=message):
        check_compatible(spec, dataset)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Hidden",
            r"Hidden computes .* with its parameters and .* with its constants alone; .* through self.constants",
        ),
        ("Needy", r"Needy cannot be made without its parameters \(KeyError: 'scale'\); .* through self.constants"),
    ],
)
def test_a_parameter_that_is_not_in_the_constants_is_refused(name: str, message: str) -> None:
    """It would run with its default: networks of one shape run through one program."""
    dataset = regression_data(2, 4)
    spec = spec_of(
        dataset, task="regression", depth=2, init="gaussian", architecture={f"{__name__}:{name}": {"scale": 3.0}}
    )
    with pytest.raises(InputError, match=message):
        check_compatible(spec, dataset)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Unfinished", "Unfinished lacks decomposition, invariants; a network has the property shapes and"),
        ("Undecorated", "shapes of .*:Undecorated is a method; write @property above it"),
    ],
)
def test_a_users_network_that_lacks_a_part_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec_of(regression_data(2, 4), architecture=f"{__name__}:{name}", task="regression", init="gaussian")


class Scaled(Diagonal):
    """A parameter in its constants; inputs of two dimensions more than it has parameters; decomposable or not."""

    defaults: ClassVar[Mapping[str, Any]] = {"scale": 1.0, "declared": True}

    def __init__(self, *sizes: Any, scale: float = 1.0, declared: bool = True, **more: Any):
        super().__init__(*sizes, scale=scale, declared=declared, **more)
        self.declared, self.constants = declared, (np.float64(scale),)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.dim - 2,),) * self.depth

    @property
    def matrix(self) -> np.ndarray:
        return np.tri(self.dim - 2, self.dim)

    def coefficients(self, layers: Any) -> Any:
        return self.constants[0] * (self.matrix.T @ super().coefficients(layers))

    def decomposition(self) -> Decomposition | None:
        bases = (np.eye(self.dim - 2),) * self.depth
        return Decomposition(self.constants[0] * self.matrix, bases) if self.declared else None


@pytest.mark.slow
def test_a_users_network_goes_the_same_way_whether_it_declares_its_decomposition() -> None:
    """With parameters in one batch: by its coordinates, and in its own parameters."""
    dataset = regression_data(2, 6)
    axes: dict[str, Any] = {"task": "regression", "depth": 2, "init": "gaussian", "alpha": 0.5, "rtol": 1e-10}
    specs = [
        spec_of(dataset, architecture={f"{__name__}:Scaled": {"scale": scale, "declared": declared}}, **axes)
        for scale in (1.0, 2.0)
        for declared in (True, False)
    ]
    for spec in specs:
        check_compatible(spec, dataset)
    problems = [problem_of(spec, dataset) for spec in specs]
    assert [isinstance(passage_of(problem), CurvePassage) for problem in problems] == [True, False, True, False]
    ends = sorted(integrate(problems), key=lambda end: end.index)
    for turned, own in zip(ends[::2], ends[1::2], strict=True):
        np.testing.assert_allclose(turned.theta, own.theta, atol=1e-8)
        np.testing.assert_allclose(turned.final[7:], own.final[7:], atol=1e-8)
    assert np.abs(ends[0].theta - ends[2].theta).max() > 1e-3
