"""The time average of the coefficients of single runs, and the lasso at the penalty of the time."""

from analysis.frames.frame import Frame
from analysis.frames.shared import ROUNDED

MOST_PANELS, MOST_COORDINATES = 6, 6
SMALL = 0.01
"""Share of the largest average up to which a coordinate is left out."""

AVERAGES = Frame(
    f"""WITH chosen AS (
  SELECT run_id, architecture, depth, init, {ROUNDED} AS alpha, least
  FROM runs JOIN (
    SELECT run_id, min(point) AS least, count(*) AS points FROM path_predictions
    WHERE prediction = 'lasso_path' AND beta IS NOT NULL GROUP BY run_id
  ) USING (run_id) JOIN predictions p USING (run_id) SEMI JOIN trajectories USING (run_id)
  WHERE status IN ('converged', 'stopped') AND p.prediction = 'lasso_path' AND p.distance < 1
  QUALIFY row_number() OVER (PARTITION BY architecture, depth ORDER BY runs.alpha, points DESC, run_id) = 1
  ORDER BY architecture, depth LIMIT {MOST_PANELS}
), points AS (
  SELECT run_id, unnest(range(1, len(log_time) + 1)) AS point, exp(unnest(log_time)) AS time, unnest(beta) AS beta
  FROM chosen JOIN trajectories USING (run_id)
), entries AS (
  SELECT run_id, point, time, unnest(range(1, len(beta) + 1)) AS coordinate, unnest(beta) AS value FROM points
), steps AS (
  SELECT *, (time - lag(time, 1, 0.0) OVER run) * (value + lag(value, 1, value) OVER run) / 2 AS area
  FROM entries WINDOW run AS (PARTITION BY run_id, coordinate ORDER BY point)
), averages AS (
  SELECT run_id, point, coordinate, time, sum(area) OVER run / nullif(time, 0) AS average
  FROM steps WINDOW run AS (PARTITION BY run_id, coordinate ORDER BY point)
), lassos AS (
  SELECT run_id, point, unnest(range(1, len(beta) + 1)) AS coordinate, unnest(beta) AS lasso
  FROM path_predictions SEMI JOIN chosen USING (run_id) WHERE prediction = 'lasso_path'
), largest AS (
  SELECT run_id, coordinate FROM averages WHERE isfinite(average) GROUP BY run_id, coordinate
  QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY max(abs(average)) DESC, coordinate) <= {MOST_COORDINATES}
    AND max(abs(average)) > {SMALL} * max(max(abs(average))) OVER (PARTITION BY run_id)
)
SELECT run_id, architecture, depth, alpha, coordinate, time, average, lasso
FROM averages JOIN chosen USING (run_id) SEMI JOIN largest USING (run_id, coordinate)
  LEFT JOIN lassos USING (run_id, point, coordinate)
WHERE point >= least AND isfinite(average) AND isfinite(time)
ORDER BY architecture, depth, coordinate, time""",
    {
        "run_id": "the run, of each network and depth the one of least scale",
        "architecture": "the network",
        "depth": "number of weight layers L",
        "alpha": "initialisation scale, five digits",
        "coordinate": "of beta, from 1; the largest ones",
        "time": "the time of gradient flow",
        "average": "of beta from 0 to that time, by trapezoids between recorded points",
        "lasso": "the lasso's coefficient at the penalty of that time; null where none was computed",
    },
)
