"""What is stiff on curves: samples turned to triangular form, and inverses that keep their digits if graded."""

from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from kernels.flows.stiffness import Inverses, inverse_of_triangular
from kernels.flows.turned_samples import Turned, not_turned, triangular, turned_samples
from kernels.x64 import jax

SLOW = pytest.mark.slow


def graded_data(samples: int, size: int, decades: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([samples, size])
    return rng.standard_normal((samples, size)), rng.permutation(np.logspace(0, -decades, size))


@pytest.mark.parametrize(
    ("samples", "size"),
    [(1, 3), (2, 2), *(pytest.param(*each, marks=SLOW) for each in ((3, 4), (8, 8), (20, 50))), (8, 5)],
)
@pytest.mark.parametrize("decades", [30, 200])
def test_turned_samples_are_triangular(samples: int, size: int, decades: float) -> None:
    x, rates = graded_data(samples, size, decades)
    turned, q, *_ = map(np.asarray, jax.jit(turned_samples)(x, rates))
    np.testing.assert_allclose(q.T @ q, np.eye(samples), atol=1e-14)
    # pivots, whose last force is their own, come in the order of the rates that the ones before leave them
    last = np.array([np.flatnonzero(column)[-1] for column in turned.T])
    for place in range(min(samples, size) - 1):
        (pivot,) = np.flatnonzero(last == place)
        left = rates * np.sum(turned[place:] ** 2, axis=0)
        assert left[pivot] >= 0.999 * left.max()
    long = np.asarray(q.T, np.longdouble) @ x
    lengths = np.linalg.norm(x, axis=0)
    assert (np.linalg.norm(np.asarray(turned - long, float), axis=0) <= 1e-15 * lengths).all()


@pytest.mark.slow
def test_dependent_columns_exert_no_force_of_their_own() -> None:
    """Four fast columns in a plane, a twin and a sum among them: the third force drives the slow one alone."""
    x, _ = graded_data(3, 5, 0)
    x[:, 2], x[:, 3] = -x[:, 0], 0.3 * x[:, 0] - 0.7 * x[:, 1]
    turned, *_ = turned_samples(jnp.asarray(x), jnp.array([1.0, 0.5, 1.0, 0.8, 1e-30]))
    np.testing.assert_array_equal(turned[2, :4], 0)
    np.testing.assert_array_equal(turned[:, 2], -turned[:, 0])
    assert abs(float(turned[2, 4])) > 0.1


@pytest.mark.slow
def test_samples_of_like_rates_stay_as_they_are() -> None:
    x, rates = graded_data(4, 9, 3)
    turned, q, _, gram = turned_samples(jnp.asarray(x), jnp.asarray(rates))
    np.testing.assert_array_equal(turned, x)
    np.testing.assert_array_equal(q, np.eye(4))
    np.testing.assert_allclose(gram, (x * rates) @ x.T, rtol=1e-13)


def test_a_turn_is_kept_while_its_pivots_are_nearly_the_largest() -> None:
    """Also where rates all grow a thousandfold; not where the slowest coordinate has become the fastest."""
    x, rates = map(jnp.asarray, graded_data(3, 6, 60))
    first = turned_samples(x, rates)
    assert (first.pivots >= 0).all()
    drawn = 1e3 * rates * np.random.default_rng(0).uniform(0.5, 1, 6)
    kept = turned_samples(x, drawn, first)
    for before, now in zip(first[:3], kept, strict=False):
        np.testing.assert_array_equal(before, now)
    np.testing.assert_allclose(kept.gram, (first.x * drawn[None]) @ first.x.T, rtol=1e-13)
    other = rates.at[jnp.argmin(rates)].set(10 * rates.max())
    again, anew = turned_samples(x, other, first), turned_samples(x, other)
    for values, fresh in zip(again, anew, strict=True):
        np.testing.assert_array_equal(values, fresh)
    assert (again.pivots != first.pivots).any()


def test_only_lanes_that_need_a_turn_have_their_batch_wait_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []

    def counted(x: Any, rates: Any) -> Turned:
        jax.debug.callback(lambda: turns.append(1))
        return triangular(x, rates)

    monkeypatch.setattr("kernels.flows.turned_samples.triangular", counted)
    (x, rates), (other, plain) = graded_data(3, 6, 60), graded_data(3, 6, 1)
    xs, both = jnp.stack([jnp.asarray(x), jnp.asarray(other)]), jnp.stack([jnp.asarray(rates), jnp.asarray(plain)])
    start = jax.vmap(not_turned)(xs)
    first = jax.vmap(turned_samples)(xs, both, start)
    jax.effects_barrier()
    assert turns
    turns.clear()
    again = jax.vmap(turned_samples)(xs, both, first)
    asleep = jax.vmap(turned_samples)(xs, both[::-1], start, jnp.zeros(2, bool))
    jax.effects_barrier()
    assert not turns
    np.testing.assert_array_equal(again.x, first.x)
    np.testing.assert_array_equal(asleep.x, xs)
    assert (first.pivots[0] >= 0).all()
    assert (first.pivots[1] == -1).all()


@pytest.mark.parametrize("n", [pytest.param(n, marks=[] if n in {1, 7} else SLOW) for n in range(1, 41)])
def test_inverse_of_triangular(n: int) -> None:
    factors = np.random.default_rng(n).standard_normal((3, n, n))
    factors = np.tril(factors / n, -1) + np.eye(n) * np.array([0.5, 1.0, 2.0])[:, None, None]
    found = inverse_of_triangular(jnp.asarray(factors))
    np.testing.assert_allclose(found, np.linalg.inv(factors), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(found, np.tril(found))


def damped(stiff: Inverses, g: np.ndarray, lengths: list[float]) -> np.ndarray:
    """Damped forces, one row a length."""
    damping = stiff.damping(jnp.array(lengths))
    return np.asarray(jax.vmap(lambda entry: damping.forces(entry, jnp.asarray(g)))(damping.columns))


@pytest.mark.parametrize("n", [pytest.param(1, marks=SLOW), 4, pytest.param(12, marks=SLOW)])
@pytest.mark.parametrize("curved", [pytest.param(False, marks=SLOW), True])
def test_inverses_are_those_of_numpy(n: int, curved: bool) -> None:
    rng = np.random.default_rng(n)
    jacobian, half = rng.standard_normal((n, 2 * n)), rng.standard_normal((n, n))
    g, gram = rng.standard_normal(n), jacobian @ jacobian.T
    curvature = half.T @ half if curved else np.eye(n)
    stiff = Inverses(jnp.asarray(gram), jnp.asarray(curvature) if curved else None)
    lengths = [1e-3, 1.0, 1e3]
    expected = [np.linalg.solve(np.eye(n) + c * curvature @ gram, g) for c in lengths]
    np.testing.assert_allclose(damped(stiff, g, lengths), expected, rtol=1e-9)


Exact = list[list[Fraction]]


def exactly(matrix: np.ndarray) -> Exact:
    return [[Fraction(float(entry)) for entry in row] for row in np.atleast_2d(matrix)]


def product(a: Exact, b: Exact) -> Exact:
    return [
        [sum((x * y for x, y in zip(row, column, strict=True)), Fraction()) for column in zip(*b, strict=True)]
        for row in a
    ]


def solved(matrix: Exact, g: np.ndarray) -> list[Fraction]:
    """By Gauss's elimination in fractions."""
    rows = [[*row, Fraction(float(value))] for row, value in zip(matrix, g, strict=True)]
    n = len(rows)
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(n):
            if i != k:
                share = rows[i][k] / rows[k][k]
                rows[i] = [a - share * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [rows[k][n] / rows[k][k] for k in range(n)]


def graded(n: int, curved: bool, seed: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """(J J^T over 60 decades, as of triangular samples; a curvature; forces of order one)."""
    rng = np.random.default_rng([n, seed])
    x = np.triu(rng.standard_normal((n, n)), 1) + np.diag(rng.uniform(0.5, 2, n))
    gram = (x * np.logspace(0, -60, n)) @ x.T
    half = np.eye(n) + 0.3 * rng.standard_normal((n, n)) / np.sqrt(n)
    return gram, half.T @ half if curved else None, rng.standard_normal(n)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("n", [pytest.param(2, marks=SLOW), pytest.param(4, marks=SLOW), 7])
def test_graded_inverses_have_all_digits(n: int, curved: bool, seed: int) -> None:
    """Each damped force to 1e-12 of its size, against exact arithmetic on the same doubles."""
    gram, curvature, g = graded(n, curved, seed)
    stiff = Inverses(jnp.asarray(gram), None if curvature is None else jnp.asarray(curvature))
    lengths = [1e-2, 1e10, 1e35, 1e55, 1e70]
    found = damped(stiff, g, lengths)
    products = exactly(gram) if curvature is None else product(exactly(curvature), exactly(gram))
    for row, length in zip(found, lengths, strict=True):
        c = Fraction(length)
        matrix = [[(i == j) + c * entry for j, entry in enumerate(line)] for i, line in enumerate(products)]
        expected = np.array([float(value) for value in solved(matrix, g)])
        np.testing.assert_allclose(row, expected, rtol=1e-12)
