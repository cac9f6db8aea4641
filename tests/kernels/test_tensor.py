"""The network of a given tensor: its coefficients, its files, what is refused, and the named networks' flows by it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.networks.table import located
from kernels.networks.tensor import Tensor
from kernels.problem import problem_of
from kernels.simulate import simulate
from kernels.spec import InputError, RunSpec
from kernels.validate import canonicalise, check_compatible, check_parts
from tests.kernels.conftest import NETWORKS, classification_data, regression_data, spec_of
from tests.networks import named

SHAPE = (4, 3, 2)
ARRAY = np.random.default_rng(0).standard_normal(SHAPE)
DATA = regression_data(2, 4)


def spec(given: dict[str, Any], **axes: Any) -> RunSpec:
    return spec_of(DATA, task="regression", architecture={"tensor": given}, init="gaussian", **axes)


def test_coefficients_are_the_sum_over_indices() -> None:
    rng = np.random.default_rng(1)
    layers = [rng.standard_normal(3), rng.standard_normal(2)]
    network = Tensor(4, 2, values=ARRAY.tolist())
    np.testing.assert_allclose(network.coefficients(layers), np.einsum("ijk,j,k->i", ARRAY, *layers), atol=1e-14)
    assert network.shapes == ((3,), (2,))
    assert network.decomposition() is None


def test_the_depth_follows_from_the_tensor() -> None:
    assert spec({"values": ARRAY.tolist()}).depth == 2
    assert spec({"values": ARRAY[:, :, 0].tolist()}).depth == 1
    assert spec({"values": ARRAY.tolist()}, depth=2) == spec({"values": ARRAY.tolist()})
    with pytest.raises(InputError, match=r"^depth: 3 is not that of the tensor given, 2; write 2, or leave depth out"):
        spec({"values": ARRAY.tolist()}, depth=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"tensor needs its numbers; write \{tensor: \{values"),
        ({"values": [[1.0]], "file": "a.npy"}, "one of both"),
        ({"values": [1.0, 2.0]}, "one for each layer; write rows of equal length"),
        ({"values": 3.0}, "one for each layer"),
        ({"values": [[]]}, "one for each layer"),
        ({"values": [[1.0], [1.0, 2.0]]}, "one for each layer"),
        ({"values": [["a"]]}, "one for each layer"),
        ({"values": [[1.0, float("nan")]]}, "not finite everywhere"),
        ({"values": [[1.0, float("inf")]]}, "not finite everywhere"),
        ({"file": 3}, "file of tensor is 3; write a path"),
        ({"file": "/nowhere/m.npy"}, "/nowhere/m.npy does not exist; a relative path starts at the grid's folder"),
        ({"array": [[1.0]]}, "no parameter 'array'; it takes values, file"),
    ],
)
def test_what_is_no_tensor_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^architecture: .*{message}"):
        spec(given)


def test_a_tensor_for_other_inputs_is_refused() -> None:
    with pytest.raises(InputError, match=r"^architecture: .* inputs of dimension 3, these have 4; write one of shape"):
        check_parts(spec({"values": ARRAY[:3].tolist()}), 4)


def stored(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


def test_a_file_is_the_array_in_it(tmp_path: Path) -> None:
    """Coefficients; the identity is that of the content, wherever the file lies."""
    first = spec({"file": stored(tmp_path / "m.npy", ARRAY)})
    (tmp_path / "moved").mkdir()
    second = spec({"file": stored(tmp_path / "moved" / "other.npy", np.asfortranarray(ARRAY.astype(float)))})
    third = spec({"file": stored(tmp_path / "third.npy", 2 * ARRAY)})
    listed = spec({"values": ARRAY.tolist()})
    assert first.depth == 2
    assert len({first.run_id, third.run_id, listed.run_id}) == 3
    copy = tmp_path / "copy.npy"
    copy.write_bytes((tmp_path / "m.npy").read_bytes())
    assert spec({"file": str(copy)}).run_id == first.run_id
    arrays = [problem_of(each, DATA).architecture.data_tensor() for each in (first, second, listed)]
    for array in arrays:
        np.testing.assert_array_equal(array, ARRAY)
    assert "values" not in str(first.to_dict()["architecture"]).replace("'values': None", "")


def test_a_canonical_file_is_its_own_canonical_form(tmp_path: Path) -> None:
    made = spec({"file": stored(tmp_path / "m.npy", ARRAY)})
    again = canonicalise({**made.to_dict(), "stop": {}}, 4)
    assert again.architecture == made.architecture


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    made = spec({"file": stored(tmp_path / "m.npy", ARRAY)})
    stored(tmp_path / "m.npy", 2 * ARRAY)
    with pytest.raises(InputError, match="has changed"):
        check_parts(made, 4)
    with pytest.raises(InputError, match="has changed"):
        canonicalise(made.to_dict(), 4)


def test_relative_paths_start_at_the_grids_folder(tmp_path: Path) -> None:
    stored(tmp_path / "m.npy", ARRAY)
    found = located({"tensor": {"file": "m.npy"}}, tmp_path)
    assert found == {"tensor": {"file": str(tmp_path / "m.npy")}}
    assert located("diagonal", tmp_path) == "diagonal"


def header(shape: tuple[int, ...]) -> bytes:
    """Of a file that says it holds this shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no array"),
        (b"\x93NUMPY", "holds no array"),
        (b"x,y\n1,2\n", "holds no array"),
        (header((10**9, 10**9)), "holds no array of at most 1,000,000 numbers"),
        (header((1000, 500)) + bytes(16), "holds no array"),
        (bytes(8_000_000 + 70_000), "is larger than a tensor of 1,000,000 numbers"),
    ],
    ids=["empty", "cut", "text", "boasting", "short", "large"],
)
def test_files_that_hold_no_tensor_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^architecture: file .*{message}"):
        spec({"file": str(path)})


