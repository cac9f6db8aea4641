"""Newton's method for stationary points of min ||rho||_p with given margins, p < 1, of many problems at once.

On a support and with held samples A the equations are

    rho / |rho| - |rho|^{1-p} Z_A^H mu = 0,   Re(z_i rho) = 1 on A,

as many real ones as unknowns. In steps x = d rho / |rho| the derivative of the first is D = I + (p-2) phi phi^H in each
coordinate, phi = rho / |rho|, of which the inverse is known. So every step is one linear system of the held samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from kernels.theory.optimisers.stacked_newton import solutions

STEPS = 40
PATIENCE = 6
"""Newton's method gives up after this many steps in which the residual was not halved."""
SOLVED = 1e-6
"""A linear system with a larger relative residual is solved again, and by least squares if that does not help: it is
singular, as that of repeated samples."""

SPREAD = 1e4
"""Ratio of the sizes of two held samples above which no step is solved by products of samples."""


class Equations(NamedTuple):
    """One problem. Complex numbers are pairs of real ones, so that c is 1 or 2.

    Attributes:
        rows: Z_A on the support, shape (a, c, s).
        values: rho there, at the start, shape (c, s).
        multipliers: mu at the start, shape (a,).
    """

    rows: Float[np.ndarray, "a c s"]
    values: Float[np.ndarray, "c s"]
    multipliers: Float[np.ndarray, " a"]


Answer = tuple[Float[np.ndarray, "c s"], Float[np.ndarray, " a"]]


class _Stack(NamedTuple):
    """Problems of different sizes in arrays of one size.

    Attributes:
        rows, values, multipliers: as in Equations, filled up with rows of zero, values of one and mu of zero.
        samples, coordinates: what is not filled up.
        least, waited: the least residual that counts as halved, and steps since.
    """

    rows: Float[np.ndarray, "b a c s"]
    values: Float[np.ndarray, "b c s"]
    multipliers: Float[np.ndarray, "b a"]
    samples: Bool[np.ndarray, "b a"]
    coordinates: Bool[np.ndarray, "b 1 s"]
    least: Float[np.ndarray, " b"]
    waited: Float[np.ndarray, " b"]

    def of(self, index: np.ndarray) -> "_Stack":
        return _Stack(*(each[index] for each in self))


@np.errstate(all="ignore")
def newton(problems: Sequence[Equations], power: float) -> list[Answer]:
    """(rho, mu) of each problem after Newton's method. No step changes a modulus by more than half."""
    stack, going = _stacked(problems), np.arange(len(problems))
    values, multipliers = stack.values.copy(), stack.multipliers.copy()
    for _ in range(STEPS):
        modulus = np.sqrt((stack.values**2).sum(axis=1, keepdims=True))
        raised = stack.rows * modulus[:, None] ** (1 - power)
        gaps = _gaps(stack, raised, modulus)
        worst = _worst(stack, raised, gaps)
        halved = worst < stack.least / 2
        stack = stack._replace(
            least=np.where(halved, worst, stack.least), waited=np.where(halved, 0.0, stack.waited + 1)
        )
        sound = np.isfinite(worst) & np.isfinite(raised).all(axis=(1, 2, 3)) & (worst >= 1e-15)
        sound &= stack.waited <= PATIENCE
        if not sound.all():
            kept = np.flatnonzero(sound)
            stack, going = stack.of(kept), going[kept]
            modulus, raised, gaps = modulus[kept], raised[kept], (gaps[0][kept], gaps[1][kept])
        if not len(going):
            break
        top = stack.multipliers.max(axis=1)
        scale = np.where(top > 0, top, 1.0)
        move, change = _step(stack, raised * scale[:, None, None, None], modulus, gaps, power)
        longest = np.sqrt((move**2).sum(axis=1)).max(axis=1)
        damping = np.minimum(1.0, 0.5 / np.maximum(longest, 1e-300))
        stack = stack._replace(
            values=stack.values + damping[:, None, None] * modulus * move,
            multipliers=stack.multipliers + (damping * scale)[:, None] * change,
        )
        values[going], multipliers[going] = stack.values, stack.multipliers
        last = np.maximum(np.abs(move).max(axis=(1, 2)), np.abs(change).max(axis=1)) < 1e-15
        if last.any():
            stack, going = stack.of(~last), going[~last]
            if not len(going):
                break
    return [(values[k][:, : each.values.shape[1]], multipliers[k][: len(each.rows)]) for k, each in enumerate(problems)]


def _stacked(problems: Sequence[Equations]) -> _Stack:
    count, parts = len(problems), len(problems[0].values)
    most, size = (max(each.rows.shape[axis] for each in problems) for axis in (0, 2))
    stack = _Stack(
        np.zeros((count, most, parts, size)), np.ones((count, parts, size)), np.zeros((count, most)),
        np.zeros((count, most), dtype=bool), np.zeros((count, 1, size), dtype=bool),
        np.full(count, np.inf), np.zeros(count),
    )  # fmt: skip
    for k, (rows, values, multipliers) in enumerate(problems):
        held, _, support = rows.shape
        stack.rows[k, :held, :, :support], stack.values[k, :, :support] = rows, values
        stack.multipliers[k, :held] = multipliers
        stack.samples[k, :held], stack.coordinates[k, :, :support] = True, True
    return stack


def _gaps(
    stack: _Stack, raised: Float[np.ndarray, "b a c s"], modulus: Float[np.ndarray, "b 1 s"]
) -> tuple[Float[np.ndarray, "b c s"], Float[np.ndarray, "b a"]]:
    """The residuals of both equations."""
    off = stack.values / modulus - _combined(stack.multipliers, raised)
    return np.where(stack.coordinates, off, 0.0), np.where(stack.samples, _times(stack.rows, stack.values) - 1, 0.0)


