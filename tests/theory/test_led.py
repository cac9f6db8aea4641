"""Minima found from the minimum of another problem, against continuation of each alone."""

import numpy as np
import pytest

from kernels.theory.optimisers import led, separable
from kernels.theory.optimisers.curves import StructuredCurve
from kernels.theory.optimisers.stacked import Minima


def _drawn(depth: int, alpha: float, seed: int = 0) -> tuple[StructuredCurve, list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((12, 5)))[0].T)
    c = alpha * rng.uniform(0.5, 1.5, (9, 12))
    return StructuredCurve(c, depth), [rows] * 9, np.repeat(rng.standard_normal((1, 5)), 9, axis=0)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("alpha", [1e-8, 1e-2, 10.0])
def test_led_minima_are_those_of_each_alone(depth: int, alpha: float) -> None:
    curve, rows, target = _drawn(depth, alpha)
    found = led.minimise(curve, rows, target, [0] * 6 + [1] * 3)
    assert (found.residual <= separable.REACHED).all()
    for place in range(9):
        alone = separable.minimise(curve.of(place), rows[place], target[place])
        np.testing.assert_allclose(found.rho[place], alone.rho, rtol=0, atol=1e-12 * np.abs(alone.rho).max())


def test_one_of_a_family_is_continued_and_the_others_take_few_steps() -> None:
    curve, rows, target = _drawn(2, 1e-8)
    steps = led.minimise(curve, rows, target, [0] * 9).steps
    assert steps[0] > 20
    assert (steps[1:] <= 10).all()


def test_what_is_not_found_from_another_minimum_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    curve, rows, target = _drawn(2, 1e-4)

    def nowhere(*arguments: object) -> Minima:
        return Minima(np.zeros((8, 12)), np.zeros(8), np.full(8, np.inf), np.zeros(8, int))

    monkeypatch.setattr(led.stacked, "minimise_from", nowhere)
    assert (led.minimise(curve, rows, target, [0] * 9).residual <= separable.REACHED).all()
