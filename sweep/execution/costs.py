"""What a run costs that was never timed, by what others cost: a log-linear model, fitted on the runs of a store."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from db.store import Store
from kernels.losses import LOSSES
from kernels.networks.table import ARCHITECTURES, build
from kernels.room import coordinates_of
from kernels.spec import RunSpec
from sweep.execution import programs
from sweep.execution.programs import ProgramPlan, Shape

RIDGE = 0.3
"""Weight of the prior that `programs.seconds` is right up to a factor: a few programs decide about a slope."""

FEW = 4
"""Programs below which their differences from the model say nothing of its error."""

FEW_SPREAD = 4.0
"""The factor up and down then."""

LEAST_SPREAD = 1.5
MOST_LEFT_OUT = 40
"""Programs on which the model's error is found, each predicted by all others."""

SHARES = """
    WITH apart AS (FROM attempts WHERE compile_seconds IS NOT NULL),
    interrupted AS (SELECT sweep_id, runs AS size FROM attempts WHERE outcome = 'interrupted'),
    shares AS (
        SELECT architecture, loss, solver, record, depth, width, filter, dim, samples, parameters, sweep_id,
            round(2 * log10(alpha)) / 2 AS scale, count(*) OVER batch AS size,
            steps + coalesce(rejected, 0) + 20 AS cost,
            wall_seconds * size * cost / sum(cost) OVER batch AS seconds
        FROM runs SEMI JOIN apart USING (sweep_id)
        WHERE wall_seconds BETWEEN 1e-9 AND 1e9 AND alpha BETWEEN 1e-300 AND 1e300
            AND steps BETWEEN 0 AND 1e12 AND coalesce(rejected, 0) BETWEEN 0 AND 1e12
            AND depth >= 1 AND dim >= 1 AND samples >= 1 AND parameters >= 1
        WINDOW batch AS (PARTITION BY sweep_id, created_at, wall_seconds)
    )
    SELECT * EXCLUDE (sweep_id, size, cost, seconds), median(seconds) AS seconds
    FROM shares ANTI JOIN interrupted USING (sweep_id, size) GROUP BY ALL ORDER BY count(*) DESC LIMIT 20000
"""
"""Runs of one batch have one time and one `wall_seconds`, their mean: each has a share of it by its steps.

Left out: sweeps from before compiling was told apart, which is in their `wall_seconds`; batches of as many runs as one
of the same sweep that was interrupted, whose `wall_seconds` hold runs that did not end; numbers that no run has, which
others may have written. BETWEEN also drops NULL, NaN and infinities.
"""


class Kind(NamedTuple):
    """What has to have been timed before anything is said: one of these costs says nothing of another's."""

    task: str
    own_solver: bool
    curved: bool


@dataclass(frozen=True)
class Features:
    """What the cost of a run depends on.

    Attributes:
        size: of the state: coordinates, or parameters where layers are integrated.
        scale: log10 of alpha.
    """

    kind: Kind
    record: bool
    samples: int
    size: int
    depth: int
    scale: float

    @property
    def prior(self) -> float:
        """log of the seconds by `programs.steps` and `programs.seconds`, up to a factor."""
        return math.log(programs.steps(self.samples, self.depth) * programs.seconds(self.samples, self.size))

    @property
    def row(self) -> list[float]:
        task, own, curved = self.kind
        logs = (math.log(max(1, number)) for number in (self.samples, self.size, self.depth))
        return [*map(float, (task == "classification", own, curved, self.record)), *logs, max(-8.0, self.scale)]


