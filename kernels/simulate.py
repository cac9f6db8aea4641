"""One batch of runs: gradient flow to its end, and theory's word on where that must be."""

import time
from collections.abc import Sequence

import numpy as np

from kernels.data.kinds import Dataset
from kernels.flows.observables import OBSERVABLES
from kernels.integrator.ensemble import End
from kernels.integrator.lane import AT_REST, CONVERGED, NOT_FINITE, OUT_OF_STEPS, STEP_VANISHED
from kernels.integrator.passage import integrate, invariant_drift
from kernels.problem import Problem, problems_of
from kernels.results import PredictionRecord, RunResult, Trajectory
from kernels.spec import RunSpec, Status, compile_key
from kernels.theory.base import Endpoint
from kernels.theory.table import comparisons
from kernels.x64 import jax

Run = tuple[RunSpec, Dataset]

VERDICTS: dict[int, tuple[Status, str]] = {
    CONVERGED: ("converged", ""),
    OUT_OF_STEPS: ("stopped", "out of steps before the stop rule was met; raise stop.max_steps or loosen stop"),
    AT_REST: ("stopped", "the gradient is zero at the initialisation; choose another init"),
    NOT_FINITE: ("diverged", "parameters or gradient are not finite; lower alpha or scale the data"),
    STEP_VANISHED: ("diverged", "the step size vanished; raise rtol or loosen stop"),
}


def simulate(runs: Sequence[Run]) -> list[RunResult]:
    """Integrate runs of one compile key together; results in the order of the runs.

    Raises ValueError if their compile keys differ.
    """
    keys = {compile_key(spec, dataset.x.shape[1], dataset.x.shape[0]) for spec, dataset in runs}
    if len(keys) != 1:
        raise ValueError(f"runs of one batch must share a compile key; these have {len(keys)}")
    begin = time.perf_counter()
    problems = problems_of(runs)
    ends = sorted(integrate(problems), key=lambda end: end.index)
    records = _compared(problems, ends)
    share = (time.perf_counter() - begin) / len(runs)
    return [_result(*each, share) for each in zip(problems, ends, records, strict=True)]


def _compared(problems: Sequence[Problem], ends: Sequence[End]) -> list[tuple[PredictionRecord, ...]]:
    """Every applicable prediction against the runs that moved and did not break down; none for the others."""
    sound = [index for index, end in enumerate(ends) if end.status != AT_REST and np.isfinite(end.theta).all()]
    endpoints = [_endpoint(problems[index], ends[index]) for index in sound]
    found = dict(zip(sound, comparisons([problems[index] for index in sound], endpoints), strict=True))
    return [found.get(index, ()) for index in range(len(problems))]


def _endpoint(problem: Problem, end: End) -> Endpoint:
    observed = _observed(end)
    return Endpoint(
        layers=problem.architecture.split(end.theta),
        beta=end.final[len(observed) :],
        jacobian=end.jacobian,
        log_norm=end.log_norm,
        log_loss=observed["log_loss"],
        log_time=observed["log_time"],
    )


def _observed(end: End) -> dict[str, float]:
    return dict(zip(OBSERVABLES, map(float, end.final), strict=False))


def _result(problem: Problem, end: End, records: tuple[PredictionRecord, ...], seconds: float) -> RunResult:
    observed = _observed(end)
    status, message = _verdict(end.status)
    samples, dim = problem.dataset.x.shape
    return RunResult(
        spec=problem.spec,
        dataset=problem.dataset.name,
        dim=dim,
        samples=samples,
        status=status,
        message=message,
        beta=end.final[len(observed) :],
        log_loss=observed["log_loss"],
        log_time=observed["log_time"],
        residual=observed["residual"],
        min_margin=observed["min_margin"],
        invariant_drift=invariant_drift(problem, end),
        steps=end.steps,
        rejected=end.rejected,
        wall_seconds=seconds,
        device=jax.devices()[0].device_kind,
        predictions=records,
        trajectory=_trajectory(end) if problem.spec.record else None,
    )


def _trajectory(end: End) -> Trajectory:
    columns = {name: end.orbit[:, position] for position, name in enumerate(OBSERVABLES)}
    columns["step"] = columns["step"].astype(np.int64)
    return Trajectory(**columns, beta=end.orbit[:, len(OBSERVABLES) :])


def _verdict(code: int) -> tuple[Status, str]:
    return VERDICTS[code]
