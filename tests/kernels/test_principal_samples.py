"""Samples turned to orthogonal gradients, of order one or of order 1e-40."""

import jax.numpy as jnp
import numpy as np
import pytest

from kernels.flows.principal_samples import principal_samples
from kernels.simulate import simulate
from kernels.x64 import jax
from tests.kernels.conftest import regression_data, spec_of
from tests.marks import sampled


@pytest.mark.parametrize("smallest", sampled([1e-40, 0.1, 1e-6, 1e-20], 4))
def test_gradients_are_orthogonal_relative_to_their_sizes(smallest: float) -> None:
    """Gradients x_i * slopes, as of a diagonal network: the slopes spread them, the inputs mix them."""
    dataset = regression_data(4, 7)
    slopes = np.geomspace(1, smallest, 7)
    turn = jax.jit(lambda x, y: principal_samples(lambda x: x * slopes[None], x, y))
    x, y, rows = map(np.asarray, turn(dataset.x, dataset.y))
    # in units of the slopes that carry each row, Gram matrices neither under- nor overflow
    sizes = np.linalg.norm(rows, axis=1)
    units = rows / sizes[:, None]
    np.testing.assert_allclose(units @ units.T, np.eye(4), atol=1e-8)
    np.testing.assert_allclose(rows, x * slopes, atol=1e-15 * sizes.max())
    # Q is orthogonal: lengths and angles of the samples are what they were
    whole = np.column_stack([x, y])
    np.testing.assert_allclose(
        whole.T @ whole,
        np.column_stack([dataset.x, dataset.y]).T @ np.column_stack([dataset.x, dataset.y]),
        rtol=1e-12,
        atol=1e-12,
    )


def test_rates_have_all_digits() -> None:
    """The product of the squared sizes is det(J J^T): of triangular J the product of its diagonal, squared."""
    lower = jnp.array([[1.0, 0.0, 0.0], [2.0, 1e-12, 0.0], [-1.0, 3e-12, 1e-25]])
    rows = principal_samples(lambda x: x @ lower, jnp.eye(3), jnp.ones(3)).rows
    sizes = np.sort(np.linalg.norm(rows, axis=1))
    assert np.prod(sizes) == pytest.approx(1e-37, rel=1e-10)
    assert sizes[2] == pytest.approx(np.sqrt(6), rel=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "depth", "axes"),
    [
        ("diagonal", 6, {}),
        pytest.param("diagonal", 10, {}, marks=pytest.mark.slow),
        pytest.param("walsh", 6, {}, marks=pytest.mark.slow),
        pytest.param("odeco", 7, {"width": 8}, marks=pytest.mark.slow),
    ],
)
def test_deep_networks_go_from_saddle_to_saddle(architecture: str, depth: int, axes: dict[str, int]) -> None:
    """At a saddle one coordinate is fitted, and the next grows alpha^{L-2} times as fast as it was: below rounding."""
    dataset = regression_data(3, 8)
    alphas = (1e-3, 1e-5, 1e-6) if depth == 6 else (1e-3, 1e-4)
    shape = {"task": "regression", "architecture": architecture, "depth": depth, "record": False, **axes}
    runs = [(spec_of(dataset, alpha=alpha, **shape), dataset) for alpha in alphas]
    for result in simulate(runs):
        assert result.status == "converged"
        assert result.steps + result.rejected < 2_000
        (exact,) = (found for found in result.predictions if found.prediction == "minimum_q_norm")
        assert exact.distance is not None
        assert exact.distance < 1e-8
