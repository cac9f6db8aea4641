"""min sum_j D_j(rho_j) subject to Z rho >= b, D_j'(rho_j) = nu_j along a known curve: many problems at once.

The dual, max over mu >= 0 of b.mu - sum_j D_j*([Z^T mu]_j), is concave. Once it is known which samples have
multipliers, the problem is the equality problem of stacked.py. So an active set is sought, in two ways. Followed:
Newton's method for all orbits at once, from one problem of an orbit to the next, changes the sets on the way. It solves
nearly all problems that come from a flow. Searched: the others are solved one by one (active_set.py).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import nnls

from kernels.problem import grouped
from kernels.theory.optimisers import stacked, stacked_newton
from kernels.theory.optimisers.active_set import NEGATIVE, SHORT, Search, equality_minima
from kernels.theory.optimisers.curves import Curve, Point

REACHED = 1e-11
"""Largest residual at which a followed problem counts as solved."""
LOOSE = 1e-3
"""The active set changes where the residual of its own equations is below this; before, signs say little."""
FOLLOWED = 60
"""Most Newton steps of a followed problem."""
BEGUN = 20
"""Most Newton steps from an orbit's own first point, which may be far from a minimum."""
GROWTH, TURNS = 30.0, 60
"""Growth of the bounds from the initialisation, at first, and the most times that they grow."""
DENSE = 80
"""Up to this many unknowns no coordinate is eliminated."""


class Above(NamedTuple):
    """The minima.

    Attributes:
        rho, nu: the minimiser, and D'(rho) there.
        multipliers: mu >= 0.
        objective: sum_j D_j(rho_j).
        residual: that of the optimality conditions (`optimality`).
        z: chart values of rho (curves.py).
    """

    rho: Float[np.ndarray, "b m"]
    nu: Float[np.ndarray, "b m"]
    multipliers: Float[np.ndarray, "b n"]
    objective: Float[np.ndarray, " b"]
    residual: Float[np.ndarray, " b"]
    z: Float[np.ndarray, "b m"]


class Guess(NamedTuple):
    """Where minima are thought to be.

    Attributes:
        z: chart values (curves.py).
        multipliers: mu, positive for samples that are thought to be active.
        owner: equal for problems of one orbit, which follow each other by their bounds: each is a guess for the next.
    """

    z: Float[np.ndarray, "b m"]
    multipliers: Float[np.ndarray, "b n"]
    owner: Int[np.ndarray, " b"]


def minimise_above(
    curve: Curve, rows: Float[np.ndarray, "b n m"], bounds: Float[np.ndarray, "b n"], guess: Guess | None = None
) -> Above:
    """The minima of b problems. Failure does not raise: `residual` says which were found.

    Args:
        curve: the curves of all coordinates of all problems.
        rows: Z of each problem, shape (b, n, m).
        bounds: b of each problem, shape (b, n).
        guess: where to begin; None for the initialisation, without multipliers.
    """
    if guess is None:
        return searched(curve, rows, bounds, np.zeros(bounds.shape, dtype=bool))
    found = _in_order(curve, rows, bounds, guess)
    tried, fresh = np.zeros(len(bounds), dtype=bool), found.residual <= REACHED
    while not (found.residual <= REACHED).all():
        missed = ~(found.residual <= REACHED)
        spread = False
        for shift in (1, -1):
            beside = np.roll(np.arange(len(bounds)), shift)
            some = np.flatnonzero(missed & fresh[beside] & (guess.owner == guess.owner[beside]))
            if some.size:
                near = beside[some]
                start = Guess(found.z[near], found.multipliers[near], guess.owner[some])
                _improve(found, some, _followed(curve.of(some), rows[some], bounds[some], start))
                spread = True
        fresh = missed & (found.residual <= REACHED)
        if fresh.any() or spread:
            continue
        _, first = np.unique(np.where(missed & ~tried, guess.owner, -1), return_index=True)
        some = first[(missed & ~tried)[first]]
        if not some.size:
            break
        tried[some] = True
        _improve(found, some, searched(curve.of(some), rows[some], bounds[some], guess.multipliers[some] > 0))
        fresh[some] = found.residual[some] <= REACHED
    return found


