"""Curve coordinates of decomposable networks: the flow of their layers, with one number a coordinate."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.flows.base import Flow
from kernels.flows.curves import Curves, curve_of, layers_of
from kernels.flows.exponential import ExponentialFlow
from kernels.flows.parametrisation import Layers, RunData
from kernels.flows.regression import RegressionFlow
from kernels.flows.table import flow_class
from kernels.integrator.ensemble import End, run_ensemble
from kernels.integrator.lane import CONVERGED
from kernels.integrator.passage import passage_of
from kernels.losses import default_loss
from kernels.networks.base import Diagonal
from kernels.problem import Problem, problem_of
from kernels.results import RunResult
from kernels.simulate import simulate
from kernels.x64 import jax
from tests.kernels.conftest import classification_data, regression_data, spec_of
from tests.marks import sampled

SLOW = pytest.mark.slow
SAMPLES, SIZE = 3, 10


def starts(depth: int) -> np.ndarray:
    """Random signs and sizes; a zero, two zeros, equal layers, opposite ones, and almost equal ones."""
    w = np.random.default_rng(depth).standard_normal((depth, SIZE))
    w[-1, 0] = 0.0
    w[:2, 1] = 0.0
    w[:, 2] = 0.7
    if depth > 1:
        w[:2, 3] = 0.3, -0.3
        w[1, 4] = w[0, 4] * (1 + 1e-9)
    w[0, 5] = 1e-8
    return w


def data_of(w: np.ndarray, slots: int | None = None, task: str = "regression") -> tuple[Any, RunData]:
    """(q(0), drawn data and the curves through w)."""
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((SAMPLES, w.shape[1])), rng.standard_normal(SAMPLES)
    q, curve = curve_of(w, slots)
    y = np.sign(y) if task == "classification" else y
    return jnp.asarray(q), jax.tree.map(jnp.asarray, RunData(x, y, curve))


def later(w: np.ndarray) -> np.ndarray:
    """Another point of each curve, past zero where it goes there."""
    q, curve = curve_of(w)
    moved = q + np.random.default_rng(3).standard_normal(q.size)
    moved = np.where(np.asarray(curve.side) != 0, np.asarray(curve.side) * np.abs(moved), moved)
    rests = np.sum(w == 0, axis=0) > 1
    return np.where(rests, 0.0, moved)


def mapped(w: np.ndarray, q: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """dw_l = dq q / w_l; where q = 0 the least layer alone moves, as q times the signs of the others."""
    layers = layers_of(w, q)
    least = np.arange(len(w))[:, None] == np.abs(w).argmin(axis=0)
    signs = np.where(w < 0, -1.0, 1.0)
    others = signs.prod(axis=0) * signs
    alone = np.where(least, others, 0.0)
    return velocity * np.where(layers != 0, q / np.where(layers != 0, layers, 1), alone)


@pytest.mark.parametrize("depth", sampled([3, 1, 2, 5], 4))
@pytest.mark.parametrize("moved", [pytest.param(False, marks=SLOW), True])
def test_velocity_is_the_gradient_in_the_layers(depth: int, moved: bool) -> None:
    """Against automatic differentiation of the loss of w_1 * ... * w_L."""
    w = starts(depth)
    q, data = data_of(w)
    q = jnp.asarray(later(w)) if moved else q
    layers = layers_of(w, np.asarray(q))
    velocity = RegressionFlow(Curves(SIZE, depth - 1)).velocity(q, jnp.zeros(()), data)

    def loss(layers: Any) -> Any:
        return jnp.sum((data.x @ jnp.prod(layers, axis=0) - data.y) ** 2) / 2

    np.testing.assert_allclose(mapped(w, np.asarray(q), np.asarray(velocity)), -jax.grad(loss)(layers), atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_curves_observe_what_layers_do(depth: int, moved: bool, task: str) -> None:
    """Coefficients, Gram matrix, speed, norms, cosines, losses and margins; K is sum_l prod_{k != l} w_k^2."""
    w = starts(depth)
    q, data = data_of(w, task=task)
    q = jnp.asarray(later(w)) if moved else q
    w_now = layers_of(w, np.asarray(q))
    theta, plain = jnp.asarray(w_now.ravel()), data._replace(constants=())
    curves, layers = Curves(SIZE, depth - 1), Layers(Diagonal(SIZE, depth))
    ours, theirs = flow_class(default_loss(task))(curves), flow_class(default_loss(task))(layers)
    one, x = jnp.zeros(()), np.asarray(data.x)
    np.testing.assert_allclose(curves.coefficients(q, data), w_now.prod(axis=0), rtol=1e-13, atol=1e-300)
    rates = sum(np.delete(w_now, layer, axis=0).prod(axis=0) ** 2 for layer in range(depth))
    np.testing.assert_allclose(curves.rates(q, data), rates, rtol=1e-13)
    np.testing.assert_allclose(curves.gram(q, data), (x * rates) @ x.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(curves.gram(q, data), layers.gram(theta, plain), rtol=1e-12, atol=1e-12)
    slow, fast = (flow.velocity(z, one, d) for flow, z, d in ((ours, q, data), (theirs, theta, plain)))
    np.testing.assert_allclose(
        curves.squared_speed(q, slow, data), layers.squared_speed(theta, fast, plain), rtol=1e-12
    )
    np.testing.assert_allclose(curves.squares(q, data), layers.squares(theta, plain), rtol=1e-13)
    sizes = jnp.sqrt(layers.squares(theta, plain))
    np.testing.assert_allclose(
        curves.cosines(q, slow, sizes, data), layers.cosines(theta, fast, sizes, plain), rtol=1e-12
    )
    for name in ("log_loss", "min_margin", "log_rate"):
        np.testing.assert_allclose(getattr(ours, name)(q, one, data), getattr(theirs, name)(theta, one, plain))
    np.testing.assert_allclose(ours.residual(q, data), theirs.residual(theta, plain))


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_layers_come_back(depth: int) -> None:
    """From their curves and least layers, in any frame; the curves in a frame are those of the layers in it."""
    w = starts(depth)
    q, _ = curve_of(w)
    np.testing.assert_allclose(layers_of(w, q), w, rtol=1e-15)
    factor, log_norm = 0.25, np.log(4.0)
    np.testing.assert_allclose(layers_of(w, factor * q, log_norm), factor * w, rtol=1e-14)
    _, data = data_of(w)
    found = Curves(SIZE, depth - 1).in_frame(data, jnp.asarray(log_norm)).constants
    for ours, direct in zip(found, data_of(factor * w)[1].constants, strict=True):
        np.testing.assert_allclose(ours, direct, rtol=1e-13)


@SLOW
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_slots_that_are_off_change_nothing(task: str) -> None:
    """Three layers in a program of six; layers that are not there have no norm and are aligned."""
    w = starts(3)
    (q, own), (_, roomy) = data_of(w, task=task), data_of(w, 5, task)
    norm = jnp.asarray(0.3)
    small, large = Curves(SIZE, 2), Curves(SIZE, 5)
    v = jnp.asarray(np.random.default_rng(0).standard_normal(SIZE))
    own, roomy = small.in_frame(own, norm), large.in_frame(roomy, norm)
    for name in ("coefficients", "rates", "gram", "floor"):
        np.testing.assert_array_equal(getattr(small, name)(q, own), getattr(large, name)(q, roomy))
    np.testing.assert_array_equal(small.squared_speed(q, v, own), large.squared_speed(q, v, roomy))
    squares = np.asarray(large.squares(q, roomy))
    np.testing.assert_array_equal(squares, [*small.squares(q, own), 0, 0, 0])
    sizes = jnp.sqrt(squares)
    np.testing.assert_array_equal(
        large.cosines(q, v, sizes, roomy), [*small.cosines(q, v, sizes[:3], own), 1.0, 1.0, 1.0]
    )
    one, other = flow_class(default_loss(task))(small), flow_class(default_loss(task))(large)
    for name in ("velocity", "log_loss", "log_rate", "min_margin"):
        np.testing.assert_array_equal(getattr(one, name)(q, norm, own), getattr(other, name)(q, norm, roomy))
    for before, after in zip(one.start(q, own), other.start(q, roomy), strict=True):
        np.testing.assert_array_equal(before, after)


def padded(data: RunData, w: np.ndarray, samples: int, size: int) -> tuple[Any, RunData]:
    """(q(0), data) with samples and coordinates of zeros; a sample that is none has weight zero."""
    n, m = data.x.shape
    wide = np.zeros((len(w), m + size))
    wide[:, :m] = w
    q, curve = curve_of(wide)
    curve = curve._replace(coordinates=np.float64(m))
    x = np.zeros((n + samples, m + size))
    x[:n, :m] = data.x
    y, weights = (np.concatenate([values, np.zeros(samples)]) for values in (data.y, np.ones(n)))
    whitener: Any = data.whitener
    if np.ndim(whitener):
        whitener = np.pad(whitener, (0, samples))
    filled = data._replace(x=x, y=y, weights=weights, constants=curve, whitener=whitener)
    return jnp.asarray(q), jax.tree.map(jnp.asarray, filled)


def change_of(flow: Flow, q: Any, norm: Any, data: RunData, length: float) -> np.ndarray:
    """What one damped substep changes, over its length."""
    stiff = flow.stiffness(q, norm, data)
    g, push = flow.force(q, *stiff.args)
    damping = stiff.damping(jnp.array([length]))
    entry = jax.tree.map(lambda values: values[0], damping.columns)
    return np.asarray(damping.change(entry, push(damping.forces(entry, g))))


@SLOW
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("size", [0, 6])
def test_zeros_that_fill_up_change_nothing(task: str, size: int) -> None:
    w = starts(3)
    q, data = data_of(w, task=task)
    wide, filled = padded(data, w, 2, size)
    norm = jnp.asarray(0.3)
    one, other = flow_class(default_loss(task))(Curves(SIZE, 2)), flow_class(default_loss(task))(Curves(SIZE + size, 2))
    rest = np.zeros(size)
    for name in ("log_loss", "log_rate", "min_margin"):
        np.testing.assert_allclose(
            getattr(other, name)(wide, norm, filled), getattr(one, name)(q, norm, data), rtol=1e-14
        )
    np.testing.assert_allclose(other.residual(wide, filled), one.residual(q, data), rtol=1e-14)
    velocity = one.velocity(q, norm, data)
    np.testing.assert_allclose(other.velocity(wide, norm, filled), [*velocity, *rest], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        change_of(other, wide, norm, filled, 3.0), [*change_of(one, q, norm, data, 3.0), *rest], rtol=1e-12, atol=1e-14
    )
    for before, after in zip(one.start(q, data), other.start(wide, filled), strict=True):
        after = after[:SIZE] if np.ndim(before) else after
        np.testing.assert_allclose(after, before, rtol=1e-14)


def in_a_larger_program(problem: Problem, slots: int = 0, samples: int = 0, size: int = 0) -> End:
    """The end of a run in a program with more room than it needs."""
    passage = passage_of(problem)
    program, run = passage.program, passage.start
    assert problem.coordinates is not None
    w = problem.coordinates
    if samples or size:
        _, data = padded(run.data, w, samples, size)
    else:
        data = run.data
    wide = np.pad(w, ((0, 0), (0, size)))
    theta, curve = curve_of(wide, len(w) - 1 + slots)
    curve = curve._replace(coordinates=np.float64(w.shape[1]))
    frozen = np.pad(np.asarray(run.data.frozen_squares), (0, slots))
    n, m = data.x.shape
    larger = replace(program, dim=m, samples=n, depth=program.depth + slots)
    data = jax.tree.map(np.asarray, data._replace(constants=curve, frozen_squares=frozen))
    (end,) = run_ensemble(larger, [run._replace(theta=theta, data=data)])
    return end


@SLOW
@pytest.mark.parametrize("room", [{"slots": 3}, {"samples": 2, "size": 3}], ids=["depth", "samples and coordinates"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_run_ends_in_a_larger_program_where_it_does_in_its_own(task: str, room: dict[str, int]) -> None:
    """With other slots, to rounding; with other samples, that turn otherwise and round otherwise, to the tolerance.

    A classification stops within a share of its way: what lies along the orbit is not compared.
    """
    tolerance = 1e-8 if "slots" in room else 1e-7  # weights of ten columns amplify rounding by 1e5
    dataset = regression_data(3, 6) if task == "regression" else classification_data(3, 6)
    stop = {"residual": 1e-11} if task == "regression" else {"log_loss": -1e4}
    axes = {"architecture": "diagonal", "depth": 3, "init": "gaussian", "alpha": 0.1, "record": False}
    problem = problem_of(spec_of(dataset, task=task, stop=stop, **axes), dataset)
    passage = passage_of(problem)
    (own,) = run_ensemble(passage.program, [passage.start])
    end = in_a_larger_program(problem, **room)
    assert end.status == own.status == CONVERGED
    assert abs(end.steps - own.steps) <= 1
    difference = end.theta[: own.theta.size] - own.theta
    if task == "classification":
        run = passage.start
        (later,) = run_ensemble(passage.program, [run._replace(control=run.control._replace(log_loss=-1.01e4))])
        along = later.theta - own.theta
        difference -= along * (along @ difference) / (along @ along)
    np.testing.assert_array_less(np.abs(difference), tolerance * (1 + np.abs(own.theta)))


X, Y = [[1, 0.5, 0.7, 0], [0.5, 1, 0.1, 0.7]], [1, 0]
RIGHT = np.array([4.743e-22, -4.380e-24, 10 / 7, -10 / 49])
"""Where three layers from alpha = 1e-8 end, of 60-digit arithmetic; the first two entries to four digits."""


def saddles(depth: int, alphas: list[float], **axes: Any) -> list[RunResult]:
    """A coordinate grows, comes back to almost nothing, and what is left of it is decided by gaps of alpha^2."""
    dataset = Dataset("saddles", np.array(X), np.array(Y, dtype=float))
    more = {"task": "regression", "architecture": "diagonal", "depth": depth, "record": False, **axes}
    return simulate([(spec_of(dataset, alpha=alpha, **more), dataset) for alpha in alphas])


@pytest.mark.slow
def test_a_coordinate_that_grew_and_came_back_ends_where_it_must() -> None:
    (result,) = saddles(3, [1e-8], rtol=1e-9)
    assert result.status == "converged"
    np.testing.assert_allclose(result.beta[2:], RIGHT[2:], rtol=1e-8)
    np.testing.assert_allclose(result.beta[:2], RIGHT[:2], rtol=1.2e-4)  # half a unit of the fourth digit


def bregman(result: RunResult) -> Any:
    (found,) = (record for record in result.predictions if record.prediction == "minimum_bregman")
    return found


@SLOW
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_small_scales_end_at_the_minimum_of_the_potential(depth: int) -> None:
    """Alone among all solutions, entry by entry: also those of 1e-22 that came back."""
    for result in saddles(depth, [1e-4, 1e-6, 1e-8], rtol=1e-10):
        expected = bregman(result)
        assert result.status == "converged"
        assert expected.distance is not None
        assert expected.distance < 1e-8
        np.testing.assert_allclose(result.beta, expected.beta, rtol=1e-8)


def test_ends_do_not_depend_on_how_small_alpha_is() -> None:
    """At the default tolerance."""
    for result in saddles(3, [1e-6, 1e-7, 3e-8, 1e-8]):
        assert result.status == "converged"
        np.testing.assert_allclose(result.beta, [0, 0, 10 / 7, -10 / 49], rtol=1e-6, atol=1e-15)


@SLOW
@pytest.mark.parametrize(
    ("x", "y", "axes", "right", "digits"),
    [
        ([[1e10, 0, 0], [0, 1, 2]], [1e10, 1], {"depth": 3, "alpha": 0.3}, [1, 0.0266, 0.4867], 5e-5),
        pytest.param(
            [[1e8, 0, 0], [0, 1, 2]], [1e8, 1], {"depth": 3, "alpha": 0.3}, [1, 0.0266, 0.4867], 5e-5, marks=SLOW
        ),
        pytest.param([[1, 0], [1, 1e-8]], [1, 1.00000001], {"depth": 2, "alpha": 1.0}, [1, 1], 1e-6, marks=SLOW),
    ],
    ids=["1e10", "1e8", "almost parallel"],
)
def test_a_sample_of_small_scale_is_fitted_too(
    x: list[Any], y: list[Any], axes: dict[str, Any], right: list[float], digits: float
) -> None:
    """The stop rule is a distance to the solutions: no sample is lost beside a large one."""
    dataset = Dataset("mixed", np.array(x, dtype=float), np.array(y, dtype=float))
    spec = spec_of(dataset, task="regression", architecture="diagonal", record=False, **axes)
    (result,) = simulate([(spec, dataset)])
    assert result.status == "converged"
    np.testing.assert_allclose(result.beta, right, atol=digits)


@SLOW
@pytest.mark.parametrize("depth", [2, 4])
def test_tied_coordinates_keep_their_sign(depth: int) -> None:
    """Equal layers are driven towards zero and past it; they come close, and never there."""
    dataset = Dataset("tied", np.array([[1.0, 0.3], [1.0, -0.2]]), np.array([-2.0, 1.0]))
    layers = [[0.5, 0.2]] * (depth - 1) + [[0.5, 0.1]]
    stop = {"residual": 1e-10, "max_steps": 3_000}
    spec = spec_of(dataset, task="regression", architecture="diagonal", depth=depth, init={"layers": layers}, stop=stop)
    (result,) = simulate([(spec, dataset)])
    assert result.trajectory is not None
    assert (result.trajectory.beta[:, 0] >= 0).all()
    assert result.beta[0] < 1e-3
    wide = Dataset("tied", np.array([[1.0, 0.3]]), np.array([-2.0]))
    (result,) = simulate([(spec_of(wide, task="regression", architecture="diagonal", depth=depth,
                                   init={"layers": layers}), wide)])  # fmt: skip
    assert result.status == "converged"
    assert result.trajectory is not None
    assert (result.trajectory.beta[:, 0] > 0).all()
    assert result.beta[1] < -6
    assert bregman(result).distance < 1e-6


def test_rounding_across_zero_is_taken_back() -> None:
    w = np.array([[0.5, 0.5], [-0.5, 0.2]])
    _, data = data_of(w)
    curves = Curves(2, 1)
    for name in ("coefficients", "rates"):
        found = np.asarray(getattr(curves, name)(jnp.array([0.1, -0.1]), data))
        assert found[0] == 0
        assert found[1] != 0


def test_classification_starts_at_unit_norm() -> None:
    """Theta / ||Theta|| as of the layers, and gaps with it."""
    w = starts(3)
    q, data = data_of(w, task="classification")
    flow = ExponentialFlow(Curves(SIZE, 2))
    theta, log_norm, _ = flow.start(q, data)
    assert float(jnp.exp(log_norm)) == pytest.approx(np.linalg.norm(w), rel=1e-14)
    unit = flow.parametrisation.in_frame(data, log_norm)
    assert float(jnp.sum(flow.parametrisation.squares(theta, unit))) == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(layers_of(w, np.asarray(theta), float(log_norm)), w / np.linalg.norm(w), rtol=1e-14)


@SLOW
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
def test_classification_reaches_1e6(depth: int) -> None:
    axes = {"task": "classification", "architecture": "diagonal", "depth": depth, "init": "gaussian", "alpha": 0.1}
    datasets = [classification_data(4, 8, seed) for seed in range(16)]
    stop = {"log_loss": -1e6}
    results = simulate([(spec_of(each, record=False, stop=stop, **axes), each) for each in datasets])
    assert {result.status for result in results} == {"converged"}
    attempts = [result.steps + result.rejected for result in results]
    assert max(attempts) <= 10 * np.median(attempts)
