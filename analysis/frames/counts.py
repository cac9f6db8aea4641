"""Frames that count: what ran, how it ended, and how far from theory."""

from collections.abc import Mapping

import polars as pl

from analysis.frames.frame import Frame
from analysis.frames.shared import FLOOR, PREFERRED, REASON

_CONVERGED = "status = 'converged'"
_MEASURED = f"{_CONVERGED} AND isfinite(distance)"
_STATED_BY = "task, loss, prediction, kind"


def _level(by: str, rest: str) -> str:
    """A query of `scales`, pooled `by` columns, with `rest` added; a limit in alpha is judged at its own end of them.

    Farther from its end a limit says nothing of a run, so that its distances there say nothing against it.
    """
    return f"""SELECT {by}{rest}, sum(runs)::BIGINT AS runs, sum(left_out)::BIGINT AS left_out,
    sum(without_distance)::BIGINT AS without_distance, sum(uncertified)::BIGINT AS uncertified,
    coalesce(sum(beyond) FILTER (WHERE at_end), 0)::BIGINT AS beyond,
    coalesce(sum(unjudged) FILTER (WHERE at_end), 0)::BIGINT AS unjudged,
    max(alpha) FILTER (WHERE at_end AND runs > 0) AS judged_at, max(worst_certificate) AS worst_certificate,
    flatten(list(distances) FILTER (WHERE at_end AND len(distances) > 0)) AS distances,
    any_value(smallest) AS smallest, any_value(largest) AS largest,
    flatten(list(distances) FILTER (WHERE alpha <= smallest * 1.00001 AND len(distances) > 0)) AS of_smallest,
    flatten(list(distances) FILTER (WHERE alpha >= largest / 1.00001 AND len(distances) > 0)) AS of_largest
  FROM (
    SELECT *, CASE kind WHEN 'limit alpha->0' THEN alpha <= 1.00001 * least
      WHEN 'limit alpha->inf' THEN alpha >= most / 1.00001 ELSE true END AS at_end
    FROM scales LEFT JOIN (
      SELECT {by}, min(alpha) AS least, max(alpha) AS most, min(alpha) FILTER (WHERE len(distances) > 0) AS smallest,
        max(alpha) FILTER (WHERE len(distances) > 0) AS largest
      FROM scales WHERE runs > 0 GROUP BY ALL
    ) USING ({by})
  ) GROUP BY {by}"""


_STATED = f"""WITH scales AS MATERIALIZED (
  SELECT {_STATED_BY}, architecture, depth, CASE WHEN kind LIKE 'limit alpha%' THEN alpha END AS alpha,
    count(*) FILTER (WHERE {_CONVERGED}) AS runs, count(*) FILTER (WHERE NOT {_CONVERGED}) AS left_out,
    count(*) FILTER (WHERE {_CONVERGED} AND (distance IS NULL OR NOT isfinite(distance))) AS without_distance,
    count(*) FILTER (WHERE {_CONVERGED} AND NOT certified) AS uncertified,
    count(*) FILTER (WHERE {_MEASURED} AND distance > tolerance) AS beyond,
    count(*) FILTER (WHERE {_MEASURED} AND kind = 'exact' AND tolerance IS NULL) AS unjudged,
    max(certificate) FILTER (WHERE {_CONVERGED} AND isfinite(certificate)) AS worst_certificate,
    list(greatest(distance, {FLOOR})) FILTER (WHERE {_MEASURED}) AS distances
  FROM convergence SEMI JOIN runs USING (run_id) GROUP BY ALL
), levels AS (
  {_level(_STATED_BY, ", NULL AS architecture, NULL AS depth")}
  UNION ALL BY NAME
  {_level(f"{_STATED_BY}, architecture, depth", "")}
)
SELECT {_STATED_BY}, architecture, depth, runs, left_out, without_distance, uncertified, beyond, unjudged,
  coalesce(len(distances), 0) AS judged, judged_at, list_aggregate(distances, 'median') AS median,
  list_aggregate(distances, 'quantile_cont', 0.9) AS high, list_max(distances) AS worst, worst_certificate,
  smallest, list_aggregate(of_smallest, 'median') AS at_smallest,
  largest, list_aggregate(of_largest, 'median') AS at_largest
FROM levels ORDER BY task DESC, loss, kind, prediction, architecture NULLS FIRST, depth"""
"""Every prediction, of all networks (where architecture is NULL) and network by network.

One query for three frames: of a million runs it takes seconds. Runs are first pooled scale by scale, so that the ends
of the scales are found among few rows, and of a limit only the distances at its end are looked at again.
"""


