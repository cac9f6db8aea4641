"""Where regression is at every time: its time average runs along the lasso path as the initialisation shrinks."""

from dataclasses import dataclass, replace
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

from kernels.problem import Problem
from kernels.results import PathRecord, PredictionRecord
from kernels.theory.base import CERTIFIED, Endpoint, Forecast, Kind, RunByRun, record
from kernels.theory.optimisers.curves import Curve
from kernels.theory.optimisers.lasso import Lasso, lasso
from kernels.theory.recorded import curves, on_curves, products_at, thinned

FAR = 60.0
"""Chart value at which nu is at the end of its domain to rounding."""
EARLY = 0.5
"""Share of the time at which the lasso's first coefficient appears, from which on points are compared."""


@final
class LassoPath(RunByRun):
    """The time average rhobar(t) = 1/t integral_0^t rho ds fits the data as the lasso does, at every t, as alpha -> 0.

    With lambda(t) = integral_0^t (y - X beta) ds, A = X S^T: nu_j(rho_j(t)) = [A^T lambda(t)]_j at any scale, and
    y - A rhobar(t) = lambda(t) / t. So A^T (y - A rhobar) lies in (-T_j^-, T_j^+) / t, the domain of nu, and near its
    end where rho_j is not small: the optimality of
        min 1/2 ||A r - y||^2 + 1/t sum_j (T_j^+ r_j^+ + T_j^- r_j^-),
    up to coordinates that have come and gone. From the structured start T_j = T_L (alpha eta_j)^{2-L} for L >= 3
    (T_3 = pi/2, T_4 = 1); for L = 2, T_j = log(1/alpha) to leading order. Other starts have the ends of their own
    curves, one for each sign. Where no t r_j(t) of the lasso turns back (detail's monotone is 1 if so at the points
    compared), nothing comes and goes, and the difference falls like alpha^{L-2}, L >= 3, or 1 / log(1/alpha), L = 2;
    elsewhere it stays, small but finite.
    At a point, distance is ||X (betabar - b)|| / ||y||, b the lasso's coefficients, which are its beta; the record has
    the largest distance, the lasso at the last point and the largest certificate. detail: identity, the largest
    ||nu(rho(t)) - A^T lambda(t)|| / ||nu|| of the points: exact at every alpha, it is a certificate of the integrator;
    monotone; points.

    Applies: regression, L >= 2, a real orthogonal decomposition, at most one w_l(0) = 0 in a coordinate, alpha < 1 for
    L = 2, and a recorded orbit that was integrated on curves.
    Kind: limit alpha->0. Certificate: the lasso's optimality, relative (optimisers/lasso.py).
    Reference: Berthier, arXiv:2509.18766, for L = 2; the argument above for L >= 3.
    """

    name = "lasso_path"
    meaning = "the fits of the lasso at the penalty of the time"

    def kind(self, problem: Problem) -> Kind:
        return "limit alpha->0"

    def applies(self, problem: Problem) -> bool:
        if not problem.regression or problem.depth < 2 or problem.spec.solver != "extrapolation":
            return False
        return on_curves(problem) and (problem.depth > 2 or problem.spec.alpha < 1)

    def forecast(self, problem: Problem) -> Forecast | None:
        return None

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        assert problem.decomposition is not None
        a = problem.dataset.x @ problem.decomposition.s.T
        curve = curves([problem])
        ends = _ends(problem, curve)
        chosen = _chosen(problem, endpoint, a, ends)
        if chosen is None:
            return record(self, problem, None, None)
        found = _along(problem, chosen, a, ends)
        distances = [point.distance for point in found.path if point.distance is not None]
        whole = len(distances) == len(found.path)
        last, certificate = found.path[-1], float(np.max([point.certificate for point in found.path]))
        made = Forecast(last.beta if whole else None, certificate, last.objective, found.detail)
        return replace(record(self, problem, made, max(distances) if whole else None), path=found.path)


