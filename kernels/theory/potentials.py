"""The exact limits of regression: minima of separable potentials, computed for all runs of a batch at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from kernels.networks.twins import digits
from kernels.problem import Problem, grouped
from kernels.theory.base import CERTIFIED, Forecast
from kernels.theory.optimisers import led
from kernels.theory.optimisers.certificates import optimality, worst
from kernels.theory.optimisers.curves import Curve, GeneralCurve, StructuredCurve
from kernels.theory.optimisers.sensitivity import Sensitivity, sensitivities
from kernels.theory.optimisers.separable import REACHED
from kernels.theory.systems import Folded, System, fold, system

EPSILON = float(np.finfo(float).eps)

FAR = 1e20
"""Scales c with min c^L above this times ||t|| have the minimum of the limit c -> infinity, to 1e-40.

There |z_j| <= ||t|| / min c^L, and D is sum rho_j^2 c_j^{2-2L} / 2 up to z^2, so that all multiples of c have one
minimum. It is found at a multiple of which no power leaves the range of doubles.
"""


class Limit(NamedTuple):
    """Where a flow ends, and its sensitivity: ||change|| / ||limit|| for each relative error of nu.

    The sensitivity is None where the limit is not certified, or zero.
    """

    forecast: Forecast
    sensitivity: float | None


def limits(problems: Sequence[Problem]) -> list[Limit]:
    """argmin D(rho) subject to A rho = y, D being the potential of each start; found once for each problem."""
    found: dict[int, Limit] = {}
    for shared, places in grouped(problem.shared for problem in problems):
        found.update(zip(places, shared.each(_limits, [problems[place] for place in places]), strict=True))
    return [found[place] for place in range(len(problems))]


def has_limit(problem: Problem) -> bool:
    """Whether the start of a regression has a potential D.

    It has one if its coordinates are real (or become so, `System`) and at most one layer is zero in each of them.
    """
    w = problem.coordinates
    if not problem.regression or w is None or system(problem) is None:
        return False
    return problem.scale is not None or (problem.moves and not np.iscomplexobj(w))


def exact_limits(problems: Sequence[Problem]) -> list[Forecast | None]:
    """The forecasts of `limits`."""
    return [limit.forecast for limit in limits(problems)]


class _Minimum(NamedTuple):
    rho: Float[np.ndarray, " m"]
    objective: float
    residual: float
    sensitivity: Sensitivity | None


class _Twins(NamedTuple):
    """Twins that start equal, folded into one coordinate a set, and the first coordinate of each set."""

    folded: Folded
    first: Int[np.ndarray, " g"]


@np.errstate(all="ignore")
def _limits(problems: list[Problem]) -> list[Limit]:
    """The limits. Where powers of a start leave the range of doubles, its certificate is inf or not a number."""
    constraints = [_constraint(problem) for problem in problems]
    minima = _minima(problems, constraints)
    made: list[Limit] = [Limit(Forecast(None, None), None)] * len(problems)
    for constraint, places in grouped(constraints):
        betas = np.real(np.array([minima[place].rho for place in places]) @ constraint.lift.T)
        for place, beta in zip(places, betas, strict=True):
            _, objective, residual, moved = minima[place]
            detail = {"converged": float(residual <= REACHED)}
            # where rounding of nu moves the minimum, a small residual does not say which solution is the minimum
            rounding = moved.apart * EPSILON if moved else 0.0
            certificate = residual if rounding <= CERTIFIED else worst(residual, rounding)
            made[place] = Limit(Forecast(beta, certificate, objective, detail), moved.together if moved else None)
    return made


def _constraint(problem: Problem) -> System:
    constraint = system(problem)
    assert constraint is not None
    return constraint


def _minima(problems: list[Problem], constraints: list[System]) -> list[_Minimum]:
    """The minima. Problems of one shape, depth and kind of start are solved together."""
    twins = [_twins(problem, constraint) for problem, constraint in zip(problems, constraints, strict=True)]
    rows = [
        constraint.rows if twin is None else twin.folded.rows
        for constraint, twin in zip(constraints, twins, strict=True)
    ]
    shapes = [
        (each.shape, problem.depth, problem.scale is not None) for each, problem in zip(rows, problems, strict=True)
    ]
    minima: list[_Minimum | None] = [None] * len(problems)
    for (_, depth, structured), places in grouped(shapes):
        if depth == 1:
            for place in places:
                minima[place] = _nearest(constraints[place], problems[place])
            continue
        target = np.array([constraints[place].target for place in places])
        shares = _shares(places, problems, target) if structured else np.ones(len(places))
        curve = _structured(places, problems, twins, shares) if structured else _general(places, problems)
        # one Q is one object, which belongs to one t
        families = [(id(rows[place]), problems[place].spec.alpha) for place in places]
        found = led.minimise(curve, [rows[place] for place in places], target, families)
        copies = [_copies(problems[place], constraints[place]) if twins[place] is None else None for place in places]
        moved: list[Sensitivity | None] = [None] * len(places)
        known = np.flatnonzero((found.residual <= CERTIFIED) & found.rho.any(axis=1))
        some = [rows[places[k]] for k in known], found.rho[known], [copies[k] for k in known]
        for k, sensitivity in zip(known.tolist(), sensitivities(curve.of(known), *some), strict=True):
            moved[k] = sensitivity
        objectives = found.objective * shares ** (2 * depth - 2)
        numbers = zip(objectives.tolist(), found.residual.tolist(), moved, strict=True)
        for place, rho, each in zip(places, found.rho, numbers, strict=True):
            twin = twins[place]
            minima[place] = _Minimum(rho if twin is None else twin.folded.unfold(rho), *each)
    return [minimum for minimum in minima if minimum is not None]


def _shares(places: list[int], problems: list[Problem], target: Float[np.ndarray, "b r"]) -> Float[np.ndarray, " b"]:
    """The share of its scales at which each problem is solved: 1 but for scales that are FAR."""
    least = np.log([_scale(problems[place]).min() for place in places])
    with np.errstate(divide="ignore"):
        most = np.log(FAR * np.linalg.norm(target, axis=1)) / problems[places[0]].depth
    return np.exp(np.where(np.isfinite(most), np.minimum(most - least, 0.0), 0.0))


def _scale(problem: Problem) -> Float[np.ndarray, " m"]:
    assert problem.scale is not None
    return problem.scale


def _structured(
    places: list[int], problems: list[Problem], twins: list[_Twins | None], shares: Float[np.ndarray, " b"]
) -> Curve:
    scales, copies = [], []
    for place, share in zip(places, shares.tolist(), strict=True):
        scale, twin = share * _scale(problems[place]), twins[place]
        scales.append(scale if twin is None else scale[twin.first])
        copies.append(np.ones(len(scale)) if twin is None else twin.folded.copies)
    return StructuredCurve(np.array(scales), problems[places[0]].depth, np.array(copies))


def _general(places: list[int], problems: list[Problem]) -> Curve:
    return GeneralCurve(np.array([problems[place].coordinates for place in places]).transpose(1, 0, 2))


def _twins(problem: Problem, constraint: System) -> _Twins | None:
    """Twins that start equal, found once for starts that differ in alpha alone; None if there are none to fold."""
    if problem.scale is None or constraint.twins is None:
        return None
    eta = problem.eta
    assert eta is not None

    def found() -> _Twins:
        folded = fold(constraint, eta)
        return _Twins(folded, np.unique(folded.index, return_index=True)[1])

    return problem.shared.keep((_twins, constraint, eta.tobytes()), found)


def _copies(problem: Problem, constraint: System) -> Int[np.ndarray, " m"] | None:
    """Labels of coordinates, equal for twins that the flow keeps equal because their layers start with equal moduli.

    None without twins, or if coordinates are complex.
    """
    if constraint.twins is None or problem.coordinates is None or np.iscomplexobj(problem.coordinates):
        return None
    signs = np.sign(problem.coordinates).prod(axis=0) * constraint.signs
    marks = np.vstack([constraint.twins, signs, *map(digits, np.abs(problem.coordinates))])
    return np.ravel(np.unique(marks, axis=1, return_inverse=True)[1])


def _nearest(constraint: System, problem: Problem) -> _Minimum:
    """The minimum for L = 1, where D = ||rho - rho(0)||^2 / 2: the orthogonal projection of the start."""
    assert problem.coordinates is not None
    rows, target, start = constraint.rows, constraint.target, problem.coordinates[0]
    change = rows.T @ (target - rows @ start)
    rho = start + change
    return _Minimum(rho, float(change @ change) / 2, optimality(rows, target, rho, change), Sensitivity(0.0, 0.0))
