"""Singular values and vectors of the layers where a classification run of a fully connected network ended."""

from analysis.frames.frame import Frame
from analysis.frames.shared import FLOOR, SHAPE

MOST_POINTS = 120

SINGULAR = Frame(
    f"""SELECT architecture, {SHAPE}, depth, alpha, singular_ratio AS ratio,
  greatest(1 - adjacent_alignment, {FLOOR}) AS turned, rank, run_id,
  count(*) OVER (PARTITION BY depth) AS runs_of_series
FROM runs JOIN predictions USING (run_id)
WHERE task = 'classification' AND status IN ('converged', 'stopped') AND prediction = 'singular_vectors'
  AND isfinite(singular_ratio) AND singular_ratio > 0 AND isfinite(adjacent_alignment)
QUALIFY row_number() OVER (PARTITION BY depth ORDER BY run_id) <= {MOST_POINTS}
ORDER BY depth, alpha, run_id""",
    {
        "architecture": "the network, fully connected",
        "shape": "dimension and number of samples of the data",
        "depth": "number of weight layers L",
        "alpha": "initialisation scale",
        "ratio": "largest second / first singular value of W_1, ..., W_{L-1} at the end",
        "turned": "1 - the least |cos| between the right singular vector of a layer and the left one of the next",
        "rank": "largest number of singular values of a layer above a tenth of its first",
        "run_id": "the run",
        "runs_of_series": f"runs of the depth in the store, of which at most {MOST_POINTS} are drawn",
    },
)