class _Ends(NamedTuple):
    """T^+ and T^- of each coordinate; infinite for a sign that it never takes."""

    plus: Float[np.ndarray, " m"]
    minus: Float[np.ndarray, " m"]


class _Chosen(NamedTuple):
    """Points of an orbit: their numbers from 1, times, coefficients, and lambda."""

    point: Int[np.ndarray, " p"]
    time: Float[np.ndarray, " p"]
    beta: Float[np.ndarray, "p d"]
    integral: Float[np.ndarray, "p n"]


@dataclass(frozen=True)
class _Along:
    path: tuple[PathRecord, ...]
    detail: dict[str, float]


def _ends(problem: Problem, curve: Curve) -> _Ends:
    """The ends of nu's domain; for L = 2 what nu is, to leading order, where rho is of order one."""
    w = problem.coordinates
    assert w is not None
    size = np.sort(np.abs(w), axis=0)
    tied = size[1] - size[0] <= 1e-16 * size[1]
    side = np.where(tied, np.prod(np.sign(w), axis=0), 0.0)
    if problem.depth == 2:
        plus = minus = np.full(w.shape[1], -np.log(problem.spec.alpha))
    else:
        with np.errstate(all="ignore"):
            out = np.full(curve.start.shape, FAR)
            plus, minus = curve.nu(out - curve.start)[0], -curve.nu(-out - curve.start)[0]
    return _Ends(np.where(side < 0, np.inf, plus), np.where(side > 0, np.inf, minus))


def _chosen(problem: Problem, endpoint: Endpoint, a: Float[np.ndarray, "n m"], ends: _Ends) -> _Chosen | None:
    """Points from EARLY on, thinned; None if there are none."""
    orbit = endpoint.trajectory
    if orbit is None or orbit.residual_integral is None:
        return None
    with np.errstate(over="ignore"):
        time = np.exp(orbit["log_time"])
    slopes = problem.dataset.y @ a
    strength = float(np.maximum(slopes / ends.plus, -slopes / ends.minus).max())
    sound = (time * strength >= EARLY) & np.isfinite(time) & np.isfinite(orbit.residual_integral).all(axis=1)
    places = np.flatnonzero(sound & np.isfinite(orbit.beta).all(axis=1))
    if not places.size:
        return None
    places = thinned(places, a.size)
    return _Chosen(places + 1, time[places], orbit.beta[places], orbit.residual_integral[places])


def _along(problem: Problem, chosen: _Chosen, a: Float[np.ndarray, "n m"], ends: _Ends) -> _Along:
    """The lasso at the penalty of every point."""
    y, time = problem.dataset.y, chosen.time[:, None]
    assert problem.decomposition is not None
    average = chosen.integral / time
    found = lasso(a, y, ends.plus / time, ends.minus / time, average)
    distance = np.linalg.norm(y - average - found.fits, axis=1) / np.linalg.norm(y)
    betas = found.r @ problem.decomposition.s
    path = tuple(_point(int(chosen.point[k]), distance[k], found, betas[k], k) for k in range(len(distance)))
    detail = {
        "identity": _identity(problem, chosen, a),
        "monotone": float(_monotone(time * found.r)),
        "points": float(len(distance)),
    }
    return _Along(path, detail)


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
    """Whether no entry of t r(t) turns back: then rho = d(t rhobar)/dt has everywhere the sign that its nu allows."""
    steps, before = np.diff(sums, axis=0), sums[:-1]
    return bool((np.sign(before) * steps >= -1e-9 * np.abs(sums).max(axis=1)[1:, None]).all())


def _identity(problem: Problem, chosen: _Chosen, a: Float[np.ndarray, "n m"]) -> float:
    """The largest ||nu(rho) - A^T lambda|| / ||nu||."""
    rho = products_at(problem, chosen.beta)
    curve = curves([problem] * len(rho))
    with np.errstate(all="ignore"):
        nu = curve.nu(curve.chart(rho))
        off = np.linalg.norm(nu - chosen.integral @ a, axis=1) / np.linalg.norm(nu, axis=1)
    return float(off.max())
