"""Stationary points next to the end of a run: against scipy's minimiser, the definition, and where there is none."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from kernels.simulate import simulate
from kernels.theory.base import CERTIFIED
from kernels.theory.optimisers.margins import best_known
from kernels.theory.optimisers.stationary import End, nearby, nearby_all
from tests.kernels.conftest import classification_data, spec_of


def signed(samples: int, size: int, kind: str, seed: int) -> np.ndarray:
    """Gaussian rows; complex ones are spectra of real rows, so that conjugates pair up."""
    rows = np.random.default_rng([seed, 5]).standard_normal((samples, size))
    return np.fft.fft(rows) / np.sqrt(size) if kind == "complex" else rows


def near(rho: np.ndarray, size: float, seed: int) -> np.ndarray:
    """rho with moduli off by `size` on its support, and a thousandth of that elsewhere; conjugates stay conjugate."""
    rng = np.random.default_rng([seed, 6])
    if np.iscomplexobj(rho):
        real = np.fft.ifft(rho * np.sqrt(len(rho)))
        assert np.abs(real.imag).max() < 1e-6
        whole = np.fft.fft(real.real * (1 + size * rng.standard_normal(len(rho)))) / np.sqrt(len(rho))
        return np.where(np.abs(rho) > 1e-6 * np.abs(rho).max(), whole, 1e-3 * size * whole)
    return rho * (1 + size * rng.standard_normal(len(rho))) + 1e-3 * size * rng.standard_normal(len(rho))


def unit(rho: np.ndarray) -> np.ndarray:
    return rho / np.linalg.norm(rho)


def residuals(z: np.ndarray, rho: np.ndarray, power: float) -> tuple[float, float]:
    """By the definition, on the support: the least margin's distance from one, and how far the norm's gradient, by
    central differences, is from the span of the active samples, whose multipliers must not be negative.
    """
    support = np.flatnonzero(np.abs(rho) > 1e-9 * np.abs(rho).max())
    steps = [1.0, 1j] if np.iscomplexobj(rho) else [1.0]

    def norm(values: np.ndarray) -> float:
        return float((np.abs(values) ** power).sum() / power)

    gradient, rows = [], []
    for direction in steps:
        for place in support:
            move = np.zeros_like(rho)
            move[place] = 1e-6 * abs(rho[place]) * direction
            gradient.append((norm(rho + move) - norm(rho - move)) / 2e-6)
            rows.append((z[:, place] * direction).real * abs(rho[place]))
    margins = (z @ rho).real
    active = np.array(rows)[:, margins < 1 + 1e-8]
    mu = np.linalg.lstsq(active, np.array(gradient), rcond=None)[0]
    assert mu.min() > -1e-6 * mu.max()
    return abs(float(margins.min()) - 1), float(np.abs(active @ mu - gradient).max() / np.abs(gradient).max())


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("seed", range(6))
def test_real_points_are_scipys(depth: int, seed: int) -> None:
    """From a perturbed vertex: the vertex again, where scipy's constrained minimiser on the support ends, too."""
    z, power = signed(3, 6, "real", seed), 2 / depth
    vertex = best_known(z, power, 8).solution
    end = near(vertex, 1e-3, seed)
    margins = z @ end
    found = nearby(z, end, margins < 1.1 * margins.min(), power)
    assert found.certificate < 1e-12
    np.testing.assert_allclose(unit(found.rho), unit(vertex), atol=1e-9)
    assert max(residuals(z, found.rho, power)) < 1e-6
    support = np.abs(vertex) > 1e-9 * np.abs(vertex).max()
    start = (end / margins.min())[support] * 1.001
    signs = np.sign(start)
    other = minimize(
        lambda values: (np.abs(values) ** power).sum(),
        start,
        jac=lambda values: power * np.sign(values) * np.abs(values) ** (power - 1),
        bounds=[(1e-6, None) if sign > 0 else (None, -1e-6) for sign in signs],
        constraints={"type": "ineq", "fun": lambda values: z[:, support] @ values - 1, "jac": lambda _: z[:, support]},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(unit(found.rho[support]), unit(other.x), atol=1e-6)


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("size", [5, pytest.param(8, marks=pytest.mark.slow)])
def test_complex_points_are_stationary_by_definition(depth: int, size: int) -> None:
    """From spectra of real vectors of few frequencies: what is certified is so by definition, conjugate in pairs."""
    power, certified = 2 / depth, 0
    for seed in range(60):
        z = signed(3, size, "complex", seed)
        rng = np.random.default_rng([seed, 8])
        spectrum = np.fft.fft(rng.standard_normal(size))
        spectrum[2 : size - 1] *= 1e-5
        end = np.conj(spectrum) * np.sign((z @ np.conj(spectrum)).real[0])
        margins = (z @ end).real
        if margins.min() <= 0:
            continue
        found = nearby(z, end, np.ones(3, bool), power)
        if found.certificate < CERTIFIED:
            certified += 1
            assert max(residuals(z, found.rho, power)) < 1e-6
            assert np.abs(np.fft.ifft(found.rho).imag).max() < 1e-9 * np.abs(found.rho).max()
    assert certified >= 3


def test_what_is_next_to_no_stationary_point_is_not_certified() -> None:
    """One sample (1, 0.5) -> +1 has stationary points (1, 0) and (0, 2), and a saddle between; none has rho_1 < 0."""
    z, one = np.array([[1.0, 0.5]]), np.ones(1, bool)
    for end in ([-1.0, 4.0], [-0.1, 4.0], [-3.0, 7.0]):
        found = nearby(z, np.array(end), one, 2 / 3)
        # the only certified answer leaves rho_1 out
        assert found.certificate > CERTIFIED or found.rho[0] == 0
    assert nearby(z, np.array([-1.0, 1.0]), one, 2 / 3).certificate >= 1  # not separating
    assert nearby(z, np.array([1.0, 1e-6]), np.zeros(1, bool), 2 / 3).certificate >= 1  # no sample is active
    # both samples active at (1, 1), which would need mu_2 < 0, and what is left of it violates a margin
    z = np.array([[1.0, 1.0], [1.5, 0.5]])
    dense = nearby(np.vstack([z, [0.45, 0.55]]), np.array([1.0, 1.0]), np.ones(3, bool), 2 / 3)
    assert dense.certificate > CERTIFIED or np.count_nonzero(dense.rho) < 2


def test_what_a_symmetry_keeps_equal_is_one() -> None:
    """One sample (1, 1, 0.1): (1/2, 1/2, 0) is a saddle where a symmetric start ends; off the symmetry none does."""
    z, one = np.array([[1.0, 1.0, 0.1]]), np.ones(1, bool)
    found = nearby(z, np.array([3.0, 3.0, 1e-4]), one, 2 / 3)
    assert found.certificate < 1e-14
    np.testing.assert_allclose(found.rho, [0.5, 0.5, 0], atol=1e-14)
    found = nearby(z, np.array([3.0, 3.3, 1e-4]), one, 2 / 3)
    np.testing.assert_allclose(found.rho, [0, 1, 0], atol=1e-14)


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_ends_of_a_batch_are_theirs_alone(kind: str) -> None:
    """Of any sizes, near to a point or not: which others are searched beside an end changes rounding alone."""
    rng = np.random.default_rng(3)
    ends, certified = [], 0
    for seed, (samples, size) in enumerate([(3, 6), (5, 8), (2, 5), (4, 8), (1, 3), (6, 6)]):
        z = signed(samples, size, kind, seed)
        rho = rng.standard_normal(size) if kind == "real" else np.fft.fft(rng.standard_normal(size))
        rho = rho * np.where(rng.random(size) < 0.5, 1e-4, 1.0) if kind == "real" else rho
        margins = (z @ rho).real
        ends.append(End(z * np.sign(margins)[:, None], rho, np.abs(margins) < 2 * np.abs(margins).min()))
    for end, found in zip(ends, nearby_all(ends, 2 / 3), strict=True):
        alone = nearby(*end, 2 / 3)
        assert (found.certificate < CERTIFIED) == (alone.certificate < CERTIFIED)
        if found.certificate >= CERTIFIED:
            continue  # where Newton's method does not converge, rounding decides what is left of it
        certified += 1
        np.testing.assert_allclose(found.rho, alone.rho, rtol=0, atol=1e-9 * np.abs(alone.rho).max())
    assert certified >= 2


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["diagonal", "convolutional"])
def test_deep_classifiers_approach_the_point_that_is_predicted(architecture: str) -> None:
    """Further along the loss, nearer; the point found early is the one found late."""
    data = classification_data(3, 5, 1)
    axes: dict[str, Any] = {"task": "classification", "architecture": architecture, "depth": 3, "record": False}
    found = []
    for log_loss in (-1e3, -1e5):
        spec = spec_of(data, init="gaussian", alpha=0.5, stop={"log_loss": log_loss}, **axes)
        (result,) = simulate([(spec, data)])
        (record,) = (made for made in result.predictions if made.prediction == "max_margin_bridge")
        assert record.certificate is not None
        assert record.certificate < 1e-10
        assert record.distance is not None
        assert record.detail["stationarity"] < 0.1
        found.append(record)
    np.testing.assert_allclose(found[0].beta, found[1].beta, atol=1e-8)
    assert found[1].distance < found[0].distance / 10
