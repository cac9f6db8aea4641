"""What one run leaves behind: plain records of numpy arrays, turned into rows elsewhere. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kernels.spec import RunSpec, Status


@dataclass(frozen=True)
class PathRecord:
    """What a prediction says of one recorded point of an orbit.

    Attributes:
        point: number of the recorded point, from 1.
        distance, certificate, objective, beta: as in PredictionRecord, of this point. beta is in the units of the
            orbit's.
        bound: the most by which the point's objective may exceed the least one, relative to its own. It is known
            without the optimiser (kernels/theory/finite_margin.py); None for a prediction without a bound.
    """

    point: int
    distance: float | None
    certificate: float | None
    objective: float | None = None
    beta: Float[np.ndarray, " d"] | None = None
    bound: float | None = None


@dataclass(frozen=True)
class SaddleRecord:
    """One saddle that a flow is to visit.

    Attributes:
        number: in the order of the visits; 0 is the origin, the last one the limit.
        predicted: its coefficients, shape (d,).
        log_time_predicted: log of the time at which the flow is to jump to it; None for the origin.
        log_time: log of the time at which it did; None for the origin, and where it did not.
        point: number of the nearest recorded point, from 1; None before the flow ran.
        beta: coefficients at that point, shape (d,).
        distance: ||beta - predicted|| / ||predicted||; for the origin ||beta|| over the norm of the last saddle.
    """

    number: int
    predicted: Float[np.ndarray, " d"]
    log_time_predicted: float | None
    log_time: float | None = None
    point: int | None = None
    beta: Float[np.ndarray, " d"] | None = None
    distance: float | None = None


@dataclass(frozen=True)
class PredictionRecord:
    """One prediction of one run.

    Attributes:
        prediction: name in PREDICTIONS.
        kind: "exact", "limit alpha->0", "limit alpha->inf" or "limit t->inf".
        distance: ||beta - beta*|| / ||beta*|| (regression), ||beta/||beta|| - beta*/||beta*|| || (directions),
            |value/predicted - 1| (scalars) or the residual of a stationarity condition. None before the flow ran, and
            where the prediction is not certified.
        certificate: a residual that is zero at the prediction, whatever solver found it; None if there is none. Where
            it is not small (CERTIFIED in kernels/theory/base.py) there is neither beta nor distance.
        objective: what the prediction minimises, at the prediction; None if it minimises nothing.
        beta: the predicted linear coefficients (direction for classification, unit norm), shape (d,), or None.
        detail: further numbers by name (e.g. objective_reached, objective_best), stored as JSON.
        path: what it says of recorded points; empty for a prediction about ends alone.
        saddles: what it says of saddles; empty for all predictions but saddle_sequence.
        singular_value, singular_ratio, adjacent_alignment, rank: numbers of singular_vectors alone.
    """

    prediction: str
    kind: str
    distance: float | None
    certificate: float | None
    objective: float | None
    beta: Float[np.ndarray, " d"] | None
    detail: dict[str, float]
    path: tuple[PathRecord, ...] = ()
    saddles: tuple[SaddleRecord, ...] = ()
    singular_value: float | None = None
    singular_ratio: float | None = None
    adjacent_alignment: float | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Trajectory:
    """The orbit at T recorded points (64-128 when the run took that many steps), the first and the last among them.

    They are spread evenly over its length, the sum of progress to the stop rule, change of beta over its size, and
    change of the log of time. So both plateaus and the jumps between them have points.

    Attributes:
        observed: name -> one number a point, for every row of `kernels.observables.OBSERVABLES`.
        beta: linear coefficients, shape (T, d); for classification those of the parameters Theta / ||Theta||.
        residual_integral: integral from 0 to t of y - X beta, shape (T, n); None where it was not integrated.
    """

    observed: Mapping[str, np.ndarray]
    beta: Float[np.ndarray, "T d"]
    residual_integral: Float[np.ndarray, "T n"] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        """The numbers of one observable, shape (T,)."""
        return self.observed[name]


@dataclass(frozen=True)
class RunResult:
    """One finished run.

    Attributes:
        status: converged (the stop rule was met), imprecise (it was met, but `gap_drift` is above IMPRECISE,
            or errors of rtol move the limit by more than UNDECIDED, both of kernels/simulate.py), stopped
            (out of steps, at rest at the start, nothing to do there, or targets hidden by rounding) or diverged (not
            finite, or step size gone).
        message: empty, or what ended the run and which key of the grid to change.
        beta: final linear coefficients; for classification those of the normalised parameters Theta / ||Theta||.
        log_loss, log_time, residual, min_margin: observables at the end (`kernels.observables.OBSERVABLES`).
        invariant_drift: largest change of a conserved quantity, relative to ||Theta||^2.
        gap_drift: the same relative to the gap of the start that decides the limit (kernels/integrator/drift.py).
        condition: condition of the data as the network sees them (`kernels.data.checks.condition`).
        steps, rejected: accepted and rejected steps; max_steps counts both.
        wall_seconds: this run's share of its batch's wall time, compilation apart.
        device: "cpu" or the accelerator's name.
        trajectory: None if the spec says record: false.
    """

    spec: RunSpec
    dataset: str
    dim: int
    samples: int
    status: Status
    message: str
    beta: Float[np.ndarray, " d"]
    log_loss: float
    log_time: float
    residual: float
    min_margin: float
    invariant_drift: float
    gap_drift: float
    condition: float
    steps: int
    rejected: int
    wall_seconds: float
    device: str
    predictions: tuple[PredictionRecord, ...]
    trajectory: Trajectory | None