_STATEMENT: Mapping[str, str] = {
    "task": "regression or classification",
    "loss": "squared, exponential or logistic",
    "prediction": "name of the prediction",
    "kind": "exact, or the limit in which it holds",
}
_QUANTILE_COLUMNS: Mapping[str, str] = {
    "runs": "converged runs to which the prediction applies",
    "left_out": "runs to which it applies that did not converge",
    "without_distance": "of the converged ones, how many have no finite distance",
    "uncertified": "of these, how many for which the prediction itself could not be computed to a small certificate",
    "beyond": "of the converged ones, how many ended farther from an exact prediction than rtol and stop rule allow",
    "unjudged": "of the converged ones, how many cannot be judged so (residual above 0.01, or an older version)",
    "judged": "of the converged ones, how many the distances are of: those that have one, at `judged_at` where set",
    "judged_at": "of a limit in alpha: the scale at which its distances are taken, the one nearest to it; else null",
    "median": "median distance",
    "high": "90 % quantile of the distance",
    "worst": "largest distance",
    "worst_certificate": "largest certificate (residual of the prediction itself), null if it has none",
}

_NETWORK: Mapping[str, str] = {**_STATEMENT, "architecture": "the network", "depth": "number of weight layers L"}
_LIMIT_COLUMNS: Mapping[str, str] = {
    **_STATEMENT,
    "smallest": "smallest alpha of its runs",
    "at_smallest": "median distance there, those below 1e-16 counted as that",
    "largest": "largest alpha of its runs",
    "at_largest": "median distance there, as at_smallest",
}


def _part(columns: Mapping[str, str], rows: pl.Expr) -> Frame:
    return Frame(_STATED, columns, lambda stated: stated.filter(rows).select(*columns))


_POOLED = pl.col("architecture").is_null()
PREDICTIONS = _part({**_STATEMENT, **_QUANTILE_COLUMNS}, _POOLED)
PREDICTIONS_BY_NETWORK = _part({**_NETWORK, **_QUANTILE_COLUMNS}, ~_POOLED & (pl.col("runs") > 0))
LIMITS = _part(_LIMIT_COLUMNS, _POOLED & pl.col("smallest").is_not_null())

EXACTNESS = Frame(
    f"""WITH stated AS (
  SELECT rtol, depth, distance, tolerance FROM convergence SEMI JOIN runs USING (run_id)
  WHERE status = 'converged' AND kind = 'exact' AND isfinite(distance)
  QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY {PREFERRED}) = 1
)
SELECT rtol, depth, floor(log10(greatest(distance / tolerance, {FLOOR})) * 4) / 4 AS bin,
  count(*) AS runs, count(*) FILTER (WHERE distance > tolerance) AS beyond, max(distance) AS worst,
  max(tolerance) AS loosest
FROM stated WHERE tolerance IS NOT NULL GROUP BY ALL ORDER BY ALL""",
    {
        "rtol": "relative tolerance of the integrator",
        "depth": "number of weight layers L",
        "bin": "lower edge of log10(distance / tolerance), a quarter of a decade wide",
        "runs": "converged runs to which an exact prediction applies (of several, the first counts)",
        "beyond": "of those, with a distance above their tolerance",
        "worst": "largest distance in the bin",
        "loosest": "largest tolerance in the bin",
    },
)

UNJUDGED = Frame(
    """SELECT count(DISTINCT run_id) AS runs FROM convergence SEMI JOIN runs USING (run_id)
WHERE status = 'converged' AND kind = 'exact' AND isfinite(distance) AND tolerance IS NULL""",
    {"runs": "converged runs with an exact prediction that cannot be judged: residual above 0.01, or an older version"},
)

