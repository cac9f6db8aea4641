"""The saddles of regression from small weights: against hand calculation, linear programs, quadrature, and flows."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import linprog

from kernels.data.kinds import Dataset
from kernels.problem import Problem
from kernels.results import PredictionRecord, Trajectory
from kernels.theory.base import CERTIFIED, Endpoint
from kernels.theory.domains import domain, unit_end
from kernels.theory.optimisers.homotopy import visited
from kernels.theory.table import PREDICTIONS
from tests.theory.problems import endpoint_at, problem, regression_data
from tests.theory.test_sums import LINE

EXAMPLE = Dataset("saddles", np.array([[1, 0.5, 0.7, 0], [0.5, 1, 0.1, 0.7]]), np.array([1.0, 0.0]))
SADDLES = np.array([[0.8, 0, 0, 0], [0, 0, 1.4, 0], [0, 0, 10 / 7, -10 / 49]])
CLOCK = np.array([1, 4, 4 + 80 / 49])
"""From eta = 1 in units of T_L, which is 1 for L = 2."""
SEQUENCE, LEAST = PREDICTIONS["saddle_sequence"], PREDICTIONS["weighted_l1"]


def example(depth: int, alpha: float = 1e-4) -> Problem:
    return problem(EXAMPLE, task="regression", architecture="diagonal", depth=depth, alpha=alpha)


def compared(drawn: Problem, trajectory: Trajectory | None) -> PredictionRecord:
    found = SEQUENCE.forecast(drawn)
    assert found is not None
    assert found.beta is not None
    at = endpoint_at(found.beta)
    end = Endpoint(at.layers, at.beta, at.jacobian, 0.0, 0.0, 0.0, trajectory)
    return SEQUENCE.compare(drawn, found, end)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_the_example_by_hand(depth: int) -> None:
    """u = A^T y = (1, .5, .7, 0), so the first coordinate waits 1 and goes to .8. Then u = (0, -.3, .1, -.28): the
    third, at s = .7 + .1 (clock - 1), takes its place at 4, where the fourth is at -.84, with u = -.098 from then on.
    """
    record = compared(example(depth), None)
    np.testing.assert_allclose([each.predicted for each in record.saddles[1:]], SADDLES, atol=1e-14)
    assert [each.number for each in record.saddles] == [0, 1, 2, 3]
    assert not record.saddles[0].predicted.any()
    assert record.saddles[0].log_time_predicted is None
    unit = math.log(1e4) if depth == 2 else unit_end(depth) * 1e-4 ** (2 - depth)
    times = [math.exp(each.log_time_predicted or 0) for each in record.saddles[1:]]
    np.testing.assert_allclose(times, CLOCK * unit, rtol=1e-12)
    assert all(each.point is each.log_time is each.distance is None for each in record.saddles)
    assert record.detail == {"saddles": 3.0}
    assert record.certificate is not None
    assert record.certificate < 1e-14
    assert record.distance == 0


def test_no_time_is_predicted_of_two_layers_from_large_weights() -> None:
    times = [each.log_time_predicted for each in compared(example(2, alpha=1.0), None).saddles]
    assert times == [None] * 4


@pytest.mark.parametrize("depth", [2, 3])
def test_an_orbit_is_compared_where_it_is_nearest(depth: int) -> None:
    """Straight from saddle to saddle, 1 % off, at 1.2 times the predicted time; then the same backwards."""
    bare = compared(example(depth), None)
    stops = np.array([each.predicted for each in bare.saddles]) * 1.01
    due = np.array([each.log_time_predicted for each in bare.saddles[1:]])
    beta = np.repeat(stops, 2, axis=0)
    late = np.log(1.2)
    times = np.concatenate([[-np.inf], np.ravel([due + late - 1e-9, due + late + 1e-9], order="F"), [due[-1] + 1]])
    record = compared(example(depth), Trajectory({"log_time": times}, beta))
    assert record.detail["saddle_distance"] == pytest.approx(0.01)
    assert record.detail["time_error"] == pytest.approx(0.2)
    assert record.detail["in_order"] == 1
    for visit, stop, when in zip(record.saddles[1:], stops[1:], due + late, strict=True):
        assert visit.log_time == pytest.approx(when)
        assert visit.point is not None
        np.testing.assert_allclose(beta[visit.point - 1], stop)
        np.testing.assert_allclose(visit.beta, stop)
    back = compared(example(depth), Trajectory({"log_time": times}, beta[::-1]))
    assert back.detail["in_order"] == 0
    assert "time_error" not in back.detail
    assert [visit.log_time for visit in back.saddles] == [None] * 4


def test_ends_of_the_domain_by_quadrature() -> None:
    """integral of dx / prod_k sqrt(x^2 + d_k) on both sides of a Gaussian start, and T_L."""
    rng = np.random.default_rng(0)
    for depth in (3, 4, 6):
        layers = rng.standard_normal((depth, 3))
        layers[:, 2] = [1.0, *[2.0] * (depth - 2), -1.0]  # two equal least ones: rho stays negative
        axes: dict[str, Any] = {"architecture": "diagonal", "depth": depth, "init": {"layers": layers.tolist()}}
        found = domain(problem(regression_data(1, 3), task="regression", alpha=1e-3, **axes))
        assert found is not None
        assert found.upper[2] == np.inf
        for j in range(3):
            w = layers[:, j]
            least = np.abs(w).argmin()
            gaps = np.delete(w**2 - w[least] ** 2, least)
            start = np.sign(w).prod() * abs(w[least])
            ends = (1, -1) if j < 2 else (-1,)
            for side in ends:
                value = quad(
                    lambda x, gaps=gaps: 1 / np.sqrt(x * x + gaps).prod(), start, side * np.inf, epsabs=0, epsrel=1e-11
                )[0]
                assert (found.upper if side > 0 else found.lower)[j] == pytest.approx(abs(value), rel=1e-8)
        ones = domain(problem(regression_data(1, 3), task="regression", architecture="diagonal", depth=depth))
        assert ones is not None
        np.testing.assert_allclose([ones.upper, ones.lower], unit_end(depth), rtol=1e-14)
    assert (unit_end(2), unit_end(3), unit_end(4)) == pytest.approx((1, np.pi / 2, 1))


STARTS: list[dict[str, Any]] = [
    {"architecture": "diagonal", "init": "gaussian"},
    {"architecture": "signed_diagonal", "init": "gaussian"},
    {"architecture": "odeco", "width": 9, "init": "ordered"},
    {"architecture": "walsh", "init": {"structured": {"eta": "uniform"}}},
]


@pytest.mark.parametrize("axes", STARTS, ids=str)
@pytest.mark.parametrize("depth", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)])
def test_saddles_end_at_the_least_weighted_sum(depth: int, axes: dict[str, Any]) -> None:
    """Against a linear program with both sides' weights, and the limit of exact predictions."""
    for seed in range(3):
        data = regression_data(3, 8, seed)
        drawn = problem(data, task="regression", depth=depth, alpha=1e-3, seed=seed, **axes)
        interval, decomposition = domain(drawn), drawn.decomposition
        assert interval is not None
        assert decomposition is not None
        a = data.x @ decomposition.s.T
        costs = np.concatenate([interval.upper, interval.lower])
        answer = linprog(costs, A_eq=np.hstack([a, -a]), b_eq=data.y)
        rho = np.subtract(*np.split(answer.x, 2))
        made, least = SEQUENCE.forecast(drawn), LEAST.forecast(drawn)
        for found in (made, least):
            assert found is not None
            assert found.certificate is not None
            assert found.certificate < 1e-11
            np.testing.assert_allclose(found.beta, decomposition.s.T @ rho, atol=1e-9)
        assert least is not None
        if drawn.scale is None:
            assert least.objective == pytest.approx(answer.fun / unit_end(depth))
        exact = PREDICTIONS["minimum_bregman"].forecast(drawn)
        assert exact is not None
        gap = np.linalg.norm(np.asarray(exact.beta) - np.asarray(least.beta))
        assert gap < 1e-4 or depth == 2  # whose rate is as slow as the program is nearly degenerate


