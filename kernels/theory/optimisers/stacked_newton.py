"""Newton's steps of many problems at once (stacked.py), with one stack of linear systems."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kernels.theory.optimisers.curves import Coordinates, Point
from kernels.theory.optimisers.separable import REGULARISATION, SATURATED

Numbers = Float[np.ndarray, " b"]
Multipliers = Float[np.ndarray, "b r"]


class Units(NamedTuple):
    """Sizes that count as one, as in separable.py: of rho, g times the distance; of nu, its largest value so far."""

    rho: Numbers
    nu: Numbers


def newton_direction(
    rows: Float[np.ndarray, "b r m"], point: Point, dual: Coordinates, gap: Multipliers, units: Units
) -> tuple[Coordinates, Multipliers]:
    """Newton step (dz, dlambda) that closes `gap` (in units of rho) and dual = nu - Q^T lambda."""
    dual = dual / units.nu[:, None]
    slope = point.dnu / units.nu[:, None]
    stretch = units.rho[:, None] / point.drho
    stiffness = slope * stretch
    # every problem keeps as many coordinates as the one with most saturated ones; the others are eliminated
    most = int((~(slope >= SATURATED)).sum(axis=1).max())
    kept = np.argsort(slope, axis=1)[:, :most]
    weights = 1 / stiffness
    np.put_along_axis(weights, kept, 0.0, axis=1)
    block = (rows * weights[:, None, :]) @ rows.transpose(0, 2, 1)
    right = gap + times(rows, weights * dual)
    some = np.take_along_axis(rows, kept[:, None, :], axis=2)
    at_kept = (np.take_along_axis(values, kept, axis=1) for values in (stiffness, -dual, stretch))
    diagonal, left, scale = at_kept
    solution = _solve(some, diagonal, left, right, block)
    move = solution[:, most:]
    step = (combined(rows, move) - dual) / slope
    np.put_along_axis(step, kept, solution[:, :most] * scale, axis=1)
    return step, move * units.nu[:, None]


def _solve(
    rows: Float[np.ndarray, "b r k"],
    diagonal: Float[np.ndarray, "b k"],
    upper: Float[np.ndarray, "b k"],
    lower: Multipliers,
    block: Float[np.ndarray, "b r r"],
) -> Float[np.ndarray, "b k+r"]:
    """The solutions of [[D, -Q^T], [Q, S + e I]] v = (upper, lower), e being REGULARISATION."""
    count, rank, size = rows.shape
    matrix = np.zeros((count, size + rank, size + rank))
    matrix[:, :size, size:] = -rows.transpose(0, 2, 1)
    matrix[:, size:, :size] = rows
    matrix[:, size:, size:] = block
    along = np.arange(size + rank)
    matrix[:, along[:size], along[:size]] = diagonal
    matrix[:, along[size:], along[size:]] += REGULARISATION
    return solutions(matrix, np.concatenate([upper, lower], axis=1))


def solutions(matrix: Float[np.ndarray, "b k k"], right: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b k"]:
    """The solution of each system; NaN where it is singular."""
    sides = right[:, :, None]
    try:
        return np.asarray(np.linalg.solve(matrix, sides)[:, :, 0])
    except np.linalg.LinAlgError:  # one of them is singular
        return np.array([_single(one, side) for one, side in zip(matrix, sides, strict=True)])[:, :, 0]


def _single(matrix: Float[np.ndarray, "k k"], right: Float[np.ndarray, "k 1"]) -> Float[np.ndarray, "k 1"]:
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.full_like(right, np.nan)


def times(rows: Float[np.ndarray, "b r m"], vectors: Coordinates) -> Multipliers:
    """Q v of each problem."""
    return (rows @ vectors[:, :, None])[:, :, 0]


def combined(rows: Float[np.ndarray, "b r m"], multipliers: Multipliers) -> Coordinates:
    """Q^T lambda of each problem."""
    return (multipliers[:, None, :] @ rows)[:, 0, :]
