"""Margin problems against closed forms, vertex enumeration and their duals."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from kernels.theory.optimisers import margins, simplex
from kernels.theory.optimisers.certificates import margin_modulus, margin_norm


def separable(samples: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((samples, dim))


def test_one_sample_and_two() -> None:
    z = np.array([[3.0, 4.0]])
    np.testing.assert_allclose(margins.least_norm(z).solution, z[0] / 25, rtol=1e-12)
    # (1, 2) -> +1, (0, -3) -> -1: only the first supports, as 3 * 2/5 > 1
    found = margins.least_norm(np.array([[1.0, 2.0], [0.0, 3.0]]))
    np.testing.assert_allclose(found.solution, [0.2, 0.4], rtol=1e-12)
    np.testing.assert_allclose(found.multipliers, [0.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(margins.least_sum(np.array([[1.0, 2.0], [0.0, 3.0]])).solution, [0, 0.5], atol=1e-10)


@pytest.mark.parametrize(
    ("samples", "dim"), [(2, 2), (4, 8), (30, 8), (60, 200), pytest.param(200, 300, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "scale", [1e-4, pytest.param(1.0, marks=pytest.mark.slow), pytest.param(100000.0, marks=pytest.mark.slow)]
)
def test_least_norm(samples: int, dim: int, scale: float) -> None:
    z = scale * (separable(samples, dim) + (3.0 if samples > dim else 0.0))
    found = margins.least_norm(z)
    assert found.certificate < 1e-10
    assert margin_norm(z, found.solution, found.multipliers) < 1e-10
    assert found.objective == pytest.approx(np.linalg.norm(found.solution))


def test_least_norm_of_repeated_samples() -> None:
    z = separable(3, 5)
    twice = margins.least_norm(np.vstack([z, z]))
    assert twice.certificate < 1e-10
    np.testing.assert_allclose(twice.solution, margins.least_norm(z).solution, rtol=1e-9)


def exact_direction(z: np.ndarray) -> np.ndarray:
    """The hard-margin direction of these doubles in rational arithmetic: every set of active samples is tried."""
    rows = [[Fraction(float(value)) for value in row] for row in z]

    def dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
        return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))

    def solved(gram: list[list[Fraction]]) -> list[Fraction] | None:
        table = [[*row, Fraction(1)] for row in gram]
        for place in range(len(table)):
            pivot = next((row for row in range(place, len(table)) if table[row][place]), None)
            if pivot is None:
                return None
            table[place], table[pivot] = table[pivot], table[place]
            table[place] = [value / table[place][place] for value in table[place]]
            for row in range(len(table)):
                if row != place:
                    factor = table[row][place]
                    table[row] = [a - factor * b for a, b in zip(table[row], table[place], strict=True)]
        return [row[-1] for row in table]

    for size in range(1, len(rows) + 1):
        for active in combinations(rows, size):
            mu = solved([[dot(a, b) for b in active] for a in active])
            if mu is None or min(mu) < 0:
                continue
            beta = [
                sum((m * row[k] for m, row in zip(mu, active, strict=True)), Fraction(0)) for k in range(z.shape[1])
            ]
            if all(dot(row, beta) >= 1 for row in rows):
                largest = max(map(abs, beta))
                direction = np.array([float(value / largest) for value in beta])
                return direction / np.linalg.norm(direction)
    raise AssertionError("not separable")


@pytest.mark.parametrize("decades", [0, 4, 8])
@pytest.mark.parametrize("seed", range(6))
def test_least_norm_of_samples_of_any_norm(decades: int, seed: int) -> None:
    """Norms over 2 x `decades` decades, against rational arithmetic; the certificate bounds the error."""
    rng = np.random.default_rng([seed, 7])
    z = 10.0 ** rng.uniform(-decades, decades, (4, 1)) * (rng.standard_normal((4, 5)) + 0.3)
    found = margins.least_norm(z)
    assert found.certificate < 1e-12
    error = np.linalg.norm(found.solution / np.linalg.norm(found.solution) - exact_direction(z))
    assert error < max(1e-14, 10 * found.certificate)


@pytest.mark.parametrize("angle", [1e-2, 1e-5, 1e-8, 1e-10, 1e-12])
def test_least_norm_of_tiny_margins(angle: float) -> None:
    """Two samples nearly opposite, and a third: normalised margins of the size of the angle."""
    for z in (
        np.array([[1.0, angle], [-1.0, angle]]),
        np.array([[3.0, 2 * angle, 0.1 * angle], [-1.0, angle, 0.0], [0.5, 0.0, angle]]),
    ):
        found = margins.least_norm(z)
        assert found.certificate < 1e-14
        error = np.linalg.norm(found.solution / np.linalg.norm(found.solution) - exact_direction(z))
        assert error < max(1e-14, 10 * found.certificate)


@pytest.mark.parametrize("angle", [1e-2, 1e-6, 1e-8, 1e-10])
def test_what_rounding_decides_is_told(angle: float) -> None:
    """The second sample is at the margin to the last digit, at this angle to the first: the direction is not known."""
    z = np.array([[1.0, 1.0, 1.0], [1.0, 1.0 + angle, 1.0 - angle], [1.0, 0.9, 1.2]])
    found = margins.least_norm(z)
    assert 1e-17 / angle < found.certificate < 1e-14 / angle
    error = np.linalg.norm(found.solution / np.linalg.norm(found.solution) - exact_direction(z))
    assert error < max(1e-14, found.certificate)


@pytest.mark.parametrize("seed", range(4))
def test_least_sum_of_samples_of_any_norm(seed: int) -> None:
    """Norms over 8 decades, features over 4: every set of active samples and coordinates that could be the vertex."""
    rng = np.random.default_rng([seed, 9])
    z = 10.0 ** rng.uniform(-4, 4, (3, 1)) * rng.standard_normal((3, 5)) * 10.0 ** rng.uniform(-2, 2, 5)
    found = margins.least_sum(z)
    assert found.certificate < 1e-9
    assert found.objective == pytest.approx(least_of_all_vertices(z, 1.0), rel=1e-9)


def test_wrong_directions_are_not_certified() -> None:
    """Each misses a sample that is small beside the others, or holds one that should be free."""
    z = np.diag([1e4, 1e-4])
    for beta, mu in (
        ([1e-4, 0.0], [1e-8, 0.0]),
        ([0.0, 1e4], [0.0, 1e8]),
        ([2e-4, 1e4], [2e-8, 1e8]),
    ):
        assert margin_norm(z, np.array(beta), np.array(mu)) > 0.9e-8
    assert margin_norm(z, np.array([1e-4, 1e4]), np.array([1e-8, 1e8])) < 1e-15
    assert margin_norm(z, np.zeros(2), np.zeros(2)) == np.inf


@pytest.mark.parametrize(("samples", "dim"), [(2, 4), (4, 8), (10, 40)])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_least_sum(samples: int, dim: int, kind: str) -> None:
    z = separable(samples, dim) + (0 if kind == "real" else 1j * separable(samples, dim, 1))
    found = margins.least_sum(z)
    assert found.certificate < 1e-8
    assert margin_modulus(z, found.solution, found.multipliers) < 1e-8
    assert (z @ found.solution).real.min() > 1 - 1e-9
    weights = np.random.default_rng(2).uniform(0.5, 2, dim)
    weighted = margins.least_sum(z, weights)
    assert weighted.objective == pytest.approx(weights @ np.abs(weighted.solution))
    assert weighted.objective <= weights @ np.abs(found.solution) * (1 + 1e-9)


def test_complex_sum_of_a_real_problem_is_the_linear_program() -> None:
    z = separable(4, 9)
    assert margins.least_sum(z + 0j).objective == pytest.approx(margins.least_sum(z).objective, rel=1e-8)


def test_least_euclidean_of_a_unitary_transform() -> None:
    """||F beta|| = ||beta||: the complex problem is the SVM in other coordinates."""
    z = separable(4, 8)
    fourier = np.fft.fft(np.eye(8)) / np.sqrt(8)
    found = margins.least_euclidean(z @ fourier.conj().T)
    direct = margins.least_norm(z)
    assert found.objective == pytest.approx(direct.objective, rel=1e-9)
    np.testing.assert_allclose((fourier.conj().T @ found.solution).real, direct.solution, atol=1e-8)


def least_of_all_vertices(z: np.ndarray, power: float) -> float:
    """|.|^p, p < 1, is least at a vertex of the polyhedron: k coordinates that k samples of margin 1 determine."""
    best = np.inf
    for size in range(1, len(z) + 1):
        for support in combinations(range(z.shape[1]), size):
            for active in combinations(range(len(z)), size):
                block = z[np.ix_(active, support)]
                if abs(np.linalg.det(block)) > 1e-9 * np.prod(np.linalg.norm(block, axis=1)):
                    rho = np.zeros(z.shape[1])
                    rho[list(support)] = np.linalg.solve(block, np.ones(size))
                    if (z @ rho).min() > 1 - 1e-9:
                        best = min(best, float((np.abs(rho) ** power).sum() ** (1 / power)))
    return best


@pytest.mark.slow
@pytest.mark.parametrize("depth", [3, 5])
def test_best_known_reaches_the_best_vertex(depth: int) -> None:
    """On small problems, where every vertex can be tried; never below it."""
    ratios = []
    for seed in range(8):
        z = separable(3, 6, seed)
        best = least_of_all_vertices(z, 2 / depth)
        ratios.append(margins.best_known(z, 2 / depth, starts=32).objective / best)
    assert min(ratios) > 1 - 1e-8
    assert np.sum(np.array(ratios) < 1 + 1e-8) == 8


@pytest.mark.parametrize(("samples", "dim"), [(1, 3), (4, 10), (12, 12), (9, 5)])
def test_many_weights_at_once_are_linear_programs(samples: int, dim: int) -> None:
    """Also where samples have very different norms, and HiGHS does not always reach the last digits."""
    rng = np.random.default_rng(samples)
    z, compared = rng.standard_normal((samples, dim)), 0
    z = z * np.sign(z @ rng.standard_normal(dim))[:, None] * 10.0 ** rng.uniform(-1, 1, (samples, 1))
    weights = 10.0 ** rng.uniform(-3, 0, (20, dim))
    for each, rho, mu in zip(weights, *simplex.least_sums(z, weights), strict=True):
        expected = margins.least_sum(z, each)
        assert margin_modulus(z / each, rho * each, mu) < 1e-11
        if expected.certificate < 1e-11:
            compared += 1
            assert float(each @ np.abs(rho)) == pytest.approx(expected.objective, rel=1e-10)
            np.testing.assert_allclose(rho, expected.solution, rtol=0, atol=1e-9 * np.abs(rho).max())
    assert compared >= 10


def test_many_weights_of_what_cannot_be_separated_are_no_numbers() -> None:
    rho, mu = simplex.least_sums(np.array([[1.0, 2.0], [-1.0, -2.0]]), np.ones((3, 2)))
    assert np.isnan(rho).all()
    assert np.isnan(mu).all()


def test_quasi_norm() -> None:
    z = np.array([[2.0, 0.0]])
    assert margins.quasi_norm(z, np.array([4.0, 0.0]), 0.5) == pytest.approx(0.5)
    assert margins.quasi_norm(z, np.array([-4.0, 0.0]), 0.5) == np.inf
    assert margins.quasi_norm(z, np.array([1.0, 1.0]), 2 / 3) == pytest.approx(2**1.5 / 2)


def test_best_known_of_what_cannot_be_separated_is_no_number() -> None:
    """No exception: a batch goes on, and the record has neither objective nor coefficients."""
    found = margins.best_known(np.array([[1.0, 2.0], [-1.0, -2.0]]), 0.5, starts=3)
    assert found.objective == np.inf
    assert not found.certificate < 1
