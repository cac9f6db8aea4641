"""The equations of a batch: rounding tells no equal columns apart, and what differs stays."""

import time

import numpy as np
import pytest

from kernels.integrator.passage import alike
from kernels.integrator.systems import inputs, linear_system
from kernels.networks.twins import pairs


def test_twins_are_equal_to_the_last_bit_and_others_stay() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, 9))
    q, _ = np.linalg.qr(rng.standard_normal((9, 9)))
    s = np.vstack([q, -q[2], q[5] * (1 + 1e-15), q[2] * (1 + 1e-9), np.zeros(9)])
    made = inputs(x, s)
    assert np.array_equal(np.abs(made[:, 9]), np.abs(made[:, 2]))
    assert np.array_equal(made[:, 10], made[:, 5])
    assert not np.array_equal(made[:, 11], made[:, 2])
    assert not made[:, 12].any()
    assert np.allclose(made, x @ s.T, rtol=1e-13, atol=0)


def test_twins_are_found_whatever_their_size() -> None:
    """Sizes over sixteen orders; a column that is off by 3e-14 of its largest entry, or twice as large, is no twin."""
    rng = np.random.default_rng(5)
    a = rng.standard_normal((4, 30)) * np.geomspace(1e-8, 1e8, 30)
    off = np.zeros(4)
    off[np.abs(a[:, 7]).argmin()] = np.abs(a[:, 7]).max()
    more = [-a[:, 3] * (1 + 2e-16), a[:, 7] + 5e-15 * off, a[:, 7] + 3e-14 * off, 2 * a[:, 9], np.zeros(4), a[:, 3]]
    found = sorted(pairs(np.column_stack([a, *more])))
    assert found == [(30, 3, -1.0), (31, 7, 1.0), (35, 3, 1.0)]
    assert not list(pairs(np.zeros((2, 3))))


@pytest.mark.parametrize("samples", [1, 72])
def test_many_columns_are_compared_in_a_moment(samples: int) -> None:
    """22,283 coordinates: every pair of them would take 4 GB, and all columns of one sample have one direction."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((samples, 22_283))
    x[:, 20_000] = -x[:, 17]
    begin = time.perf_counter()
    assert list(pairs(x)) == [(20_000, 17, -1.0)]
    x = x[:, :1] * rng.choice([-1.0, 1.0], 22_283)
    assert {(first, place) for place, first, _ in pairs(x)} == {(0, place) for place in range(1, 22_283)}
    assert time.perf_counter() - begin < 20


def test_copies_are_found_once_a_system() -> None:
    rng = np.random.default_rng(6)
    a = rng.standard_normal((3, 5))
    system = linear_system(np.column_stack([a, -a[:, 1], a[:, 1], np.zeros(3), np.zeros(3), a[:, 4] * (1 + 1e-15)]))
    assert [places.tolist() for places in system.copies] in ([[1, 5, 6], [7, 8]], [[7, 8], [1, 5, 6]])
    assert system.copies is system.copies
    w = rng.standard_normal((2, 10))
    w[:, 5] = -w[:, 1] * (1 + 1e-15)
    made = alike(w, system.copies)
    assert np.array_equal(made[:, 5], -w[:, 1])
    assert np.array_equal(np.delete(made, 5, axis=1), np.delete(w, 5, axis=1))