@np.errstate(all="ignore")
def _in_order(curve: Curve, rows: Float[np.ndarray, "b n m"], bounds: Float[np.ndarray, "b n"], guess: Guess) -> Above:
    """The minima, followed from one problem of an orbit to the next; all orbits at once.

    A minimum is a better guess than the orbit's own point, as soon as that is no minimum. Its coordinates are moved
    outwards as rho ~ e^{L |z|} grows with the bounds.
    """
    change = np.diff(guess.owner, prepend=guess.owner[0] - 1) != 0
    place = np.arange(len(bounds))
    place = place - np.maximum.accumulate(np.where(change, place, 0))
    size = np.linalg.norm(bounds, axis=1)
    first = np.flatnonzero(place == 0)
    begun = _followed(curve.of(first), rows[first], bounds[first], Guess(*(each[first] for each in guess)), BEGUN)
    found = Above(*(np.full((len(bounds), *each.shape[1:]), np.nan) for each in begun))
    _fill(found, first, begun)
    missed = first[~(begun.residual <= REACHED)]
    if missed.size:
        _improve(found, missed, _grown(curve.of(missed), rows[missed], bounds[missed]))
    for turn in range(1, int(place.max()) + 1):
        some = np.flatnonzero(place == turn)
        some = some[found.residual[some - 1] <= REACHED]
        if not some.size:
            break
        near = some - 1
        farther = np.log(size[some] / size[near])[:, None] / curve.depth
        start = Guess(_outwards(curve.of(near), found.z[near], farther), found.multipliers[near], guess.owner[some])
        _fill(found, some, _followed(curve.of(some), rows[some], bounds[some], start))
    return found


def _grown(curve: Curve, rows: Float[np.ndarray, "b n m"], bounds: Float[np.ndarray, "b n"]) -> Above:
    """The minima, followed from the initialisation: bounds grow from the margins there, as g from 0 to 1.

    While g is small, D is quadratic: mu is g times the multipliers of a problem of least distance. The first g is that
    at which this moves some z by one.
    """
    count = len(bounds)
    point = curve.at(np.zeros_like(curve.start))
    origin, rates = _times(rows, point.rho), point.drho / point.dnu

    def raised(some: Int[np.ndarray, " a"]) -> Float[np.ndarray, "a n"]:
        share = g[some][:, None]
        return np.where(share < 1, origin[some] + share * (bounds - origin)[some], bounds[some])

    near = zip(rows * np.sqrt(rates)[:, None], bounds - origin, strict=True)
    mu = np.array([_least_distance(*each) for each in near])
    step = _combined(rows, mu) / point.dnu
    g = np.minimum(1.0, 1 / np.abs(step).max(axis=1))
    z, mu, owner = g[:, None] * step, g[:, None] * mu, np.arange(count)
    factor, last = np.full(count, GROWTH), np.zeros(count)
    found = _followed(curve, rows, raised(owner), Guess(z, mu, owner))
    for _ in range(TURNS):
        reached = found.residual <= REACHED
        last = np.where(reached, g, last)
        factor = np.where(reached, factor, np.sqrt(factor))
        some = np.flatnonzero((last > 0) & (last < 1) & (factor > 1.5))
        if not some.size:
            break
        kept = some[reached[some]]
        z[kept], mu[kept] = found.z[kept], found.multipliers[kept]
        g[some] = np.minimum(1.0, last[some] * factor[some])
        ahead, farther = curve.of(some), np.log(g[some] / last[some])[:, None] / curve.depth
        start = Guess(_outwards(ahead, z[some], farther), mu[some], owner[some])
        _fill(found, some, _followed(ahead, rows[some], raised(some), start))
    missed = ~(last >= 1)
    found.residual[missed] = np.inf
    return found