def test_sides_of_a_start_matter() -> None:
    """A Gaussian start of three layers, where the symmetric weights of its scales would choose another solution."""
    data = regression_data(2, 6, 3)
    layers = np.array([[1.0] * 6, [1.0] * 6, [0.9, -0.9, 0.9, -0.9, 0.9, -0.9]])
    axes: dict[str, Any] = {"task": "regression", "architecture": "diagonal", "depth": 3}
    drawn = problem(data, alpha=1e-4, init={"layers": layers.tolist()}, **axes)
    plain = LEAST.forecast(problem(data, alpha=1e-4, **axes))
    sided, exact = LEAST.forecast(drawn), PREDICTIONS["minimum_bregman"].forecast(drawn)
    assert sided is not None
    assert exact is not None
    assert plain is not None
    np.testing.assert_allclose(exact.beta, sided.beta, atol=1e-6)
    assert np.linalg.norm(np.asarray(plain.beta) - np.asarray(sided.beta)) > 0.1


def test_ties_are_decided_from_other_starts_too() -> None:
    """Equal columns from two layers that are not one number: the choice is by |w_1| +- |w_2|, as exact limits go."""
    data = Dataset("equal", np.array([[1.0, 1.0, 0.5], [2.0, 2.0, -0.3]]), np.array([1.0, 1.5]))
    axes: dict[str, Any] = {"task": "regression", "architecture": "diagonal", "depth": 2}
    init = {"layers": [[1.0, 0.6, 0.8], [0.3, -0.2, 0.1]]}
    gaps = []
    for alpha in (1e-2, 1e-4):
        drawn = problem(data, alpha=alpha, init=init, **axes)
        made, exact = LEAST.forecast(drawn), PREDICTIONS["minimum_bregman"].forecast(drawn)
        assert made is not None
        assert exact is not None
        gaps.append(np.linalg.norm(np.asarray(made.beta) - np.asarray(exact.beta)))
    assert gaps[1] < min(gaps[0] / 50, 1e-5)
    assert made.detail["face_dimension"] == 1
    last = SEQUENCE.forecast(drawn)
    assert last is not None
    np.testing.assert_allclose(last.beta, made.beta, rtol=1e-9)  # equal columns jump as one, by these shares


