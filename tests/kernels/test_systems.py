"""The equations of a batch: rounding tells no equal columns apart, and what differs stays."""

import numpy as np

from kernels.integrator.systems import _twins, inputs


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


def test_many_columns_are_compared_in_a_moment() -> None:
    """22,283 coordinates: every pair of them would take 4 GB."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((71, 22_283))
    x[:, 20_000] = -x[:, 17]
    assert list(_twins(x)) == [(20_000, 17, -1.0)]
