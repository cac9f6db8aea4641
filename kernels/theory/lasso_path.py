"""Where regression is at every time: its time average runs along the lasso path as the initialisation shrinks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

from kernels.data.kinds import Dataset
from kernels.networks.base import Architecture
from kernels.problem import Problem, grouped
from kernels.results import PathRecord, PredictionRecord
from kernels.theory.base import CERTIFIED, Endpoint, Forecast, Forecasts, Kind, Prediction, record
from kernels.theory.domains import Domain, domain
from kernels.theory.optimisers.lasso import Lasso, Path, lasso, lasso_path
from kernels.theory.recorded import curves, on_curves, products_at, thinned

EARLY = 0.5
"""Points are compared from this share of the time at which the lasso's first coefficient appears."""


@final
class LassoPath(Prediction):
    """The time average rhobar(t) = 1/t integral_0^t rho ds fits the data as the lasso does, at every t, as alpha -> 0.

    With lambda(t) = integral_0^t (y - X beta) ds and A = X S^T, nu_j(rho_j(t)) = [A^T lambda(t)]_j at any scale, and
    y - A rhobar(t) = lambda(t) / t. So [A^T (y - A rhobar)]_j lies in (-T_j^-, T_j^+) / t, (-T_j^-, T_j^+) being the
    domain of nu_j, and it is near an end where rho_j is not small. These are the optimality conditions of
        min 1/2 ||A r - y||^2 + 1/t sum_j (T_j^+ r_j^+ + T_j^- r_j^-),
    but for coordinates that have grown and vanished again. From the structured start T_j = T_L (alpha eta_j)^{2-L} for
    L >= 3 (T_3 = pi/2, T_4 = 1); for L = 2, T_j = log(1/alpha) to leading order. Other starts have the ends of their
    own curves, one for each sign. Where every t r_j(t) of the lasso is monotone (detail's monotone is 1 if so at the
    points compared), no coordinate vanishes again, and the difference falls like alpha^{L-2}, L >= 3, or
    1 / log(1/alpha), L = 2. Elsewhere a small difference remains.

    At a point, distance is ||X (betabar - b)|| / ||y||, b being the lasso's coefficients, which are the point's beta.
    The record has the largest distance, the lasso at the last point and the largest certificate. detail: identity, the
    largest ||nu(rho(t)) - A^T lambda(t)|| / ||nu|| of the points, which is 0 at every alpha and so certifies the
    integrator; monotone; points, their number.

    Applies: regression, L >= 2, a real orthogonal decomposition, at most one w_l(0) = 0 in a coordinate, alpha < 1 for
    L = 2, and a recorded orbit that was integrated on curves. Not two layers and one sample in the singular basis
    of M(x), as one_sample.py has for predictions of the end: neither rho at recorded points nor the integral of the
    residual is recorded of layers, and beta, which is, does not determine rho. That lasso has one coefficient, of the
    largest singular value, which appears at the jump of saddle_sequence.
    Kind: limit alpha->0. Certificate: the lasso's optimality, relative (optimisers/lasso.py).
    Reference: Berthier, arXiv:2509.18766, for L = 2; the argument above for L >= 3.

    Three layers, x = (1, 2), y = 1: T = pi / (2 alpha), r_1 = 0 and 2 (1 - 2 r_2) = T / t, so that
    r_2 = 1/2 - T / (4 t):

    >>> import math, sweep
    >>> run = sweep.run(architecture="diagonal", depth=3, alpha=0.01, data=([[1, 2]], [1]))
    >>> found = {each.prediction: each for each in run.result.predictions}["lasso_path"]
    >>> expected = 1 / 2 - math.pi / (8 * 0.01 * math.exp(run.result.log_time))
    >>> math.isclose(found.beta[1], expected, rel_tol=1e-9), found.distance < 0.01
    (True, True)
    """

    name = "lasso_path"
    meaning = "the fits of the lasso at the penalty of the time"

    def kind(self, problem: Problem) -> Kind:
        return "limit alpha->0"

    def applies(self, problem: Problem) -> bool:
        if not problem.regression or problem.depth < 2 or problem.spec.solver != "extrapolation":
            return False
        return on_curves(problem) and (problem.depth > 2 or problem.spec.alpha < 1)

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return [None] * len(problems)

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        chosen = [_chosen(problem, endpoint) for problem, endpoint in zip(problems, endpoints, strict=True)]
        identities = _identities(problems, chosen)
        return [self._compared(*each) for each in zip(problems, chosen, identities, strict=True)]

    def _compared(self, problem: Problem, chosen: "_Chosen | None", identity: float) -> PredictionRecord:
        if chosen is None:
            return record(self, problem, None, None)
        found = _along(problem, chosen)
        distances = [point.distance for point in found.path if point.distance is not None]
        whole = len(distances) == len(found.path)
        last, certificate = found.path[-1], float(np.max([point.certificate for point in found.path]))
        detail = {**found.detail, "identity": identity}
        made = Forecast(last.beta if whole else None, certificate, last.objective, detail)
        return replace(record(self, problem, made, max(distances) if whole else None), path=found.path)


class _Chosen(NamedTuple):
    """Points of an orbit that are compared: their numbers from 1, times, coefficients, and lambda."""

    point: Int[np.ndarray, " p"]
    time: Float[np.ndarray, " p"]
    beta: Float[np.ndarray, "p d"]
    integral: Float[np.ndarray, "p n"]


@dataclass(frozen=True)
class _Along:
    path: tuple[PathRecord, ...]
    detail: dict[str, float]