def _least_distance(rows: Float[np.ndarray, "n m"], heights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """mu of min ||x|| subject to Z x >= h, x = Z^T mu; NaN where it is not found (Lawson and Hanson, 1974, ch. 23)."""
    if not (np.isfinite(rows).all() and np.isfinite(heights).all()):
        return np.full(len(heights), np.nan)
    scale = float(np.abs(rows).max()) or 1.0
    tall = float(np.abs(heights).max()) or 1.0
    raised = np.vstack([rows.T / scale, heights / tall])
    goal = np.append(np.zeros(rows.shape[1]), 1.0)
    try:
        u = nnls(raised, goal)[0]
    except RuntimeError:
        return np.full(len(heights), np.nan)
    rest = 1 - float(u @ heights) / tall
    return u / rest * tall / scale**2 if rest > 0 else np.full(len(heights), np.nan)


def _outwards(curve: Curve, z: Float[np.ndarray, "b m"], length: Float[np.ndarray, "b 1"]) -> Float[np.ndarray, "b m"]:
    """z moved by a length away from where the least layer is zero."""
    moved: Float[np.ndarray, "b m"] = z + np.copysign(length, curve.start + z)
    return moved


def _fill(found: Above, places: Int[np.ndarray, " a"], others: Above) -> None:
    """Put the other minima in these places."""
    for values, new in zip(found, others, strict=True):
        values[places] = new


def _improve(found: Above, places: Int[np.ndarray, " a"], others: Above) -> None:
    """Replace the minima in these places where the others have a smaller residual."""
    known = np.where(np.isnan(found.residual[places]), np.inf, found.residual[places])
    better = others.residual < known
    for values, new in zip(found, others, strict=True):
        values[places[better]] = new[better]


def searched(
    curve: Curve, rows: Float[np.ndarray, "b n m"], bounds: Float[np.ndarray, "b n"], proposed: Bool[np.ndarray, "b n"]
) -> Above:
    """The minima of b problems, each by a search for its active set, from samples that are proposed as active."""
    searches = [Search(*each) for each in zip(rows, bounds, proposed, strict=True)]
    waiting = list(range(len(searches)))
    while waiting:
        for count, places in grouped(len(searches[k].active) for k in waiting):
            some = [waiting[place] for place in places]
            answers = equality_minima(curve.of(np.array(some)), [searches[k] for k in some], count)
            for k, rho, nu in zip(some, *answers, strict=True):
                searches[k].take(rho, nu)
        waiting = [k for k in waiting if not searches[k].done]
    rho, nu = np.array([each.rho for each in searches]), np.array([each.nu for each in searches])
    return _above(curve, rows, bounds, (curve.chart(rho), nu, np.array([each.multipliers for each in searches])))


def _above(
    curve: Curve,
    rows: Float[np.ndarray, "b n m"],
    bounds: Float[np.ndarray, "b n"],
    state: tuple[Float[np.ndarray, "b m"], Float[np.ndarray, "b m"], Float[np.ndarray, "b n"]],
) -> Above:
    z, nu, mu = state
    with np.errstate(all="ignore"):
        rho = curve.at(z).rho
        return Above(rho, nu, mu, curve.potential_at(z, nu, rho), optimality(rows, bounds, rho, nu, mu), z)


def optimality(
    rows: Float[np.ndarray, "b n m"],
    bounds: Float[np.ndarray, "b n"],
    rho: Float[np.ndarray, "b m"],
    nu: Float[np.ndarray, "b m"],
    mu: Float[np.ndarray, "b n"],
) -> Float[np.ndarray, " b"]:
    """The largest relative residual of nu = Z^T mu, Z rho >= b, mu >= 0, mu.(Z rho - b) = 0, one number a problem."""
    terms = np.abs(bounds) + _times(np.abs(rows), np.abs(rho))
    slack = _times(rows, rho) - bounds
    off = np.linalg.norm(nu - _combined(rows, mu), axis=1), np.linalg.norm(nu, axis=1)
    negative = np.maximum(-mu.min(axis=1), 0.0), np.abs(mu).max(axis=1)
    apart = (np.abs(mu) * np.abs(slack)).sum(axis=1), (np.abs(mu) * terms).sum(axis=1)
    parts = [np.maximum(-slack / np.where(terms > 0, terms, 1.0), 0.0).max(axis=1)]
    parts += [np.where(up == 0, 0.0, up / np.where(down > 0, down, np.nan)) for up, down in (off, negative, apart)]
    worst: Float[np.ndarray, " b"] = np.max(parts, axis=0)  # NaN if a part is NaN
    return np.where(np.isnan(worst), np.inf, worst)


def _followed(
    curve: Curve,
    rows: Float[np.ndarray, "b n m"],
    bounds: Float[np.ndarray, "b n"],
    guess: Guess,
    most: int = FOLLOWED,
) -> Above:
    """Newton's method in (z, mu); on the way the active set loses negative multipliers and gains violated samples."""
    length = np.linalg.norm(rows, axis=2)
    length = np.where(length > 0, length, 1.0)
    units, heights = rows / length[:, :, None], bounds / length
    z, mu = guess.z.copy(), guess.multipliers * length
    with np.errstate(all="ignore"):
        nu = curve.nu(z)
        active, going = mu > 0, np.arange(len(z))
        for _ in range(most):
            some = curve if len(going) == len(z) else curve.of(going)
            part, high = units[going], heights[going]
            point = some.at(z[going])
            gap = high - _times(part, point.rho)
            terms = np.abs(high) + _times(np.abs(part), np.abs(point.rho))
            here, held = mu[going], active[going]
            dual = nu[going] - _combined(part, here)
            following = np.where(held, here > -NEGATIVE * np.abs(here).max(axis=1)[:, None], gap > SHORT * terms)
            # the set changes only near the solution of its own equations (LOOSE)
            far = np.linalg.norm(dual, axis=1) > LOOSE * np.linalg.norm(nu[going], axis=1)
            far |= (np.where(held, np.abs(gap), 0.0) > LOOSE * terms).any(axis=1)
            following = np.where(far[:, None], held, following)
            here = np.where(following, here, 0.0)
            met = (following == held).all(axis=1) & ~far
            met &= np.linalg.norm(dual, axis=1) <= 1e-14 * np.linalg.norm(nu[going], axis=1)
            met &= (np.where(following, np.abs(gap), 0.0) <= 1e-14 * terms).all(axis=1)
            dual = nu[going] - _combined(part, here)
            step, move = _direction(part, point, dual, gap, following)
            step = step if curve.depth == 1 else stacked.tempered(some.start + z[going], step, curve.depth)
            sound = ~met & np.isfinite(step).all(axis=1) & np.isfinite(move).all(axis=1)
            moved = going[sound]
            ahead = z[moved] + step[sound]
            nu[moved] = curve.of(moved).advance(nu[moved], z[moved], ahead)
            z[moved], mu[moved], active[moved] = ahead, here[sound] + move[sound], following[sound]
            going = moved
            if not going.size:
                break
        mu = np.where(active, mu, 0.0) / length
        return _above(curve, rows, bounds, (z, curve.nu(z), mu))


def _direction(
    rows: Float[np.ndarray, "b n m"],
    point: Point,
    dual: Float[np.ndarray, "b m"],
    gap: Float[np.ndarray, "b n"],
    active: Bool[np.ndarray, "b n"],
) -> tuple[Float[np.ndarray, "b m"], Float[np.ndarray, "b n"]]:
    """The Newton step (dz, dmu) that closes nu - Z^T mu and the gaps of active samples; other mu stay as they are.

    Its matrix is [[dnu/drho, -Z^T], [Z, 0]], in units of rho and nu. A large one is reduced by eliminating all
    coordinates, which loses digits of saturated ones; the residual of the result shows whether they mattered.
    """
    (count, samples, size), held = rows.shape, active[:, :, None]
    unit = np.maximum(np.abs(point.rho).max(axis=1), 1e-300)[:, None]
    scale = np.maximum((point.dnu * np.minimum(1.0, unit / point.drho)).max(axis=1), 1e-300)[:, None]
    stretch = unit / point.drho
    stiffness = point.dnu / scale * stretch
    right = np.where(active, gap / unit, 0.0)
    part = np.where(held, rows, 0.0)
    along = np.arange(samples)
    if size + samples <= DENSE:
        matrix = np.zeros((count, size + samples, size + samples))
        matrix[:, np.arange(size), np.arange(size)] = stiffness
        matrix[:, :size, size:] = -part.transpose(0, 2, 1)
        matrix[:, size:, :size] = part
        matrix[:, size + along, size + along] = np.where(active, 1e-15, 1.0)
        solution = stacked_newton.solutions(matrix, np.concatenate([-dual / scale, right], axis=1))
        return solution[:, :size] * stretch, solution[:, size:] * scale
    weights = 1 / stiffness
    block = (part * weights[:, None, :]) @ part.transpose(0, 2, 1)
    block[:, along, along] += np.where(active, 1e-15 * block[:, along, along], 1.0)
    move = stacked_newton.solutions(block, right + _times(part, weights * dual / scale))
    return (_combined(part, move) - dual / scale) * weights * stretch, move * scale


def _times(rows: Float[np.ndarray, "b n m"], vectors: Float[np.ndarray, "b m"]) -> Float[np.ndarray, "b n"]:
    """Z v of each problem."""
    return np.asarray((rows @ vectors[:, :, None])[:, :, 0])


def _combined(rows: Float[np.ndarray, "b n m"], multipliers: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b m"]:
    """Z^T mu of each problem."""
    return np.asarray((multipliers[:, None, :] @ rows)[:, 0, :])
