"""One batch of runs: integrate each gradient flow to its end, make every prediction that applies, and compare."""

import time
from collections.abc import Sequence

import numpy as np

from kernels.compilation import since
from kernels.data.checks import condition
from kernels.data.kinds import Dataset
from kernels.integrator.drift import gap_drifts, invariant_drifts
from kernels.integrator.ensemble import End, Watch, unwatched
from kernels.integrator.lane import AT_REST, CONVERGED, NOT_FINITE, NOTHING_TO_DO, OUT_OF_STEPS, STEP_VANISHED
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
    finals = [dict(zip(OBSERVABLES, end.final.tolist(), strict=False)) for end in ends]
    orbits = [_trajectory(end) if problem.spec.record else None for problem, end in zip(problems, ends, strict=True)]
    records = _compared(problems, ends, finals, orbits)
    drifts, gaps, moved = invariant_drifts(problems, ends), gap_drifts(problems, ends), _sensitivities(problems, ends)
    spent = time.perf_counter() - begin - since(begin)
    device, share = jax.devices()[0].device_kind, spent / max(1, len(ends))
    return [
        _result(problem, end, final, drift, _verdict(problem, end.status, gap, move), gap, found, orbit, share, device)
        for problem, end, final, drift, gap, move, found, orbit in zip(
            problems, ends, finals, drifts, gaps, moved, records, orbits, strict=True
        )
    ]


def _compared(
    problems: Sequence[Problem], ends: Sequence[End], finals: Sequence[Observed], orbits: Sequence[Trajectory | None]
) -> list[tuple[PredictionRecord, ...]]:
    """The records of every prediction that applies, one tuple a run; empty for runs that did not move or diverged."""
    endpoints: dict[int, Endpoint] = {}
    for architecture, places in grouped(problem.architecture for problem in problems):
        thetas = np.array([ends[place].theta for place in places])
        finite = np.isfinite(thetas).all(axis=1).tolist()
        for place, layers, sound in zip(places, zip(*architecture.split(thetas), strict=True), finite, strict=True):
            if sound and ends[place].status not in (AT_REST, NOTHING_TO_DO):
                endpoints[place] = _endpoint(ends[place], finals[place], layers, orbits[place])
    made = comparisons([problems[place] for place in endpoints], list(endpoints.values()))
    records = dict(zip(endpoints, made, strict=True))
    return [records.get(place, ()) for place in range(len(ends))]


def _endpoint(end: End, observed: Observed, layers: tuple[np.ndarray, ...], orbit: Trajectory | None) -> Endpoint:
    return Endpoint(
        layers=layers,
        beta=end.final[len(OBSERVABLES) :],
        jacobian=end.jacobian,
        log_norm=end.log_norm,
        log_loss=observed["log_loss"],
        log_time=observed["log_time"],
        trajectory=orbit,
    )


def _result(
    problem: Problem,
    end: End,
    observed: Observed,
    drift: float,
    verdict: tuple[Status, str],
    gap: float,
    records: tuple[PredictionRecord, ...],
    orbit: Trajectory | None,
    seconds: float,
    device: str,
) -> RunResult:
    status, message = verdict
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
        invariant_drift=drift,
        gap_drift=gap,
        condition=problem.shared.once(_condition, problem.dataset, problem.architecture),
        steps=end.steps,
        rejected=end.rejected,
        wall_seconds=seconds,
        device=device,
        predictions=records,
        trajectory=orbit,
    )


def _sensitivities(problems: Sequence[Problem], ends: Sequence[End]) -> list[float]:
    """||change of the limit|| / ||limit|| for each relative error of the dual variables nu, one number a run.

    0 for runs that did not meet their stop rule, and for those whose limit has no potential (`Limit.sensitivity`).
    """
    places = [place for place, end in enumerate(ends) if end.status == CONVERGED and has_limit(problems[place])]
    found = dict(zip(places, limits([problems[place] for place in places]), strict=True))
    return [found[place].sensitivity if place in found else 0.0 for place in range(len(ends))]


def _verdict(problem: Problem, code: int, gap: float, sensitivity: float) -> tuple[Status, str]:
    if code != CONVERGED:
        return VERDICTS[code]
    if gap > IMPRECISE:
        solver = "" if problem.spec.solver == "extrapolation" else ", write solver: extrapolation"
        return (
            "imprecise",
            f"conserved quantities drifted by {gap:.1g} of the gaps of the start, which decide the limit; lower "
            f"rtol{solver} or raise alpha",
        )
    if sensitivity * problem.spec.rtol > UNDECIDED:
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
