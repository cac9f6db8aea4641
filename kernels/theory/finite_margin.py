"""Where classification is at a finite margin: a convex problem at every recorded point, with a bound on its error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls

from kernels.problem import Problem, grouped
from kernels.results import PathRecord, PredictionRecord
from kernels.theory.base import CERTIFIED, Endpoint, Forecast, Forecasts, Kind, Prediction, record, unit
from kernels.theory.optimisers.above import Guess, minimise_above
from kernels.theory.optimisers.curves import Curve
from kernels.theory.recorded import curves, on_curves, products_at, thinned

NEAR = 0.1
"""Samples whose margins exceed the least by less than this, or by less than this share of it, are thought to be active.
"""
PRICE = 1e-4
"""Weight of the term mu.slack beside the equations Z^T mu = nu, both scaled to size one (`_multipliers`)."""
LARGEST = 1e100
"""Largest ||Theta||^L at which a point is compared: beyond, squares of coefficients overflow."""


@final
class FiniteMargin(Prediction):
    """At every recorded point rho(t) ~ argmin D(rho) subject to y_i x_i.(S^T rho) >= gamma(t), for every scale alpha.

    gamma(t) is the least margin measured there, and D the potential of the start, D_j' = nu_j (minimum_bregman).
    Coordinate j moves on its curve with nu_j(rho_j(t)) = [Z^T mu(t)]_j, Z = diag(y) X S^T and
    mu_i(t) = integral_0^t -l'(m_i) ds >= 0, m_i = y_i f(x_i). These mu are exact multipliers at every t: they meet the
    conditions of the convex problem but for complementarity, so that D(rho(t)) exceeds the minimum by at most
    sum_i mu_i (m_i - gamma).

    That sum over D(rho(t)) is the `bound` of each point. It says, before any comparison, whether the prediction claims
    something of the point. It is small where no sample has both a multiplier and a margin far above gamma. It is large
    while multipliers of samples that were active early still count, as for L >= 3 and alpha^L below -log Loss.

    At a point, distance is ||beta - beta*|| / ||beta*||, so that size counts as well as direction; beta* is in units of
    ||Theta||^L, as the orbit's beta is. The record has the distance at the last point, beta* / ||beta*||, and in
    detail: bound; excess, (D(rho) - min D) / D(rho), which is at most bound; identity, the part of nu(rho(t)) outside
    the range of Z^T, which certifies the integrator; slope, of log distance against log gamma along the points; points,
    their number.

    It contains both limits in alpha: D / alpha^2 is quadratic while gamma << alpha^L (the l2 margin), and for L = 2 it
    is the (weighted) l1 norm where gamma >> alpha^L (max_margin_bridge).

    Applies: losses with an exponential tail, a real orthogonal decomposition, at most one w_l(0) = 0 in a coordinate,
    and a recorded orbit.
    Kind: limit t->infinity for L <= 2, where distances fall like 1 / gamma (observed); limit alpha->infinity for
    L >= 3, at margins that stay small against alpha^L. Certificate: the worst of nu(rho) = Z^T mu, margins of at least
    gamma, mu >= 0 and complementarity, relative, of the convex problem itself.
    Reference: multipliers as in Yun, Krishnan, Mobahi, arXiv:2010.02501; crossing of regimes: Moroshko et al.,
    arXiv:2007.06738.

    Two layers, alpha = 1, y_i x_i = (1, 2) twice: rho = (sinh 2 nu, sinh 4 nu) / 2 has margin 9/4 at sinh 2 nu = 3/4,
    where it is (3/8, 15/16), along (2, 5):

    >>> import math, sweep
    >>> axes = {"task": "classification", "architecture": "diagonal", "stop": {"log_margin": math.log(9 / 4)}}
    >>> run = sweep.run(data=([[1, 2], [-1, -2]], [1, -1]), **axes)
    >>> found = {each.prediction: each for each in run.result.predictions}["finite_margin"]
    >>> (math.sqrt(29) * found.beta).round(3), found.distance < 1e-6
    (array([2., 5.]), True)
    """

    name = "finite_margin"
    meaning = "the point of least Bregman divergence from the initialisation with the margin reached"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf" if problem.depth <= 2 else "limit alpha->inf"

    def applies(self, problem: Problem) -> bool:
        return problem.exponential_tail and on_curves(problem)

    def forecast_all(self, problems: Sequence[Problem]) -> list[Forecast | None]:
        return [None] * len(problems)

    def compare_all(
        self, problems: Sequence[Problem], forecasts: Forecasts, endpoints: Sequence[Endpoint]
    ) -> list[PredictionRecord]:
        orbits = [_chosen(problem, endpoint) for problem, endpoint in zip(problems, endpoints, strict=True)]
        found: dict[int, _Along] = {}
        for shape, places in grouped(map(_shape, problems, orbits)):
            if shape is not None:
                made = _along([problems[k] for k in places], [each for k in places if (each := orbits[k]) is not None])
                found.update(zip(places, made, strict=True))
        return [self._record(problem, found.get(place)) for place, problem in enumerate(problems)]

    def _record(self, problem: Problem, along: "_Along | None") -> PredictionRecord:
        if along is None:
            return record(self, problem, None, None)
        last = along.path[-1]
        beta = None if last.beta is None else unit(last.beta)
        made = Forecast(beta, last.certificate, last.objective, along.detail)
        return replace(record(self, problem, made, last.distance), path=along.path)


class _Chosen(NamedTuple):
    """Points of an orbit that are compared: their numbers from 1, and beta and gamma over kappa = ||Theta||^L."""

    point: Int[np.ndarray, " p"]
    beta: Float[np.ndarray, "p d"]
    gamma: Float[np.ndarray, " p"]
    kappa: Float[np.ndarray, " p"]


@dataclass(frozen=True)
class _Along:
    path: tuple[PathRecord, ...]
    detail: dict[str, float]


def _chosen(problem: Problem, endpoint: Endpoint) -> _Chosen | None:
    """Recorded points past -log Loss = 1 with a positive margin, thinned; None if there are none."""
    orbit = endpoint.trajectory
    if orbit is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        kappa = orbit["norm"] ** problem.depth
    sound = (orbit["log_loss"] < -1) & (orbit["min_margin"] > 0) & (kappa < LARGEST) & (kappa > 0)
    places = np.flatnonzero(sound & np.isfinite(orbit.beta).all(axis=1))
    if not places.size:
        return None
    places = thinned(places, problem.dataset.x.shape[0] * orbit.beta.shape[1])
    return _Chosen(places + 1, orbit.beta[places], orbit["min_margin"][places], kappa[places])


def _shape(problem: Problem, chosen: _Chosen | None) -> tuple[int, int, int, bool] | None:
    """(n, L, m, whether the start is structured): runs for which it is equal are solved together."""
    if chosen is None or problem.coordinates is None:
        return None
    return len(problem.dataset.y), *problem.coordinates.shape, problem.scale is not None


def _along(problems: list[Problem], orbits: list[_Chosen]) -> list[_Along]:
    """Solve the convex problem at every point of every orbit, and compare."""
    counts = [len(each.point) for each in orbits]
    owner = np.repeat(np.arange(len(problems)), counts)
    signed = [_signed(problem) for problem in problems]
    curve, rows = curves([problems[k] for k in owner]), np.array([signed[k] for k in owner])
    kappa, gamma = np.concatenate([each.kappa for each in orbits]), np.concatenate([each.gamma for each in orbits])
    gamma = gamma * kappa
    rho = np.concatenate([
        products_at(problem, each.beta * each.kappa[:, None]) for problem, each in zip(problems, orbits, strict=True)
    ])  # fmt: skip
    reached = _reached(curve, rows, rho, gamma, owner)
    near = reached.slack <= np.maximum(NEAR, NEAR * gamma)[:, None]
    guess = Guess(reached.z, np.where(near, reached.multipliers, 0.0), owner)
    found = minimise_above(curve, rows, np.repeat(gamma[:, None], rows.shape[1], axis=1), guess)
    with np.errstate(all="ignore"):
        bound = np.einsum("pn,pn->p", reached.multipliers, reached.slack) / reached.objective
        excess = (reached.objective - found.objective) / reached.objective
    cuts = np.cumsum(counts)[:-1]
    parts = zip(*(np.split(each, cuts) for each in (*found, bound, excess, reached.identity)), strict=True)
    return [_compared(*each) for each in zip(problems, orbits, parts, strict=True)]


def _compared(problem: Problem, chosen: _Chosen, parts: tuple[np.ndarray, ...]) -> _Along:
    rho, _, _, objective, residual, _, bound, excess, identity = parts
    assert problem.decomposition is not None
    with np.errstate(all="ignore"):
        predicted = rho @ problem.decomposition.s / chosen.kappa[:, None]
        distance = np.linalg.norm(chosen.beta - predicted, axis=1) / np.linalg.norm(predicted, axis=1)
        slope = _slope(chosen.gamma * chosen.kappa, distance)
    rows = zip(chosen.point, distance, residual, objective, predicted, bound, strict=True)
    detail = {
        "bound": float(bound[-1]),
        "excess": float(excess[-1]),
        "identity": float(identity.max()),
        "slope": slope,
        "points": float(len(chosen.point)),
    }
    return _Along(tuple(_point(int(row[0]), *row[1:]) for row in rows), detail)


def _signed(problem: Problem) -> Float[np.ndarray, "n m"]:
    """Z = diag(y) X S^T."""
    assert problem.decomposition is not None
    return np.asarray(problem.dataset.y[:, None] * (problem.dataset.x @ problem.decomposition.s.T))


def _point(
    point: int, distance: float, residual: float, objective: float, beta: Float[np.ndarray, " d"], bound: float
) -> PathRecord:
    """The record of a point, without coefficients and distance where the certificate is above CERTIFIED."""
    known = bool(residual <= CERTIFIED and np.isfinite(distance))
    return PathRecord(
        point=point,
        distance=float(distance) if known else None,
        certificate=float(residual),
        objective=float(objective) if np.isfinite(objective) else None,
        beta=beta if known else None,
        bound=float(bound) if np.isfinite(bound) else None,
    )


class _Reached(NamedTuple):
    """What is computed of the orbit itself at p points.

    Attributes:
        z: chart values of rho (optimisers/curves.py).
        slack: m_i - gamma.
        multipliers: mu.
        objective: D(rho).
        identity: ||nu - Z^T mu|| / ||nu||.
    """

    z: Float[np.ndarray, "p m"]
    slack: Float[np.ndarray, "p n"]
    multipliers: Float[np.ndarray, "p n"]
    objective: Float[np.ndarray, " p"]
    identity: Float[np.ndarray, " p"]


def _reached(
    curve: Curve,
    rows: Float[np.ndarray, "p n m"],
    rho: Float[np.ndarray, "p m"],
    gamma: Float[np.ndarray, " p"],
    owner: Int[np.ndarray, " p"],
) -> _Reached:
    slack = np.maximum(np.einsum("pnm,pm->pn", rows, rho) - gamma[:, None], 0.0)
    with np.errstate(all="ignore"):
        z = curve.chart(rho)
        nu = curve.nu(z)
        objective = curve.potential_at(z, nu, rho)
    found = np.full(slack.shape, np.nan)
    if rows.shape[1] <= rows.shape[2]:
        for each in np.unique(owner):
            mine = owner == each
            found[mine] = _only_multipliers(rows[mine][0], nu[mine])
    for place in np.flatnonzero(np.isnan(found).any(axis=1)):
        found[place] = _multipliers(rows[place], nu[place], slack[place])
    with np.errstate(all="ignore"):
        rest = np.linalg.norm(np.einsum("pn,pnm->pm", found, rows) - nu, axis=1)
        identity = rest / np.linalg.norm(nu, axis=1)
    return _Reached(z, slack, found, objective, identity)


def _only_multipliers(rows: Float[np.ndarray, "n m"], nu: Float[np.ndarray, "p m"]) -> Float[np.ndarray, "p n"]:
    """The only mu with Z^T mu = nu of independent samples; NaN where one is negative or samples are dependent."""
    size = np.linalg.norm(rows, axis=1)
    u, values, vh = np.linalg.svd(rows / np.where(size > 0, size, 1.0)[:, None], full_matrices=False)
    if not values[-1] > 1e-8 * values[0]:
        return np.full((len(nu), len(rows)), np.nan)
    mu = (nu @ vh.T / values) @ u.T / size
    return np.where((mu >= 0).all(axis=1)[:, None], mu, np.nan)


def _multipliers(
    rows: Float[np.ndarray, "n m"], nu: Float[np.ndarray, " m"], slack: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """mu >= 0 with Z^T mu = nu; where there are several, one of small mu.slack. NaN where nu is not finite.

    Non-negative least squares with PRICE mu.slack as one more residual finds which mu are positive. Their samples are
    independent, so that these mu then follow from nu alone.
    """
    if not np.isfinite(nu).all():
        return np.full(len(rows), np.nan)
    size = np.linalg.norm(rows, axis=1)
    size = np.where(size > 0, size, 1.0)
    columns, largest = (rows / size[:, None]).T, float(np.abs(nu).max()) or 1.0
    price = slack / size
    raised = np.vstack([columns, PRICE * price / (price.max() or 1.0)])
    mu, _ = nnls(raised, np.append(nu / largest, 0.0))
    held = np.flatnonzero(mu)
    exact = np.zeros_like(mu)
    exact[held] = np.linalg.lstsq(columns[:, held], nu / largest, rcond=None)[0]
    rest = float(np.linalg.norm(columns @ exact - nu / largest))
    if exact.min() < 0 or rest > 1e-6:
        exact = nnls(columns, nu / largest)[0]
    return largest * exact / size


def _slope(gamma: Float[np.ndarray, " p"], distance: Float[np.ndarray, " p"]) -> float:
    """Least squares of log distance against log gamma over the last half of the points; NaN of fewer than three."""
    some = slice(len(gamma) // 2, None)
    x, y = np.log(gamma[some]), np.log(distance[some])
    if len(x) < 3 or not np.isfinite(y).all() or np.ptp(x) < 1e-3:
        return float("nan")
    return float(np.polyfit(x, y, 1)[0])
