"""Frames against the trajectories and predictions that they summarise."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import analysis.frames
from analysis.charts.plane import subtitle
from analysis.errors import BadFilter
from analysis.frames import along, averages, counts, plane, provenance, scale, singular
from analysis.frames.frame import Frame, restricted
from db.store import Store
from tests.db import store_rows as rows
from tests.marks import sampled

FRAMES = {
    f"{module.name}.{name}": value
    for module in pkgutil.iter_modules(analysis.frames.__path__)
    for name, value in vars(importlib.import_module(f"analysis.frames.{module.name}")).items()
    if isinstance(value, Frame)
}
EMPTY = ("counts.ENDS", "along.FINITE_MARGIN", "along.UNDIRECTED", "along.UNBOUNDED", "regimes.REGIMES")
CURVES = [name for name, frame in FRAMES.items() if "middle" in frame.columns and "clock" in frame.columns]


@pytest.mark.parametrize("name", sampled(list(FRAMES), 3))
def test_columns_are_the_documented_ones(store: Store, name: str) -> None:
    frame = FRAMES[name].read(store)
    assert frame.columns == list(FRAMES[name].columns)
    # every run of this store converged, and its classifiers are fully connected: none is left out, none decomposes
    assert frame.height > 0 or name in EMPTY
    assert all(FRAMES[name].columns.values())


@pytest.mark.parametrize("name", sampled(list(FRAMES), 3))
def test_same_columns_without_a_run(store: Store, name: str) -> None:
    frame = FRAMES[name].read(store, "run_id = 'none'")
    assert frame.columns == list(FRAMES[name].columns)


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_positive_finite_and_ordered(store: Store, name: str) -> None:
    frame = FRAMES[name].read(store)
    numbers = frame.select("clock", "low", "middle", "high").to_numpy()
    assert np.isfinite(numbers).all()
    assert (numbers > 0).all()
    assert (frame["low"] <= frame["middle"]).all()
    assert (frame["middle"] <= frame["high"]).all()


def _orbit(store: Store, where: str) -> dict[str, np.ndarray]:
    found = store.query(
        f"SELECT t.*, p.beta AS star FROM runs r JOIN trajectories t USING (run_id) JOIN predictions p USING (run_id) "
        f"WHERE p.beta IS NOT NULL AND {where} LIMIT 1"
    ).to_pylist()[0]
    return {key: np.array(value) for key, value in found.items()}


@pytest.mark.parametrize(
    ("frame", "task", "architecture", "prediction"),
    [
        (along.REGRESSION_DISTANCE, "regression", "diagonal", "minimum_q_norm"),
        (along.CLASSIFICATION_DISTANCE, "classification", "fully_connected", "max_margin_l2"),
    ],
)
def test_distance_of_one_run_is_its_orbit_interpolated(
    store: Store, frame: Frame, task: str, architecture: str, prediction: str
) -> None:
    chosen = f"task = '{task}' AND architecture = '{architecture}'"
    orbit = _orbit(store, f"{chosen} AND prediction = '{prediction}'")
    curve = frame.read(store, f"run_id = '{orbit['run_id']}'")
    assert curve["prediction"].unique().to_list() == [prediction]
    beta, star = orbit["beta"], orbit["star"]
    if task == "regression":
        clock, axis = -np.log10(orbit["residual"]), -np.log10(curve["clock"].to_numpy())
        distance = np.linalg.norm(beta - star, axis=1) / np.linalg.norm(star)
    else:
        seen = orbit["log_loss"] < -1
        clock, axis = np.log10(-orbit["log_loss"][seen]), np.log10(curve["clock"].to_numpy())
        directions = beta[seen] / np.linalg.norm(beta[seen], axis=1, keepdims=True)
        distance = np.linalg.norm(directions - star / np.linalg.norm(star), axis=1)
    order = np.argsort(clock, kind="stable")
    expected = np.exp(np.interp(axis, clock[order], np.log(distance[order])))
    assert curve["middle"].to_numpy() == pytest.approx(expected, rel=1e-6)
    assert curve["low"].to_list() == curve["high"].to_list()


def test_margins_are_over_the_largest_and_tend_to_it(store: Store) -> None:
    """y x = (1, 2), (0, 3): the least beta of margins 1 is (1, 2) / 5, and ||Theta||^2 >= 2 ||beta||."""
    largest = np.sqrt(5) / 2
    run = store.query("SELECT run_id FROM runs WHERE task = 'classification' ORDER BY run_id LIMIT 1")["run_id"][0]
    (orbit,) = store.query(f"SELECT * FROM trajectories WHERE run_id = '{run}'").to_pylist()
    curve = along.MARGINS.read(store, f"run_id = '{run}'")
    seen = np.array(orbit["log_loss"]) < -1
    clock, margin = (-np.array(orbit["log_loss"]))[seen], np.array(orbit["min_margin"])[seen]
    expected = np.exp(np.interp(np.log(curve["clock"].to_numpy()), np.log(clock), np.log(margin / largest)))
    assert curve["middle"].to_numpy() == pytest.approx(expected, rel=1e-6)
    assert curve["middle"][0] < curve["middle"][-1] - 0.01
    assert 0.999 < curve["middle"][-1] <= 1 + 1e-12


LARGEST_CASES: dict[str, tuple[str, int, float | None, float | None]] = {
    "one layer": ("max_margin_bridge", 1, 4.0, 1.0),
    "two layers": ("max_margin_bridge", 2, 4.0, 2.0),
    "three layers": ("max_margin_bridge", 3, 4.0, 27**0.5),
    "a group of n = 2": ("max_margin_schatten", 2, 4.0, 1.0),
    "not the least norm": ("max_margin_schatten", 3, 4.0, None),
    "no matrices": ("max_margin_l2", 2, 4.0, None),
    "no optimum": ("max_margin_bridge", 2, None, None),
}
"""Run -> prediction, depth, N, and L^{L/2} (over n^{L/2}): 1 / largest margin is their product; None: not known."""


@pytest.fixture(scope="module")
def half_margins(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Runs at half of their largest margin all along."""
    store = Store(tmp_path_factory.mktemp("margins") / "rows.duckdb")
    store.create()
    halves = [(run, 0.5 / (4.0 * (case[3] or 1.0))) for run, case in LARGEST_CASES.items()]
    about = [
        {"run_id": run, "task": "classification", "depth": depth} for run, (_, depth, _, _) in LARGEST_CASES.items()
    ]
    stated = [
        {"run_id": run, "prediction": prediction, "kind": "limit t->inf", "objective": objective}
        for run, (prediction, _, objective, _) in LARGEST_CASES.items()
    ]
    orbits = [{"run_id": run, "log_loss": [-2.0, -1e3], "min_margin": [half, half]} for run, half in halves]
    store.commit({
        "runs": rows.table("runs", rows.RUN, about),
        "predictions": rows.table("predictions", rows.PREDICTION, stated),
        "trajectories": rows.table("trajectories", rows.TRAJECTORY, orbits),
    })  # fmt: skip
    return store


