"""Least sums of moduli where several are least: the flow's choice against closed forms, scipy, and small scales."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from kernels.data.kinds import Dataset
from kernels.problem import Problem
from kernels.theory.base import Forecast
from kernels.theory.optimisers import sums
from kernels.theory.optimisers.sums import LeastSum, SumProblem, certificate, decay, freedom, least_weighted_sum
from kernels.theory.table import PREDICTIONS
from tests.theory.problems import problem

LINE = Dataset("line", np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 1.0]]), np.array([3.0, 3.0]))
PLANE = Dataset("plane", np.array([[2.0, -1.0, 0.0, 1.0], [0.0, 3.0, 2.0, 0.0]]), np.array([0.0, 6.0]))
PUBLISHED = {2: 0.3460349357, 3: 0.3419228315, 4: 0.3398113794}
"""t of the limits (1-t, 2(1-t), 3t[, 0]) of u^p - v^p from u = v = alpha, integrated by others."""


def on_line(t: float) -> np.ndarray:
    return np.array([1 - t, 2 * (1 - t), 3 * t])


def choice(depth: int) -> float:
    """t where the criterion is stationary: t / (1-t) = (4/27)^{1/3} for L = 2, ((1 + 2^e) / 3^e)^{1/(e-1)}, e = 2/L."""
    e = 2 / depth
    odds = (4 / 27) ** (1 / 3) if depth == 2 else ((1 + 2**e) / 3**e) ** (1 / (e - 1))
    return float(odds / (1 + odds))


def u_minus_v(data: Dataset, depth: int, alpha: float, structured: bool = False) -> Problem:
    size = 2 * data.x.shape[1]
    init: Any = "structured" if structured else {"layers": [[1.0] * size] * depth}
    return problem(data, task="regression", architecture="signed_diagonal", depth=depth, alpha=alpha, init=init)


def forecast(drawn: Problem, name: str = "weighted_l1") -> Forecast:
    assert PREDICTIONS[name].applies(drawn)
    found = PREDICTIONS[name].forecast(drawn)
    assert found is not None
    return found


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("data", [LINE, PLANE], ids=lambda data: data.name)
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_choice_of_the_flow(depth: int, data: Dataset, structured: bool) -> None:
    found = forecast(u_minus_v(data, depth, 1e-3, structured))
    t = choice(depth)
    assert t == pytest.approx(PUBLISHED[depth], abs=1.1e-8)  # integrated at a finite alpha
    np.testing.assert_allclose(found.beta, np.append(on_line(t), 0)[: data.x.shape[1]], atol=1e-13)
    assert found.detail["face_dimension"] == 1
    assert found.certificate is not None
    assert found.certificate < 1e-13


@pytest.mark.parametrize(
    ("depth", "published"), [(2, (0.2905, 8.625e-2, 8.975e-3, 8.999e-4)), (3, (0.2900, 4.146e-2, 7.287e-4, 8.290e-6))]
)
def test_distances_from_it_are_those_of_flows_at_each_scale(depth: int, published: tuple[float, ...]) -> None:
    """Of the exact prediction at alpha^p = 1, 1e-2, 1e-4, 1e-6, in the plane."""
    for power, expected in zip((1, 1e-2, 1e-4, 1e-6), published, strict=True):
        drawn = u_minus_v(PLANE, depth, power ** (1 / depth))
        gap = np.linalg.norm(np.asarray(forecast(drawn, "minimum_bregman").beta) - forecast(drawn).beta)
        assert gap == pytest.approx(expected, rel=1e-3)


def tied(seed: int, depth: int) -> SumProblem:
    """A vertex of least sum and two more columns in its facet, so that the minimisers are a face of dimension two."""
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((3, 3))
    mixed = columns @ rng.dirichlet(np.ones(3), 2).T
    rows, r = np.linalg.qr(np.hstack([columns, mixed, 0.3 * columns[:, :1]]).T)
    target = np.linalg.solve(r.T, columns @ rng.uniform(0.5, 2, 3))
    size = len(rows)
    eta = rng.uniform(0.5, 1.5, size)
    return SumProblem(rows.T, target, np.ones(size), np.zeros(size), depth, eta, np.ones(size))


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_the_choice_on_a_face_is_least_of_all_of_it(depth: int, seed: int) -> None:
    """Against scipy's constrained minimiser of the criterion plus the requirement of least sum."""
    drawn = tied(seed, depth)
    found = least_weighted_sum(drawn)
    assert found is not None
    assert freedom(drawn, found, np.eye(6)) == 2
    assert freedom(drawn, found, np.zeros((1, 6))) == 0
    assert certificate(drawn, found) < 1e-12
    size = np.abs(found.rho)
    least = linprog(np.ones(12), A_eq=np.hstack([drawn.rows, -drawn.rows]), b_eq=drawn.target).fun
    assert size.sum() == pytest.approx(least, rel=1e-9)

    def criterion(x: np.ndarray) -> float:
        x = np.maximum(x, 1e-300)
        return float((x * np.log(x / drawn.eta[:5] ** 2)).sum() if depth == 2 else -(x ** (2 / depth)).sum())

    # on the face every coordinate keeps the sign it has, and the sixth is zero
    block = drawn.rows[:, :5] * np.sign(found.rho[:5])
    assert found.rho[5] == 0
    other = minimize(
        criterion,
        np.full(5, 0.2 * size.sum()),
        bounds=[(1e-9, None)] * 5,
        constraints={"type": "eq", "fun": lambda x: block @ x - drawn.target},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    assert criterion(size[:5]) <= other.fun + 1e-9 * abs(other.fun)
    np.testing.assert_allclose(size[:5], other.x, atol=1e-4)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_choice_is_where_exact_predictions_go(depth: int) -> None:
    """Equal features with different scales eta: l1 is indifferent for L = 2, and the flow is not."""
    data = Dataset("equal", np.array([[1.0, 1.0, 0.5], [2.0, 2.0, -0.3]]), np.array([1.0, 1.5]))
    init = {"layers": [[1.0, 0.6, 0.8]] * (depth - 1) + [[0.0] * 3]}
    axes: dict[str, Any] = {"task": "regression", "architecture": "diagonal", "depth": depth, "init": init}
    gaps = []
    for alpha in (1e-2, 1e-3, 1e-4):
        drawn = problem(data, alpha=alpha, **axes)
        made = forecast(drawn)
        gaps.append(np.linalg.norm(np.asarray(made.beta) - forecast(drawn, "minimum_bregman").beta))
        assert made.detail["face_dimension"] == float(depth == 2)
        again = problem(data, alpha=alpha, **{**axes, "init": "structured"})
        assert forecast(again).detail["face_dimension"] == 1  # of twins that share, though one is merged with the other
    assert gaps[0] >= gaps[1] >= gaps[2] or max(gaps) < 1e-14
    assert gaps[2] < 1e-5


def test_signs_of_a_start_are_kept() -> None:
    """Equal positive layers: the least sum among nonnegative coefficients, by another program."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((5, 9))
    y = x[:, 1:] @ rng.uniform(0, 1, 8)
    x[:, 0] = -3 * y
    data = Dataset("positive", x, y)
    init = {"layers": [[1.0] * 9] * 3}
    drawn = problem(data, task="regression", architecture="diagonal", depth=3, alpha=1e-4, init=init)
    made = forecast(drawn)
    expected = linprog(np.ones(9), A_eq=x, b_eq=data.y)
    np.testing.assert_allclose(made.beta, expected.x, atol=1e-9)
    assert made.objective == pytest.approx(expected.fun)
    exact = forecast(drawn, "minimum_bregman").beta
    np.testing.assert_allclose(exact, made.beta, atol=1e-3)
    free = linprog(np.ones(18), A_eq=np.hstack([x, -x]), b_eq=data.y).fun
    assert free < 0.99 * expected.fun


def test_columns_are_twins_on_their_own_scale() -> None:
    """(0, 1) and (0, 2) beside (1e15, 0): rounded by the largest entry of all they would be one, and share."""
    data = Dataset("scales", np.array([[1e15, 0.0, 0.0], [0.0, 1.0, 2.0]]), np.array([1e15, 2.0]))
    for depth in (2, 3):
        drawn = problem(data, task="regression", architecture="diagonal", depth=depth, alpha=1e-6)
        made = forecast(drawn)
        np.testing.assert_allclose(made.beta, [1, 0, 1], atol=1e-12)
        assert made.certificate is not None
        assert made.certificate < 1e-12
        np.testing.assert_allclose(forecast(drawn, "minimum_q_norm").beta, [1, 0, 1], atol=1e-4)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_split_between_mirror_images_is_no_tie(depth: int) -> None:
    """u and v of u^L - v^L from different scales: rho is not unique for L = 2, beta is, of a sparse teacher, too."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 8))
    data = Dataset("sparse", x, x @ np.array([1.0, 0, 0.5, 0, 0, 0, 0, 0]))
    init = {"structured": {"eta": "uniform"}}
    drawn = problem(data, task="regression", architecture="signed_diagonal", depth=depth, alpha=1e-4, init=init, seed=2)
    made = forecast(drawn)
    assert made.detail["face_dimension"] == 0
    assert made.certificate is not None
    assert made.certificate < 1e-12
    np.testing.assert_allclose(made.beta, [1, 0, 0.5, 0, 0, 0, 0, 0], atol=1e-10)


def test_scales_of_a_start_are_equal_on_their_own_scale() -> None:
    """Equal columns from 1, 1e-13 and 2e-13: rounded by the largest the last two would be one, and share."""
    data = Dataset("equal", np.array([[1.0, 1.0, 1.0]]), np.array([1.0]))
    init = {"layers": [[1.0, 1e-13, 2e-13], [0.0] * 3]}
    drawn = problem(data, task="regression", architecture="diagonal", depth=2, alpha=0.25, init=init)
    beta = np.asarray(forecast(drawn, "minimum_q_norm").beta)
    assert beta[2] / beta[1] == pytest.approx(4)
    made = forecast(drawn).beta  # the choice is 1e-26 there: found, or not certified
    assert made is None or np.abs(made - [1, 0, 0]).max() < 1e-8


@pytest.mark.parametrize("alpha", [0.25, 0.3])
def test_rounding_of_transformed_starts_parts_no_twins(alpha: float) -> None:
    """Walsh and odeco turn eta = 1 into 1 +- 1e-16, on both sides of a power of two."""
    rng = np.random.default_rng(1)
    for name in ("walsh", "odeco"):
        drawn = problem(
            Dataset("x", rng.standard_normal((2, 4)), np.ones(2)), task="regression", architecture=name, alpha=alpha
        )
        assert drawn.decomposition is not None
        twin = np.array([[1.0, -1.0, 0.25, 0.5], [2.0, -2.0, 0.0, 0.1]])
        data = Dataset("twins", twin @ np.linalg.inv(drawn.decomposition.s.T), np.array([1.0, 2.1]))
        made = forecast(problem(data, task="regression", architecture=name, depth=2, alpha=alpha))
        rho = np.linalg.solve(drawn.decomposition.s.T, np.asarray(made.beta))
        assert rho[0] == pytest.approx(-rho[1], rel=1e-9)


def test_a_wrong_vertex_is_not_certified() -> None:
    drawn = tied(0, 2)
    found = least_weighted_sum(drawn)
    assert found is not None
    moved = type(found)(found.rho + 0.01, found.multipliers, found.choice)
    assert certificate(drawn, moved) > 1e-3
    # feasible, but on the other vertex: the gap tells
    other = np.zeros(6)
    columns = drawn.rows[:, [3, 4, 5]]
    other[[3, 4, 5]] = np.linalg.solve(columns, drawn.target)
    assert certificate(drawn, type(found)(other, found.multipliers)) > 1e-3
    vertex = type(found)(found.rho, found.multipliers, np.inf)
    assert certificate(drawn, vertex) == np.inf


def test_singular_columns_of_a_support_leave_the_power_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A face that is one point, of two columns that are equal in doubles."""
    rows, one = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]), np.ones(3)
    singular = SumProblem(rows, np.ones(2), one, 0 * one, 2, one, one)
    face = sums.Face(np.arange(2), np.ones(2), np.ones(2), np.zeros((2, 0)))
    monkeypatch.setattr(sums, "minimisers", lambda *_: face)
    assert np.isnan(decay(singular, LeastSum(np.array([1.0, 1.0, 0.0]), np.ones(2)), several=False))
