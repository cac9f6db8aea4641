"""Frames of how the limit depends on the initialisation scale alpha (regression).

Each run ends at some distance from the l1 and l2 limits; where an exact prediction applies, it says at which. The last
saddle is the l1 limit, so that saddle_sequence is left out.
"""

from collections.abc import Mapping

from analysis.frames.frame import Frame
from analysis.frames.shared import FLOOR, OF_THE_PATH, PREFERRED, SHAPE, pooled

MOST_POINTS = 120
BINS_PER_DECADE = 8

_SERIES = "architecture, limit_prediction, shape, depth"
_LIMITS = f"""WITH limits AS (
  SELECT run_id, architecture, {SHAPE}, depth, alpha, r.beta AS reached, l.prediction AS limit_prediction,
    l.kind AS limit_kind, l.beta AS limit_beta, e.tolerance, e.prediction AS exact_prediction, e.beta AS exact_beta,
    sqrt(list_inner_product(l.beta, l.beta)) AS size
  FROM runs r JOIN predictions l USING (run_id)
  LEFT JOIN (
    SELECT run_id, prediction, predicted AS beta, tolerance FROM convergence
    WHERE kind = 'exact' AND predicted IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY prediction DESC) = 1
  ) e USING (run_id)
  WHERE task = 'regression' AND status = 'converged' AND l.kind IN ('limit alpha->0', 'limit alpha->inf')
    AND l.beta IS NOT NULL AND l.prediction NOT IN {OF_THE_PATH}
), distances AS (
  SELECT * EXCLUDE (reached, limit_beta, exact_beta), list_distance(reached, limit_beta) / size AS reached,
    list_distance(exact_beta, limit_beta) / size AS predicted
  FROM limits WHERE size > 0
)"""

_KEYS: Mapping[str, str] = {
    "architecture": "the network",
    "limit_prediction": "the limit measured against, e.g. weighted_l1",
    "limit_kind": "where it holds: limit alpha->0 or limit alpha->inf",
    "shape": "dimension and number of samples of the data",
    "depth": "number of weight layers L",
}

LIMIT_POINTS = Frame(
    f"""{_LIMITS}
SELECT architecture, limit_prediction, limit_kind, shape, depth, alpha, greatest(reached, {FLOOR}) AS distance,
  CASE WHEN isfinite(predicted) THEN greatest(predicted, {FLOOR}) END AS predicted, tolerance, run_id,
  count(*) OVER (PARTITION BY {_SERIES}) AS runs_of_series
FROM distances WHERE isfinite(reached)
QUALIFY row_number() OVER (PARTITION BY {_SERIES} ORDER BY run_id) <= {MOST_POINTS}
ORDER BY ALL""",
    {
        **_KEYS,
        "alpha": "initialisation scale",
        "distance": "||beta - limit|| / ||limit|| where the flow ended",
        "predicted": "||exact prediction - limit|| / ||limit||, null where none applies",
        "tolerance": "how far the run may end from its exact prediction; null where that is not known",
        "run_id": "the run",
        "runs_of_series": f"runs in the store, of which at most {MOST_POINTS} are drawn",
    },
)

_LINE = "architecture, limit_prediction, limit_kind, shape, depth"
_LINES = f"""SELECT architecture, limit_prediction, limit_kind, shape, depth, median(alpha) AS alpha,
  coalesce(min(exact_prediction), 'median of the runs') AS line,
  greatest(median(coalesce(predicted, reached)), {FLOOR}) AS distance,
  greatest(median(reached), {FLOOR}) AS reached, count(*) AS runs, any_value(pooled) AS pooled
FROM distances JOIN pooled USING ({_LINE}) WHERE isfinite(reached)
GROUP BY architecture, limit_prediction, limit_kind, shape, depth, round(log10(alpha) * {BINS_PER_DECADE})"""

LIMIT_LINES = Frame(
    f"{_LIMITS}, {pooled('distances', _LINE, 'alpha')}\n{_LINES}\nORDER BY {_LINE}, alpha",
    {
        **_KEYS,
        "alpha": f"initialisation scale; scales within 1/{BINS_PER_DECADE} of a decade are one point",
        "line": "the exact prediction, or 'median of the runs' where none applies",
        "distance": "median over runs of ||exact prediction - limit|| / ||limit||",
        "reached": "median over runs of ||beta - limit|| / ||limit||",
        "runs": "how many runs",
        "pooled": "in what the runs of one network, data shape and scale may differ, in words",
    },
)

_RATES = """median(slope) AS slope, median(predicted_slope) AS predicted, min(slope) AS least, max(slope) AS largest,
  count(*) AS curves, min(alpha_min) AS alpha_from, max(alpha_max) AS alpha_to, sum(runs)::BIGINT AS runs"""