ENDS = Frame(
    f"""WITH ended AS (
  SELECT run_id, status, {REASON} AS reason FROM runs WHERE status <> 'converged'
), compared AS (
  SELECT DISTINCT run_id FROM predictions SEMI JOIN ended USING (run_id)
)
SELECT status, reason, count(*) AS runs,
  count(*) FILTER (WHERE run_id NOT IN (FROM compared)) AS without_predictions
FROM ended GROUP BY ALL ORDER BY status, runs DESC, reason""",
    {
        "status": "imprecise, stopped, diverged or failed",
        "reason": "why, in the words of the run's message",
        "runs": "how many",
        "without_predictions": "of these, how many that no prediction was compared with, because they never moved",
    },
)

STATUSES = Frame(
    """SELECT task, architecture, status, count(*) AS runs FROM runs GROUP BY ALL ORDER BY ALL""",
    {
        "task": "regression or classification",
        "architecture": "the network",
        "status": "converged, imprecise, stopped, diverged or failed",
        "runs": "how many",
    },
)

COSTS = Frame(
    """WITH measures AS (
  UNPIVOT (
    SELECT task, architecture, depth, steps::DOUBLE AS "accepted steps", invariant_drift AS "invariant drift",
      wall_seconds AS "seconds a run"
    FROM runs WHERE status IN ('converged', 'stopped')
  ) ON "accepted steps", "invariant drift", "seconds a run" INTO NAME measure VALUE amount
)
SELECT task, measure, architecture, depth, quantile_cont(amount, 0.1) AS low, median(amount) AS middle,
  quantile_cont(amount, 0.9) AS high, max(amount) AS worst, count(*) AS runs
FROM measures WHERE isfinite(amount) AND amount > 0 GROUP BY ALL ORDER BY ALL""",
    {
        "task": "regression or classification",
        "measure": "accepted steps, invariant drift or seconds a run",
        "architecture": "the network",
        "depth": "number of weight layers L",
        "low": "10 % quantile",
        "middle": "median",
        "high": "90 % quantile",
        "worst": "largest",
        "runs": "finished runs with a positive value",
    },
)

RUNS = Frame("SELECT count(*) AS runs FROM runs", {"runs": "how many"})

RECORDED = Frame(
    """SELECT count(*) AS runs FROM runs SEMI JOIN trajectories USING (run_id)
WHERE task = 'classification' AND status IN ('converged', 'stopped')""",
    {"runs": "classification runs with a recorded path"},
)

HEAD = Frame(
    """SELECT count(*) AS runs, count(*) FILTER (WHERE status = 'converged') AS converged,
  count(*) FILTER (WHERE status = 'imprecise') AS imprecise,
  count(*) FILTER (WHERE status = 'stopped') AS stopped, count(*) FILTER (WHERE status = 'diverged') AS diverged,
  count(*) FILTER (WHERE status = 'failed') AS failed, count(DISTINCT dataset) AS datasets,
  count(DISTINCT architecture) AS architectures, min(depth) AS shallowest, max(depth) AS deepest,
  min(alpha) AS alpha_from, max(alpha) AS alpha_to, sum(wall_seconds) AS seconds, max(invariant_drift) FILTER (
    WHERE status = 'converged' AND isfinite(invariant_drift)) AS worst_drift,
  string_agg(DISTINCT device, ', ' ORDER BY device) AS devices
FROM runs""",
    {
        "runs": "runs in the store",
        "converged": "runs that met their stop rule",
        "imprecise": "runs whose limit is decided by drifted conserved quantities or by errors of rtol",
        "stopped": "runs that stopped before their stop rule was met, or had it met at the start",
        "diverged": "runs that became non-finite",
        "failed": "runs that raised an error",
        "datasets": "distinct data sets",
        "architectures": "distinct architectures",
        "shallowest": "smallest depth",
        "deepest": "largest depth",
        "alpha_from": "smallest initialisation scale",
        "alpha_to": "largest initialisation scale",
        "seconds": "wall seconds of all runs together",
        "worst_drift": "largest change of a conserved quantity over the converged runs",
        "devices": "where the runs were computed",
    },
)