@pytest.mark.parametrize("run", LARGEST_CASES)
def test_the_largest_margin_is_that_of_balanced_layers(half_margins: Store, run: str) -> None:
    """1 / (L^{L/2} N); where N is not known the run is left out, and counted."""
    _, depth, _, known = LARGEST_CASES[run]
    found = along.MARGINS.read(half_margins, f"run_id = '{run}'")
    others = along.UNBOUNDED.read(half_margins, f"run_id = '{run}'")
    assert found["middle"].to_list() == pytest.approx([0.5] * found.height)
    assert (found.height > 0) == (known is not None)
    assert others.rows() == ([] if known else [("diagonal", str(depth), 1)])


def test_what_is_pooled_is_what_the_runs_differ_in(store: Store) -> None:
    frame = along.REGRESSION_DISTANCE.read(store)
    told = dict(frame.filter(pl.col("architecture") == "diagonal").select("prediction", "pooled").unique().rows())
    assert told == {"minimum_q_norm": "scales α"}
    gaussian = along.REGRESSION_DISTANCE.read(store, "init = 'gaussian'")
    assert gaussian["pooled"].unique().to_list() == ["scales α, seeds"]
    assert along.MARGINS.read(store, "seed = 0")["pooled"].unique().to_list() == [""]


def test_alignment_of_a_scale_is_that_of_its_orbits(store: Store) -> None:
    """Diagonal, one run a scale: 1 - |cos| at the residuals of the curve."""
    curves = along.REGRESSION_ALIGNMENT.read(store, "architecture = 'diagonal'")
    assert set(curves["alpha"]) == {0.01, 0.03, 0.1, 10.0} or curves["alpha"].n_unique() == 4
    sql = "FROM trajectories JOIN runs USING (run_id) WHERE architecture = 'diagonal' AND round(alpha, 4) = 0.01"
    (orbit,) = store.query(f"SELECT trajectories.* {sql}").to_pylist()
    here = curves.filter(pl.col("alpha") == 0.01)
    clock, order = -np.log10(orbit["residual"]), np.argsort(-np.log10(orbit["residual"]), kind="stable")
    logs = np.log(np.maximum(orbit["alignment"], 1e-16))
    expected = np.exp(np.interp(-np.log10(here["clock"].to_numpy()), clock[order], logs[order]))
    assert here["middle"].to_numpy() == pytest.approx(expected, rel=1e-6)
    assert curves.filter(pl.col("alpha") == 10.0)["middle"].min() > 100 * here["middle"].min()


