"""The subspaces in which a fully connected network moves, against what they must be and the flow of all of it."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from kernels.flows.observables import Point, observe
from kernels.flows.parametrisation import Layers, RunData
from kernels.flows.table import flow_class
from kernels.integrator.drift import invariant_drift
from kernels.integrator.lane import AT_REST, CONVERGED
from kernels.integrator.passage import integrate, passage_of
from kernels.integrator.systems import linear_system
from kernels.losses import default_loss
from kernels.networks.fully_connected import FullyConnected, moving_subspaces
from kernels.problem import Problem, problem_of
from tests.kernels.conftest import classification_data, regression_data, spec_of
from tests.kernels.test_coordinates import in_own_parameters


def gaussian_layers(dim: int, width: int, depth: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape) for shape in FullyConnected(dim, depth, width).shapes]


@pytest.mark.parametrize(("init", "depth", "hidden"), [("orthogonal", 2, 3), ("orthogonal", 4, 3), ("gaussian", 2, 4)])
def test_as_many_dimensions_as_samples(init: str, depth: int, hidden: int) -> None:
    """And one for w_L, unless it starts at zero. Orthogonal: beta stays in the span of the inputs, too. Made even."""
    dataset = regression_data(3, 7)
    spec = spec_of(dataset, task="regression", architecture="fully_connected", depth=depth, width=40, init=init, seed=2)
    passage = passage_of(problem_of(spec, dataset))
    assert (passage.program.dim, passage.program.width) == (4 if init == "orthogonal" else 7, 4)
    problem = problem_of(spec, dataset)
    found = moving_subspaces(problem.layers, dataset.x)
    assert found is not None
    assert found.sizes[:2] == (3 if init == "orthogonal" else 7, hidden)


def test_deep_gaussian_networks_move_everywhere() -> None:
    assert moving_subspaces(gaussian_layers(5, 10, 3), np.eye(2, 5)) is None


def test_subspaces_of_unequal_dimensions_are_filled_up() -> None:
    """W_2 of rank one: three dimensions before it, two after."""
    layers = gaussian_layers(5, 10, 3)
    layers[1] = np.outer(layers[1][0], layers[1][1])
    found = moving_subspaces(layers, np.eye(2, 5))
    assert found is not None
    ranks = [np.linalg.matrix_rank(basis) for basis in found.bases[1:-1] if basis is not None]
    assert (ranks, found.sizes) == ([3, 2], (5, 3, 3, 1))


class Funnel(FullyConnected):
    """Hidden layers of different widths."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.dim, 8), (8, 6), (6,))


class Doubling:
    """Coefficients that are not those of the network they are mixed into."""

    def coefficients(self, layers: Any) -> Any:
        return 2 * super().coefficients(layers)


class Doubled(Doubling, FullyConnected):
    """Inherits coefficients from before, coordinates from behind."""


@pytest.mark.parametrize("network", [Funnel, Doubled])
def test_other_networks_are_left_as_they_are(network: type[FullyConnected]) -> None:
    drawn = network(4, 3, 8)
    layers = [np.ones(shape) for shape in drawn.shapes]
    assert drawn.coordinates(layers, np.eye(2, 4)) is None


def test_a_faint_signal_counts() -> None:
    first = np.zeros((4, 8))
    first[0, 0], first[1, 1] = 1.0, 1e-16
    found = moving_subspaces([first, np.zeros(8)], np.eye(2, 4))
    assert found is not None
    assert found.sizes == (2, 2, 1)


