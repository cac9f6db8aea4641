"""Frames of where runs ended, against the initialisation scale; a series for every value of axes of one's choice."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from analysis.frames.frame import Frame
from analysis.frames.norms import ELIGIBLE, STATED, over_least
from analysis.frames.scale import BINS_PER_DECADE
from analysis.frames.shared import FLOOR, OF_THE_PATH, PREFERRED, pooled

MOST_AT_A_SCALE = 25
"""Runs of a series and scale whose networks are made again for their norms."""

NORMS = {"l1": "ℓ1 norm", "l2": "ℓ2 norm"}
_BIN = f"round(log10(scale) * {BINS_PER_DECADE})"
_LIMIT = f"""FROM runs JOIN predictions l USING (run_id)
  WHERE task = 'regression' AND status = 'converged' AND kind IN ('limit alpha->0', 'limit alpha->inf')
    AND l.beta IS NOT NULL AND prediction NOT IN {OF_THE_PATH} AND list_inner_product(l.beta, l.beta) > 0"""

TARGETS = Frame(
    f"""SELECT task, architecture, list(DISTINCT prediction ORDER BY prediction) AS predictions
{_LIMIT} GROUP BY ALL ORDER BY ALL""",
    {"task": "regression", "architecture": "the network", "predictions": "the limits that distances are to"},
)


def distances(axes: Sequence[str], selected: str) -> Frame:
    """||beta - limit|| / ||limit|| where the flow ended; of several predictions of one limit the first counts."""
    series = ", ".join([*axes, "kind"])
    return Frame(
        f"""WITH ended AS (
  SELECT run_id, {selected}, kind, alpha AS scale,
    list_distance(runs.beta, l.beta) / sqrt(list_inner_product(l.beta, l.beta)) AS value
  {_LIMIT} QUALIFY row_number() OVER (PARTITION BY run_id, kind ORDER BY {PREFERRED}) = 1
), {pooled("ended", series, "alpha")}, counted AS (
  SELECT *, count(*) OVER (PARTITION BY {series}) AS runs_of_series FROM ended WHERE isfinite(value)
)
SELECT {series}, median(scale) AS clock, quantile_cont(greatest(value, {FLOOR}), 0.1) AS low,
  greatest(median(value), {FLOOR}) AS middle, quantile_cont(greatest(value, {FLOOR}), 0.9) AS high, count(*) AS runs,
  any_value(runs_of_series) AS runs_of_series, any_value(pooled) AS pooled
FROM counted JOIN pooled USING ({series}) GROUP BY {series}, {_BIN} ORDER BY {series}, clock""",
        _columns(axes, "the limit", "||beta - limit|| / ||limit|| where the flow ended"),
    )


def norms(axes: Sequence[str], selected: str) -> Frame:
    """The norms of the limit over their least values, in the network's own coordinates, as of the frame NORMS."""
    series = ", ".join(axes)
    return Frame(
        f"""WITH {STATED}, ended AS (
  SELECT run_id, {selected}, alpha AS scale, spec::VARCHAR AS spec, beta AS reached, exact, sparse, dense
  FROM runs JOIN stated USING (run_id) WHERE {ELIGIBLE}
), {pooled("ended", series, "alpha")}
SELECT {series}, run_id, {_BIN} AS bin, scale, spec, reached, exact, sparse, dense, pooled,
  count(*) OVER (PARTITION BY {series}) AS runs_of_series
FROM ended JOIN pooled USING ({series})
QUALIFY row_number() OVER (PARTITION BY {series}, {_BIN} ORDER BY run_id) <= {MOST_AT_A_SCALE}""",
        _columns(axes, "which norm", "the norm of where the flow ended over the least one"),
        partial(_quantiles, axes=list(axes)),
    )


def _quantiles(answer: pl.DataFrame, axes: list[str]) -> pl.DataFrame:
    """Median, 10 % and 90 % of the norms at every scale of a series."""
    keys = answer.select(*axes, "run_id", "bin", "scale", "pooled", "runs_of_series")
    found = over_least(answer).join(keys, on="run_id", how="left", maintain_order="left")
    value, series = pl.col("reached"), [*axes, "kind"]
    return (
        found.with_columns(kind=pl.col("norm").replace(NORMS))
        .group_by(*series, "bin")
        .agg(
            clock=pl.col("scale").median(),
            low=value.quantile(0.1, "linear"),
            middle=value.median(),
            high=value.quantile(0.9, "linear"),
            runs=pl.len().cast(pl.Int64),
            runs_of_series=pl.col("runs_of_series").first(),
            pooled=pl.col("pooled").first(),
        )
        .drop("bin")
        .sort(*series, "clock")
    )


def _columns(axes: Sequence[str], kind: str, value: str) -> dict[str, str]:
    return {
        **dict.fromkeys(axes, "an axis, as in the table runs"),
        "kind": kind,
        "clock": f"initialisation scale; scales within 1/{BINS_PER_DECADE} of a decade are one point",
        "low": f"10 % quantile of {value}",
        "middle": f"median of {value}",
        "high": f"90 % quantile of {value}",
        "runs": "runs of this point that are drawn",
        "runs_of_series": "runs of the series in the store",
        "pooled": "in what the runs of the series differ but for the scale, in words",
    }
