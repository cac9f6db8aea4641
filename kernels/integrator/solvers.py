"""Integrators of one step, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import diffrax
import jax.numpy as jnp
import optimistix

from kernels.flows.parametrisation import Vector
from kernels.integrator.extrapolation import ExtrapolatedEuler

Field = Callable[..., Any]


@dataclass(frozen=True)
class Solver:
    """A one-step method.

    Attributes:
        make: the diffrax solver, given what `ExtrapolatedEuler` takes: force and stiffness of the flow, and columns.
        fixed_order: its order; None where that is the number of columns.
    """

    make: Callable[[Field, Field, int], diffrax.AbstractSolver[Any]]
    fixed_order: int | None = None

    def order(self, columns: int) -> int:
        return columns if self.fixed_order is None else self.fixed_order

    def step(
        self, force: Field, stiffness: Field, columns: int, h: Any, y: Vector, args: tuple[Any, ...]
    ) -> tuple[Vector, Vector, Vector, Vector]:
        """(y, error, error with rounding, velocity) at the end of a step of length h, each of shape (P,).

        The first error estimate leaves out what rounding must leave in it; only `ExtrapolatedEuler` tells them apart.
        """

        def velocity(t: Any, y: Vector, args: tuple[Any, ...]) -> Vector:
            g, push = force(y, *args)
            return push(g)

        solver = self.make(lambda t, y, args: force(y, *args), lambda t, y, args: stiffness(y, *args), columns)
        term = diffrax.ODETerm(velocity)
        start = jnp.zeros(())
        state = solver.init(term, start, h, y, args)
        new, error, _, state, result = solver.step(term, start, h, y, args, state, jnp.array(True))
        error = jnp.where(result == diffrax.RESULTS.successful, jnp.asarray(error), jnp.inf)
        return new, error, state if isinstance(solver, ExtrapolatedEuler) else error, velocity(h, new, args)


def _newton(solver: Callable[..., diffrax.AbstractSolver[Any]]) -> diffrax.AbstractSolver[Any]:
    """A diffrax solver whose Newton iterations are solved to 1e-10, because they do not see the run's tolerance."""
    return solver(root_finder=optimistix.Chord(rtol=1e-10, atol=1e-12))


SOLVERS: dict[str, Solver] = {
    "extrapolation": Solver(ExtrapolatedEuler),
    "kvaerno5": Solver(lambda *_: _newton(diffrax.Kvaerno5), 5),
    "kvaerno3": Solver(lambda *_: _newton(diffrax.Kvaerno3), 3),
    "tsit5": Solver(lambda *_: diffrax.Tsit5(), 5),
    "dopri8": Solver(lambda *_: diffrax.Dopri8(), 8),
}
"""name -> solver; all but the first are diffrax's own, kept as independent checks."""
