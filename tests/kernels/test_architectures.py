"""The contract of every architecture, checked against its definition."""

import functools
import itertools
import math
import operator
from typing import Any

import numpy as np
import pytest

from kernels.networks.base import Architecture, Diagonal
from kernels.networks.checks import check_network
from kernels.networks.convolutional import Convolutional, MultichannelConvolutional
from kernels.networks.decomposable import SignedDiagonal
from kernels.networks.fully_connected import FullyConnected
from kernels.networks.group_convolutional import GroupConvolutional
from kernels.networks.table import ARCHITECTURES, architecture_class
from kernels.networks.tensor import Tensor
from kernels.spec import InputError
from tests.kernels.conftest import NETWORKS

UNDECOMPOSED = (FullyConnected, Convolutional, MultichannelConvolutional, GroupConvolutional, Tensor)


def draw(architecture: Architecture, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in architecture.shapes]


def test_every_architecture_is_covered() -> None:
    assert {name for name, _ in NETWORKS} == set(ARCHITECTURES)


def test_layers_give_d_coefficients(architecture: Architecture) -> None:
    assert np.shape(architecture.coefficients(draw(architecture))) == (architecture.dim,)
    assert architecture.parameters == sum(layer.size for layer in draw(architecture))
    assert len(architecture.shapes) == architecture.depth


def test_multilinear_in_every_layer(architecture: Architecture) -> None:
    first, second = draw(architecture, 1), draw(architecture, 2)
    for index in range(architecture.depth):
        other = [*first[:index], second[index], *first[index + 1 :]]
        mixed = [*first[:index], 2.0 * first[index] - 3.0 * second[index], *first[index + 1 :]]
        expected = 2.0 * architecture.coefficients(first) - 3.0 * architecture.coefficients(other)
        np.testing.assert_allclose(architecture.coefficients(mixed), expected, atol=1e-12)


def test_homogeneous_of_degree_depth(architecture: Architecture) -> None:
    layers = draw(architecture)
    scaled = architecture.coefficients([1.7 * layer for layer in layers])
    np.testing.assert_allclose(scaled, 1.7**architecture.depth * architecture.coefficients(layers), rtol=1e-12)


def test_the_data_matrix_of_two_layers_gives_the_output(architecture: Architecture) -> None:
    """f(x) = sum_c v_c^T M(x) w_c; what a class says of itself is what the coefficients give entry by entry."""
    if architecture.depth != 2:
        return
    x = np.random.default_rng(5).standard_normal(architecture.dim)
    matrix, channels = architecture.data_matrix(x)
    first, second = (layer.reshape(-1, channels) for layer in draw(architecture))
    assert np.sum(first * (matrix @ second)) == pytest.approx(x @ architecture.coefficients(draw(architecture)))
    if architecture.decomposition() is None:
        tried = Architecture.data_matrix(architecture, x)
        assert tried.channels == 1
        values = np.linalg.svd(matrix, compute_uv=False).repeat(channels)
        np.testing.assert_allclose(np.linalg.svd(tried.matrix, compute_uv=False)[: len(values)], values, atol=1e-12)


def test_decomposition_rebuilds_the_coefficients(architecture: Architecture) -> None:
    decomposition = architecture.decomposition()
    if decomposition is None:
        assert isinstance(architecture, UNDECOMPOSED)
        return
    layers = draw(architecture)
    for basis in decomposition.bases:
        np.testing.assert_allclose(basis.conj().T @ basis, np.eye(basis.shape[1]), atol=1e-12)
    rho = functools.reduce(operator.mul, decomposition.transform(layers))
    np.testing.assert_allclose(decomposition.s.T @ rho, architecture.coefficients(layers), atol=1e-12)
    for index, layer in enumerate(layers):
        np.testing.assert_allclose(
            decomposition.layer(index, decomposition.transform(layers)[index]), layer, atol=1e-12
        )


def test_invariants_do_not_move_with_the_flow(architecture: Architecture) -> None:
    """Their derivative along -grad of any function of beta is zero, here by central differences."""
    layers, g = draw(architecture), np.random.default_rng(5).standard_normal(architecture.dim)
    speeds = []
    for index, layer in enumerate(layers):
        speed = np.zeros_like(layer)
        for position in np.ndindex(layer.shape):
            unit = np.zeros_like(layer)
            unit[position] = 1.0
            speed[position] = g @ architecture.coefficients([*layers[:index], unit, *layers[index + 1 :]])
        speeds.append(speed)
    step = 1e-5
    ahead, behind = (
        architecture.invariants([v + sign * step * u for v, u in zip(layers, speeds, strict=True)]) for sign in (1, -1)
    )
    for a, b in zip(ahead, behind, strict=True):
        np.testing.assert_allclose((a - b) / (2 * step), 0, atol=1e-8)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize(("name", "sizes"), [place for place in NETWORKS if ARCHITECTURES[place[0]].rowwise])
