"""One batch of runs: gradient flow to its end, and theory's word on where that must be."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kernels.datasets import Dataset
from kernels.initialisations import initial_layers
from kernels.results import PredictionRecord, RunResult, Trajectory
from kernels.spec import RunSpec, Status, compile_key
from kernels.theory.base import Endpoint, Problem
from kernels.theory.predictions import applicable
from kernels.validate import build

if TYPE_CHECKING:
    from kernels.ensemble import End

Run = tuple[RunSpec, Dataset]


def simulate(runs: Sequence[Run]) -> list[RunResult]:
    """Integrate runs of one compile key together; results in the order of the runs.

    Raises ValueError if their compile keys differ.
    """
    from kernels.integrate import integrate

    keys = {compile_key(spec, dataset.x.shape[1], dataset.x.shape[0]) for spec, dataset in runs}
    if len(keys) != 1:
        raise ValueError(f"runs of one batch must share a compile key; these have {len(keys)}")
    begin = time.perf_counter()
    problems = [problem_of(spec, dataset) for spec, dataset in runs]
    ends = {end.index: end for end in integrate(problems)}
    records = [_compare(problem, ends[index]) for index, problem in enumerate(problems)]
    share = (time.perf_counter() - begin) / len(runs)
    return [_result(problem, ends[index], records[index], share) for index, problem in enumerate(problems)]


def forecasts(spec: RunSpec, dataset: Dataset) -> tuple[PredictionRecord, ...]:
    """What theory predicts without a flow; distance is None."""
    problem = problem_of(spec, dataset)
    pairs = ((prediction, prediction.forecast(problem)) for prediction in applicable(problem))
    return tuple(
        PredictionRecord(
            prediction=prediction.name,
            kind=prediction.kind(problem),
            distance=None,
            certificate=forecast.certificate,
            objective=forecast.objective,
            beta=forecast.beta,
            detail=forecast.detail,
        )
        for prediction, forecast in pairs
        if forecast is not None
    )


def problem_of(spec: RunSpec, dataset: Dataset) -> Problem:
    """What theory sees of a run: its network and initial layers beside spec and data."""
    architecture = build(spec, dataset.x.shape[1])
    return Problem(spec, dataset, architecture, initial_layers(spec, architecture))


def _compare(problem: Problem, end: "End") -> tuple[PredictionRecord, ...]:
    """Every applicable prediction against a run that moved and did not break down."""
    from kernels.lane import AT_REST

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


def _observed(end: "End") -> dict[str, float]:
    from kernels.observables import OBSERVABLES

    return dict(zip(OBSERVABLES, map(float, end.final), strict=False))


def _result(problem: Problem, end: "End", records: tuple[PredictionRecord, ...], seconds: float) -> RunResult:
    from kernels.integrate import invariant_drift
    from kernels.x64 import jax

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


def _trajectory(end: "End") -> Trajectory:
    from kernels.observables import OBSERVABLES

    columns = {name: end.orbit[:, position] for position, name in enumerate(OBSERVABLES)}
    columns["step"] = columns["step"].astype(np.int64)
    return Trajectory(**columns, beta=end.orbit[:, len(OBSERVABLES) :])


def _verdict(code: int) -> tuple[Status, str]:
    from kernels.lane import AT_REST, CONVERGED, NOT_FINITE, OUT_OF_STEPS, STEP_VANISHED

    verdicts: dict[int, tuple[Status, str]] = {
        CONVERGED: ("converged", ""),
        OUT_OF_STEPS: ("stopped", "out of steps before the stop rule was met; raise stop.max_steps or loosen stop"),
        AT_REST: ("stopped", "the gradient is zero at the initialisation; choose another init"),
        NOT_FINITE: ("diverged", "parameters or gradient are not finite; lower alpha or scale the data"),
        STEP_VANISHED: ("diverged", "the step size vanished; raise rtol or loosen stop"),
    }
    return verdicts[code]
