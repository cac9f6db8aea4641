"""From the kernel's regime to the rich one: where a classification flow is between its two limits, whatever the scale.

At a least margin small against alpha^L the flow is that of a kernel, and its direction the l2 max margin of the
coordinates at the start; at one large against alpha^L it is the l_{2/L} max margin (Moroshko et al., arXiv:2007.06738).
Runs of all scales are therefore measured against -log Loss / alpha^L, from starts of which the limit is known:
structured ones of a real decomposition, from -log Loss = 10 on.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Float

from analysis.frames.frame import Frame
from analysis.frames.shared import FLOOR, SHAPE, pooled

if TYPE_CHECKING:
    from kernels.problem import Problem

MOST_RUNS = 200
"""Runs a network and depth that are read: those of smallest run_id, which is a hash."""
TICK = 0.25
"""Decades of -log Loss / alpha^L from one point of a curve to the next."""
EARLIEST = 10.0
"""-log Loss from which directions are compared: before, they have not turned to any maximal margin, whatever alpha."""
KERNEL, RICH, FINITE = "max_margin_kernel", "max_margin_bridge", "finite_margin"

_SELECT = f"""WITH finished AS (
  SELECT run_id, architecture, {SHAPE}, depth, alpha, spec::VARCHAR AS spec, p.beta AS rich
  FROM runs JOIN predictions p USING (run_id) SEMI JOIN trajectories USING (run_id)
  WHERE task = 'classification' AND status IN ('converged', 'stopped') AND init = 'structured' AND depth > 1
    AND p.prediction = '{RICH}' AND p.beta IS NOT NULL
    AND run_id IN (SELECT run_id FROM predictions WHERE prediction = '{FINITE}')
), of_shape AS (
  SELECT * FROM finished
  WHERE shape = (SELECT shape FROM finished GROUP BY shape ORDER BY count(*) DESC, shape LIMIT 1)
), sampled AS (
  SELECT *, count(*) OVER series AS runs_of_series FROM of_shape
  WINDOW series AS (PARTITION BY architecture, depth)
  QUALIFY row_number() OVER (PARTITION BY architecture, depth ORDER BY run_id) <= {MOST_RUNS}
), compared AS (
  SELECT run_id, list(point ORDER BY point) AS points, list(distance ORDER BY point) AS distances
  FROM path_predictions WHERE prediction = '{FINITE}' AND isfinite(distance) GROUP BY run_id
), {pooled("sampled", "architecture, depth")}
SELECT s.*, t.log_loss, t.beta, points, distances, pooled
FROM sampled s JOIN trajectories t USING (run_id) LEFT JOIN compared USING (run_id)
  JOIN pooled USING (architecture, depth)