class Model:
    """log seconds = prior + c + w · (features − their means), by least squares with a ridge; programs weigh alike.

    Args:
        known: features and seconds of runs that were timed.
        names: of the program of each.
    """

    def __init__(self, known: list[Features], seconds: Iterable[float], names: Sequence[Hashable]):
        self._kinds = {each.kind for each in known}
        rows = np.array([each.row for each in known])
        y = np.log(np.maximum(np.fromiter(seconds, float), 1e-7)) - [each.prior for each in known]
        index = {name: number for number, name in enumerate(dict.fromkeys(names))}
        group = np.array([index[name] for name in names])
        self._fit = _fit(rows, y, group)
        self._spread = _spread(rows, y, group)

    def of(self, program: ProgramPlan) -> tuple[float, float, float] | None:
        """Seconds of its runs, on average: low, middle, high; None where no run of its kind was timed."""
        found = [(features_of(shape, program), shape.pending) for shape in program.shapes]
        if any(features.kind not in self._kinds for features, _ in found):
            return None
        total = sum(pending * math.exp(features.prior + self._fit.at(features.row)) for features, pending in found)
        middle = total / program.pending
        return middle / self._spread, middle, middle * self._spread


class _Fit(NamedTuple):
    means: np.ndarray
    constant: float
    slopes: np.ndarray

    def at(self, row: list[float] | np.ndarray) -> float:
        return float(self.constant + (np.asarray(row) - self.means) @ self.slopes)


def _fit(rows: np.ndarray, y: np.ndarray, group: np.ndarray) -> _Fit:
    weights = 1 / np.bincount(group)[group]
    weights /= weights.sum()
    means, constant = weights @ rows, float(weights @ y)
    centred = rows - means
    normal = (centred * weights[:, None]).T @ centred + RIDGE / len(np.unique(group)) * np.eye(rows.shape[1])
    return _Fit(means, constant, np.linalg.solve(normal, centred.T @ (weights * (y - constant))))


def _spread(rows: np.ndarray, y: np.ndarray, group: np.ndarray) -> float:
    """A factor: four of five programs are off by less, each predicted by a model without it."""
    programs = np.unique(group)
    if len(programs) < FEW:
        return FEW_SPREAD
    errors = []
    for left in programs[:: max(1, len(programs) // MOST_LEFT_OUT)]:
        others = group != left
        fit = _fit(rows[others], y[others], np.unique(group[others], return_inverse=True)[1])
        errors.append(abs(np.mean([fit.at(row) for row in rows[~others]] - y[~others])))
    return max(LEAST_SPREAD, float(np.exp(np.quantile(errors, 0.8))))


def features_of(shape: Shape, program: ProgramPlan) -> Features:
    """Of pending runs: those of the shape, in the room of the program where it has one."""
    spec, entry = shape.structure.spec, shape.structure.entry
    coordinates = coordinates_of(spec, entry.dim) if spec.solver == "extrapolation" else None
    samples, size = entry.samples, coordinates or build(spec, entry.dim).parameters
    if program.room is not None:
        samples, size = program.room.samples, program.room.coordinates
    return Features(_kind(spec, coordinates), spec.record, samples, size, spec.depth, shape.scale)


def _kind(spec: RunSpec, coordinates: int | None) -> Kind:
    return Kind(LOSSES[spec.loss].task, spec.solver == "extrapolation", coordinates is not None)


def fitted(store: Store) -> Model | None:
    """The model of a store; None where it has no timed runs of the project's own networks."""
    if not store.path.exists():
        return None
    known: list[Features] = []
    seconds, names = [], []
    for row in store.query(SHARES).to_pylist():
        name = row["architecture"]
        if name not in ARCHITECTURES or row["loss"] not in LOSSES:  # a store never makes us import a user's own
            continue
        own = row["solver"] == "extrapolation"
        curved = ARCHITECTURES[name].real_coordinates(row["dim"], row["depth"], row["filter"]) if own else None
        kind = Kind(LOSSES[row["loss"]].task, own, curved is not None)
        size = curved or row["parameters"]
        known.append(Features(kind, row["record"], row["samples"], size, row["depth"], row["scale"]))
        seconds.append(row["seconds"])
        names.append((name, row["loss"], row["solver"], row["record"], row["depth"], row["dim"], row["samples"], size))
    return Model(known, seconds, names) if known else None