def test_singular_values_are_those_of_the_view(store: Store) -> None:
    """Of two layers from small weights the first becomes of rank one, like (-log Loss)^(-1/2) = 1e-3."""
    found = singular.SINGULAR.read(store)
    sql = "SELECT run_id, singular_ratio, adjacent_alignment, rank FROM convergence WHERE singular_ratio IS NOT NULL"
    expected = {row["run_id"]: row for row in store.query(sql).to_pylist()}
    assert found.height == len(expected) == 4
    for run, ratio, turned, rank in found.select("run_id", "ratio", "turned", "rank").iter_rows():
        assert (ratio, rank) == (expected[run]["singular_ratio"], expected[run]["rank"])
        assert turned == pytest.approx(max(1 - expected[run]["adjacent_alignment"], 1e-16))
        assert ratio < 1e-3


def test_deep_networks_have_the_ray_of_their_stationary_point(tmp_path: Path) -> None:
    """Where max_margin_bridge of three layers has coefficients; a run for which it has none is counted."""
    store = Store(tmp_path / "rows.duckdb")
    store.create()
    tables = rows.results(["a", "b"], task="classification", depth=3)
    stated: dict[str, Any] = {"prediction": "max_margin_bridge", "kind": "limit t->inf"}
    tables["predictions"] = rows.table(
        "predictions",
        {**rows.PREDICTION, **stated},
        [{"run_id": "a", "beta": [0.6, 0.8]}, {"run_id": "b", "beta": None}],
    )
    store.commit(tables)
    (ray,) = plane.CLASSIFICATION_LIMITS.read(store).to_dicts()
    assert (ray["prediction"], ray["depth"], ray["beta_1"], ray["beta_2"]) == ("max_margin_bridge", 3, 0.6, 0.8)
    orbits = plane.CLASSIFICATION_ORBITS.read(store)
    assert dict(orbits.select("run_id", "predicted").unique().rows()) == {"a": True, "b": False}
    assert subtitle(orbits).endswith("Nothing is predicted of where 1 of them end.")


def test_two_layers_approach_the_max_margin_direction_like_one_over_root(store: Store) -> None:
    slopes = along.CLASSIFICATION_SLOPES.read(store, "architecture = 'fully_connected'")
    assert slopes["guide"].to_list() == [-0.5]
    assert slopes["slope"][0] == pytest.approx(-0.5, abs=0.05)


