"""Extrapolated linearly implicit Euler for gradient systems driven by few forces."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS, AbstractSolver, AbstractTerm, LocalLinearInterpolation
from jaxtyping import Array, Float, Int

from kernels.flows.parametrisation import Forces, Push, Vector
from kernels.flows.stiffness import Damping, Stiffness
from kernels.x64 import jax

FEW = 4
"""Columns of a second value of a step; it is taken where its error estimate is below that of all columns."""
_NOISE = 15
"""How many roundings of each force an error estimate may hold, because substeps and products add theirs."""


class ExtrapolatedEuler(AbstractSolver[Vector]):
    """Linearly implicit Euler with 1, 2, ..., K substeps, extrapolated to order K, for flows driven by few forces.

    The equation is dy/dt = J(y)^T g(y) + (what is not stiff) for flat vectors y of length P. g are n << P forces, and J
    is the Jacobian of the outputs on which they depend. The stiff part of the right-hand side's Jacobian is -J^T D J,
    with D = C^T C >= 0 of shape (n, n). C and J are frozen over the step (J_0), and a substep of length c, at time t of
    the step, damps what is stiff in one of two places:

        forces:      y + c J(y)^T (I + c D J_0 J_0^T)^{-1} (g(y) - c D (c a + t b))
        parameters:  y + c (I + c J_0^T D J_0)^{-1} J(y)^T g(y)

    The first form evaluates J(y)^T anew in every substep, so that stiff directions may turn within the step. It can
    subtract how the outputs will bend meanwhile: a is half their second derivative along the velocity, b the derivative
    of J J^T g along it. Without a and b, two-layer classifiers past -log Loss = 1e6 need many more steps (a test says
    how many).

    Which form: near saddles large forces nearly cancel in J^T g, and their rounding would move the parameters unless it
    is damped as well. Damped forces do that if samples are turned to the axes of J_0 J_0^T and each large parameter is
    an axis. For other networks the second form, a W-method, does.

    Order: either substep is a consistent one-step method, smooth in c, whatever is frozen, so that the order is K.
    Where outputs are small sums of large terms (`Stiffness.cancels`), the first FEW columns are extrapolated as well,
    because the weights of K columns, of order e^K, amplify rounding; the value with the smaller error estimate is
    taken. The step size is chosen as for order K either way.

    Cost: one eigendecomposition of C J_0 J_0^T C^T a step serves all substeps, and no P x P matrix is formed. A step
    costs K^2 / 2 gradients by the first form, O(K^2 n P) by the second.

    Error: the estimate is the difference of the last two entries of the extrapolation table, less what rounding must
    leave in it. The estimate before that subtraction is kept as the solver's state, because steps must not grow on an
    estimate of zero (`kernels.integrator.lane.attempt`).

    Reference: Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.9 (SEULEX), with the harmonic
    sequence; for the expansion in c, theorem II.8.1 of volume I.

    Attributes:
        force: (t, y, args) -> (g, push) with f(t, y) = push(g), push affine; args are those of `stiffness`'s answer.
        stiffness: (t, y, args) -> Stiffness, frozen at (t, y).
        columns: K >= 2.
    """

    force: Callable[[Any, Vector, Any], tuple[Forces, Push]]
    stiffness: Callable[[Any, Vector, Any], Stiffness]
    columns: int = 10

    term_structure: ClassVar = AbstractTerm
    interpolation_cls: ClassVar[Callable[..., LocalLinearInterpolation]] = LocalLinearInterpolation

    def __check_init__(self) -> None:
        if self.columns < 2:
            raise ValueError(f"columns is {self.columns}; an error estimate needs 2 or more")

    def order(self, terms: Any) -> int:
        return self.columns

    def init(self, terms: Any, t0: Any, t1: Any, y0: Vector, args: Any) -> Vector:
        return jnp.zeros_like(y0)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Vector, args: Any, solver_state: Vector, made_jump: Any
    ) -> tuple[Vector, Vector, dict[str, Vector], Vector, Any]:
        lengths = (t1 - t0) / jnp.arange(1.0, self.columns + 1)
        stiff = self.stiffness(t0, y0, args)
        g0, push0 = self.force(t0, y0, stiff.args)
        damping = stiff.damping(lengths)
        bend = self._bend(stiff, damping, push0, g0)
        columns = (lengths, damping.columns, bend)

        def change(g: Forces, push: Push, elapsed: Any, column: Any) -> Vector:
            length, entry, bend = column
            answer = damping.forces(entry, g)
            if bend is not None:
                lag, drift = bend
                answer = answer - length * (length * lag + elapsed * drift)
            return damping.change(entry, length * push(answer))

        def move(z: Vector, number: Any, column: Any) -> Vector:
            elapsed = number * column[0]
            g, push = self.force(t0 + elapsed, y0 + z, stiff.args)
            return change(g, push, elapsed, column)

        firsts = jax.vmap(lambda column: change(g0, push0, 0.0, column))(columns)
        schedule = _schedule(self.columns)

        # increments, not states: the weights, of order e^K, then amplify the rounding of the change alone
        z, history = firsts[schedule.column[0]], []
        for column, number in zip(schedule.column, schedule.number, strict=True):
            entries = jax.tree.map(lambda values, column=column: values[column], columns)
            z = jnp.where((number == 1)[:, None], firsts[column], z)
            z = z + jax.vmap(move)(z, jnp.asarray(number, float), entries)
            history.append(z)
        ends = [firsts[0], *(history[iteration][row] for iteration, row in schedule.ends)]

        def rounding(columns: int) -> Vector | None:
            if stiff.noise is None:
                return None
            entry = jax.tree.map(lambda values: values[columns - 1], damping.columns)
            return stiff.noise(lengths[columns - 1], entry)

        found = _extrapolated(ends, rounding(self.columns))
        if stiff.cancels is not False and self.columns > FEW:
            lower = _extrapolated(ends[:FEW], rounding(FEW))
            better = stiff.cancels & (jnp.sum(lower.estimate**2) < jnp.sum(found.estimate**2))
            found = jax.tree.map(lambda a, b: jnp.where(better, a, b), lower, found)
        y1 = y0 + found.change
        return y1, found.certain, {"y0": y0, "y1": y1}, found.estimate, RESULTS.successful

    def _bend(
        self, stiff: Stiffness, damping: Damping, push: Push, g: Forces
    ) -> tuple[Float[Array, "K n"], Float[Array, "K n"]] | None:
        """The damped D a and D b of the class's first form for every length; None if the stiffness has no bend."""
        if stiff.bend is None:
            return None
        steady = damping.forces(jax.tree.map(lambda values: values[0], damping.columns), g)
        lag, drift = (
            jax.vmap(lambda entry, part=part: damping.forces(entry, part))(damping.columns)
            for part in stiff.bend(push(steady), steady)
        )
        return lag, drift

    def func(self, terms: Any, t0: Any, y0: Vector, args: Any) -> Vector:
        return terms.vf(t0, y0, args)


