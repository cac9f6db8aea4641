"""Results become rows without loss, with the store's own schema."""

import json
from pathlib import Path

import numpy as np
import pytest

from db.arrow import schema
from db.store import Store
from kernels.observables import OBSERVABLES
from kernels.results import PathRecord, PredictionRecord, RunResult, SaddleRecord, Trajectory
from kernels.spec import KERNEL_VERSION
from kernels.validate import canonicalise
from sweep.execution.records import failed_run, table, tables

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1.7e308]
SEEDS = range(12)


def results(seed: int) -> list[RunResult]:
    """Runs of one shape with any numbers in them, some without predictions or trajectories, some of length zero."""
    rng = np.random.default_rng(seed)
    dim, count = int(rng.integers(1, 5)), int(rng.integers(0, 6))
    data = {"points": {"x": [[1.0] * dim], "y": [1.0]}}

    def array(*shape: int) -> np.ndarray:
        return np.where(rng.random(shape) < 0.2, rng.choice(SPECIAL, shape), rng.standard_normal(shape))

    def number() -> float:
        return float(array(1)[0])

    def trajectory() -> Trajectory | None:
        points = int(rng.integers(0, 4))
        observed = {name: np.arange(points) if row.whole else array(points) for name, row in OBSERVABLES.items()}
        integral = array(points, 1) if rng.random() < 0.5 else None
        return Trajectory(observed, array(points, dim), integral) if rng.random() < 0.7 else None

    def prediction(name: str) -> PredictionRecord:
        beta, distance = array(dim) if rng.random() < 0.5 else None, number() if rng.random() < 0.7 else None
        points = tuple(PathRecord(point, number(), None, 1.0, beta) for point in range(1, rng.integers(1, 4)))
        saddles = tuple(SaddleRecord(k, array(dim), number(), None, 1, beta, 0.5) for k in range(rng.integers(0, 3)))
        detail = {"a": number(), "b": number()}
        return PredictionRecord(name, "exact", distance, number(), None, beta, detail, points, saddles, rank=1)

    def result(run: int) -> RunResult:
        axes = {"task": "regression", "data": data, "architecture": "fully_connected", "init": "gaussian", "seed": run}
        return RunResult(
            spec=canonicalise(axes, dim), dataset="points-00000000", dim=dim, samples=1, status="converged", message="",
            beta=array(dim), log_loss=number(), log_time=number(), residual=number(), min_margin=number(),
            invariant_drift=number(), gap_drift=number(), condition=number(), steps=run, rejected=0, wall_seconds=0.5,
            device="cpu",
            predictions=tuple(prediction(f"p{n}") for n in range(rng.integers(0, 3))), trajectory=trajectory(),
        )  # fmt: skip

    return [result(run) for run in range(count)]


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_hold_the_results(seed: int) -> None:
    found = results(seed)
    rows = tables(found, "s1")
    for name, content in rows.items():
        content.validate(full=True)
        assert content.schema == schema(name)
    for result, row in zip(found, rows["runs"].to_pylist(), strict=True):
        assert row["run_id"] == result.spec.run_id
        np.testing.assert_array_equal(row["beta"], result.beta)
        np.testing.assert_array_equal(row["log_loss"], result.log_loss)
        assert (row["init"], row["width"], row["kernel_version"]) == ("gaussian", result.dim, KERNEL_VERSION)
        assert row["parameters"] == result.dim * result.dim + result.dim
    records = [(result, record) for result in found for record in result.predictions]
    for (result, record), row in zip(records, rows["predictions"].to_pylist(), strict=True):
        assert (row["run_id"], row["prediction"]) == (result.spec.run_id, record.prediction)
        assert (row["beta"] is None, row["distance"] is None) == (record.beta is None, record.distance is None)
        if record.beta is not None:
            np.testing.assert_array_equal(row["beta"], record.beta)
        assert json.loads(row["detail"], parse_constant=pytest.fail).keys() == {"a", "b"}
        assert (row["rank"], row["singular_value"]) == (1, None)
    points = [(result, record, point) for result, record in records for point in record.path]
    for (result, record, point), row in zip(points, rows["path_predictions"].to_pylist(), strict=True):
        key = (result.spec.run_id, record.prediction, point.point)
        assert (row["run_id"], row["prediction"], row["point"]) == key
        np.testing.assert_array_equal(row["distance"], point.distance)
    saddles = [(result, saddle) for result, record in records for saddle in record.saddles]
    for (result, saddle), row in zip(saddles, rows["saddles"].to_pylist(), strict=True):
        assert (row["run_id"], row["number"]) == (result.spec.run_id, saddle.number)
        np.testing.assert_array_equal(row["predicted"], saddle.predicted)
        np.testing.assert_array_equal(row["log_time_predicted"], saddle.log_time_predicted)
    orbits = [result for result in found if result.trajectory is not None]
    for result, row in zip(orbits, rows["trajectories"].to_pylist(), strict=True):
        assert result.trajectory is not None
        for name in OBSERVABLES:
            np.testing.assert_array_equal(row[name], result.trajectory[name])
        assert (row["residual_integral"] is None) == (result.trajectory.residual_integral is None)
        shape = result.trajectory.beta.shape
        np.testing.assert_array_equal(np.array(row["beta"], np.float64).reshape(shape), result.trajectory.beta)


def test_rows_go_through_a_store(tmp_path: Path) -> None:
    found = next(found for found in map(results, SEEDS) if len(found) > 3)
    store = Store(tmp_path / "results.duckdb")
    store.create()
    store.commit(tables(found, "s1"))
    kept = store.query("SELECT beta FROM runs ORDER BY seed")["beta"].to_pylist()
    assert len(kept) == len(found)
    for result, beta in zip(found, kept, strict=True):
        np.testing.assert_array_equal(beta, result.beta)


def test_a_failed_run_is_a_row_with_its_axes(tmp_path: Path) -> None:
    data = {"points": {"x": [[1.0, 2.0]], "y": [1.0]}}
    spec = canonicalise({"task": "regression", "data": data, "architecture": "diagonal"}, 2)
    (row,) = failed_run(spec, "points", 2, 1, "it broke", "s1").to_pylist()
    assert (row["status"], row["message"], row["architecture"], row["beta"]) == ("failed", "it broke", "diagonal", None)


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(KeyError):
        table("sweeps", {"sweep_id": ["a"], "colour": ["red"]})
