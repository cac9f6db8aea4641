"""One batch of runs: integrate each gradient flow to its end, make every prediction that applies, and compare."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kernels.compilation import since
from kernels.data.checks import condition
from kernels.data.kinds import Dataset
from kernels.integrator.drift import gap_drifts, invariant_drifts
from kernels.integrator.ensemble import End, Watch, unwatched
from kernels.integrator.lane import (
    AT_REST,
    AT_ROUNDING,
    CONVERGED,
    NOT_FINITE,
    NOTHING_TO_DO,
    OUT_OF_STEPS,
    STEP_VANISHED,
)
from kernels.integrator.passage import integrate
from kernels.networks.base import Architecture
from kernels.observables import OBSERVABLES
from kernels.problem import Problem, grouped, problems_of
from kernels.results import PredictionRecord, RunResult, Trajectory
from kernels.room import Room
from kernels.spec import RunSpec, Status
from kernels.theory.base import Endpoint
from kernels.theory.potentials import has_limit, limits
from kernels.theory.table import comparisons
from kernels.x64 import jax

Run = tuple[RunSpec, Dataset]
Observed = dict[str, float]

VERDICTS: dict[int, tuple[Status, str]] = {
    CONVERGED: ("converged", ""),
    NOTHING_TO_DO: (
        "stopped",
        "nothing to do: the stop rule is met at the start; lower alpha or tighten stop",
    ),
    OUT_OF_STEPS: ("stopped", "out of steps before the stop rule was met; raise stop.max_steps or loosen stop"),
    AT_REST: ("stopped", "the gradient is zero at the initialisation; choose another init"),
    AT_ROUNDING: (
        "stopped",
        "coefficients are so large beside the targets that rounding of the outputs hides them; lower alpha or scale y",
    ),
    NOT_FINITE: ("diverged", "parameters or gradient are not finite; lower alpha or scale the data"),
    STEP_VANISHED: ("diverged", "the step size vanished; raise rtol or loosen stop"),
}

IMPRECISE = 0.1
"""Largest `gap_drift` of a converged run. With a larger one the end may be that of a flow from another start."""
UNDECIDED = 1e-3
"""Largest share of its norm by which an error of rtol in the dual variables may move the limit of a converged run."""


def simulate(runs: Sequence[Run], room: Room | None = None, watch: Watch = unwatched) -> list[RunResult]:
    """The results of runs, in their order. Runs of one program are integrated together in one compiled loop.

    Args:
        runs: spec and data set of each, of any shapes.
        room: the size of the program that runs on curves share; None for a program for each shape.
        watch: is told how many runs have ended, again and again. Where it ends the batch, the results are of the runs
            that have ended by then.
    """
    begin = time.perf_counter()
    given = problems_of(runs)
    ends = sorted(integrate(given, room, watch), key=lambda end: end.index)
    problems = [given[end.index] for end in ends]
    ended = [_ended(problem, end) for problem, end in zip(problems, ends, strict=True)]
    drifts, gaps, moved = invariant_drifts(problems, ends), gap_drifts(problems, ends), _sensitivities(problems, ends)
    found = list(map(_Found, _compared(ended), drifts, gaps, moved))
    spent = time.perf_counter() - begin - since(begin)
    device, share = jax.devices()[0].device_kind, spent / max(1, len(ends))
    return [_result(run, what, share, device) for run, what in zip(ended, found, strict=True)]


class _Ended(NamedTuple):
    """A run whose flow has ended: its last observables by name, and its orbit if it was recorded."""

    problem: Problem
    end: End
    observed: Observed
    orbit: Trajectory | None


class _Found(NamedTuple):
    """What is found of a run that has ended: predictions compared, drifts (drift.py), and `_sensitivities`."""

    records: tuple[PredictionRecord, ...]
    invariant_drift: float
    gap_drift: float
    sensitivity: float | None


def _ended(problem: Problem, end: End) -> _Ended:
    observed = dict(zip(OBSERVABLES, end.final.tolist(), strict=False))
    return _Ended(problem, end, observed, _trajectory(end) if problem.spec.record else None)


def _compared(runs: Sequence[_Ended]) -> list[tuple[PredictionRecord, ...]]:
    """The records of every prediction that applies, one tuple a run; empty for runs that did not move or diverged."""
    endpoints: dict[int, Endpoint] = {}
    for architecture, places in grouped(run.problem.architecture for run in runs):
        thetas = np.array([runs[place].end.theta for place in places])
        finite = np.isfinite(thetas).all(axis=1).tolist()
        for place, layers, sound in zip(places, zip(*architecture.split(thetas), strict=True), finite, strict=True):
            if sound and runs[place].end.status not in (AT_REST, NOTHING_TO_DO):
                endpoints[place] = _endpoint(runs[place], layers)
    made = comparisons([runs[place].problem for place in endpoints], list(endpoints.values()))
    records = dict(zip(endpoints, made, strict=True))
    return [records.get(place, ()) for place in range(len(runs))]


def _endpoint(run: _Ended, layers: tuple[np.ndarray, ...]) -> Endpoint:
    return Endpoint(
        layers=layers,
        beta=run.end.final[len(OBSERVABLES) :],
        jacobian=run.end.jacobian,
        log_norm=run.end.log_norm,
        log_loss=run.observed["log_loss"],
        log_time=run.observed["log_time"],
        trajectory=run.orbit,
    )


def _result(run: _Ended, found: _Found, seconds: float, device: str) -> RunResult:
    problem, end, observed, orbit = run
    status, message = _verdict(problem, end.status, found.gap_drift, found.sensitivity)
    samples, dim = problem.dataset.x.shape
    return RunResult(
        spec=problem.spec,
        dataset=problem.dataset.name,
        dim=dim,
        samples=samples,
        status=status,
        message=message,
        beta=end.final[len(OBSERVABLES) :],
        log_loss=observed["log_loss"],
        log_time=observed["log_time"],
        residual=observed["residual"],
        min_margin=observed["min_margin"],
        invariant_drift=found.invariant_drift,
        gap_drift=found.gap_drift,
        condition=problem.shared.once(_condition, problem.dataset, problem.architecture),
        steps=end.steps,
        rejected=end.rejected,
        wall_seconds=seconds,
        device=device,
        predictions=found.records,
        trajectory=orbit,
    )


def _sensitivities(problems: Sequence[Problem], ends: Sequence[End]) -> list[float | None]:
    """||change of the limit|| / ||limit|| for each relative error of the dual variables nu, one number a run.

    None for runs that did not meet their stop rule, and for those whose limit theory does not know (`Limit`).
    """
    places = [place for place, end in enumerate(ends) if end.status == CONVERGED and has_limit(problems[place])]
    found = dict(zip(places, limits([problems[place] for place in places]), strict=True))
    return [found[place].sensitivity if place in found else None for place in range(len(ends))]


def _verdict(problem: Problem, code: int, gap: float, sensitivity: float | None) -> tuple[Status, str]:
    if code != CONVERGED:
        return VERDICTS[code]
    if gap > IMPRECISE:
        solver = "" if problem.spec.solver == "extrapolation" else ", write solver: extrapolation"
        return (
            "imprecise",
            f"conserved quantities drifted by {gap:.1g} of the gaps of the start, which decide the limit; lower "
            f"rtol{solver} or raise alpha",
        )
    if sensitivity is not None and not sensitivity * problem.spec.rtol <= UNDECIDED:
        return (
            "imprecise",
            "several solutions have nearly the same least norm, and at this alpha errors of rtol decide between them; "
            "raise alpha, lower rtol or change the data",
        )
    return VERDICTS[code]


def _condition(dataset: Dataset, architecture: Architecture) -> float:
    """The condition of X S^T, or of X where the network has no decomposition."""
    decomposition = architecture.decomposed
    return condition(dataset.x, None if decomposition is None else decomposition.s)


def _trajectory(end: End) -> Trajectory:
    numbers = zip(OBSERVABLES.items(), end.orbit.T[: len(OBSERVABLES)], strict=True)
    columns = {name: column.astype(np.int64 if row.whole else float) for (name, row), column in numbers}
    return Trajectory(columns, end.orbit[:, len(OBSERVABLES) :], end.residual_integral)
