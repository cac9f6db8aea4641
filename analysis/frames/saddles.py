"""Frames of the runs that visit saddles: what is predicted of them, and their orbits, coordinate by coordinate."""

from analysis.frames.frame import Frame
from analysis.frames.shared import ROUNDED

MOST_PANELS, MOST_COORDINATES = 6, 6

_CHOSEN = f"""WITH visits AS (
  SELECT run_id, max(number) AS saddles,
    bool_and(number = 0 OR coalesce(log_time_predicted BETWEEN -30 AND 600, false)) AS timed
  FROM saddles GROUP BY run_id
), chosen AS (
  SELECT run_id, architecture, depth, init, {ROUNDED} AS alpha
  FROM runs JOIN visits USING (run_id) SEMI JOIN trajectories USING (run_id)
  WHERE status IN ('converged', 'stopped') AND timed
  QUALIFY row_number() OVER (PARTITION BY architecture, depth ORDER BY saddles DESC, alpha, run_id) = 1
  ORDER BY architecture, depth LIMIT {MOST_PANELS}
), entries AS (
  SELECT run_id, number, log_time_predicted, unnest(range(1, len(predicted) + 1)) AS coordinate,
    unnest(predicted) AS value
  FROM chosen JOIN saddles USING (run_id)
), largest AS (
  SELECT run_id, coordinate FROM entries GROUP BY run_id, coordinate
  QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY max(abs(value)) DESC, coordinate) <= {MOST_COORDINATES}
)"""
"""One run a network and depth: of those of most saddles the one of least scale; and its largest coordinates."""

_RUN = {
    "run_id": "the run",
    "architecture": "the network",
    "depth": "number of weight layers L",
    "alpha": "initialisation scale, five digits",
}

SADDLES = Frame(
    f"""{_CHOSEN}
SELECT run_id, architecture, depth, alpha, number, coordinate, value, exp(log_time_predicted) AS begins,
  exp(lead(log_time_predicted) OVER (PARTITION BY run_id, coordinate ORDER BY number)) AS ends
FROM entries JOIN chosen USING (run_id) SEMI JOIN largest USING (run_id, coordinate)
ORDER BY architecture, depth, number, coordinate""",
    {
        **_RUN,
        "number": "of the saddle, 0 for the origin",
        "coordinate": "of beta, from 1",
        "value": "of beta at the saddle",
        "begins": "time at which the flow is to jump to it; null for the origin",
        "ends": "time at which it is to leave; null for the last one",
    },
)

ORBITS = Frame(
    f"""{_CHOSEN}, points AS (
  SELECT run_id, architecture, depth, alpha, unnest(log_time) AS log_time, unnest(beta) AS beta
  FROM chosen JOIN trajectories USING (run_id)
), split AS (
  SELECT * EXCLUDE (beta), unnest(range(1, len(beta) + 1)) AS coordinate, unnest(beta) AS value
  FROM points WHERE log_time BETWEEN -30 AND 600
)
SELECT run_id, architecture, depth, alpha, coordinate, exp(log_time) AS time, value
FROM split SEMI JOIN largest USING (run_id, coordinate) WHERE isfinite(value)
ORDER BY architecture, depth, coordinate, time""",
    {**_RUN, "coordinate": "of beta, from 1", "time": "the time of gradient flow", "value": "of beta"},
)