def test_distances_at_a_finite_margin_are_interpolated_between_points(tmp_path: Path) -> None:
    """Of two runs, each compared at −log Loss = 1 and 100: from 1 to 1/100, and four times that; scales stay apart."""
    store = Store(tmp_path / "rows.duckdb")
    store.create()
    asked: dict[str, Any] = {"prediction": "finite_margin", "kind": "limit t->inf"}
    for name, alpha, factor in (("a", 0.5, 1.0), ("b", 0.1, 4.0)):
        tables = rows.results([name], task="classification", alpha=alpha)
        tables["predictions"] = rows.predictions([name], **asked)
        tables["trajectories"] = rows.trajectories([name], log_loss=[-1.0, -100.0])
        ends = ((1, factor), (2, factor / 100))
        compared = [rows.path_predictions([name], prediction="finite_margin", point=p, distance=d) for p, d in ends]
        tables["path_predictions"] = pa.concat_tables(compared)
        store.commit(tables)
    found = along.FINITE_MARGIN.read(store)
    assert found["alpha"].to_list() == [0.1] * 5 + [0.5] * 5
    assert found["runs"].to_list() == [1] * 10
    ticks = 10.0 ** np.array([0, 0.5, 1, 1.5, 2])
    assert found["clock"].to_numpy() == pytest.approx([*ticks, *ticks])
    assert found["middle"].to_numpy() == pytest.approx([*(4 / ticks), *(1 / ticks)])
    assert along.CLASSIFICATION_DISTANCE.read(store).is_empty()  # what holds at a point says not where the run ends


def test_time_averages_are_of_scales_below_one(store: Store) -> None:
    """Of two layers, at every scale below one that is drawn."""
    frame = along.TIME_AVERAGE.read(store)
    assert set(frame["alpha"]) <= {0.01, 0.03, 0.1}
    assert set(frame["depth"]) == {2}
    worst = frame.group_by("alpha").agg(pl.col("middle").max()).sort("alpha")["middle"].to_list()
    assert worst == sorted(worst)


def test_runs_end_where_the_exact_prediction_lies_between_the_limits(store: Store) -> None:
    points = scale.LIMIT_POINTS.read(store, "architecture = 'diagonal'")
    lines = scale.LIMIT_LINES.read(store, "architecture = 'diagonal'")
    near = pl.col("alpha").round_sig_figs(5)
    both = points.with_columns(near).join(lines.with_columns(near), on=["limit_prediction", "alpha"], suffix="_line")
    assert both.height == points.height == 10
    assert both["distance"].to_numpy() == pytest.approx(both["distance_line"].to_numpy(), abs=1e-6)


def test_two_layer_distance_to_the_l1_limit_is_proportional_to_alpha(store: Store) -> None:
    """One sample x = (1, 2): rho_1 / rho_2 = sinh(2 nu) / sinh(4 nu) = 1 / (2 cosh 2 nu) ~ alpha, as rho_2 -> 1/2."""
    slopes = scale.LIMIT_SLOPES.read(store, "architecture = 'diagonal'").filter(
        pl.col("limit_kind") == "limit alpha->0"
    )
    assert slopes["slope"].to_list() == [pytest.approx(1.0, abs=0.03)]
    assert slopes["predicted"].to_list() == [pytest.approx(1.0, abs=1e-12)]
    assert (
        slopes["slope"].to_list()
        == store.query("SELECT slope FROM slopes WHERE architecture = 'diagonal' AND prediction = 'weighted_l1'")[
            "slope"
        ].to_pylist()
    )


def test_effective_number_of_the_least_l2_solution(store: Store) -> None:
    """beta = (1, 2) / 5: (3/5)^2 / (1/5) = 9/5, at every alpha."""
    points = scale.SPARSITY_POINTS.read(store, "init = 'orthogonal'")
    assert points["effective"].to_list() == [pytest.approx(1.8, rel=1e-6)] * 5
    assert points["predicted"].to_list() == [pytest.approx(1.8, rel=1e-9)] * 5