def test_invariants_of_many_states_at_once(name: str, sizes: dict[str, Any], depth: int) -> None:
    """Where it is said that a leading axis of states is taken, rows are the invariants of each."""
    architecture = ARCHITECTURES[name](dim=4, depth=depth, **sizes)
    rng = np.random.default_rng(6)
    stacks = [rng.standard_normal((3, *shape)) for shape in architecture.shapes]
    together = architecture.invariants(stacks)
    for row in range(3):
        for one, other in zip(together, architecture.invariants([stack[row] for stack in stacks]), strict=True):
            np.testing.assert_allclose(one[row], other, rtol=1e-13)


def test_rowwise_is_not_inherited_by_other_invariants() -> None:
    class Other(ARCHITECTURES["diagonal"]):
        def invariants(self, layers: Any) -> list[Any]:
            return []

    class Same(ARCHITECTURES["diagonal"]):
        pass

    assert not Other.rowwise
    assert Same.rowwise


@pytest.mark.parametrize(("dim", "filter_length"), [(2, 2), (3, 2), (4, 4), (5, 3), (6, 1)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_convolution_is_its_sum_over_indices(dim: int, filter_length: int, depth: int) -> None:
    architecture = Convolutional(dim, depth, filter=filter_length)
    layers = draw(architecture)
    beta = np.zeros(dim)
    for indices in itertools.product(*(range(layer.size) for layer in layers)):
        beta[sum(indices) % dim] += np.prod([layer[j] for layer, j in zip(layers, indices, strict=True)])
    np.testing.assert_allclose(architecture.coefficients(layers), beta, atol=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_walsh_is_its_sum_over_xor_of_indices(depth: int) -> None:
    architecture = ARCHITECTURES["walsh"](8, depth)
    layers = draw(architecture)
    beta = np.zeros(8)
    for indices in itertools.product(range(8), repeat=depth):
        position = functools.reduce(operator.xor, indices)
        beta[position] += np.prod([layer[j] for layer, j in zip(layers, indices, strict=True)])
    np.testing.assert_allclose(architecture.coefficients(layers), beta, atol=1e-13)


def test_a_long_filter_is_refused() -> None:
    with pytest.raises(InputError, match=r"filter: 5 does not fit inputs of dimension 4; write 1 to 4"):
        Convolutional(4, 2, filter=5)


def test_walsh_is_refused_off_powers_of_two() -> None:
    with pytest.raises(InputError, match=r"dimension 2\^q, these have 6; write data of dimension 4 or 8"):
        ARCHITECTURES["walsh"](6, 2)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="diagonal"):
        architecture_class("diagnal")
    with pytest.raises(InputError, match="cannot be imported"):
        architecture_class("no_such_module:Network")
    with pytest.raises(InputError, match="not a subclass"):
        architecture_class("collections:OrderedDict")
    assert architecture_class("kernels.networks.base:Diagonal") is ARCHITECTURES["diagonal"]


def test_an_explicit_tensor_is_the_same_network(architecture: Architecture) -> None:
    """Coefficients of the network that `tensor` gives agree to rounding at random layers."""
    layers = draw(architecture)
    if math.prod(layer.size for layer in layers) > 4000:
        return  # as many evaluations; the same networks of fewer layers are here
    array = architecture.data_tensor()
    assert array.shape == (architecture.dim, *(layer.size for layer in layers))
    explicit = Tensor(architecture.dim, architecture.depth, values=array.tolist())
    flat = [np.ravel(layer) for layer in layers]
    wanted = architecture.coefficients(layers)
    np.testing.assert_allclose(explicit.coefficients(flat), wanted, atol=1e-12 * np.abs(wanted).max())


def test_a_tensor_too_large_to_write_out_is_refused() -> None:
    with pytest.raises(InputError, match=r"has 10,000,000 entries, more than 1,000,000; write a smaller depth"):
        ARCHITECTURES["diagonal"](10, 6).data_tensor()


@pytest.mark.parametrize("network", [Diagonal, SignedDiagonal])
def test_a_user_may_inherit_a_large_network(network: type[Architecture]) -> None:
    """Its S and U_l are sparse."""
    mine = type("Mine", (network,), {})
    check_network(mine(600, 2))
