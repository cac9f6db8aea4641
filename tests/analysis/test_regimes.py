"""The regimes of a classification flow against the closed form of one sample, given once with either label."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

from analysis.frames.problems import problems
from analysis.frames.regimes import REGIMES, kernel_direction
from db.store import Store
from tests.db import store_rows as rows

X = np.array([1.0, 2.0])
SCALES = (0.03, 1.0, 30.0)
MARGINS = np.geomspace(2, 1e6, 120)


def spec(**axes: Any) -> str:
    known = {
        "task": "classification", "loss": "exponential",
        "data": {"points": {"x": [[1.0, 2.0], [-1.0, -2.0]], "y": [1.0, -1.0]}},
        "architecture": "diagonal", "depth": 2, "width": None, "filter": None, "init": {"structured": {"eta": "ones"}},
        "alpha": 1.0, "seed": 0, "rtol": 1e-7, "stop": {"log_loss": -1e6}, "solver": "extrapolation", "record": True,
    }  # fmt: skip
    return json.dumps({**known, **axes})


def direction(margin: float, alpha: float) -> np.ndarray:
    """rho_j = alpha^2 sinh(2 nu x_j) / 2 with x.rho = margin: 2 nu = s, in a form that does not overflow."""

    def excess(s: float) -> float:
        return float(np.log(X @ np.sinh(s * X)) - np.log(2 * margin / alpha**2))

    s = brentq(excess, 1e-13, 40, xtol=1e-15, rtol=1e-14)
    rho = np.sinh(s * X)
    return np.asarray(rho / np.linalg.norm(rho))


@pytest.fixture(scope="module")
def regimes(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Runs that are the closed form, at three scales,."""
    store = Store(tmp_path_factory.mktemp("regimes") / "rows.duckdb")
    store.create()
    orbits = {f"run{alpha}": [direction(margin, alpha).tolist() for margin in MARGINS] for alpha in SCALES}
    nothing = [float("nan")] * len(MARGINS)
    same = {"step": list(range(len(MARGINS))), "log_time": nothing, "residual": nothing, "min_margin": nothing,
            "norm": nothing, "alignment": nothing, "log_loss": (-MARGINS).tolist()}  # fmt: skip
    stated = [{"prediction": "max_margin_bridge", "beta": [0.0, 1.0]}, {"prediction": "finite_margin", "beta": None}]
    store.commit({
        "runs": rows.table("runs", rows.RUN, [
            {"run_id": f"run{alpha}", "task": "classification", "loss": "exponential", "alpha": alpha,
             "spec": spec(alpha=alpha)} for alpha in SCALES
        ]),
        "predictions": rows.table("predictions", rows.PREDICTION, [
            {"run_id": run, "kind": "limit t->inf", **each} for run in orbits for each in stated
        ]),
        "trajectories": rows.table("trajectories", same, [{"run_id": run, "beta": orbits[run]} for run in orbits]),
    })  # fmt: skip
    return REGIMES.read(store)


def test_distances_are_those_of_the_closed_form(regimes: pl.DataFrame) -> None:
    """The kernel of ones is that of x itself, (1, 2) / sqrt 5; the l1 max margin is (0, 1)."""
    for limit, star in (("max_margin_kernel", X / 5**0.5), ("max_margin_bridge", np.array([0.0, 1.0]))):
        here = regimes.filter(pl.col("limit") == limit)
        assert here.height > 40
        expected = [np.linalg.norm(direction(clock, 1.0) - star) for clock in here["clock"]]
        far = np.array(expected) > 1e-6  # rounding, below
        assert here["middle"].to_numpy()[far] == pytest.approx(np.array(expected)[far], rel=0.02)


def test_runs_of_all_scales_fall_on_one_curve(regimes: pl.DataFrame) -> None:
    pooled = regimes.filter(pl.col("runs") > 1, pl.col("middle") > 1e-6)
    assert pooled.height > 10
    assert (pooled["high"] / pooled["low"]).max() < 1.05
    assert set(regimes["pooled"]) == {"scales α"}


def test_each_limit_fails_in_the_others_regime(regimes: pl.DataFrame) -> None:
    first, last = regimes["clock"].min(), regimes["clock"].max()
    at = {(limit, clock): middle for limit, clock, middle in regimes.select("limit", "clock", "middle").iter_rows()}
    assert at["max_margin_kernel", first] < 1e-3 < 0.4 < at["max_margin_bridge", first]
    assert at["max_margin_bridge", last] < 1e-3 < 0.4 < at["max_margin_kernel", last]


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_kernels_margin_is_weighted_by_the_start(depth: int) -> None:
    """One sample: argmin sum rho_j^2 eta_j^{2-2L} on x.rho = 1 is proportional to eta^{2L-2} x."""
    (problem,) = problems([spec(depth=depth, init={"structured": {"eta": "uniform"}}, seed=3, alpha=7.0)])
    assert problem is not None
    assert problem.eta is not None
    found = kernel_direction(problem)
    expected = problem.eta ** (2 * depth - 2) * X
    assert found == pytest.approx(expected / np.linalg.norm(expected), rel=1e-9)


def test_other_starts_have_no_kernel_limit() -> None:
    (problem,) = problems([spec(init={"gaussian": {}})])
    assert problem is not None
    assert kernel_direction(problem) is None