def test_a_faint_sample_counts() -> None:
    x = np.eye(2, 5) * [[1.0], [1e-20]]
    found = moving_subspaces(gaussian_layers(5, 10, 2), x)
    assert found is not None
    assert found.sizes[1] == 3


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "init"), [(3, "orthogonal"), (2, "gaussian"), (3, "rank one"), (4, "orthogonal")])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_flow_ends_where_that_of_all_parameters_does(depth: int, init: Any, task: str) -> None:
    """Parameters, coefficients, Jacobian, norm and margin."""
    dataset = regression_data(3, 6) if task == "regression" else classification_data(4, 6)
    if init == "rank one":
        first, second, last = gaussian_layers(6, 8, 3)
        init = {"layers": [first.tolist(), np.outer(second[0], second[1]).tolist(), last.tolist()]}
    stop = {"residual": 1e-11} if task == "regression" else {"log_loss": -30.0}
    axes = {"architecture": "fully_connected", "depth": depth, "width": 8, "alpha": 0.3, "seed": 1, "rtol": 1e-10}
    problem = problem_of(spec_of(dataset, task=task, init=init, stop=stop, **axes), dataset)
    assert passage_of(problem).program.width != 8
    assert_ends_as_all_parameters_do(problem)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_many_features_are_reduced_to_what_moves(depth: int, task: str) -> None:
    """Three samples and four hidden units of any start: beta stays in seven of 16 dimensions.

    The part of W_1 beside the inputs rests, but beta = W_1 w_2 moves along it.
    """
    dataset = regression_data(3, 16) if task == "regression" else classification_data(3, 16)
    stop = {"residual": 1e-11} if task == "regression" else {"log_loss": -30.0}
    axes = {"architecture": "fully_connected", "depth": depth, "width": 4, "alpha": 0.3, "seed": 1, "rtol": 1e-10}
    problem = problem_of(spec_of(dataset, task=task, init="gaussian", stop=stop, **axes), dataset)
    assert (passage_of(problem).program.dim, passage_of(problem).program.width) == (8, 4)
    assert_ends_as_all_parameters_do(problem)


def assert_ends_as_all_parameters_do(problem: Problem) -> None:
    (end,) = integrate([problem])
    own = in_own_parameters(problem)
    assert end.status == own.status == CONVERGED
    # where along the orbit classification stops is met to 1e-4
    tolerance = 1e-9 if problem.spec.task == "regression" else 1e-4
    np.testing.assert_allclose(end.theta, own.theta, atol=tolerance)
    np.testing.assert_allclose(end.jacobian, own.jacobian, atol=10 * tolerance)
    compared = [4, 5, *range(7, len(own.final))]
    np.testing.assert_allclose(
        end.final[compared], own.final[compared], rtol=10 * tolerance, atol=1e-9
    )  # log t may be near zero
    np.testing.assert_allclose(end.final[7:], problem.architecture.coefficients(problem.architecture.split(end.theta)))
    np.testing.assert_allclose(end.orbit[0, 2:], own.orbit[0, 2:], atol=1e-12)
    assert invariant_drift(problem, end) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "stop"),
    [
        ("regression", {"residual": 0.1}),
        ("classification", {"log_loss": -2.0}),
    ],
)
def test_what_is_observed_is_of_all_parameters(task: str, stop: dict[str, float]) -> None:
    """Norm, margin, alignment and loss, where what rests is a large part of the network."""
    dataset = regression_data(3, 6) if task == "regression" else classification_data(4, 6)
    axes = {"architecture": "fully_connected", "depth": 2, "width": 12, "init": "gaussian", "alpha": 0.5, "stop": stop}
    problem = problem_of(spec_of(dataset, task=task, **axes), dataset)
    (end,) = integrate([problem])
    flow = flow_class(default_loss(task))(Layers(problem.architecture))
    whitener: Any = linear_system(dataset.x).whitener
    data = RunData(jnp.asarray(dataset.x), jnp.asarray(dataset.y), (), whitener=jnp.asarray(whitener))
    theta, log_norm = jnp.asarray(end.theta), jnp.asarray(end.log_norm)
    velocity = flow.velocity(theta, log_norm, data)
    point = Point(theta, log_norm, velocity, jnp.asarray(end.final[1]), jnp.asarray(end.steps), jnp.zeros(0))
    np.testing.assert_allclose(observe(flow, point, data), end.final, atol=1e-12)


@pytest.mark.slow
def test_layers_of_zero_leave_a_classification_at_rest() -> None:
    dataset = classification_data(4, 6)
    zeros = {"layers": [np.zeros((6, 8)).tolist(), np.zeros(8).tolist()]}
    axes = {"task": "classification", "architecture": "fully_connected", "depth": 2, "width": 8, "init": zeros}
    (end,) = integrate([problem_of(spec_of(dataset, **axes), dataset)])
    assert end.status == AT_REST
    assert (end.theta == 0).all()
    assert end.final[5] == 0  # the norm


@pytest.mark.slow
def test_inputs_of_zero_leave_it_at_rest() -> None:
    dataset = regression_data(2, 4)
    object.__setattr__(dataset, "x", np.zeros((2, 4)))
    spec = spec_of(dataset, task="regression", architecture="fully_connected", depth=2, width=6, init="gaussian")
    (end,) = integrate([problem_of(spec, dataset)])
    assert end.status == AT_REST
