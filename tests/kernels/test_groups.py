"""Finite groups from their definitions, and convolution over them against sums, other networks and Fourier blocks."""

import itertools
from typing import Any

import numpy as np
import pytest

from kernels.networks.base import Architecture
from kernels.networks.convolutional import Convolutional
from kernels.networks.decomposable import Walsh
from kernels.networks.group_convolutional import GroupConvolutional
from kernels.networks.groups import canonical_group, group_of, order
from kernels.spec import InputError
from tests.kernels.conftest import regression_data, spec_of

TWO: dict[str, Any] = {"cyclic": 2}
DESCRIPTIONS: list[dict[str, Any]] = [
    {"cyclic": 1},
    {"cyclic": 5},
    {"cyclic": 6},
    {"dihedral": 3},
    {"dihedral": 4},
    {"dihedral": 5},
    {"product": [TWO, TWO, TWO]},
    {"product": [{"cyclic": 3}, {"cyclic": 4}]},
    {"product": [{"cyclic": 3}, {"dihedral": 3}]},
    {"product": [{"dihedral": 3}, {"dihedral": 4}]},
]


@pytest.fixture(params=DESCRIPTIONS, ids=str)
def described(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def drawn(network: Architecture, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in network.shapes]


def test_a_table_is_a_groups(described: dict[str, Any]) -> None:
    """Unit first, every element once in each row, associative, inverses."""
    group, n = group_of(described), order(described)
    table = group.table
    np.testing.assert_array_equal(table[0], np.arange(n))
    np.testing.assert_array_equal(np.sort(table, axis=1), np.tile(np.arange(n), (n, 1)))
    np.testing.assert_array_equal(table[table[:, :, None], np.arange(n)], table[np.arange(n)[:, None, None], table])
    np.testing.assert_array_equal(table[np.arange(n), group.inverses], 0)
    for g, h in itertools.product(range(min(n, 8)), repeat=2):
        assert table[h, group.quotients[g, h]] == g


def test_representations_are_unitary_irreducible_and_all(described: dict[str, Any]) -> None:
    """r(g) r(h) = r(gh); characters orthonormal; dimensions squared sum to the order (conjugates counted)."""
    group, n = group_of(described), order(described)
    characters = []
    for irrep in group.irreps:
        matrices = irrep.matrices
        np.testing.assert_allclose(np.einsum("gij,hjk->ghik", matrices, matrices), matrices[group.table], atol=1e-12)
        np.testing.assert_allclose(
            np.einsum("gij,gkj->gik", matrices, matrices.conj()),
            np.tile(np.eye(matrices.shape[1]), (n, 1, 1)),
            atol=1e-12,
        )
        assert np.iscomplexobj(matrices) == (irrep.copies == 2)
        own = np.einsum("gii->g", matrices)
        characters += [own, own.conj()][: irrep.copies]
    np.testing.assert_allclose(np.conj(characters) @ np.transpose(characters) / n, np.eye(len(characters)), atol=1e-12)
    assert sum(irrep.weight * irrep.matrices.shape[1] for irrep in group.irreps) == n


def test_dihedral_groups_are_symmetries_of_a_polygon() -> None:
    """r^a s^e as permutations of n corners, r one corner on, s a reflection: the same table."""
    n = 5
    corners = np.arange(n)
    permutations = [(corners * (-1) ** flip + turn) % n for flip in (0, 1) for turn in range(n)]
    table = group_of({"dihedral": n}).table
    for g, h in itertools.product(range(2 * n), repeat=2):
        np.testing.assert_array_equal(permutations[g][permutations[h]], permutations[table[g, h]])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_coefficients_are_the_sum_over_elements(depth: int) -> None:
    """beta(g) = sum of prod_l v_l(g_l) over g_1 ... g_L = g, in this order: the group does not commute."""
    network = GroupConvolutional(6, depth, group={"dihedral": 3})
    layers, table, beta = drawn(network), group_of({"dihedral": 3}).table, np.zeros(6)
    for elements in itertools.product(range(6), repeat=depth):
        place = 0
        for element in elements:
            place = table[place, element]
        beta[place] += np.prod([layer[g] for layer, g in zip(layers, elements, strict=True)])
    np.testing.assert_allclose(network.coefficients(layers), beta, atol=1e-13)


def test_fourier_coefficients_multiply(described: dict[str, Any]) -> None:
    network = GroupConvolutional(order(described), 3, group=described)
    layers = drawn(network)
    for irrep in network.group.irreps:
        parts = [np.tensordot(layer, irrep.matrices, 1) for layer in layers]
        beta = np.tensordot(network.coefficients(layers), irrep.matrices, 1)
        np.testing.assert_allclose(beta, parts[0] @ parts[1] @ parts[2], atol=1e-11)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    ("description", "twin"),
    [({"cyclic": 5}, Convolutional), ({"cyclic": 8}, Convolutional), ({"product": [TWO, TWO, TWO]}, Walsh)],
)
def test_abelian_cases_are_the_named_networks(
    description: dict[str, Any], twin: type[Architecture], depth: int
) -> None:
    """Coefficients, invariants and what the decomposition makes of layers."""
    dim = order(description)
    network, named = GroupConvolutional(dim, depth, group=description), twin(dim, depth)
    layers = drawn(network)
    np.testing.assert_allclose(network.coefficients(layers), named.coefficients(layers), atol=1e-12)
    one, other = network.decomposition(), named.decomposition()
    assert one is not None
    assert other is not None
    assert one.real == other.real
    for basis in one.bases:
        np.testing.assert_allclose(basis.conj().T @ basis, np.eye(dim), atol=1e-12)
    np.testing.assert_allclose(
        one.s.T @ np.prod(one.transform(layers), axis=0), network.coefficients(layers), atol=1e-12
    )
    np.testing.assert_allclose(
        np.sort(np.abs(one.transform(layers)), axis=1), np.sort(np.abs(other.transform(layers)), axis=1), atol=1e-12
    )