ORDER BY architecture, depth, run_id"""

_OF_RUN = ("run_id", "runs_of_series", "pooled")
_SERIES = ["architecture", "shape", "depth", "limit"]
_POINTS = {
    "architecture": pl.String, "shape": pl.String, "depth": pl.Int64, "limit": pl.String, "tick": pl.Float64,
    "value": pl.Float64, "run_id": pl.String, "runs_of_series": pl.Int64,
    "pooled": pl.String,
}  # fmt: skip


def kernel_direction(problem: "Problem") -> Float[np.ndarray, " d"] | None:
    """The direction of largest margin of the kernel at a structured start, where beta moves with S^T diag(c^{2L-2}) S.

    With rho = c^{L-1} u it is argmin ||u|| subject to y_i x_i.(S^T rho) >= 1, as alpha -> infinity.
    """
    from kernels.theory.base import CERTIFIED
    from kernels.theory.optimisers.margins import least_norm

    decomposition, scale = problem.decomposition, problem.scale
    if decomposition is None or scale is None or not decomposition.real:
        return None
    lift = decomposition.s.T * (scale / scale.max()) ** (problem.depth - 1)
    found = least_norm(problem.dataset.y[:, None] * (problem.dataset.x @ lift))
    if not found.certificate <= CERTIFIED:
        return None
    beta: Float[np.ndarray, " d"] = lift @ np.real(found.solution)
    return beta / float(np.linalg.norm(beta))


def _curves(answer: pl.DataFrame) -> pl.DataFrame:
    """Quantiles over runs at every tick."""
    from analysis.frames.problems import problems

    runs = answer.to_dicts()
    rows = [
        (*(run[name] for name in _SERIES[:3]), limit, tick, value, *(run[name] for name in _OF_RUN))
        for run, problem in zip(runs, problems([run["spec"] for run in runs]), strict=True)
        if problem is not None and (kernel := kernel_direction(problem)) is not None
        for limit, clock, distance in _distances(run, kernel)
        for tick, value in _ticked(clock, distance)
    ]
    points = pl.DataFrame(rows, schema=_POINTS, orient="row")
    value = pl.col("value")
    return (
        points.group_by(*_SERIES, "tick")
        .agg(
            low=value.quantile(0.1, "linear"),
            middle=value.median(),
            high=value.quantile(0.9, "linear"),
            runs=pl.col("run_id").n_unique().cast(pl.Int64),
            runs_of_series=pl.col("runs_of_series").first(),
            pooled=pl.col("pooled").first(),
        )
        .sort(*_SERIES, "tick")
        .with_columns(clock=10.0 ** pl.col("tick"))
        .select(*_SERIES, "clock", "low", "middle", "high", "runs", "runs_of_series", "pooled")
    )


def _distances(
    run: dict[str, Any], kernel: Float[np.ndarray, " d"]
) -> list[tuple[str, Float[np.ndarray, " k"], Float[np.ndarray, " k"]]]:
    """(limit, log10 of -log Loss / alpha^L, distance) along one run; of finite_margin where it was compared."""
    if {len(beta) for beta in (*run["beta"], run["rich"])} != {len(kernel)} or len(run["beta"]) != len(run["log_loss"]):
        return []
    log_loss, beta = np.array(run["log_loss"], float), np.array(run["beta"], float)
    with np.errstate(all="ignore"):
        clock = np.log10(-log_loss) - run["depth"] * np.log10(run["alpha"])
        units = beta / np.linalg.norm(beta, axis=1, keepdims=True)
        rich = np.array(run["rich"], float) / np.linalg.norm(np.array(run["rich"], float))
        late = (log_loss <= -EARLIEST) & np.isfinite(units).all(axis=1) & np.isfinite(clock)
    limits = ((KERNEL, kernel), (RICH, rich))
    found = [(name, clock[late], np.linalg.norm(units[late] - star, axis=1)) for name, star in limits]
    if run["points"] and 0 < min(run["points"]) <= max(run["points"]) <= len(log_loss):
        places = np.array(run["points"]) - 1
        seen = late[places]
        found.append((FINITE, clock[places][seen], np.array(run["distances"], float)[seen]))
    return found


def _ticked(clock: Float[np.ndarray, " k"], distance: Float[np.ndarray, " k"]) -> list[tuple[float, float]]:
    """The distance at every tick that the run passes, its logarithm interpolated linearly."""
    if clock.size < 2:
        return []
    order = np.argsort(clock, kind="stable")
    ticks = np.arange(np.ceil(clock.min() / TICK), np.floor(clock.max() / TICK) + 1) * TICK
    logs = np.interp(ticks, clock[order], np.log(np.maximum(distance[order], FLOOR)))
    return list(zip(ticks.tolist(), np.exp(logs).tolist(), strict=True))


REGIMES = Frame(
    _SELECT,
    {
        "architecture": "the network",
        "shape": "dimension and number of samples of the data, of the shape with most runs",
        "depth": "number of weight layers L",
        "limit": f"{KERNEL} (alpha -> infinity), {RICH} (t -> infinity), or {FINITE}, at the margin reached",
        "clock": "-log Loss / alpha^L, a quarter of a decade from point to point, where -log Loss is 10 or more",
        "low": "10 % quantile of the distance: of directions; for finite_margin ||beta - beta*|| / ||beta*||",
        "middle": "median of it",
        "high": "90 % quantile of it",
        "runs": "runs that passed this point",
        "runs_of_series": f"such runs of the network and depth, of which at most {MOST_RUNS} are read",
        "pooled": "in what these runs differ, in words",
    },
    _curves,
)
