"""Frames of quantities along the run, against a clock of its progress: medians and the 10 % and 90 % quantiles.

The clock is -log10(relative residual) for regression and log10(-log Loss) for classification: time itself spans
1e9 for one run and e^1e6 for another. Each run's quantity is interpolated (its logarithm, linearly) on an even grid of
the clock, so that runs recorded at different points can be compared. At most MOST_RUNS runs a series are read, those
with the smallest run_id, which is a hash: a random choice that is always the same.
"""

from collections.abc import Mapping

from analysis.frames.frame import Frame
from analysis.frames.shared import FLOOR, OF_THE_PATH, PREFERRED, ROUNDED, SHAPE, pooled, spread_alphas

MOST_RUNS = 200
FEW_RUNS = 25
"""Where there is a series for every scale."""

CLOCKS: Mapping[str, str] = {
    "regression": "CASE WHEN residual > 0 THEN -log10(residual) END",
    "classification": "CASE WHEN log_loss < -1 THEN log10(-log_loss) END",
}
TICKS: Mapping[str, float] = {"regression": 0.25, "classification": 0.125}

RECORDED = ("log_time", "log_loss", "residual", "alignment", "beta", "min_margin")
"""Columns of trajectories that clocks and values are made of."""

STATEMENTS = f"""SELECT run_id, architecture, {SHAPE}, depth, init, prediction, kind, p.beta AS star
  FROM runs JOIN predictions p USING (run_id)
  WHERE task = '{{task}}' AND status IN ('converged', 'stopped') AND p.beta IS NOT NULL AND isfinite(distance)
    AND prediction NOT IN {OF_THE_PATH}
  QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY {PREFERRED}) = 1"""
"""One row a run: the prediction it is measured against."""

EVERY = f"""SELECT run_id, architecture, {SHAPE}, depth, min_margin AS last_margin
  FROM runs WHERE task = '{{task}}' AND status IN ('converged', 'stopped')"""


def _points(task: str, of: str, value: str, series: str, most: int = MOST_RUNS) -> str:
    """Common table expressions that end in `points`: one row a recorded point, with its clock and value."""
    columns = [name for name in RECORDED if name in value or name in CLOCKS[task]]
    unnested = ", ".join(f"unnest({name}) AS {name}" for name in ("step", *columns))
    lists = [name for name in ("beta", "star") if name in value]
    dropped = f" EXCLUDE ({', '.join(lists)})" if lists else ""
    return f"""WITH about AS (
  {of.format(task=task)}
), sampled AS (
  SELECT *, count(*) OVER series AS runs_of_series FROM about SEMI JOIN trajectories USING (run_id)
  WINDOW series AS (PARTITION BY {series})
  QUALIFY row_number() OVER (PARTITION BY {series} ORDER BY run_id) <= {most}
), recorded AS (
  SELECT s.*, {unnested} FROM sampled s JOIN trajectories USING (run_id)
), valued AS (
  SELECT *{dropped}, {CLOCKS[task]} AS clock, {value} AS value FROM recorded
), points AS (
  SELECT *, lead(clock) OVER run AS next_clock, lead(value) OVER run AS next_value
  FROM (SELECT * REPLACE (greatest(value, {FLOOR}) AS value) FROM valued WHERE isfinite(clock) AND isfinite(value))
  WINDOW run AS (PARTITION BY run_id ORDER BY clock, step)
)"""


def along(task: str, of: str, value: str, series: str, shown: str, most: int = MOST_RUNS) -> str:
    """Quantiles of `value` over the runs of a series at every tick of the clock, `shown` in terms of `tick`."""
    return _at_ticks(_points(task, of, value, series, most), TICKS[task], series, shown)


def _at_ticks(points: str, tick: float, series: str, shown: str) -> str:
    """Quantiles over `points`, each run's value interpolated at every tick that it has passed."""
    return f"""{points}, ticked AS (
  SELECT *, unnest(range(
    ceil(clock / {tick})::INT, ceil(coalesce(next_clock / {tick}, floor(clock / {tick}) + 1))::INT)) * {tick} AS tick
  FROM points
), interpolated AS (
  SELECT *, CASE WHEN next_clock > clock
    THEN value * pow(next_value / value, (tick - clock) / (next_clock - clock)) ELSE value END AS at_tick
  FROM ticked
), {pooled("sampled", series)}
SELECT {series}, {shown} AS clock, quantile_cont(at_tick, 0.1) AS low, median(at_tick) AS middle,
  quantile_cont(at_tick, 0.9) AS high, count(*) AS runs, any_value(runs_of_series) AS runs_of_series,
  any_value(pooled) AS pooled
FROM interpolated JOIN pooled USING ({series}) GROUP BY {series}, tick
QUALIFY count(*) >= 0.8 * max(count(*)) OVER (PARTITION BY {series})
ORDER BY {series}, tick"""


def columns(series: Mapping[str, str], clock: str, value: str) -> dict[str, str]:
    return {
        **series,
        "clock": clock,
        "low": f"10 % quantile of {value}",
        "middle": f"median of {value}",
        "high": f"90 % quantile of {value}",
        "runs": "runs that reached this point; points that fewer than 80 % of the series reached are left out",
        "runs_of_series": f"runs of the series in the store, of which at most {MOST_RUNS} are read",
        "pooled": "in what the runs of the series differ, in words",
    }


