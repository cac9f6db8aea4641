"""A batch that is looked at: what it tells, where it ends, and what compiling took of its time."""

import time

import jax.numpy as jnp
import numpy as np
import pytest

from kernels import compilation
from kernels.compilation import since
from kernels.data.kinds import Dataset
from kernels.simulate import Run, simulate
from kernels.x64 import jax
from tests.kernels.conftest import regression_data, spec_of


def runs_of(dataset: Dataset, count: int) -> list[Run]:
    axes = {"task": "regression", "architecture": "diagonal", "depth": 2, "init": "gaussian", "record": False}
    return [(spec_of(dataset, alpha=0.5 + 0.01 * seed, seed=seed, **axes), dataset) for seed in range(count)]


def test_a_batch_tells_how_many_runs_have_ended() -> None:
    told: list[int] = []
    results = simulate(runs_of(regression_data(1, 2), 100), watch=lambda ended: bool(told.append(ended)))
    assert len(results) == 100
    assert (told[0], told[-1]) == (0, 100)
    assert told == sorted(told)
    assert len(set(told)) > 2  # 64 lanes are refilled when an eighth of them have ended


def test_a_batch_that_is_ended_keeps_the_runs_that_have() -> None:
    runs = runs_of(regression_data(1, 2), 100)
    part = simulate(runs, watch=lambda ended: ended > 0)
    assert 0 < len(part) < 100
    whole = {result.spec.run_id: result for result in simulate(runs)}
    order = [spec.run_id for spec, _ in runs if spec.run_id in {result.spec.run_id for result in part}]
    assert [result.spec.run_id for result in part] == order
    for result in part:
        other = whole[result.spec.run_id]
        np.testing.assert_allclose(result.beta, other.beta, rtol=1e-9)
        assert [record.prediction for record in result.predictions] == [
            record.prediction for record in other.predictions
        ]


def test_a_batch_that_is_ended_at_once_compiles_nothing() -> None:
    begin = time.perf_counter()
    assert simulate(runs_of(regression_data(2, 7), 3), watch=lambda ended: True) == []
    assert since(begin) == 0.0


def test_compiling_is_timed_once_whatever_is_traced_within_it() -> None:
    @jax.jit
    def outer(x: jax.Array) -> jax.Array:
        return jax.jit(lambda y: jnp.sin(y) @ y)(x) + jnp.sum(x)

    begin = time.perf_counter()
    outer(jnp.ones((3, 3))).block_until_ready()
    spent, compiled = time.perf_counter() - begin, since(begin)
    assert 0 < compiled <= spent
    again = time.perf_counter()
    outer(jnp.ones((3, 3))).block_until_ready()
    assert since(again) == 0.0
    assert since(begin) == pytest.approx(compiled)


def test_spans_within_others_are_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(compilation.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(compilation._spans, "known", [])
    for end, seconds in ((12.0, 1.0), (13.0, 0.5), (14.0, 4.0), (15.0, 1.0)):  # the third holds the first two
        now[0] = end
        compilation._ended("/jax/core/compile/backend_compile_duration", seconds)
        compilation._ended("/jax/other", 9.0)
    assert since(0.0) == 5.0
    assert since(13.0) == 1.0