def _worst(
    stack: _Stack,
    raised: Float[np.ndarray, "b a c s"],
    gaps: tuple[Float[np.ndarray, "b c s"], Float[np.ndarray, "b a"]],
) -> Float[np.ndarray, " b"]:
    """The largest residual of each problem, relative to its terms where they are large: no step could make it less."""
    first = np.maximum(_combined(np.abs(stack.multipliers), np.abs(raised)), 1.0)
    second = np.maximum(_times(np.abs(stack.rows), np.abs(stack.values)), 1.0)
    return np.asarray(np.maximum(np.abs(gaps[0] / first).max(axis=(1, 2)), np.abs(gaps[1] / second).max(axis=1)))


def _step(
    stack: _Stack,
    raised: Float[np.ndarray, "b a c s"],
    modulus: Float[np.ndarray, "b 1 s"],
    gaps: tuple[Float[np.ndarray, "b c s"], Float[np.ndarray, "b a"]],
    power: float,
) -> tuple[Float[np.ndarray, "b c s"], Float[np.ndarray, "b a"]]:
    """(x, dmu) with D x - |rho|^{1-p} Z_A^H dmu = -gaps[0] and Re(Z_A |rho| x) = -gaps[1].

    Samples are taken at one size, so that a large one does not hide what is left of a small one.

    Args:
        raised: |rho|^{1-p} Z_A in the units of dmu.
    """
    phase, scaled = stack.values / modulus, stack.rows * modulus[:, None]
    size = np.sqrt((scaled**2).sum(axis=(2, 3)))
    size = np.where(size > 0, size, 1.0)
    scaled, raised = scaled / size[:, :, None, None], raised / size[:, :, None, None]
    gaps = gaps[0], gaps[1] / size
    share = (2 - power) / (power - 1)
    inner = raised + share * phase[:, None] * (phase[:, None] * raised).sum(axis=2, keepdims=True)
    own = gaps[0] + share * phase * (phase * gaps[0]).sum(axis=1, keepdims=True)
    count, most = stack.samples.shape
    matrix = scaled.reshape(count, most, -1) @ inner.reshape(count, most, -1).transpose(0, 2, 1)
    along = np.arange(most)
    matrix[:, along, along] += ~stack.samples
    # more samples than unknowns: singular; samples of very different sizes: products of rows lose the small ones
    many = stack.samples.sum(axis=1) > stack.values.shape[1] * stack.coordinates.sum(axis=(1, 2))
    apart = size.max(axis=1) > SPREAD * np.where(stack.samples, size, np.inf).min(axis=1)
    many |= apart
    matrix[many] = np.eye(most)
    change = solutions(matrix, _times(scaled, own) - gaps[1])
    move = _combined(change, inner) - own
    turned = move + (power - 2) * phase * (phase * move).sum(axis=1, keepdims=True)
    left = np.maximum(
        np.abs(turned - _combined(change, raised) + gaps[0]).max(axis=(1, 2)),
        np.abs(_times(scaled, move) + gaps[1]).max(axis=1),
    )
    right = np.maximum(np.abs(gaps[0]).max(axis=(1, 2)), np.abs(gaps[1]).max(axis=1))
    for k in np.flatnonzero(many | ~(left <= SOLVED * right)).tolist():
        move[k], change[k] = _whole(phase[k], raised[k], scaled[k], (gaps[0][k], gaps[1][k]), power)
    return move, change / size


def _whole(
    phase: Float[np.ndarray, "c s"],
    raised: Float[np.ndarray, "a c s"],
    scaled: Float[np.ndarray, "a c s"],
    gaps: tuple[Float[np.ndarray, "c s"], Float[np.ndarray, " a"]],
    power: float,
) -> tuple[Float[np.ndarray, "c s"], Float[np.ndarray, " a"]]:
    """`_step` of one problem without products of samples; what is filled up stays as it is.

    By elimination; by least squares where the system is singular.
    """
    (parts, size), count = phase.shape, len(raised)
    rank, each = parts * size, np.arange(size)
    matrix = np.zeros((rank + count, rank + count))
    block = np.zeros((parts, size, parts, size))
    block[:, each, :, each] = np.eye(parts) + (power - 2) * phase.T[:, :, None] * phase.T[:, None, :]
    matrix[:rank, :rank] = block.reshape(rank, rank)
    matrix[:rank, rank:] = -raised.reshape(count, rank).T
    matrix[rank:, :rank] = scaled.reshape(count, rank)
    right = -np.concatenate([gaps[0].ravel(), gaps[1]])
    step = solutions(matrix[None], right[None])[0]
    if not np.abs(matrix @ step - right).max() <= SOLVED * np.abs(right).max():
        step = np.linalg.lstsq(matrix, right, rcond=1e-14)[0]
    return step[:rank].reshape(parts, size), step[rank:]


def _times(rows: Float[np.ndarray, "b a c s"], values: Float[np.ndarray, "b c s"]) -> Float[np.ndarray, "b a"]:
    count, most = rows.shape[:2]
    return np.asarray((rows.reshape(count, most, -1) @ values.reshape(count, -1, 1))[..., 0])


def _combined(multipliers: Float[np.ndarray, "b a"], rows: Float[np.ndarray, "b a c s"]) -> Float[np.ndarray, "b c s"]:
    count, most, parts, size = rows.shape
    return np.asarray((multipliers[:, None] @ rows.reshape(count, most, -1)).reshape(count, parts, size))
