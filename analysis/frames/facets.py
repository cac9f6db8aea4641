"""Frames with a series for every value of axes of one's choice, along the run or against the scale; else pooled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.frames import along, ends
from analysis.frames.frame import Frame
from analysis.frames.shared import OF_THE_PATH, PREFERRED, ROUNDED, SHAPE

AXES: Mapping[str, str] = {
    "architecture": "architecture",
    "depth": "depth",
    "alpha": f"{ROUNDED} AS alpha",
    "width": "coalesce(width::VARCHAR, '–') AS width",
    "filter": "coalesce(filter::VARCHAR, '–') AS filter",
    "init": "init",
    "seed": "seed",
    "dataset": "dataset",
    "shape": SHAPE,
    "loss": "loss",
    "rtol": "rtol",
}
"""Axis -> what selects it from `runs`; numbers that a network may lack are words."""


@dataclass(frozen=True)
class Quantity:
    """What a chart may draw along the run.

    Attributes:
        task: regression or classification.
        value: the quantity at a recorded point, in SQL.
        about: a query of runs by their id, which may have columns that `value` needs.
        means: what it is, for the frame's column.
    """

    task: str
    value: str
    about: str
    means: str


_PREDICTED = f"""SELECT run_id, kind, prediction, p.beta AS star FROM runs JOIN predictions p USING (run_id)
  WHERE p.beta IS NOT NULL AND isfinite(distance) AND prediction NOT IN {OF_THE_PATH}
  QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY {PREFERRED}) = 1"""
_EVERY = "SELECT run_id FROM runs"

QUANTITIES: Mapping[str, Quantity] = {
    "regression_distance": Quantity("regression", along.DISTANCE, _PREDICTED, "||beta - beta*|| / ||beta*||"),
    "classification_distance": Quantity("classification", along.DIRECTION, _PREDICTED, "the distance of directions"),
    "margins": Quantity("classification", along.OVER_LARGEST, along.LARGEST, "the margin over the largest"),
    "alignment": Quantity("classification", "alignment", _EVERY, "max over layers of 1 - |cos(v_l, grad_{v_l} Loss)|"),
}
"""Chart -> what it draws along the run, along axes of one's choice."""

AGAINST_SCALE: Mapping[str, Callable[[Sequence[str], str], Frame]] = {
    "initialisation_scale": ends.distances,
    "interpolation": ends.norms,
}
"""Chart against alpha -> from axes, and what selects them, to its frame along them."""

WITH_AXES = (*QUANTITIES, *AGAINST_SCALE)

TARGETS = Frame(
    f"""SELECT task, architecture, list(DISTINCT prediction ORDER BY prediction) AS predictions
FROM ({_PREDICTED}) JOIN runs USING (run_id) WHERE status IN ('converged', 'stopped') GROUP BY ALL ORDER BY ALL""",
    {
        "task": "task",
        "architecture": "architecture",
        "predictions": "to which of them distances are: of every run the one that says most",
    },
)


def faceted(name: str, axes: Sequence[str]) -> Frame:
    """The frame of a chart in WITH_AXES with one series for every combination of the axes, all of AXES."""
    selected = ", ".join(AXES[axis] for axis in axes)
    if name in AGAINST_SCALE:
        return AGAINST_SCALE[name](axes, selected)
    quantity = QUANTITIES[name]
    kinds = ["kind"] if quantity.about is _PREDICTED else []
    wanted = "star, " if kinds else "largest, " if quantity.about is along.LARGEST else ""
    about = f"""SELECT run_id, {wanted}{"".join(f"{each}, " for each in kinds)}{selected}
  FROM runs JOIN (SELECT run_id, {wanted}{"".join(f"{each}, " for each in kinds)}1 AS one FROM ({quantity.about}))
    USING (run_id)
  WHERE task = '{quantity.task}' AND status IN ('converged', 'stopped')"""
    shown = "pow(10, -tick)" if quantity.task == "regression" else "pow(10, tick)"
    series = [*axes, *kinds]
    clock = "relative residual" if quantity.task == "regression" else "-log Loss"
    meanings = dict.fromkeys(axes, "an axis, as in the table runs") | dict.fromkeys(kinds, "exact, or the limit")
    return Frame(
        along.along(quantity.task, about, quantity.value, ", ".join(series), shown),
        along.columns(meanings, clock, quantity.means),
    )
