"""The norms of the limit that theory weighs against each other, in the network's own coordinates (regression).

Of one data set, that with most such runs, and of each network and depth one start, that with most scales: the norms of
other data have other ends, so that they are not pooled.
"""

import numpy as np
import polars as pl

from analysis.frames.frame import Frame

MOST_NETWORKS = 6

STATED = """stated AS (
  SELECT run_id,
    any_value(beta) FILTER (WHERE prediction = 'minimum_q_norm') AS exact,
    any_value(beta) FILTER (WHERE prediction = 'weighted_l1') AS sparse,
    any_value(beta) FILTER (WHERE prediction = 'weighted_l2') AS dense
  FROM predictions WHERE prediction IN ('minimum_q_norm', 'weighted_l1', 'weighted_l2') GROUP BY run_id
)"""
ELIGIBLE = """task = 'regression' AND status = 'converged' AND architecture NOT IN ('fully_connected')
    AND exact IS NOT NULL AND sparse IS NOT NULL AND dense IS NOT NULL"""
"""Runs whose norms are known, among `runs` joined with `stated`."""

_SELECT = f"""WITH {STATED}, eligible AS (
  SELECT run_id, architecture, depth, alpha, dataset, data::VARCHAR AS data, spec::VARCHAR AS spec, r.beta AS reached,
    exact, sparse, dense, json_extract(spec, '$.architecture')::VARCHAR || coalesce(init_detail::VARCHAR, '') || seed
      || rtol AS start
  FROM runs r JOIN stated USING (run_id) WHERE {ELIGIBLE}
), of_data AS (
  SELECT *, (SELECT count(*) FROM eligible) AS eligible_runs FROM eligible
  WHERE data = (SELECT data FROM eligible GROUP BY data ORDER BY count(*) DESC, data LIMIT 1)
    AND architecture IN (SELECT architecture FROM eligible GROUP BY architecture
      ORDER BY count(*) DESC, architecture LIMIT {MOST_NETWORKS})
), counted AS (
  SELECT *, count(DISTINCT alpha) OVER (PARTITION BY architecture, depth, start) AS scales FROM of_data
)
SELECT architecture, depth, dataset, alpha, run_id, eligible_runs, spec, reached, exact, sparse, dense FROM counted
QUALIFY rank() OVER (PARTITION BY architecture, depth ORDER BY scales DESC, start) = 1
ORDER BY architecture, depth, alpha, run_id"""

_SCHEMA = {
    "run_id": pl.String, "norm": pl.String, "reached": pl.Float64, "predicted": pl.Float64, "other": pl.Float64,
}  # fmt: skip


def over_least(answer: pl.DataFrame) -> pl.DataFrame:
    """Both norms of the end and of the predictions of every run, over their least values: two rows a run, l1 and l2.

    answer: run_id, spec, and the coefficients reached, exact, sparse, dense; runs without coordinates are left out.
    """
    from analysis.frames.problems import coordinates, problems

    rows = []
    runs = answer.to_dicts()
    for run, problem in zip(runs, problems([run["spec"] for run in runs]), strict=True):
        if problem is None or problem.eta is None or problem.scale is None:
            continue
        betas = [run[name] for name in ("reached", "exact", "sparse", "dense")]
        if {len(beta) for beta in betas} != {problem.dataset.x.shape[1]}:
            continue
        rho = coordinates(problem, np.array(betas, float))
        if rho is None:
            continue
        eta, depth, size = problem.eta, problem.depth, np.abs(rho)
        sums = size @ eta ** (2.0 - depth)
        roots = np.sqrt(size**2 @ eta ** (2.0 - 2 * depth))
        for name, (reached, exact, sparse, dense) in (("l1", sums), ("l2", roots)):
            least, other = (sparse, dense) if name == "l1" else (dense, sparse)
            if least > 0 and np.isfinite([reached, exact, other]).all():
                rows.append((run["run_id"], name, *map(float, (reached / least, exact / least, other / least))))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _normalised(answer: pl.DataFrame) -> pl.DataFrame:
    keys = answer.select("architecture", "depth", "dataset", "alpha", "run_id", "eligible_runs")
    found = over_least(answer).join(keys, on="run_id", how="left", maintain_order="left")
    return found.select(list(NORMS.columns)).with_columns(pl.col("depth", "eligible_runs").cast(pl.Int64))


NORMS = Frame(
    _SELECT,
    {
        "architecture": "the network",
        "depth": "number of weight layers L",
        "dataset": "name of the data set with most runs",
        "alpha": "initialisation scale",
        "norm": "l1: sum_j |rho_j| eta_j^(2-L); l2: (sum_j |rho_j|^2 eta_j^(2-2L))^(1/2), beta = S^T rho",
        "reached": "the norm of where the flow ended over the least one: that of weighted_l1 or of weighted_l2",
        "predicted": "the same of the coefficients of minimum_q_norm",
        "other": "the same of the other end: of weighted_l2 for l1, of weighted_l1 for l2",
        "run_id": "the run",
        "eligible_runs": "runs in the store with the three predictions, on any data set and from any start",
    },
    _normalised,
)
