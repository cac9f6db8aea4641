"""Margin problems against closed forms, vertex enumeration and their duals."""

from itertools import combinations

import numpy as np
import pytest

from kernels.theory.optimisers import margins
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


@pytest.mark.parametrize(("samples", "dim"), [(2, 2), (4, 8), (30, 8), (60, 200), (200, 300)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
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
                if abs(np.linalg.det(block)) > 1e-9:
                    rho = np.zeros(z.shape[1])
                    rho[list(support)] = np.linalg.solve(block, np.ones(size))
                    if (z @ rho).min() > 1 - 1e-9:
                        best = min(best, float((np.abs(rho) ** power).sum() ** (1 / power)))
    return best


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


def test_quasi_norm() -> None:
    z = np.array([[2.0, 0.0]])
    assert margins.quasi_norm(z, np.array([4.0, 0.0]), 0.5) == pytest.approx(0.5)
    assert margins.quasi_norm(z, np.array([-4.0, 0.0]), 0.5) == np.inf
    assert margins.quasi_norm(z, np.array([1.0, 1.0]), 2 / 3) == pytest.approx(2**1.5 / 2)