def test_two_coordinates_at_once_are_not_certified() -> None:
    """No twins: equal forces, other columns. And the degenerate line, which ends in two at once."""
    square = Dataset("square", np.eye(2), np.ones(2))
    axes: dict[str, Any] = {"task": "regression", "depth": 3, "alpha": 0.01}
    for data in (square, LINE):
        made = SEQUENCE.forecast(problem(data, architecture="diagonal", **axes))
        assert made is not None
        assert made.certificate == np.inf
        assert made.beta is None
    twins = Dataset("twins", np.array([[1.0, -1.0, 0.3]]), np.array([1.0]))
    made = SEQUENCE.forecast(problem(twins, architecture="diagonal", **axes))
    assert made is not None
    np.testing.assert_allclose(made.beta, [0.5, -0.5, 0])


def exact_clock(a: np.ndarray, y: np.ndarray) -> list[float]:
    """Clocks of all jumps for ends of one, in fractions, as long as fits keep the signs of all coordinates."""
    columns = [[Fraction(value) for value in column] for column in a.T.tolist()]
    left = [Fraction(value) for value in y.tolist()]
    s, held, clock, times = [Fraction(0)] * len(columns), list[int](), Fraction(0), []
    while any(left) and len(held) < len(left):
        force = [dot(column, left) for column in columns]
        waits = {j: ((1 if force[j] > 0 else -1) - s[j]) / force[j] for j in range(len(s)) if j not in held}
        jumping = min(waits, key=waits.__getitem__)
        s = [value + waits[jumping] * pull for value, pull in zip(s, force, strict=True)]
        clock, held = clock + waits[jumping], [*held, jumping]
        times.append(float(clock))
        # the residual is y without its parts along the held columns, made orthogonal one after the other
        left, basis = [Fraction(value) for value in y.tolist()], []
        for j in held:
            own = columns[j]
            for other in basis:
                share = dot(own, other) / dot(other, other)
                own = [one - share * two for one, two in zip(own, other, strict=True)]
            basis.append(own)
            share = dot(left, own) / dot(own, own)
            left = [one - share * two for one, two in zip(left, own, strict=True)]
    return times


