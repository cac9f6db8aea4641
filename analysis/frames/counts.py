"""Frames that count: what ran, how it ended, and how far from theory."""

from collections.abc import Mapping

from analysis.frames.frame import Frame
from analysis.frames.shared import FLOOR, PREFERRED

TOLERANCE = 100
"""A run agrees with an exact prediction if the distance is below this many times the integrator's tolerance."""

_CONVERGED = "status = 'converged'"
_MEASURED = f"{_CONVERGED} AND isfinite(distance)"
_QUANTILES = f"""count(*) FILTER (WHERE {_CONVERGED}) AS runs,
  count(*) FILTER (WHERE NOT {_CONVERGED}) AS left_out,
  count(*) FILTER (WHERE {_CONVERGED} AND (distance IS NULL OR NOT isfinite(distance))) AS without_distance,
  count(*) FILTER (WHERE {_CONVERGED} AND certificate IS NOT NULL AND predictions.beta IS NULL) AS uncertified,
  median(greatest(distance, {FLOOR})) FILTER (WHERE {_MEASURED}) AS median,
  quantile_cont(greatest(distance, {FLOOR}), 0.9) FILTER (WHERE {_MEASURED}) AS high,
  max(greatest(distance, {FLOOR})) FILTER (WHERE {_MEASURED}) AS worst,
  max(certificate) FILTER (WHERE {_CONVERGED} AND isfinite(certificate)) AS worst_certificate"""

_QUANTILE_COLUMNS: Mapping[str, str] = {
    "runs": "converged runs to which the prediction applies",
    "left_out": "runs to which it applies that did not converge",
    "without_distance": "of the converged ones, how many have no finite distance",
    "uncertified": "of these, how many for which the prediction itself could not be computed to a small certificate",
    "median": "median distance",
    "high": "90 % quantile of the distance",
    "worst": "largest distance",
    "worst_certificate": "largest certificate (residual of the prediction itself), null if it has none",
}

PREDICTIONS = Frame(
    f"""SELECT task, prediction, kind, {_QUANTILES}
FROM runs JOIN predictions USING (run_id)
GROUP BY task, prediction, kind ORDER BY task DESC, kind, prediction""",
    {
        "task": "regression or classification",
        "prediction": "name of the prediction",
        "kind": "exact, or the limit in which it holds",
        **_QUANTILE_COLUMNS,
    },
)

PREDICTIONS_BY_NETWORK = Frame(
    f"""SELECT task, prediction, kind, architecture, depth, {_QUANTILES}
FROM runs JOIN predictions USING (run_id)
GROUP BY task, prediction, kind, architecture, depth HAVING count(*) FILTER (WHERE {_CONVERGED}) > 0
ORDER BY task DESC, kind, prediction, architecture, depth""",
    {
        "task": "regression or classification",
        "prediction": "name of the prediction",
        "kind": "exact, or the limit in which it holds",
        "architecture": "the network",
        "depth": "number of weight layers L",
        **_QUANTILE_COLUMNS,
    },
)

_AT = "median(distance) FILTER (WHERE alpha <= {low} AND alpha >= {high})"
LIMITS = Frame(
    f"""WITH limits AS (
  SELECT task, prediction, kind, alpha, distance, min(alpha) OVER each AS smallest, max(alpha) OVER each AS largest
  FROM runs JOIN predictions USING (run_id)
  WHERE {_CONVERGED} AND kind IN ('limit alpha->0', 'limit alpha->inf') AND isfinite(distance)
  WINDOW each AS (PARTITION BY task, prediction, kind)
)
SELECT task, prediction, kind, smallest, {_AT.format(low="smallest * 1.00001", high="smallest")} AS at_smallest,
  largest, {_AT.format(low="largest", high="largest / 1.00001")} AS at_largest
FROM limits GROUP BY task, prediction, kind, smallest, largest ORDER BY task, kind, prediction""",
    {
        "task": "regression or classification",
        "prediction": "name of the prediction",
        "kind": "the limit in alpha in which it holds",
        "smallest": "smallest alpha of its runs",
        "at_smallest": "median distance there",
        "largest": "largest alpha of its runs",
        "at_largest": "median distance there",
    },
)

EXACTNESS = Frame(
    f"""WITH stated AS (
  SELECT rtol, depth, distance FROM runs JOIN predictions USING (run_id)
  WHERE status = 'converged' AND kind = 'exact' AND isfinite(distance)
  QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY {PREFERRED}) = 1
)
SELECT rtol, depth, floor(log10(greatest(distance, {FLOOR})) * 4) / 4 AS bin, count(*) AS runs,
  count(*) FILTER (WHERE distance > {TOLERANCE} * rtol) AS beyond, max(distance) AS worst
FROM stated GROUP BY ALL ORDER BY ALL""",
    {
        "rtol": "relative tolerance of the integrator",
        "depth": "number of weight layers L",
        "bin": "lower edge of log10(distance), a quarter of a decade wide",
        "runs": "converged runs to which an exact prediction applies (of several, the first counts)",
        "beyond": f"of those, with a distance above {TOLERANCE} rtol",
        "worst": "largest distance in the bin",
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
        "imprecise": "runs whose conserved quantities drifted by more than the gaps that decide allow",
        "stopped": "runs out of steps, or with nothing to do",
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
