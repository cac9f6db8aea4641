"""Networks given by their S: their identity, what is wrong with some, and one program for all of one shape."""

from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.integrator.loop import compiled_loops
from kernels.networks.decomposable import Odeco
from kernels.networks.keys import key
from kernels.networks.table import build
from kernels.room import compile_key
from kernels.simulate import simulate
from kernels.spec import InputError, RunSpec
from kernels.validate import canonicalise
from tests.kernels.conftest import spec_of

S = [[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]]
ROTATION = [[0.6, -0.8], [0.8, 0.6]]


def canonical(architecture: Any, **axes: Any) -> RunSpec:
    return canonicalise({"task": "regression", "data": {}, "architecture": architecture, **axes}, 2)


def test_s_is_that_of_the_decomposition() -> None:
    spec = canonical({"odeco": {"s": S}}, seed=3)
    network = build(spec, 2)
    decomposition = network.decomposition()
    assert decomposition is not None
    np.testing.assert_array_equal(decomposition.s, S)
    assert spec.width == 3
    drawn = Odeco(2, 2, 3, seed=3).constants
    for given, expected in zip(network.constants[1:], drawn[1:], strict=True):
        np.testing.assert_array_equal(given, expected)


def test_identity() -> None:
    """Nothing given is the plain name; spelling does not matter, numbers do; a seed only where something is drawn."""
    plain, given = canonical("odeco"), canonical({"odeco": {"s": S}})
    assert canonical({"odeco": {}}) == canonical({"odeco": None}) == canonical({"odeco": {"s": None}}) == plain
    assert plain.architecture == "odeco"
    assert (given.architecture_name, given.width) == ("odeco", 3)
    whole = [[int(entry) if entry == int(entry) else entry for entry in row] for row in S]
    assert canonical({"odeco": {"s": whole}}, width=3).run_id == given.run_id
    assert RunSpec.from_dict(given.to_dict()).run_id == given.run_id
    other = canonical({"odeco": {"s": [[1.0, 2.0], [0.5, -1.0], [3.0, 1e-9]]}})
    fixed = canonical({"odeco": {"s": ROTATION, "bases": [ROTATION] * 2}}, seed=5)
    ids = {spec.run_id for spec in (plain, given, other, fixed, canonical({"odeco": {"s": S}}, seed=1))}
    assert len(ids) == 5
    assert fixed.seed == 0
    assert key(build(given, 2)) != key(build(other, 2))
    assert key(build(given, 2)) == key(build(canonical({"odeco": {"s": S}}, alpha=3.0), 2))


@pytest.mark.parametrize(
    ("given", "axes", "message"),
    [
        ({"s": [[1.0, 2.0], [3.0]]}, {}, "s of odeco must be rows of numbers, all of one length"),
        ({"s": [1.0, 2.0]}, {}, "s of odeco must be rows of numbers"),
        ({"s": [["a", "b"]]}, {}, "s of odeco must be rows of numbers"),
        ({"s": []}, {}, "s of odeco must be rows of numbers"),
        ({"s": [[1.0, float("nan")]]}, {}, "s of odeco holds a number that is not finite"),
        ({"s": [[1.0, 2.0, 3.0]]}, {}, r"s of odeco has shape \(1, 3\); .* dimension 2 need \(1, 2\)"),
        ({"s": S}, {"width": 4}, "width: 4 is not that of the matrices given, 3; leave width out"),
        ({"t": S}, {}, "Odeco has no parameter 't'; it takes s, bases"),
        ({"bases": [[[1.0, 0.5], [0.0, 1.0]]] * 2}, {}, r"U_1, of shape \(2, 2\), is not orthogonal"),
        ({"bases": [[[1.0], [0.0]]] * 2}, {}, r"U_1, of shape \(2, 1\), is not orthogonal"),
        ({"bases": [ROTATION]}, {}, r"bases of odeco have shapes \(2, 2\); depth 2 needs 2 of \(2, 2\)"),
        ({"bases": 3}, {}, "bases of odeco must be a list of matrices"),
        ({"s": S, "bases": [ROTATION] * 2}, {}, r"bases of odeco have shapes .* depth 2 needs 2 of \(3, 3\)"),
        ([S], {}, "is not a name or {name: parameters}"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(given: Any, axes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(canonical({"odeco": given}, **axes), 2)


def test_a_network_without_parameters_refuses_them() -> None:
    with pytest.raises(InputError, match="Diagonal has no parameter 's'; it takes no parameters"):
        canonical({"diagonal": {"s": S}})


@pytest.mark.slow
def test_networks_of_one_shape_share_one_program() -> None:
    """Two given S, one of them the identity, and one drawn: one compiled loop, and each its own theorem."""
    dataset = Dataset("one", np.array([[1.0, 2.0]]), np.array([1.0]))
    one, other = np.random.default_rng(0).standard_normal((2, 2, 2))
    identity = np.eye(2).tolist()
    given = [{"s": one.tolist()}, {"s": other.tolist()}, {}, {"s": identity, "bases": [identity] * 2}]
    axes: dict[str, Any] = {"task": "regression", "depth": 2, "alpha": 0.3, "record": False}
    runs = [(spec_of(dataset, architecture={"odeco": each}, **axes), dataset) for each in given]
    assert len({compile_key(spec, 2, 1) for spec, _ in runs}) == 1
    before = compiled_loops()
    results = simulate(runs)
    assert compiled_loops() <= before + 1
    assert len({result.beta.tobytes() for result in results}) == 4
    for result in results:
        exact = [record.distance for record in result.predictions if record.kind == "exact"]
        assert len(exact) == 2
        assert all(distance is not None and distance < 1e-5 for distance in exact)
    # S = U_l = I is the diagonal network: beta_j = alpha^2 sinh(2 nu_j) / 2 with nu parallel to x
    nu = np.arcsinh(2 * results[3].beta / 0.3**2) / 2
    np.testing.assert_allclose(nu[1] / nu[0], 2, rtol=1e-6)