@pytest.mark.parametrize("kind", ["complex", "object", "str", "nan", "vector"])
def test_arrays_that_are_no_tensor_are_refused(tmp_path: Path, kind: str) -> None:
    arrays: dict[str, np.ndarray] = {
        "complex": ARRAY * 1j,
        "object": np.array([[{}]]),
        "str": np.array([["a"]]),
        "nan": np.full((2, 2), np.nan),
        "vector": np.ones(3),
    }
    np.save(tmp_path / "m.npy", arrays[kind], allow_pickle=True)
    with pytest.raises(InputError, match=r"^architecture: file "):
        spec({"file": str(tmp_path / "m.npy")})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        spec({"file": str(tmp_path)})


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_tensor_that_cannot_reach_the_data_is_refused(task: str) -> None:
    """beta is a multiple of one vector: enough for one sample that it sees, not for two, nor for one that it misses."""
    array = np.einsum("i,j,k->ijk", [1.0, 1.0, 0.0], np.ones(2), np.ones(2))
    labels = {"regression": np.array([1.0, 2.0]), "classification": np.array([1.0, -1.0])}[task]
    seen = Dataset("seen", np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 5.0]]) * np.sign(labels)[:, None], labels)
    blind = Dataset("blind", np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) * np.sign(labels)[:, None], labels)
    axes: dict[str, Any] = {"task": task, "architecture": {"tensor": {"values": array.tolist()}}, "init": "gaussian"}
    check_compatible(spec_of(seen, **axes), seen)
    with pytest.raises(InputError, match=r"^architecture: tensor cannot .*: its coefficients lie in 1 dimension of 3"):
        check_compatible(spec_of(blind, **axes), blind)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize(("name", "sizes"), NETWORKS)
def test_the_flow_of_a_networks_tensor_is_the_networks(name: str, sizes: dict[str, Any], task: str) -> None:
    """From the same layers, whatever coordinates and curves the named network is integrated in."""
    dataset = regression_data(2, 4) if task == "regression" else classification_data(3, 4)
    stop = {"residual": 1e-11} if task == "regression" else {"log_loss": -30.0}
    axes: dict[str, Any] = {"task": task, "depth": 2, "alpha": 0.5, "rtol": 1e-10, "stop": stop, "record": False}
    own = spec_of(dataset, architecture=named(name, 4, 2), init="gaussian", **axes, **sizes)
    known = problem_of(own, dataset)
    layers = [np.ravel(layer / 0.5).tolist() for layer in known.layers]
    explicit = {"tensor": {"values": known.architecture.data_tensor().tolist()}}
    other = spec_of(dataset, architecture=explicit, init={"layers": layers}, **axes)
    one, two = simulate([(own, dataset), (other, dataset)])
    assert one.status == two.status == "converged"
    tolerance = 1e-7 if task == "regression" else 1e-3  # where along the orbit it stops is met to 1e-4
    np.testing.assert_allclose(two.beta, one.beta, atol=tolerance * np.abs(one.beta).max())
