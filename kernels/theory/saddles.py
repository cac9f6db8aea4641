"""The saddles that gradient flow of the squared loss visits, one after the other, from small weights."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np
from jaxtyping import Float

from kernels.problem import Problem
from kernels.results import PredictionRecord, SaddleRecord, Trajectory
from kernels.theory.base import Endpoint, Forecast, Forecasts, Kind, Prediction, coefficients_records
from kernels.theory.domains import domain
from kernels.theory.one_sample import of_one_sample
from kernels.theory.sequences import Saddles, saddles, saddles_all


@final
@of_one_sample
class SaddleSequence(Prediction):
    """As alpha -> 0 the flow rests at one saddle after the other, and jumps from each to the next at known times.

    With A = X S^T, start at the saddle k = 0, with s = 0, clock 0. At a saddle k let u = A^T (y - A k). For coordinates
    with k_j = 0, s_j moves as ds_j = u_j dclock within (-t_j^-, t_j^+), the domain of nu_j from the start at alpha = 1
    (L >= 3), or (-1, 1) (L = 2). The first s_j to meet an end makes its coordinate j jump: the next k is the least
    squares solution over j and the coordinates that are not zero, whose signs are kept. This goes on until u = 0.
    beta = S^T k; time = alpha^{2-L} clock (L >= 3), log(1/alpha) clock (L = 2).

    For a recorded orbit, detail has the largest distance from a saddle to the nearest point (saddle_distance), the
    largest relative error of a jump's time (time_error), and whether the points nearest to the saddles come in the
    saddles' order (in_order). A run that is not recorded is compared with the last saddle alone.

    Applies: regression, L >= 2, from a start with a potential (as minimum_bregman). Not certified where two coordinates
    that are no twins jump at once. Two layers and one sample: every network, in the singular basis of M(x)
    (one_sample.py), where the coordinate of the largest singular value sigma jumps to the end at clock 1 / (sigma |y|).
    Kind: limit alpha->0. Certificate: the worst of A_S^T (y - A k) = 0 and s_S at its ends, S the coordinates not zero,
    at every saddle, and of the conditions of weighted_l1 at the last one, relative.
    Reference: Pesme and Flammarion, arXiv:2304.00488 (L = 2); Zhao et al., arXiv:2607.12332 (every depth).

    Three layers, where t^+ = pi/2, X = I, y = (2, 1): u = (2, 1) brings s_1 to its end at clock pi/4, s_2 at pi/2. The
    saddles are (2, 0) and (2, 1), and a run jumps to them at the times pi/4 and pi/2 over alpha:

    >>> import math, sweep
    >>> run = sweep.run(architecture="diagonal", depth=3, alpha=1e-4, data=([[1, 0], [0, 1]], [2, 1]))
    >>> found = {each.prediction: each for each in run.result.predictions}["saddle_sequence"]
    >>> [round(1e-4 * math.exp(each.log_time) / math.pi, 3) for each in found.saddles[1:]]
    [0.25, 0.5]
    """

    name = "saddle_sequence"
    meaning = "the last of the saddles that the flow visits from small weights"

    def kind(self, problem: Problem) -> Kind:
        return "limit alpha->0"

    def applies(self, problem: Problem) -> bool:
        return domain(problem) is not None

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return [_forecast(found) for found in saddles_all(list(problems))]

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        records = coefficients_records(self, problems, forecasts, endpoints)
        return [_along(*each) for each in zip(problems, endpoints, records, strict=True)]


def _forecast(found: Saddles | None) -> Forecast:
    assert found is not None
    beta = found.beta[-1] if len(found.beta) else None
    return Forecast(beta, found.certificate, found.end.objective, {"saddles": float(len(found.beta))})


def _along(problem: Problem, endpoint: Endpoint, record: PredictionRecord) -> PredictionRecord:
    """The record with every saddle and the orbit's nearest point; unchanged where the sequence is not certified."""
    found = saddles(problem)
    if record.beta is None or found is None or not len(found.beta):
        return record
    expected = _log_times(problem, found.clock)
    # a single saddle is the end, and the record has its beta also where the problem is a substitute (one_sample.py)
    beta = found.beta if len(found.beta) > 1 else record.beta[None]
    visits = _visits(endpoint.trajectory, np.vstack([np.zeros((1, beta.shape[1])), beta]), [None, *expected])
    if endpoint.trajectory is None:
        return replace(record, saddles=visits)
    return replace(record, saddles=visits, detail={**record.detail, **_summary(visits)})


def _log_times(problem: Problem, clock: Float[np.ndarray, " k"]) -> list[float | None]:
    """log of the times of the jumps; None for L = 2 and alpha >= 1, where log(1/alpha) is not positive."""
    alpha, depth = problem.spec.alpha, problem.depth
    if depth > 2:
        unit = (2 - depth) * math.log(alpha)
    elif alpha < 1:
        unit = math.log(-math.log(alpha))
    else:
        return [None] * len(clock)
    return [unit + value for value in np.log(clock).tolist()]


def _visits(
    orbit: Trajectory | None, predicted: Float[np.ndarray, "k d"], log_times: Sequence[float | None]
) -> tuple[SaddleRecord, ...]:
    """Every saddle with the recorded point nearest to it, the origin first."""
    count = len(predicted)
    if orbit is None:
        return tuple(SaddleRecord(number, predicted[number], log_times[number]) for number in range(count))
    sizes = np.linalg.norm(predicted, axis=1)
    sizes[0] = sizes[-1]
    gaps = np.linalg.norm(orbit.beta[None] - predicted[:, None], axis=2) / sizes[:, None]
    nearest = gaps.argmin(axis=1)
    jumps = [_jump(orbit, predicted[k - 1 : k + 1], nearest[k - 1], nearest[k]) for k in range(1, count)]
    return tuple(
        SaddleRecord(
            number=number,
            predicted=predicted[number],
            log_time_predicted=log_times[number],
            log_time=log_time,
            point=int(nearest[number]) + 1,
            beta=orbit.beta[nearest[number]],
            distance=float(gaps[number, nearest[number]]),
        )
        for number, log_time in enumerate([None, *jumps])
    )


def _jump(orbit: Trajectory, pair: Float[np.ndarray, "2 d"], before: np.integer, after: np.integer) -> float | None:
    """log of the time, linear between points, at which the orbit is first half-way from one saddle to the next one."""
    way = pair[1] - pair[0]
    share = (orbit.beta[before : after + 1] - pair[0]) @ way / (way @ way)
    above = np.flatnonzero(share >= 0.5)
    if not above.size or above[0] == 0:
        return None
    first = int(above[0])
    low, high = orbit["log_time"][before + first - 1], orbit["log_time"][before + first]
    part = (0.5 - share[first - 1]) / (share[first] - share[first - 1])
    return float(high + np.log(part + (1 - part) * np.exp(low - high)))


def _summary(visits: Sequence[SaddleRecord]) -> dict[str, float]:
    """saddle_distance, in_order, and time_error unless some jump was not seen or has no predicted time."""
    jumps = [(visit.log_time, visit.log_time_predicted) for visit in visits[1:]]
    errors = [abs(math.expm1(seen - due)) for seen, due in jumps if seen is not None and due is not None]
    points = [visit.point or 0 for visit in visits]
    told = {
        "saddle_distance": max(visit.distance or 0.0 for visit in visits),
        "in_order": float(all(one < other for one, other in itertools.pairwise(points))),
    }
    return {**told, "time_error": max(errors)} if len(errors) == len(jumps) else told
