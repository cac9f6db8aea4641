"""Guides of the predicted slope in the chart of the initialisation scale."""

import polars as pl
import pytest

from analysis.charts.scale import BESIDE, LIMIT, guides

KEYS = dict(zip(LIMIT, ("limit alpha->0", "weighted_l1", "diagonal", "d = 2, n = 1"), strict=True))


@pytest.mark.parametrize("predicted", [1.0, 3.0])
def test_a_guide_is_parallel_to_the_prediction_and_beside_the_curve(predicted: float) -> None:
    lines = pl.DataFrame([{**KEYS, "depth": 2, "alpha": a, "distance": 0.5 * a**1.1} for a in (1e-3, 1e-2, 1e-1, 1.0)])
    row = {**KEYS, "depth": 2, "slope": 1.1, "predicted": predicted, "alpha_from": 1e-3, "alpha_to": 1e-1}
    found = guides(lines, pl.DataFrame([row, {**row, "depth": 3}]))
    assert found["depth"].to_list() == [2, 2]
    assert found["alpha"].to_list() == [1e-3, 1e-1]
    low, high = found["value"]
    assert high / low == pytest.approx(100**predicted)
    assert (low * high) ** 0.5 == pytest.approx(BESIDE * 0.5 * 1e-2**1.1)


def test_no_guide_where_theory_says_nothing() -> None:
    row = {**KEYS, "depth": 2, "slope": 1.1, "predicted": None, "alpha_from": 1e-3, "alpha_to": 1e-1}
    slopes = pl.DataFrame([row], schema_overrides={"predicted": pl.Float64})
    lines = pl.DataFrame([{**KEYS, "depth": 2, "alpha": 1e-2, "distance": 0.1}])
    assert guides(lines, slopes).height == 0