class _Extrapolated(NamedTuple):
    """Change of the parameters, its error estimate, and the estimate without what rounding must leave in it."""

    change: Vector
    estimate: Vector
    certain: Vector


def _extrapolated(ends: list[Vector], rounding: Vector | None) -> _Extrapolated:
    """Extrapolate the ends of columns 1, 2, ...

    Args:
        ends: the change of the parameters by each column.
        rounding: what one rounding of each force leaves in a substep of the last column; None to subtract nothing.
    """
    *others, last = ends
    apart = [column - last for column in others]
    value, error = (row[:-1] for row in _weights(len(ends)))
    change = last + sum(w * column for w, column in zip(value, apart, strict=True))
    estimate = sum((w * column for w, column in zip(error, apart, strict=True)), jnp.zeros_like(last))
    if rounding is None:
        return _Extrapolated(change, estimate, estimate)
    noise = _NOISE * np.linalg.norm(_weights(len(ends))[1]) * rounding
    return _Extrapolated(change, estimate, jnp.sign(estimate) * jnp.maximum(jnp.abs(estimate) - noise, 0))


class _Schedule(NamedTuple):
    """Which substep of which column is taken when, by rows that work side by side.

    A long and a short column share a row, so that all rows take about K substeps and none idles. The first substep of
    every column starts from the same point and is taken before, for all columns at once.

    Attributes:
        column: index of the column that row r works on in iteration i, shape (i, r); the column of index k has k + 1
            substeps.
        number: substeps of that column done before, shape (i, r); 1 where the row starts it.
        ends: (iteration, row) in which the columns of index 1, 2, ... end.
    """

    column: Int[np.ndarray, "i r"]
    number: Int[np.ndarray, "i r"]
    ends: tuple[tuple[int, int], ...]


@functools.cache
def _schedule(columns: int) -> _Schedule:
    last = columns - 1
    pairs = [(column, last - column) for column in range(last, (last - 1) // 2, -1)]
    rows = [[column] if other in (0, column) else [column, other] for column, other in pairs]
    work = [[(column, number) for column in row for number in range(1, column + 1)] for row in rows]
    # a row with nothing left repeats its last substep, which nobody reads
    padded = np.array([row + row[-1:] * (last - len(row)) for row in work])
    place = {step: (i, r) for r, row in enumerate(work) for i, step in enumerate(row)}
    ends = tuple(place[column, column] for column in range(1, columns))
    return _Schedule(padded[:, :, 0].T, padded[:, :, 1].T, ends)


@functools.cache
def _weights(columns: int) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Weights of the columns in the extrapolated value, of sum one, and in its error estimate, of sum zero.

    By Aitken and Neville's scheme to zero substep length; the estimate is the difference of its last two entries.
    """
    table = list(np.eye(columns))
    last = table[-1]
    for order in range(1, columns):
        last = table[-1]
        table = [table[i + 1] + (table[i + 1] - table[i]) * ((i + 1) / order) for i in range(len(table) - 1)]
    return table[0], table[0] - last