_RATE_COLUMNS: Mapping[str, str] = {
    "slope": "median over curves of the slope in the view slopes: one curve for each data set, network and start",
    "predicted": "median of the slopes that theory predicts of these curves, null where it predicts none",
    "least": "least slope of a curve",
    "largest": "largest slope of a curve",
    "curves": "how many curves; of each, every run in the store counts",
    "alpha_from": "smallest alpha fitted",
    "alpha_to": "largest alpha fitted",
    "runs": "runs behind these slopes",
}

RATES = Frame(
    f"""SELECT architecture, prediction AS limit_prediction, kind AS limit_kind, {SHAPE}, depth, {_RATES}
FROM slopes WHERE prediction NOT IN {OF_THE_PATH} GROUP BY ALL ORDER BY ALL""",
    {**_KEYS, **_RATE_COLUMNS},
)
"""Of every run in the store, whatever runs are asked for."""

_CURVE = """task, loss, dataset, dim, samples, architecture, architecture_detail, depth, width, filter, init,
    init_detail, rtol, prediction, kind"""
LIMIT_SLOPES = Frame(
    f"""WITH curves AS (
  SELECT DISTINCT {_CURVE} FROM convergence SEMI JOIN runs USING (run_id)
  WHERE kind LIKE 'limit alpha%' AND prediction NOT IN {OF_THE_PATH}
), fitted AS (
  SELECT {_CURVE}, slope, predicted_slope, runs, alpha_min, alpha_max FROM slopes
), counted AS (
  SELECT architecture, prediction, kind, dim, samples, depth, count(*) AS of_curves FROM curves GROUP BY ALL
)
SELECT architecture, prediction AS limit_prediction, kind AS limit_kind, {SHAPE}, depth, {_RATES},
  any_value(of_curves) AS of_curves
FROM fitted JOIN counted USING (architecture, prediction, kind, dim, samples, depth)
WHERE ROW({_CURVE}) IN (SELECT ROW({_CURVE}) FROM curves)
GROUP BY ALL ORDER BY ALL""",
    {
        **_KEYS,
        **_RATE_COLUMNS,
        "of_curves": "of how many, with those that have fewer than three scales to fit",
    },
)

_COUNT = "pow(list_sum(list_transform({0}, lambda b: abs(b))), 2) / list_inner_product({0}, {0})"
_SPARSE = f"""WITH effective AS (
  SELECT run_id, architecture, {SHAPE}, depth, dim, alpha, {_COUNT.format("r.beta")} AS reached,
    {_COUNT.format("e.beta")} AS predicted
  FROM runs r LEFT JOIN (
    SELECT run_id, beta FROM predictions WHERE kind = 'exact' AND beta IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY {PREFERRED}) = 1
  ) e USING (run_id)
  WHERE task = 'regression' AND status = 'converged' AND dim > 1 AND list_inner_product(r.beta, r.beta) > 0
)"""
_EFFECTIVE: Mapping[str, str] = {
    "architecture": "the network",
    "shape": "dimension and number of samples of the data",
    "depth": "number of weight layers L",
    "dim": "dimension d of the data",
    "alpha": "initialisation scale",
}

SPARSITY_POINTS = Frame(
    f"""{_SPARSE}
SELECT architecture, shape, depth, dim, alpha, reached AS effective, predicted, run_id,
  count(*) OVER (PARTITION BY architecture, shape, depth) AS runs_of_series
FROM effective WHERE isfinite(reached)
QUALIFY row_number() OVER (PARTITION BY architecture, shape, depth ORDER BY run_id) <= {MOST_POINTS}
ORDER BY ALL""",
    {
        **_EFFECTIVE,
        "effective": "||beta||_1^2 / ||beta||_2^2 where the flow ended: k for k equal coefficients, at most d",
        "predicted": "the same of the exact prediction, null where none applies",
        "run_id": "the run",
        "runs_of_series": f"runs in the store, of which at most {MOST_POINTS} are drawn",
    },
)

SPARSITY_LINES = Frame(
    f"""{_SPARSE}, {pooled("effective", "architecture, shape, depth", "alpha")}
SELECT architecture, shape, depth, dim, median(alpha) AS alpha, median(coalesce(predicted, reached)) AS effective,
  count(predicted) > 0 AS exact, count(*) AS runs, any_value(pooled) AS pooled
FROM effective JOIN pooled USING (architecture, shape, depth) WHERE isfinite(reached)
GROUP BY architecture, shape, depth, dim, round(log10(alpha) * {BINS_PER_DECADE})
ORDER BY architecture, shape, depth, alpha""",
    {
        **_EFFECTIVE,
        "effective": "median over runs of the exact prediction's effective number (of the runs' where none applies)",
        "exact": "whether an exact prediction applies",
        "runs": "how many runs",
        "pooled": "in what the runs of one network, data shape and scale may differ, in words",
    },
)