def _drive(problem: Problem) -> Float[np.ndarray, "n m"]:
    """A = X S^T, made once for a data set and a network."""
    return problem.shared.once(_product, problem.dataset, problem.architecture)


def _product(dataset: Dataset, network: Architecture) -> Float[np.ndarray, "n m"]:
    decomposition = network.decomposed
    assert decomposition is not None
    return np.asarray(dataset.x @ decomposition.s.T)


def _ends(problem: Problem) -> tuple[float, Domain]:
    """(unit, domain): T_j^+- = unit t_j^+-, with unit = alpha^{2-L} for L >= 3 and log(1/alpha) for L = 2."""
    interval, alpha = domain(problem), problem.spec.alpha
    assert interval is not None
    if problem.depth == 2:
        return -float(np.log(alpha)), interval
    with np.errstate(over="ignore"):
        return float(np.float64(alpha) ** (2 - problem.depth)), interval


def _chosen(problem: Problem, endpoint: Endpoint) -> _Chosen | None:
    """Recorded points from EARLY on, thinned; None if there are none."""
    orbit, slopes = endpoint.trajectory, problem.dataset.y @ _drive(problem)
    if orbit is None or orbit.residual_integral is None:
        return None
    unit, interval = _ends(problem)
    with np.errstate(over="ignore"):
        time = np.exp(orbit["log_time"])
    strength = float(np.maximum(slopes / interval.upper, -slopes / interval.lower).max()) / unit
    sound = (time * strength >= EARLY) & np.isfinite(time) & np.isfinite(orbit.residual_integral).all(axis=1)
    places = np.flatnonzero(sound & np.isfinite(orbit.beta).all(axis=1))
    if not places.size:
        return None
    places = thinned(places, problem.dataset.x.shape[0] * len(slopes))
    return _Chosen(places + 1, time[places], orbit.beta[places], orbit.residual_integral[places])


def _along(problem: Problem, chosen: _Chosen) -> _Along:
    """The lasso at the penalty of every point."""
    y, a, (unit, interval) = problem.dataset.y, _drive(problem), _ends(problem)
    assert problem.decomposition is not None
    penalty, t = unit / chosen.time, np.append(interval.upper, interval.lower)
    found = lasso(
        a, y, penalty[:, None] * interval.upper, penalty[:, None] * interval.lower, _path(problem, a).at(penalty) / t
    )
    average = chosen.integral / chosen.time[:, None]
    distance = np.linalg.norm(y - average - found.fits, axis=1) / np.linalg.norm(y)
    betas = found.r @ problem.decomposition.s
    points = tuple(_point(int(chosen.point[k]), distance[k], found, betas[k], k) for k in range(len(distance)))
    sums = (chosen.time / chosen.time[-1])[:, None] * found.r
    return _Along(points, {"monotone": float(_monotone(sums)), "points": float(len(distance))})


def _path(problem: Problem, a: Float[np.ndarray, "n m"]) -> Path:
    """The lasso path with penalties t^+- in place of T^+-, found once for all problems that have the same ones."""
    interval = _ends(problem)[1]
    key = (_path, problem.dataset, problem.architecture, interval.key)
    return problem.shared.keep(key, lambda: lasso_path(a, problem.dataset.y, interval.upper, interval.lower))


def _point(point: int, distance: float, found: Lasso, beta: Float[np.ndarray, " d"], place: int) -> PathRecord:
    certificate = float(found.certificate[place])
    known = certificate <= CERTIFIED
    return PathRecord(
        point=point,
        distance=float(distance) if known else None,
        certificate=certificate,
        objective=float(found.objective[place]) if known else None,
        beta=beta if known else None,
    )


def _monotone(sums: Float[np.ndarray, "p m"]) -> bool:
    """Whether every entry of t r(t) is monotone: then rho = d(t rhobar)/dt has everywhere the sign that nu allows."""
    steps, before = np.diff(sums, axis=0), sums[:-1]
    return bool((np.sign(before) * steps >= -1e-9 * np.abs(sums).max(axis=1)[1:, None]).all())


def _identities(problems: Sequence[Problem], chosen: Sequence[_Chosen | None]) -> list[float]:
    """The largest ||nu(rho) - A^T lambda|| / ||nu|| of each orbit; NaN where it has no points."""
    found = [float("nan")] * len(problems)
    for shape, places in grouped(map(_shape, problems, chosen)):
        if shape is None:
            continue
        orbits = [(problems[k], each) for k in places if (each := chosen[k]) is not None]
        rho = np.concatenate([products_at(problem, each.beta) for problem, each in orbits])
        due = np.concatenate([each.integral @ _drive(problem) for problem, each in orbits])
        counts = [len(each.point) for _, each in orbits]
        curve = curves([problem for (problem, _), count in zip(orbits, counts, strict=True) for _ in range(count)])
        with np.errstate(all="ignore"):
            nu = curve.nu(curve.chart(rho))
            off = np.linalg.norm(nu - due, axis=1) / np.linalg.norm(nu, axis=1)
        for place, part in zip(places, np.split(off, np.cumsum(counts)[:-1]), strict=True):
            found[place] = float(part.max())
    return found


def _shape(problem: Problem, chosen: _Chosen | None) -> tuple[tuple[int, ...], bool] | None:
    """((L, m), whether the start is structured): problems for which it is equal are computed together."""
    w = problem.coordinates
    return None if chosen is None or w is None else (w.shape, problem.scale is not None)
