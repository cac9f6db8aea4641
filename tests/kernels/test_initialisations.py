"""What each initialisation promises of the layers at t = 0."""

from typing import Any

import numpy as np
import pytest

from kernels.networks.initialisations import initial_layers
from kernels.networks.table import build
from kernels.spec import InputError
from tests.kernels.conftest import regression_data, spec_of

DATA = regression_data(3, 8)
DECOMPOSABLE = ["diagonal", "convolutional", "walsh", "odeco"]


def layers_of(architecture: str, init: Any, depth: int = 3, **axes: Any) -> tuple[Any, tuple[np.ndarray, ...]]:
    spec = spec_of(DATA, task="regression", architecture=architecture, init=init, depth=depth, **axes)
    network = build(spec, 8)
    return network, initial_layers(spec, network)


@pytest.mark.parametrize("architecture", DECOMPOSABLE)
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("eta", ["ones", "uniform"])
def test_structured_is_alpha_eta_in_the_transformed_basis(architecture: str, depth: int, eta: str) -> None:
    network, layers = layers_of(architecture, {"structured": {"eta": eta}}, depth, alpha=0.3)
    *hidden, last = network.decomposition().transform(layers)
    np.testing.assert_array_equal(last, 0)
    for w in hidden:
        np.testing.assert_allclose(w, hidden[0], atol=1e-12)
        np.testing.assert_allclose(np.imag(w), 0, atol=1e-12)
        if eta == "ones":
            np.testing.assert_allclose(w, 0.3, atol=1e-12)
        else:
            assert ((w.real >= 0.15) & (w.real <= 0.45)).all()


@pytest.mark.parametrize("architecture", DECOMPOSABLE)
def test_ordered_keeps_the_last_layer_smallest_in_every_coordinate(architecture: str) -> None:
    network, layers = layers_of(architecture, "ordered", alpha=0.2)
    *hidden, last = (np.abs(w) for w in network.decomposition().transform(layers))
    for w in hidden:
        assert (w >= 0.2 - 1e-12).all()
        assert (w - last > 0.09).all()


@pytest.mark.parametrize("width", [8, 13])
def test_orthogonal_rows(width: int) -> None:
    _, layers = layers_of("fully_connected", "orthogonal", width=width, alpha=0.5)
    first, middle, last = layers
    np.testing.assert_allclose(first @ first.T, 0.25 * np.eye(8), atol=1e-12)
    np.testing.assert_allclose(middle @ middle.T, 0.25 * np.eye(width), atol=1e-12)
    np.testing.assert_array_equal(last, 0)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_balanced_layers_have_rank_one_and_meet(depth: int) -> None:
    """W_l^T W_l = W_{l+1} W_{l+1}^T, the one singular value alpha, and beta of norm alpha^L."""
    network, layers = layers_of("fully_connected", "balanced", depth, width=5 if depth > 1 else None, alpha=0.3)
    for difference in network.invariants(layers):
        np.testing.assert_allclose(difference, 0, atol=1e-15)
    for layer in layers:
        values = np.linalg.svd(layer if layer.ndim > 1 else layer[:, None], compute_uv=False)
        np.testing.assert_allclose(values, [0.3] + [0.0] * (len(values) - 1), atol=1e-15)
    assert np.linalg.norm(network.coefficients(layers)) == pytest.approx(0.3**depth)
    _, other = layers_of("fully_connected", "balanced", depth, width=5 if depth > 1 else None, alpha=0.3, seed=1)
    assert abs(np.vdot(layers[0], other[0])) < 0.99 * 0.3**2


def test_gaussian_has_the_scale_it_says() -> None:
    _, layers = layers_of("fully_connected", "gaussian", width=400, alpha=0.1)
    assert layers[0].std() == pytest.approx(0.1 / np.sqrt(8), rel=0.05)
    assert layers[1].std() == pytest.approx(0.1 / np.sqrt(400), rel=0.05)
    _, layers = layers_of("diagonal", "gaussian", alpha=0.1, seed=1)
    assert np.abs(np.concatenate(layers)).max() < 0.5


def test_seeds_and_scales_are_independent() -> None:
    """The same seed at another alpha is the same draw, scaled; another seed is another draw."""
    _, small = layers_of("diagonal", "gaussian", alpha=0.1, seed=3)
    _, large = layers_of("diagonal", "gaussian", alpha=1.0, seed=3)
    _, other = layers_of("diagonal", "gaussian", alpha=1.0, seed=4)
    for a, b, c in zip(small, large, other, strict=True):
        np.testing.assert_allclose(10 * a, b)
        assert not np.allclose(b, c)


def test_given_layers_are_scaled_by_alpha() -> None:
    arrays = [[float(i + j) for i in range(8)] for j in range(2)]
    _, layers = layers_of("diagonal", {"layers": arrays}, depth=2, alpha=2.0)
    np.testing.assert_allclose(layers, 2 * np.array(arrays))


@pytest.mark.parametrize(
    ("architecture", "axes", "message"),
    [
        (
            "fully_connected",
            {"init": "structured"},
            r"structured \(the default\) needs an orthogonally decomposable.*write gaussian, orthogonal or balanced",
        ),
        ("convolutional", {"init": "ordered", "filter": 3}, "ordered needs an orthogonally decomposable network"),
        ("diagonal", {"init": "orthogonal"}, "orthogonal starts only fully_connected networks"),
        ("fully_connected", {"init": "orthogonal", "width": 5}, "width is 5, dim is 8"),
        ("diagonal", {"init": "balanced"}, "balanced starts only fully_connected networks"),
        ("diagonal", {"init": {"layers": [[1.0, 2.0]] * 3}}, r"layers have shapes \(\(2,\), \(2,\), \(2,\)\)"),
        ("diagonal", {"init": {"layers": [[1.0, "a"]] * 3}}, "must be a list of numeric arrays"),
    ],
    ids=str,
)
def test_combinations_that_do_not_exist_are_answered(architecture: str, axes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        layers_of(architecture, **axes)
