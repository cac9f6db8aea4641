"""One batch of runs: gradient flow to its end, and theory's word on where that must be."""

import time
from collections.abc import Sequence

import numpy as np

from kernels.data.kinds import Dataset
from kernels.flows.observables import OBSERVABLES
from kernels.integrator.ensemble import End
from kernels.integrator.lane import AT_REST, CONVERGED, NOT_FINITE, OUT_OF_STEPS, STEP_VANISHED
from kernels.integrator.passage import integrate, invariant_drift
from kernels.problem import Problem, problem_of
from kernels.results import PredictionRecord, RunResult, Trajectory
from kernels.spec import RunSpec, Status, compile_key
from kernels.theory.base import Endpoint
from kernels.theory.table import applicable
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
    problems = [problem_of(spec, dataset) for spec, dataset in runs]
    ends = {end.index: end for end in integrate(problems)}
    records = [_compare(problem, ends[index]) for index, problem in enumerate(problems)]
    share = (time.perf_counter() - begin) / len(runs)
    return [_result(problem, ends[index], records[index], share) for index, problem in enumerate(problems)]


def _compare(problem: Problem, end: End) -> tuple[PredictionRecord, ...]:
    """Every applicable prediction against a run that moved and did not break down."""
    if end.status == AT_REST or not np.isfinite(end.theta).all():
        return ()
    observed = _observed(end)
    endpoint = Endpoint(
        layers=problem.architecture.split(end.theta),
        beta=end.final[len(observed) :],
        jacobian=end.jacobian,
        log_norm=end.log_norm,
        log_loss=observed["log_loss"],
        log_time=observed["log_time"],
    )
    return tuple(
        prediction.compare(problem, prediction.forecast(problem), endpoint) for prediction in applicable(problem)
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