_BY_STATEMENT = {
    "architecture": "the network",
    "prediction": "the prediction measured against",
    "kind": "exact, or the limit in which it holds",
    "shape": "dimension and number of samples of the data",
    "depth": "number of weight layers L",
}
_BY_DEPTH = {name: _BY_STATEMENT[name] for name in ("architecture", "shape", "depth")}
_RESIDUAL = "relative residual ||X beta - y|| / ||y||, falling along the run"
_MARGIN = "-log Loss, rising along the run"
DISTANCE = "list_distance(beta, star) / sqrt(list_inner_product(star, star))"
DIRECTION = """list_distance(
    list_transform(beta, lambda b: b / sqrt(list_inner_product(beta, beta))),
    list_transform(star, lambda b: b / sqrt(list_inner_product(star, star))))"""

REGRESSION_DISTANCE = Frame(
    along("regression", STATEMENTS, DISTANCE, ", ".join(_BY_STATEMENT), "pow(10, -tick)"),
    columns(_BY_STATEMENT, _RESIDUAL, "||beta - beta*|| / ||beta*||"),
)

CLASSIFICATION_DISTANCE = Frame(
    along("classification", STATEMENTS, DIRECTION, ", ".join(_BY_STATEMENT), "pow(10, tick)"),
    columns(_BY_STATEMENT, _MARGIN, "||beta/||beta|| - beta*/||beta*|| ||"),
)


def _compared(prediction: str, of: str, clock: str, per: int, series: str) -> str:
    """Quantiles of the distance to a prediction of the path, from the points where it was compared.

    clock: its logarithm to base ten, in terms of the columns of trajectories at the point; `per` ticks a decade.
    """
    points = f"""WITH about AS (
  {of}
), sampled AS (
  SELECT *, count(*) OVER series AS runs_of_series FROM about SEMI JOIN path_predictions USING (run_id)
  WINDOW series AS (PARTITION BY {series})
  QUALIFY row_number() OVER (PARTITION BY {series} ORDER BY run_id) <= {MOST_RUNS}
), compared AS (
  SELECT s.*, q.point, t.log_time[q.point] AS log_time, t.log_loss[q.point] AS log_loss,
    greatest(q.distance, {FLOOR}) AS value
  FROM sampled s JOIN path_predictions q USING (run_id) JOIN trajectories t USING (run_id)
  WHERE q.prediction = '{prediction}' AND isfinite(q.distance)
), points AS (
  SELECT *, lead(clock) OVER run AS next_clock, lead(value) OVER run AS next_value
  FROM (SELECT *, {clock} AS clock FROM compared) WHERE isfinite(clock)
  WINDOW run AS (PARTITION BY run_id ORDER BY clock, point)
)"""
    return _at_ticks(points, 1 / per, series, "pow(10, tick)")


CLASSIFICATION_SLOPES = Frame(
    f"""{_points("classification", STATEMENTS, DIRECTION, ", ".join(_BY_STATEMENT))}, tails AS (
  SELECT *, max(clock) OVER (PARTITION BY run_id) AS last FROM points
), fitted AS (
  SELECT {", ".join(_BY_STATEMENT)}, init, run_id, regr_slope(log10(value), clock) AS slope
  FROM tails WHERE clock >= last / 2 AND value > 1e-9 GROUP BY ALL HAVING count(*) >= 4
)
SELECT {", ".join(_BY_STATEMENT)}, median(slope) AS slope, count(*) AS runs,
  CASE WHEN architecture = 'fully_connected' AND bool_or(init = 'gaussian') THEN -1.0 / depth END AS guide
FROM fitted WHERE isfinite(slope) GROUP BY {", ".join(_BY_STATEMENT)} ORDER BY ALL""",
    {
        **_BY_STATEMENT,
        "slope": "median over runs of the slope of log distance against log(-log Loss), second half of its decades",
        "runs": "runs fitted",
        "guide": "-1/L where that was observed: fully connected networks from Gaussian weights; null elsewhere",
    },
)


def _others(about: str, words: str) -> Frame:
    """Classification runs with a recorded path that a query of runs leaves out."""
    return Frame(
        f"""WITH about AS (
  {about}
)
SELECT architecture, string_agg(DISTINCT depth, ', ' ORDER BY depth) AS depths, count(*) AS runs
FROM runs SEMI JOIN trajectories USING (run_id) ANTI JOIN about USING (run_id)
WHERE task = 'classification' AND status IN ('converged', 'stopped') GROUP BY architecture ORDER BY architecture""",
        {
            "architecture": "a network of classification runs with a recorded path",
            "depths": "of these runs, in words",
            "runs": words,
        },
    )


UNDIRECTED = _others(STATEMENTS.format(task="classification"), "how many for which no direction is predicted")

