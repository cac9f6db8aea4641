"""Integrators of one step of the flow, by name."""

from collections.abc import Callable
from typing import Any

import diffrax

from kernels.extrapolation import ExtrapolatedEuler

Factor = Callable[[Any, Any, Any], Any]
Solver = diffrax.AbstractSolver[Any]

SOLVERS: dict[str, Callable[[Factor], Solver]] = {
    "extrapolation": lambda factor: ExtrapolatedEuler(factor),
    "kvaerno5": lambda factor: _newton(diffrax.Kvaerno5),
    "kvaerno3": lambda factor: _newton(diffrax.Kvaerno3),
    "kencarp4": lambda factor: _newton(diffrax.KenCarp4),
    "tsit5": lambda factor: diffrax.Tsit5(),
    "dopri8": lambda factor: diffrax.Dopri8(),
}
"""name -> the solver, given the low-rank factor of the flow (which diffrax's own solvers, a cross-check, ignore)."""


def _newton(solver: Callable[..., Solver]) -> Solver:
    """Newton's iterations are solved far below any tolerance a run may ask for, since they do not see it."""
    return solver(root_finder=diffrax.VeryChord(rtol=1e-10, atol=1e-12))
