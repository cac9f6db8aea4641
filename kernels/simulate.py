"""One batch of runs: gradient flow to its end, and theory's word on where that must be."""

import time
from collections.abc import Sequence

import numpy as np

from kernels.data.kinds import Dataset
from kernels.flows.observables import OBSERVABLES
from kernels.integrator.drift import invariant_drifts
from kernels.integrator.ensemble import End
from kernels.integrator.lane import AT_REST, CONVERGED, NOT_FINITE, OUT_OF_STEPS, STEP_VANISHED
from kernels.integrator.passage import integrate
from kernels.problem import Problem, grouped, problems_of
from kernels.results import PredictionRecord, RunResult, Trajectory
from kernels.room import Room
from kernels.spec import RunSpec, Status
from kernels.theory.base import Endpoint
from kernels.theory.table import comparisons
from kernels.x64 import jax

Run = tuple[RunSpec, Dataset]
Observed = dict[str, float]

VERDICTS: dict[int, tuple[Status, str]] = {
    CONVERGED: ("converged", ""),
    OUT_OF_STEPS: ("stopped", "out of steps before the stop rule was met; raise stop.max_steps or loosen stop"),
    AT_REST: ("stopped", "the gradient is zero at the initialisation; choose another init"),
    NOT_FINITE: ("diverged", "parameters or gradient are not finite; lower alpha or scale the data"),
    STEP_VANISHED: ("diverged", "the step size vanished; raise rtol or loosen stop"),
}


def simulate(runs: Sequence[Run], room: Room | None = None) -> list[RunResult]:
    """Integrate runs together, those of one program in one loop; results in the order of the runs.

    Args:
        runs: of any shapes.
        room: the size of a program that runs of several shapes share; without one, each shape has its own.
    """
    begin = time.perf_counter()
    problems = problems_of(runs)
    ends = sorted(integrate(problems, room), key=lambda end: end.index)
    finals = [dict(zip(OBSERVABLES, end.final.tolist(), strict=False)) for end in ends]
    records = _compared(problems, ends, finals)
    rows = list(zip(problems, ends, finals, invariant_drifts(problems, ends), records, strict=True))
    device, share = jax.devices()[0].device_kind, (time.perf_counter() - begin) / len(runs)
    return [_result(*row, share, device) for row in rows]


def _compared(
    problems: Sequence[Problem], ends: Sequence[End], finals: Sequence[Observed]
) -> list[tuple[PredictionRecord, ...]]:
    """Every applicable prediction against the runs that moved and did not break down; none for the others."""
    endpoints: dict[int, Endpoint] = {}
    for architecture, places in grouped(problem.architecture for problem in problems):
        thetas = np.array([ends[place].theta for place in places])
        finite = np.isfinite(thetas).all(axis=1).tolist()
        for place, layers, sound in zip(places, zip(*architecture.split(thetas), strict=True), finite, strict=True):
            if sound and ends[place].status != AT_REST:
                endpoints[place] = _endpoint(ends[place], finals[place], layers)
    made = comparisons([problems[place] for place in endpoints], list(endpoints.values()))
    records = dict(zip(endpoints, made, strict=True))
    return [records.get(place, ()) for place in range(len(ends))]


def _endpoint(end: End, observed: Observed, layers: tuple[np.ndarray, ...]) -> Endpoint:
    return Endpoint(
        layers=layers,
        beta=end.final[len(OBSERVABLES) :],
        jacobian=end.jacobian,
        log_norm=end.log_norm,
        log_loss=observed["log_loss"],
        log_time=observed["log_time"],
    )


def _result(
    problem: Problem,
    end: End,
    observed: Observed,
    drift: float,
    records: tuple[PredictionRecord, ...],
    seconds: float,
    device: str,
) -> RunResult:
    status, message = VERDICTS[end.status]
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
        steps=end.steps,
        rejected=end.rejected,
        wall_seconds=seconds,
        device=device,
        predictions=records,
        trajectory=_trajectory(end) if problem.spec.record else None,
    )


def _trajectory(end: End) -> Trajectory:
    columns = {name: end.orbit[:, position] for position, name in enumerate(OBSERVABLES)}
    columns["step"] = columns["step"].astype(np.int64)
    return Trajectory(**columns, beta=end.orbit[:, len(OBSERVABLES) :])