def test_groups_that_do_not_commute_have_no_decomposition() -> None:
    assert GroupConvolutional(8, 2, group={"dihedral": 4}).decomposition() is None
    assert GroupConvolutional(8, 2, group={"dihedral": 4}).coordinates([np.ones(8)] * 2, np.eye(8)) is None


def test_equal_groups_have_one_identity() -> None:
    """Dihedral groups of two and four elements, products of one and of products."""
    assert canonical_group({"dihedral": 1}) == TWO == canonical_group({"product": [TWO]})
    assert canonical_group({"dihedral": 2}) == canonical_group({"product": [TWO, TWO]})
    nested = {"product": [TWO, {"product": [{"dihedral": 2}, {"cyclic": 3}]}]}
    assert canonical_group(nested) == {"product": [TWO, TWO, TWO, {"cyclic": 3}]}
    data = regression_data(2, 4)
    ids = {
        spec_of(data, task="regression", architecture={"group_convolutional": {"group": group}}).run_id
        for group in ({"dihedral": 2}, {"product": [TWO, TWO]})
    }
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (None, "needs its group; write group: "),
        ("dihedral", "group is 'dihedral'; write {cyclic: 8}"),
        ({"cyclic": 2, "dihedral": 2}, "write {cyclic: 8}"),
        ({"symmetric": 3}, "unknown group 'symmetric'; write {cyclic: 8}"),
        ({"cyclic": 0}, "cyclic is 0; write an integer >= 1"),
        ({"dihedral": 2.5}, "dihedral is 2.5; write an integer >= 1"),
        ({"cyclic": True}, "cyclic is True; write an integer >= 1"),
        ({"product": []}, "product is []; write a list of groups"),
        ({"product": {"cyclic": 2}}, "write a list of groups"),
        ({"product": [{"cyclic": 0}]}, "cyclic is 0"),
        ({"cyclic": 10**6}, "a group of 1,000,000 elements; write one of at most 1,000"),
        ({"product": [{"dihedral": 10**9}] * 9}, "elements; write one of at most 1,000"),
    ],
)
def test_what_is_no_group_is_refused(group: Any, message: str) -> None:
    with pytest.raises(InputError, match=r"^architecture: ") as raised:
        GroupConvolutional.canonical({"group": group})
    assert message in str(raised.value)


def test_a_group_of_another_order_than_the_inputs_is_refused() -> None:
    with pytest.raises(InputError, match=r"has 8 elements, inputs have dimension 6; write a group of 6 elements"):
        GroupConvolutional(6, 2, group={"dihedral": 4})
