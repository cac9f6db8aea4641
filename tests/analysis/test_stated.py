"""The one pass over predictions says what plain statements say, row by row in Python."""

from collections import defaultdict
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from analysis.frames import counts
from db.store import Store
from tests.db import store_rows as rows

ALPHAS = (0.01, 0.010000001, 0.3, 5.0, 5.00000001)
KINDS = {"minimum_q_norm": "exact", "weighted_l1": "limit alpha->0", "weighted_l2": "limit alpha->inf"}
BY = ("task", "loss", "prediction", "kind")


@pytest.fixture
def many(tmp_path: Path) -> Store:
    """400 runs of three depths at scales of which two pairs are one; some ended badly, or without a distance."""
    store, rng = Store(tmp_path / "many.duckdb"), np.random.default_rng(0)
    store.create()
    ids = [f"{k:03}" for k in range(400)]
    runs = [
        {
            "run_id": run,
            "status": "stopped" if k % 7 == 0 or (k % 5 == 0 and k % 3 == 1) else "converged",
            "depth": 2 + k % 3,
            "alpha": ALPHAS[k % 5],
            "residual": [1e-11, 0.5, 1e-3][k % 11 % 3],
        }
        for k, run in enumerate(ids)
    ]
    predictions = [
        {
            "run_id": run,
            "prediction": prediction,
            "kind": kind,
            "distance": [float(10 ** rng.uniform(-20, 0)), None, float("nan")][max(0, k % 10 - 7)],
            "certificate": [1e-12, None, float("inf")][k % 3],
            "beta": None if k % 13 == 0 else [1.0, 2.0],
        }
        for k, run in enumerate(ids)
        for prediction, kind in KINDS.items()
    ]
    store.commit(
        {
            "runs": rows.table("runs", rows.RUN, runs),
            "predictions": rows.table("predictions", rows.PREDICTION, predictions),
        }
    )
    return store


def plain(known: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is said of one prediction of some runs, by the definitions."""
    converged = [row for row in known if row["status"] == "converged"]
    kind, scales = known[0]["kind"], [row["alpha"] for row in converged]
    ends = {
        "limit alpha->0": lambda a: a <= min(scales) * 1.00001,
        "limit alpha->inf": lambda a: a >= max(scales) / 1.00001,
    }
    of_end = [row for row in converged if ends.get(kind, lambda _: True)(row["alpha"])]
    finite = [row for row in converged if row["distance"] is not None and isfinite(row["distance"])]
    judged = [row for row in of_end if row in finite]
    distances = [max(row["distance"], 1e-16) for row in judged]
    certificates = [row["certificate"] for row in converged if row["certificate"] is not None]
    return {
        "runs": len(converged),
        "left_out": len(known) - len(converged),
        "without_distance": len(converged) - len(finite),
        "uncertified": sum(row["certified"] is False for row in converged),
        "beyond": sum(row["tolerance"] is not None and row["distance"] > row["tolerance"] for row in judged),
        "unjudged": sum(row["tolerance"] is None for row in judged) if kind == "exact" else 0,
        "judged": len(judged),
        "judged_at": None if kind == "exact" else max(row["alpha"] for row in of_end),
        "median": float(np.median(distances)),
        "high": float(np.quantile(distances, 0.9)),
        "worst": max(distances),
        "worst_certificate": max(filter(isfinite, certificates), default=None),
    }


@pytest.mark.parametrize("where", ["true", "alpha > 0.1 AND depth > 2"])
@pytest.mark.parametrize("frame", [counts.PREDICTIONS, counts.PREDICTIONS_BY_NETWORK])
def test_one_pass_says_what_plain_statements_say(many: Store, frame: counts.Frame, where: str) -> None:
    by = [*BY, *(name for name in ("architecture", "depth") if name in frame.columns)]
    groups = defaultdict(list)
    for row in many.query(f"FROM convergence SEMI JOIN (FROM runs WHERE {where}) USING (run_id)").to_pylist():
        groups[tuple(row[name] for name in by)].append(row)
    found = frame.read(many, where).to_dicts()
    assert [tuple(row[name] for name in by) for row in found] == sorted(groups)
    for row in found:
        for name, value in plain(groups[tuple(row[name] for name in by)]).items():
            assert row[name] == (value if value is None else pytest.approx(value, rel=1e-12)), name


def test_limits_are_medians_at_both_ends_of_the_scales(many: Store) -> None:
    found = {row["prediction"]: row for row in counts.LIMITS.read(many).to_dicts()}
    assert set(found) == {"weighted_l1", "weighted_l2"}
    known = pl.DataFrame(many.query("FROM convergence")).filter(pl.col("distance").is_finite(), status="converged")
    for prediction, row in found.items():
        of = known.filter(prediction=prediction)
        assert (row["smallest"], row["largest"]) == (0.01, 5.00000001)
        for end, near in (("at_smallest", pl.col("alpha") < 0.02), ("at_largest", pl.col("alpha") > 4)):
            assert row[end] == pytest.approx(of.filter(near)["distance"].median(), rel=1e-12)