def test_exact_predictions_come_before_limits(store: Store) -> None:
    limits = plane.REGRESSION_LIMITS.read(store, "architecture = 'fully_connected' AND init = 'orthogonal'")
    exact = limits.filter(pl.col("kind") == "exact")
    assert exact["prediction"].unique().to_list() == ["minimum_q_norm"]
    assert exact.height == limits["alpha"].n_unique() == 4
    assert np.abs(limits.select("beta_1", "beta_2").to_numpy() - (0.2, 0.4)).max() < 1e-6


def test_limits_at_both_ends_of_alpha(store: Store) -> None:
    frame = counts.LIMITS.read(store, "architecture = 'diagonal'").filter(pl.col("prediction") == "weighted_l1")
    row = frame.row(0, named=True)
    assert (row["smallest"], row["largest"]) == (0.01, 10.0)
    assert row["at_smallest"] < 0.01 < row["at_largest"]


def test_head_counts_every_status(store: Store) -> None:
    head = counts.HEAD.read(store).row(0, named=True)
    assert head["runs"] == 20
    assert head["converged"] + head["stopped"] + head["diverged"] + head["failed"] == head["runs"]


def test_provenance_counts_what_was_computed(store: Store) -> None:
    row = provenance.SWEEPS.read(store).row(0, named=True)
    assert (row["name"], row["asked"], row["done"], row["computed"]) == ("tiny", 20, 20, 20)


def test_points_of_the_data_come_back_from_the_spec(store: Store) -> None:
    assert plane.REGRESSION_SAMPLES.read(store).rows() == [(1.0, 2.0, 1.0)]
    assert plane.CLASSIFICATION_SAMPLES.read(store).rows() == [(1.0, 2.0, 1.0), (0.0, -3.0, -1.0)]


@pytest.mark.parametrize(
    "sql", ["SELECT count(*) AS n FROM runs", "WITH a AS (SELECT * FROM runs) SELECT count(*) AS n FROM a"]
)
def test_a_condition_hides_the_other_runs(store: Store, sql: str) -> None:
    answer: Any = store.query(restricted(sql, "task = 'classification'")).to_pylist()
    assert answer == [{"n": 4}]


def test_a_wrong_condition_is_named(store: Store) -> None:
    with pytest.raises(BadFilter, match="where: 'colour = 3' is no condition on the columns"):
        counts.HEAD.read(store, "colour = 3")


def test_averages_are_of_the_whole_orbit_up_to_each_time(store: Store) -> None:
    """Against numpy's trapezoids, from t = 0; the lasso of one sample (1, 2), y = 1 is (0, 1/2 - log(1/alpha) / 4t)."""
    least = averages.AVERAGES.read(store, "architecture = 'diagonal'")
    assert set(least["alpha"]) == {0.01}
    assert set(least["coordinate"]) == {2}  # the other stays below a hundredth of it
    frame = averages.AVERAGES.read(store, "architecture = 'diagonal' AND alpha = 0.1")
    assert frame["run_id"].n_unique() == 1
    orbit = _orbit(store, f"run_id = '{frame['run_id'][0]}'")
    times, betas = np.exp(orbit["log_time"]), np.array(orbit["beta"])
    assert times[0] == 0
    due_averages = np.cumsum(np.diff(times)[:, None] * (betas[1:] + betas[:-1]) / 2, axis=0) / times[1:, None]
    for coordinate, found in ((c, frame.filter(pl.col("coordinate") == c)) for c in (1, 2)):
        np.testing.assert_allclose(found["average"], due_averages[-found.height :, coordinate - 1], rtol=1e-9)
        seen = found.drop_nulls("lasso")
        assert 4 <= seen.height <= 16
        due = np.maximum(0.5 - np.log(10) / (4 * seen["time"].to_numpy()), 0) if coordinate == 2 else 0.0
        np.testing.assert_allclose(seen["lasso"], due, atol=1e-9)
