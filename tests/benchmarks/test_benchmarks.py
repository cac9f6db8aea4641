"""The rivals of the benchmarks integrate the flow that the project integrates; nothing here looks at speed."""

import numpy as np
import pytest

from benchmarks import classification as separable
from benchmarks import devices
from benchmarks import regression as fitted
from benchmarks.__main__ import BENCHMARKS
from benchmarks.cells import SHAPES, Cell
from benchmarks.common import RESULTS, rate_at, spread
from benchmarks.ladders import Ladder, climb, compare
from benchmarks.rivals import System
from benchmarks.rivals_classification import RIVALS as SEPARATING
from benchmarks.rivals_classification import Margins, Reference
from benchmarks.rivals_regression import RIVALS as FITTING
from benchmarks.rivals_regression import Fit, find_end

DEPTHS = pytest.mark.parametrize("depth", [2, 3, 4, 6])
GOAL = 30.0
STARTS = pytest.mark.parametrize("start", ["structured", "gaussian"])


def others(w: np.ndarray) -> np.ndarray:
    """prod_{k != l} w_k for each l, shape (L, m)."""
    return np.array([np.delete(w, layer, axis=0).prod(axis=0) for layer in range(len(w))])


def drawn(start: str, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, y and layers; a gaussian start has gaps and signs of every kind."""
    cell, rng = fitted.cell_of("4 x 10", depth, 0.3, 1), np.random.default_rng(depth)
    return cell.x, cell.y, cell.start(0) if start == "structured" else rng.standard_normal((depth, 10))


def check_jacobian(run: System) -> None:
    """The Jacobian of a velocity is that by central differences, away from the start."""
    z = run.start + 0.1 * np.random.default_rng(0).standard_normal(run.start.size)
    steps = 1e-6 * np.eye(len(z))
    differences = np.array([(run.velocity(0, z + d) - run.velocity(0, z - d)) / 2e-6 for d in steps]).T
    np.testing.assert_allclose(run.jacobian(0, z), differences, atol=1e-7 * np.abs(differences).max())


@DEPTHS
@STARTS
def test_regression_with_one_number_a_coordinate_is_the_same_flow(start: str, depth: int) -> None:
    a, y, w = drawn(start, depth)
    run = Fit(a, y, w)
    np.testing.assert_allclose(run.beta(run.start), w.prod(axis=0), atol=1e-13)
    change = (run.beta(run.start + 1e-6) - run.beta(run.start - 1e-6)) / 2e-6 * run.velocity(0, run.start)
    wanted = -(a.T @ (a @ w.prod(axis=0) - y)) * (others(w) ** 2).sum(axis=0)
    np.testing.assert_allclose(change, wanted, rtol=1e-6, atol=1e-9)


@DEPTHS
@STARTS
def test_classification_at_unit_norm_is_the_same_flow(start: str, depth: int) -> None:
    a, y, w = drawn(start, depth)
    z = a * np.sign(y)[:, None]
    run = Margins(z, w)
    np.testing.assert_allclose(run.beta(run.start), w.prod(axis=0) / np.linalg.norm(w) ** depth, atol=1e-13)
    assert run.log_loss(run.start) == pytest.approx(np.log(np.exp(-z @ w.prod(axis=0)).sum()))
    p = np.exp(-z @ w.prod(axis=0))
    pull = (p / p.sum()) @ z * others(w) / np.linalg.norm(w) ** (depth - 1)
    unit = w / np.linalg.norm(w)
    growth = float((unit * pull).sum())
    least, columns = np.abs(w).argmin(axis=0), np.arange(w.shape[1])
    found = run.velocity(0, run.start)
    np.testing.assert_allclose(found[:-1], (pull - growth * unit)[least, columns], atol=1e-12)
    assert found[-1] == pytest.approx(growth, abs=1e-12)


@DEPTHS
@STARTS
def test_rivals_get_exact_jacobians(start: str, depth: int) -> None:
    a, y, w = drawn(start, depth)
    check_jacobian(Fit(a, y, w))
    check_jacobian(Margins(a * np.sign(y)[:, None], w))


@pytest.mark.parametrize("name", FITTING)
def test_regression_ends_at_the_exact_limit(name: str) -> None:
    cell = fitted.cell_of("4 x 10", 3, 1e-2, 1)
    run = Fit(cell.x, cell.y, cell.start(0))
    assert find_end(run, 20.0)
    end = FITTING[name][1](run, 1e-7, 20.0)
    assert end.finished
    np.testing.assert_allclose(run.beta(end.z), fitted.limit(cell, 0), atol=1e-5)


@pytest.fixture(scope="module")
def orbit() -> tuple[Cell, np.ndarray, Reference]:
    """A run to -log Loss = GOAL, its y_i x_i, and its reference."""
    cell = separable.cell_of("30 x 60", 2, 0.1, 1, GOAL)
    z = cell.x * cell.y[:, None]
    return cell, z, Reference(Margins(z, cell.start(0)), (GOAL,))


@pytest.mark.parametrize("name", SEPARATING)
def test_classification_ends_at_its_goal_in_the_direction_of_the_reference(
    name: str, orbit: tuple[Cell, np.ndarray, Reference]
) -> None:
    cell, z, reference = orbit
    run = Margins(z, cell.start(0), reference.passages[GOAL].end)
    end = SEPARATING[name][1](run, 1e-7, 20.0)
    height, beta = -run.log_loss(end.z), run.beta(end.z)
    assert height == pytest.approx(GOAL, rel=1e-4)
    np.testing.assert_allclose(beta / np.linalg.norm(beta), reference.direction(GOAL, height), atol=1e-5)


@pytest.mark.slow
def test_the_project_ends_in_the_direction_of_the_reference(orbit: tuple[Cell, np.ndarray, Reference]) -> None:
    cell, _, reference = orbit
    ours = cell.simulate_once(1e-7)
    direction = ours.beta[0] / np.linalg.norm(ours.beta[0])
    np.testing.assert_allclose(direction, reference.direction(GOAL, -ours.log_loss[0]), atol=1e-5)
    assert 0 < ours.theory < ours.seconds


@pytest.mark.parametrize(
    ("task", "shape"),
    [
        pytest.param(task, shape, marks=pytest.mark.slow if shape == "40 x 64" else ())  # imports scikit-learn
        for task, shapes in SHAPES.items()
        for shape in shapes
    ],
)
def test_shapes_are_what_they_are_called(task: str, shape: str) -> None:
    cell = fitted.cell_of(shape, 2, 1.0, 1) if task == "regression" else separable.cell_of(shape, 2, 1.0, 1, 10.0)
    assert cell.x.shape == tuple(map(int, shape.split(" x ")))
    assert cell.y.shape == cell.x.shape[:1]


def ladder(name: str, seconds: float, theory: float | None = None) -> Ladder:
    """A method whose error is its tolerance, at seconds over the tolerance's root."""

    def measure(rtol: float) -> dict[str, object]:
        own = {} if theory is None else {"of this theory": theory}
        return own | {
            "setting": rtol, "runs": 1, "seconds_per_run": seconds / rtol**0.5, "worst_error": rtol,
            "unfinished": 0, "over": False,
        }  # fmt: skip

    return Ladder(name, name, measure, [1e-2, 1e-4, 1e-6, 1e-8])


def test_methods_are_compared_at_equal_error() -> None:
    methods = [ladder("ours", 2e-3, theory=0.5), ladder("LSODA", 1e-3), ladder("BDF", 4e-3)]
    climb(methods, 1e-5)
    assert [len(method.rungs) for method in methods] == [3, 3, 3]
    row = compare(methods, 1e-5, 60.0)
    assert row["best rival / ours"] == pytest.approx(0.5)
    assert row["best rival / our flow"] == pytest.approx(1e-3 / (2e-3 - 0.5 * 1e-5**0.5))


def test_rates_are_interpolated_in_logarithms() -> None:
    rungs = [
        {"setting": 1e-4, "worst_error": 1e-4, "runs_per_second": 100.0},
        {"setting": 1e-6, "worst_error": 1e-6, "runs_per_second": 25.0},
        {"setting": 1e-8, "worst_error": 1e-8, "runs_per_second": 1e6, "unfinished": 1},
    ]
    assert rate_at(rungs, 1e-5) == pytest.approx(50)
    assert rate_at(rungs, 1e-6) == pytest.approx(25)
    assert rate_at(rungs, 1e-8) is None


def test_samples_are_even() -> None:
    assert spread(3, 5) == [0, 1, 2]
    assert spread(9, 3) == [1, 4, 7]


@pytest.mark.slow
def test_devices_are_measured_each_in_processes_of_its_own() -> None:
    """One core and two processes integrate the same runs to the same ends; without CUDA their rows stand alone."""
    alone, together = (devices.measured("regression", "4 x 10", counts) for counts in ([8], [8, 8]))
    assert alone is not None
    assert together is not None
    first, second = together
    assert devices.apart("regression", first["betas"], second["betas"]) == 0
    assert devices.apart("regression", alone[0]["betas"], first["betas"]) == 0
    assert np.shape(first["betas"]) == (8, 10)


def test_every_benchmark_is_listed() -> None:
    files = {path.stem for path in RESULTS.parent.glob("*.py") if "def main(" in path.read_text(encoding="utf-8")}
    assert {name for name in files if not name.startswith("rivals_")} == set(BENCHMARKS)
