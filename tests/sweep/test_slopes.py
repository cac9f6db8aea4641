"""The view `slopes` on runs of a real sweep: scipy's regression, and the powers of alpha that theory gives."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import linregress

from db.store import Store
from tests.sweep.conftest import Launch

GRID = """
task: regression
data: {points: {x: [[1, 2]], y: [1]}}
rtol: 1e-9
record: false
grid: {architecture: diagonal, depth: 2, alpha: [1e-4, 3e-4, 1e-3, 3e-3, 3, 6, 12, 24]}
"""


@pytest.mark.slow
def test_slopes_of_both_limits(launch: Launch, tmp_path: Path) -> None:
    """L = 2, x = (1, 2), y = 1: beta_1 / beta_2 = 1 / (2 cosh 2 nu) ~ alpha as alpha -> 0, where beta_2 -> 1/2;
    as alpha -> infinity beta_j = nu x_j alpha^2 (1 + 2 (nu x_j)^2 / 3), nu ~ alpha^{-2}, so corrections ~ alpha^{-4}.
    """
    launch(GRID)
    store = Store(tmp_path / "results.duckdb")
    fits = {row["prediction"]: row for row in store.query("SELECT * FROM slopes").to_pylist()}
    assert set(fits) == {"weighted_l1", "weighted_l2"}
    for prediction, power in (("weighted_l1", 1.0), ("weighted_l2", -4.0)):
        sql = "SELECT alpha, distance FROM convergence WHERE prediction = $name ORDER BY alpha"
        alpha, distance = store.query(sql, {"name": prediction}).to_pydict().values()
        points = np.array([alpha, distance])[:, (np.array(distance) > 1e-8) & (np.array(distance) <= 0.1)]
        expected = linregress(*np.log(points))
        found = fits[prediction]
        assert found["runs"] == found["alphas"] == points.shape[1] >= 4
        assert (found["alpha_min"], found["alpha_max"]) == (points[0, 0], points[0, -1])
        assert found["slope"] == pytest.approx(expected.slope, rel=1e-9)
        assert found["intercept"] == pytest.approx(expected.intercept, rel=1e-9)
        assert found["standard_error"] == pytest.approx(expected.stderr, rel=1e-6)
        assert found["slope"] == pytest.approx(power, rel=0.05)
        assert found["predicted_slope"] == (pytest.approx(1.0) if prediction == "weighted_l1" else None)