def dot(one: list[Fraction], other: list[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(one, other, strict=True)), Fraction(0))


@pytest.mark.parametrize("digits", [3, 6, 9])
def test_targets_that_are_rounded_have_late_jumps(digits: int) -> None:
    """What rounding leaves of a sparse target takes 10^digits to fit, and most digits of y - A k are lost."""
    rng = np.random.default_rng(1)
    a = np.linalg.qr(rng.standard_normal((5, 5)))[0] + 0.1 * rng.standard_normal((5, 5))
    y = np.round(a @ [2.0, -1.0, 0.0, 0.0, 0.0], digits)
    expected = exact_clock(a, y)
    (found,) = visited(a, y, np.ones((1, 5)), np.ones((1, 5)))
    assert found.clock[-1] > 10.0 ** (digits - 1)
    assert found.residual < CERTIFIED
    np.testing.assert_allclose(found.clock, expected, rtol=1e-9)


def test_saddles_are_bounded_in_number() -> None:
    rng, ones = np.random.default_rng(0), np.ones((1, 12))
    longer = 0
    for _ in range(20):
        a, y = rng.standard_normal((6, 12)), rng.standard_normal(6)
        (whole,) = visited(a, y, ones, ones)
        assert whole.residual < 1e-9
        (part,) = visited(a, y, ones, ones, most=len(whole.rho) - 1)
        assert part.residual == np.inf
        kept = len(whole.rho) - 1 if len(whole.rho) > 6 else 0
        np.testing.assert_array_equal(part.rho, whole.rho[:kept])
        longer += kept > 0
    assert longer > 3


def orbit_of(depth: int, alpha: float) -> PredictionRecord:
    from kernels.simulate import simulate

    (result,) = simulate([(example(depth, alpha).spec, EXAMPLE)])
    assert result.status == "converged"
    return next(record for record in result.predictions if record.prediction == "saddle_sequence")


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "near", "in_time"), [(3, 1e-8, 1e-3), (4, 1e-9, 1e-6), (5, 1e-9, 1e-6)])
def test_flows_visit_the_saddles_in_time(depth: int, near: float, in_time: float) -> None:
    """Integrated at alpha = 1e-4; the error of a time is about alpha^{L-2}, that of a saddle smaller still."""
    record = orbit_of(depth, 1e-4)
    assert record.detail["in_order"] == 1
    assert record.detail["saddle_distance"] < near
    assert record.detail["time_error"] < in_time


@pytest.mark.slow
def test_flows_of_two_layers_take_tiny_scales() -> None:
    """Times are of log(1/alpha), and saddles near like a small power of alpha: both are met ever better, slowly."""
    seen = [orbit_of(2, alpha) for alpha in (1e-4, 1e-16, 1e-64)]
    distances = [record.detail["saddle_distance"] for record in seen]
    assert distances[0] > 0.3 > distances[1] > distances[2]
    assert distances[2] < 1e-4
    assert [record.detail["in_order"] for record in seen] == [1, 1, 1]
    assert "time_error" not in seen[0].detail  # it ends on this side of the last jump
    assert seen[2].detail["time_error"] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_flows_from_large_weights_do_not(depth: int) -> None:
    """alpha = 1: all coordinates grow at once. Neither the saddles nor their times."""
    record = orbit_of(depth, 1.0)
    assert record.certificate is not None
    assert record.certificate < CERTIFIED
    assert record.detail["saddle_distance"] > 0.5
    assert "time_error" not in record.detail
