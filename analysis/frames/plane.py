"""Frames of the paths of the linear coefficients in the plane, for data of dimension two.

Panels are depth by alpha of the data set with most runs. A panel shows few runs of each architecture: those with the
smallest run_id, which is a hash, so the choice is random and yet always the same.
"""

import json
from collections.abc import Mapping

import polars as pl

from analysis.frames.frame import Frame
from analysis.frames.shared import OF_THE_PATH, PREFERRED, ROUNDED, spread_alphas

MOST_DEPTHS = 3
MOST_RUNS = 3


def _chosen(task: str) -> str:
    """Common table expressions that end in `chosen`: the runs drawn, one row each."""
    return f"""WITH eligible AS (
  SELECT run_id, dataset, depth, architecture, init, width, {ROUNDED} AS alpha
  FROM runs SEMI JOIN trajectories USING (run_id)
  WHERE task = '{task}' AND dim = 2 AND status IN ('converged', 'stopped')
), of_dataset AS (
  SELECT * FROM eligible
  WHERE dataset = (SELECT dataset FROM eligible GROUP BY dataset ORDER BY count(*) DESC, dataset LIMIT 1)
), {spread_alphas("of_dataset")}, depths AS (
  SELECT depth FROM of_dataset GROUP BY depth ORDER BY count(DISTINCT architecture) DESC, depth LIMIT {MOST_DEPTHS}
), chosen AS (
  SELECT *, (SELECT count(*) FROM eligible) AS eligible_runs,
    run_id IN (SELECT run_id FROM predictions WHERE beta IS NOT NULL AND prediction NOT IN {OF_THE_PATH}) AS predicted
  FROM of_dataset
  WHERE alpha IN (SELECT alpha FROM alphas) AND depth IN (SELECT depth FROM depths)
  QUALIFY row_number() OVER (PARTITION BY alpha, depth, architecture ORDER BY run_id) <= {MOST_RUNS}
)"""


_KEYS: Mapping[str, str] = {
    "dataset": "name of the data set with most runs",
    "depth": "number of weight layers L",
    "alpha": "initialisation scale, five digits",
    "architecture": "the network",
    "run_id": "the run",
    "init": "name of the initialisation",
    "width": "hidden width, or null",
    "predicted": "whether an end, or its direction, is predicted of it",
    "eligible_runs": "how many runs of this task have dimension two and an orbit",
}


def _orbits(task: str, extra: str) -> str:
    return f"""{_chosen(task)}, recorded AS (
  SELECT dataset, depth, alpha, architecture, run_id, init, width, predicted, eligible_runs, unnest(step) AS step,
    unnest(list_transform(beta, lambda b: b[1])) AS beta_1,
    unnest(list_transform(beta, lambda b: b[2])) AS beta_2{extra}
  FROM chosen JOIN trajectories USING (run_id)
)
SELECT * FROM recorded WHERE isfinite(beta_1) AND isfinite(beta_2)
ORDER BY depth, alpha, architecture, run_id, step"""


REGRESSION_ORBITS = Frame(
    _orbits("regression", ""),
    {**_KEYS, "step": "accepted steps so far", "beta_1": "first coefficient", "beta_2": "second coefficient"},
)

CLASSIFICATION_ORBITS = Frame(
    _orbits("classification", ", unnest(norm) AS norm"),
    {
        **_KEYS,
        "step": "accepted steps so far",
        "beta_1": "first coefficient of the normalised parameters",
        "beta_2": "second coefficient of the normalised parameters",
        "norm": "||Theta||, inf where it overflows",
    },
)


def _limits(task: str) -> str:
    return f"""{_chosen(task)}, stated AS (
  SELECT c.*, p.prediction, p.kind, p.beta FROM chosen c JOIN predictions p USING (run_id)
  WHERE p.beta IS NOT NULL AND isfinite(p.beta[1]) AND isfinite(p.beta[2]) AND p.prediction NOT IN {OF_THE_PATH}
  QUALIFY p.kind <> 'exact' OR row_number() OVER (PARTITION BY run_id ORDER BY {PREFERRED}) = 1
)
SELECT depth, alpha, prediction, min(kind) AS kind, count(*) AS runs,
  string_agg(DISTINCT architecture, ', ' ORDER BY architecture) AS architectures,
  arg_min(beta[1], run_id) AS beta_1, arg_min(beta[2], run_id) AS beta_2
FROM stated GROUP BY depth, alpha, prediction, round(beta[1], 4), round(beta[2], 4)
ORDER BY depth, alpha, prediction, beta_1"""


_LIMIT_COLUMNS: Mapping[str, str] = {
    "depth": "number of weight layers L",
    "alpha": "initialisation scale, five digits",
    "prediction": "name of the prediction; of several exact ones about a run, the first",
    "kind": "exact, or the limit in which it holds",
    "runs": "how many of the drawn runs it is about",
    "architectures": "of those runs",
    "beta_1": "first predicted coefficient; predictions equal to four decimals are one row",
    "beta_2": "second predicted coefficient",
}

REGRESSION_LIMITS = Frame(_limits("regression"), _LIMIT_COLUMNS)
CLASSIFICATION_LIMITS = Frame(_limits("classification"), _LIMIT_COLUMNS)


def _data_points(answer: pl.DataFrame) -> pl.DataFrame:
    """The samples behind a run's spec; none if they cannot be read again (a file that has moved).

    A spec is what a store says, whoever made it: only data kinds of ours are loaded, never a module:function, and
    what is no spec is passed over.
    """
    from kernels.data.kinds import DATASETS, load
    from kernels.spec import InputError

    rows: list[tuple[float, float, float]] = []
    for (text,) in answer.iter_rows():
        try:
            spec = json.loads(text)
            if set(spec["data"]) - set(DATASETS):
                continue
            dataset = load(spec["data"], spec["task"])
        except (InputError, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError):
            continue
        rows += [(float(x[0]), float(x[1]), float(y)) for x, y in zip(dataset.x, dataset.y, strict=True)]
    return pl.DataFrame(rows, schema={"x_1": pl.Float64, "x_2": pl.Float64, "y": pl.Float64}, orient="row")


def _samples(task: str) -> Frame:
    return Frame(
        f"{_chosen(task)}\nSELECT spec::VARCHAR AS spec FROM chosen JOIN runs USING (run_id) ORDER BY run_id LIMIT 1",
        {"x_1": "first input", "x_2": "second input", "y": "target or label"},
        _data_points,
    )


REGRESSION_SAMPLES = _samples("regression")
CLASSIFICATION_SAMPLES = _samples("classification")
