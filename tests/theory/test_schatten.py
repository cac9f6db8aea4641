"""Margin problems in Schatten norms: known optima, other solvers, factored problems, and points that are none."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from kernels.data.kinds import Dataset
from kernels.networks.group_convolutional import GroupConvolutional
from kernels.networks.groups import group_of, order
from kernels.problem import Problem
from kernels.theory.base import Endpoint
from kernels.theory.optimisers.blocks import conditions, schatten
from kernels.theory.optimisers.margins import least_sum
from kernels.theory.optimisers.nuclear import least_nuclear
from kernels.theory.optimisers.schatten import nearby, stationarity
from kernels.theory.schatten import blocks_of
from kernels.theory.table import PREDICTIONS
from tests.theory.problems import classification_data, problem

SCHATTEN = PREDICTIONS["max_margin_schatten"]
D8: dict[str, Any] = {"dihedral": 4}
GROUPS: list[dict[str, Any]] = [
    D8,
    {"dihedral": 5},
    {"cyclic": 7},
    {"product": [{"cyclic": 3}, {"dihedral": 3}]},
    {"product": [{"dihedral": 3}, {"dihedral": 3}]},
]
ENTRIES = group_of(D8).irreps[-1].matrices / 2
"""Of the representation of dimension 2, sqrt(2/8) r_ij(g): columns of unit norm of the real Fourier matrix of D8."""


def drawn(group: dict[str, Any], depth: int, data: Dataset | None = None, **axes: Any) -> Problem:
    made = data or classification_data(3, order(group))
    axes = {"architecture": {"group_convolutional": {"group": group}}, "init": "gaussian", **axes}
    return problem(made, task="classification", depth=depth, **axes)


def signed(data: Dataset) -> np.ndarray:
    return data.y[:, None] * data.x


def at(known: Problem, beta: np.ndarray) -> Endpoint:
    """An end with these coefficients at -log Loss = 1e6."""
    least = float(signed(known.dataset).dot(beta).min())
    return Endpoint((), beta, np.zeros((0, 0)), float(np.log(1e6 / least) / known.depth), -1e6, 1e6)


@pytest.mark.parametrize(
    ("second", "optimum"), [((0, 1), 4 * np.sqrt(2)), ((1, 0), 4 * np.sqrt(2)), ((1, 1), 8.0)], ids=str
)
def test_two_sparse_columns_of_the_fourier_matrix_of_d8(second: tuple[int, int], optimum: float) -> None:
    """<r_ij / 2, beta> = F_ij / 2: the least 2 ||F||_1 with F_11 <= -2 and F_ij >= 2 is 2 * 2 sqrt 2 in one row or
    column (rank one), and 2 * 4 on the diagonal.
    """
    data = np.array([-ENTRIES[:, 0, 0], ENTRIES[:, second[0], second[1]]])
    assert (data == 0).sum() == 8
    found = least_nuclear(blocks_of(group_of(D8)), data)
    assert found.objective == pytest.approx(optimum, rel=1e-12)
    assert found.certificate < 1e-12


@pytest.mark.parametrize("samples", [1, 2, 5])
@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_the_optimum_is_certified(group: dict[str, Any], samples: int) -> None:
    """To the last digits, for samples of norms that differ by decades; a feasible point is no better."""
    rng = np.random.default_rng(samples)
    z = rng.standard_normal((samples, order(group))) * 10.0 ** rng.uniform(-2, 2, (samples, 1))
    blocks = blocks_of(group_of(group))
    found = least_nuclear(blocks, z)
    assert found.certificate < 1e-11
    assert (found.multipliers >= 0).all()
    assert found.objective == pytest.approx(schatten(blocks, z, found.solution, 1.0), rel=1e-10)
    for _ in range(20):
        other = found.solution + 0.01 * np.linalg.norm(found.solution) * rng.standard_normal(order(group))
        assert schatten(blocks, z, other, 1.0) > found.objective * (1 - 1e-12)


@pytest.mark.parametrize("samples", [1, 3])
def test_cyclic_groups_are_the_cone_program_of_moduli(samples: int) -> None:
    """Every character by itself, conjugates too: another program, of second-order cones alone."""
    z = signed(classification_data(samples + 1, 7))
    characters = group_of({"cyclic": 7}).characters
    assert characters is not None
    wanted = least_sum(z @ characters.conj().T / 7)
    found = least_nuclear(blocks_of(group_of({"cyclic": 7})), z)
    assert found.objective == pytest.approx(wanted.objective, rel=1e-8)


def factored(known: Problem, start: np.ndarray) -> np.ndarray:
    """Layers that minimise 1/2 ||Theta||^2 subject to margins of 1, by SLSQP."""
    network = known.architecture
    z = signed(known.dataset)

    def slopes(theta: np.ndarray) -> np.ndarray:
        layers = network.split(theta)
        units = (np.eye(len(layer)) for layer in layers)
        rows = [
            [network.coefficients([*layers[:k], unit, *layers[k + 1 :]]) for unit in each]
            for k, each in enumerate(units)
        ]
        return z @ np.concatenate(rows).T

    found = minimize(
        lambda t: (t @ t / 2, t),
        start,
        jac=True,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda t: z @ network.coefficients(network.split(t)) - 1, "jac": slopes},
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    return np.array(found.x)


@pytest.mark.parametrize("depth", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("group", [D8, {"cyclic": 7}], ids=str)
def test_it_is_the_least_norm_of_layers(group: dict[str, Any], depth: int) -> None:
    """sum_r w_r ||F_r||_p^p = n / L sum_l ||v_l||^2 at a minimum over layers, which shares no code with this one."""
    known = drawn(group, depth)
    blocks, z = blocks_of(group_of(group)), signed(known.dataset)
    rng = np.random.default_rng(0)
    thetas = [factored(known, rng.standard_normal(known.architecture.parameters)) for _ in range(4)]
    values = [order(group) / depth * float(theta @ theta) for theta in thetas]
    least = thetas[int(np.argmin(values))]
    beta = known.architecture.coefficients(known.architecture.split(least))
    value = schatten(blocks, z, beta, 2 / depth) ** (2 / depth)
    assert value == pytest.approx(min(values), rel=1e-5)
    made = SCHATTEN.compare(known, SCHATTEN.forecast(known), at(known, beta))
    assert made.distance is not None
    assert made.distance < 1e-3  # SLSQP's own precision
    assert made.objective == pytest.approx(value ** (depth / 2), rel=1e-5)


@pytest.mark.parametrize("depth", [3, 4])
def test_stationary_points_are_recognised(depth: int) -> None:
    """A rank-one block of the right singular vectors: found from a point near it, and from nowhere else."""
    blocks = blocks_of(group_of(D8))
    z = signed(Dataset("d8", ENTRIES[:, 0, :].T, np.array([-1.0, 1.0])))
    point = least_nuclear(blocks, z).solution  # rank one: stationary for every power
    active = np.ones(2, bool)
    assert stationarity(blocks, z, point, 2 / depth) < 1e-10
    rng = np.random.default_rng(0)
    near = point + 1e-4 * np.linalg.norm(point) * rng.standard_normal(8)
    found = nearby(blocks, z, near, active, 2 / depth)
    assert found.certificate < 1e-12
    np.testing.assert_allclose(found.beta / np.linalg.norm(found.beta), point / np.linalg.norm(point), atol=1e-10)
    assert 1e-5 < stationarity(blocks, z, near, 2 / depth) < 1e-2
    bent = point / np.linalg.norm(point) + 0.3 * rng.standard_normal(8)
    assert stationarity(blocks, z, bent, 2 / depth) > 1e-2
    assert nearby(blocks, z, -point, active, 2 / depth).certificate >= 1


def test_conditions_are_derivatives_of_the_norm() -> None:
    """At full ranks P_T is the identity: G - U Sigma^{p-1} V^* is the gradient of 1/p sum, over n, by differences."""
    rng = np.random.default_rng(0)
    for group in GROUPS[:4]:
        n, blocks = order(group), blocks_of(group_of(group))
        beta, power = rng.standard_normal(n), 2 / 3

        def value(point: np.ndarray) -> float:
            parts = [np.linalg.svd(f, compute_uv=False) for f in blocks.transform(point)]  # noqa: B023
            return sum(w * float((s**power).sum()) for w, s in zip(blocks.weights, parts, strict=True)) / power  # noqa: B023

        slopes = [(value(beta + 1e-6 * unit) - value(beta - 1e-6 * unit)) / 2e-6 for unit in np.eye(n)]
        np.testing.assert_allclose(
            -n * conditions(blocks, beta, np.zeros(n), 1e-9, power), slopes, rtol=1e-5, atol=1e-6
        )


def test_abelian_groups_have_both_statements() -> None:
    """max_margin_bridge in the characters, and this one: the same direction, the same dual off the support."""
    for group in ({"cyclic": 8}, {"product": [{"cyclic": 2}] * 3}):
        known = drawn(group, 2)
        one, other = PREDICTIONS["max_margin_bridge"].forecast(known), SCHATTEN.forecast(known)
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(other.beta, one.beta, atol=1e-5)  # a gap of 1e-11 leaves its root in a point
        assert one.detail["off_support_dual"] == pytest.approx(other.detail["off_support_dual"], abs=1e-6)


def test_starts_that_are_tied_are_not_spoken_of() -> None:
    """Equal layers keep A_1^T A_1 = A_2 A_2^T in no block, but equal moduli in numbers; a transposed pair in all."""
    assert SCHATTEN.applies(drawn(D8, 2))
    assert SCHATTEN.applies(drawn(D8, 3))
    assert not SCHATTEN.applies(drawn(D8, 1))
    v = np.random.default_rng(0).standard_normal(8)
    turned = v[group_of(D8).inverses]
    assert not SCHATTEN.applies(drawn(D8, 2, init={"layers": [v.tolist(), turned.tolist()]}))
    assert not SCHATTEN.applies(drawn(D8, 2, init={"layers": [v.tolist(), v.tolist()]}))
    other = classification_data(3, 8)
    assert not SCHATTEN.applies(problem(other, task="classification", architecture="convolutional", depth=2))


def test_the_end_of_another_group_misses_the_prediction() -> None:
    """It must fail: the optimum of the cyclic group of 8 elements is neither that of D8 nor stationary there."""
    data = classification_data(3, 8)
    elsewhere = least_nuclear(blocks_of(group_of({"cyclic": 8})), signed(data)).solution
    for depth in (2, 3):
        known = drawn(D8, depth, data)
        made = SCHATTEN.compare(known, SCHATTEN.forecast(known), at(known, elsewhere))
        assert made.distance is None or made.distance > 0.1
        assert depth == 2 or made.detail["stationarity"] > 0.03
    mine = least_nuclear(blocks_of(group_of(D8)), signed(data))
    reached = schatten(blocks_of(group_of(D8)), signed(data), elsewhere, 1.0)
    assert reached > 1.01 * mine.objective


def test_norms_fall_with_the_power() -> None:
    """Of one point ||.||_p grows as p falls: with p = 2 it is Plancherel's sqrt(n) ||beta||."""
    known = drawn(D8, 2)
    blocks, z = blocks_of(group_of(D8)), signed(known.dataset)
    beta = np.linalg.lstsq(z, np.ones(len(z)), rcond=None)[0]
    values = [schatten(blocks, z, beta, power) for power in (2.0, 1.0, 2 / 3, 0.5)]
    assert values[0] == pytest.approx(np.sqrt(8) * np.linalg.norm(beta))
    assert all(a < b for a, b in pairwise(values))
    assert isinstance(known.architecture, GroupConvolutional)