LARGEST = f"""SELECT run_id, architecture, {SHAPE}, depth, max(CASE prediction
    WHEN 'max_margin_schatten' THEN pow(dim / depth, depth / 2) ELSE pow(depth, -depth / 2) END / objective) AS largest
  FROM runs JOIN predictions USING (run_id)
  WHERE task = 'classification' AND status IN ('converged', 'stopped') AND objective > 0 AND isfinite(objective)
    AND (certificate IS NULL OR predictions.beta IS NOT NULL OR depth > 2)
    AND (prediction = 'max_margin_bridge' OR (prediction = 'max_margin_l2' AND architecture = 'fully_connected')
      OR (prediction = 'max_margin_schatten' AND depth = 2))
  GROUP BY ALL"""
"""One row a run: the largest min_i y_i f(x_i) / ||Theta||^L over all Theta.

Layers of one product rho have sum_l ||v_l||^2 >= L ||rho||_{2/L}^{2/L}, with equality where they are balanced, so that
it is 1 / (L^{L/2} N), N the least ||rho||_{2/L} with margins 1: the objective of max_margin_bridge, for L >= 3 the
least known. Of matrices the same holds with ||beta||, of a group's n elements with the Schatten norm over n^{L/2}.
"""

OVER_LARGEST = "CASE WHEN min_margin > 0 THEN min_margin / largest END"
MARGINS = Frame(
    along(
        "classification", LARGEST, OVER_LARGEST, ", ".join(_BY_DEPTH),
        "pow(10, tick)",
    ),
    columns(_BY_DEPTH, _MARGIN, "the normalised margin min_i y_i f(x_i) / ||Theta||^L over the largest of any Theta"),
)  # fmt: skip

UNBOUNDED = _others(LARGEST, "how many for which no largest margin is known")


def _scales(recorded: str) -> str:
    """Runs of the shape with most runs, at up to four scales, of those that are `recorded` in a table or a query."""
    return f"""WITH finished AS (
    SELECT run_id, architecture, {SHAPE}, depth, {ROUNDED} AS alpha
    FROM runs SEMI JOIN {recorded} USING (run_id)
    WHERE task = '{{task}}' AND status IN ('converged', 'stopped')
  ), eligible AS (
    SELECT * FROM finished
    WHERE shape = (SELECT shape FROM finished GROUP BY shape ORDER BY count(*) DESC, shape LIMIT 1)
  ), {spread_alphas("eligible")}
  SELECT * FROM eligible WHERE alpha IN (SELECT alpha FROM alphas)"""


_SCALES = _scales("trajectories")
_BY_SCALE = {**_BY_DEPTH, "alpha": "initialisation scale, five digits"}

FINITE_MARGIN = Frame(
    _compared(
        "finite_margin",
        _scales("(FROM predictions WHERE prediction = 'finite_margin')").format(task="classification"),
        "log10(-log_loss)", 2, ", ".join(_BY_SCALE),
    ),
    columns(_BY_SCALE, "-log Loss, two ticks a decade", "||beta - beta*|| / ||beta*||"),
)  # fmt: skip

_MISALIGNED = "max over layers of 1 - |cos(v_l, grad_{v_l} Loss)|"
REGRESSION_ALIGNMENT = Frame(
    along("regression", _SCALES, "alignment", ", ".join(_BY_SCALE), "pow(10, -tick)"),
    columns(_BY_SCALE, _RESIDUAL, _MISALIGNED),
)

CLASSIFICATION_ALIGNMENT = Frame(
    along("classification", _SCALES, "alignment", ", ".join(_BY_SCALE), "pow(10, tick)"),
    columns(_BY_SCALE, _MARGIN, _MISALIGNED),
)

PLATEAUS = Frame(
    along(
        "regression", _SCALES, "CASE WHEN log_time BETWEEN -30 AND 600 THEN exp(log_time) END",
        ", ".join(_BY_SCALE), "pow(10, -tick)", most=FEW_RUNS,
    ),
    columns(_BY_SCALE, _RESIDUAL, "the time of gradient flow"),
)  # fmt: skip

TIME_AVERAGE = Frame(
    _compared(
        "lasso_path",
        _scales("(FROM runs JOIN path_predictions USING (run_id) WHERE prediction = 'lasso_path' AND runs.alpha < 1)")
        .format(task="regression"),
        "CASE WHEN log_time BETWEEN -600 AND 600 THEN log_time / ln(10) END", 4, ", ".join(_BY_SCALE),
    ),
    columns(
        {**_BY_SCALE, "alpha": "initialisation scale below one, five digits: the statement is a limit α → 0"},
        "the time of gradient flow, four ticks a decade", 
        "||X (average of beta - lasso)|| / ||y||",
    ),
)  # fmt: skip

_RATE = """CASE WHEN last_margin > 0 AND log_time > 1 THEN abs(exp(
    log_loss + log_time + (2 - 2 / depth) * ln(log_time) + 2 * ln(depth) + (2 / depth) * ln(last_margin)) - 1) END"""

LOSS_RATE = Frame(
    along("classification", EVERY, _RATE, ", ".join(_BY_DEPTH), "pow(10, tick)"),
    columns(_BY_DEPTH, _MARGIN, "|Loss t (log t)^(2-2/L) L^2 gamma^(2/L) - 1|, gamma the run's last margin"),
)
