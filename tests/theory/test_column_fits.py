"""Least squares on changing sets of columns, against factorisations of each set and against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from kernels.theory.optimisers.column_fits import ColumnFits
from tests.needs import lack


def test_columns_join_and_leave_in_any_order() -> None:
    """Three rows, each with its own sets: the fits are those of a new factorisation of each set."""
    rng = np.random.default_rng(0)
    a, y = rng.standard_normal((6, 9)), rng.standard_normal(6)
    fits, sets = ColumnFits.empty(a, y, 3), [[], [], []]
    every = np.arange(3)
    for turn in range(30):
        counts = [len(each) for each in sets]
        if max(counts) == 6 or (min(counts) > 1 and rng.random() < 0.4):
            gone = [each.pop(int(rng.integers(len(each)))) for each in sets]
            slot = np.array([np.flatnonzero(fits.place[row] == j)[0] for row, j in enumerate(gone)])
            rough = fits.leave(every, slot, fits.fit(every)[0])
            np.testing.assert_allclose(rough, fits.fit(every)[0], rtol=0, atol=1e-10)
        else:
            new = [int(rng.choice(np.setdiff1d(np.arange(9), each))) for each in sets]
            assert fits.join(np.array(new)).all()
            for each, j in zip(sets, new, strict=True):
                each.append(j)
        values, residual = fits.fit(every)
        for row, (k, each) in enumerate(zip(fits.at_coordinates(values), sets, strict=True)):
            wanted = np.linalg.lstsq(a[:, each], y, rcond=None)[0]
            assert np.abs(k[each] - wanted).max() < 1e-12 * np.abs(wanted).max(), turn
            assert set(np.flatnonzero(k)) == set(each)
            np.testing.assert_allclose(residual[row], y - a[:, each] @ wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("share", [0.0, 1e-9])
def test_a_dependent_column_does_not_join(share: float) -> None:
    a = np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 1.0], [0.0, share, 0.0]])
    fits = ColumnFits.empty(a, np.ones(3), 2)
    assert fits.join(np.array([0, 2])).all()
    assert fits.join(np.array([1, 1])).tolist() == [False, True]


@pytest.mark.parametrize("share", [1e-7, 1e-6, 1e-5])
def test_a_nearly_dependent_column_that_has_left_leaves_no_trace(share: float) -> None:
    """It is the sum of the others but for `share` of something else, so that rows of N are as long as 1 / share."""
    rng = np.random.default_rng(2)
    a, y = rng.standard_normal((8, 5)), rng.standard_normal(8)
    a[:, 4] = a[:, :4].sum(axis=1) + share * a[:, 4]
    fits, only = ColumnFits.empty(a, y, 1), np.array([0])
    for j in range(5):
        assert fits.join(np.array([j])).all()
        values, residual = fits.fit(only)
        assert _pull(a[:, : j + 1], residual[0]) < 1e-12
    fits.leave(only, np.array([4]), values)
    values, residual = fits.fit(only)
    assert _pull(a[:, :4], residual[0]) < 1e-12
    wanted = np.linalg.lstsq(a[:, :4], y, rcond=None)[0]
    np.testing.assert_allclose(fits.at_coordinates(values)[0, :4], wanted, rtol=0, atol=1e-11)


def _pull(columns: np.ndarray, residual: np.ndarray) -> float:
    """The largest |a_j^T r| / (||a_j|| ||r||)."""
    sizes = np.linalg.norm(columns, axis=0) * np.linalg.norm(residual)
    return float((np.abs(columns.T @ residual) / sizes).max())


def test_what_is_left_of_rounded_targets_keeps_its_digits() -> None:
    """y is in the span of two columns up to 1e-9: y - A k by fractions, before and after a third column joins."""
    if np.finfo(np.longdouble).eps == np.finfo(float).eps:
        lack("extended precision", "numpy's longdouble is a double")
    rng = np.random.default_rng(1)
    a = rng.standard_normal((5, 3))
    y = a[:, :2] @ [1.0, -2.0] + 1e-9 * rng.standard_normal(5)
    fits = ColumnFits.empty(a, y, 1)
    for j in range(3):
        fits.join(np.array([j]))
        residual = fits.fit(np.array([0]))[1][0]
        if j:
            wanted = _residual(a[:, : j + 1], y)
            assert np.linalg.norm(residual - wanted) < 1e-9 * np.linalg.norm(wanted)


def _residual(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y - A k of least squares, by Gauss's elimination of the normal equations in fractions."""
    columns, target = [[Fraction(v) for v in column] for column in a.T], [Fraction(v) for v in y]
    left = target
    done: list[list[Fraction]] = []
    for column in columns:
        for other in done:
            column = _without(column, other)
        done.append(column)
        left = _without(left, column)
    return np.array([float(v) for v in left])


def _without(vector: list[Fraction], other: list[Fraction]) -> list[Fraction]:
    share = sum(u * v for u, v in zip(vector, other, strict=True)) / sum(v * v for v in other)
    return [u - share * v for u, v in zip(vector, other, strict=True)]
