"""Minima of problems that differ little: one of a family is found by continuation, and the others from it.

Runs that differ in the seed of their start have one constraint, and limits that differ little in the chart
(curves.py). For two layers Newton's method finds one from another in a few steps, at every scale. For more layers it
often fails at small scales, where nu is saturated and other coordinates may be large in another limit.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float, Int

from kernels.problem import grouped
from kernels.theory.optimisers import separable, stacked
from kernels.theory.optimisers.curves import Curve
from kernels.theory.optimisers.separable import REACHED
from kernels.theory.optimisers.stacked import Minima
from kernels.theory.optimisers.stacked_newton import Multipliers

FEWEST = 4
"""Smaller families gain little."""
STEPS = 20
"""Most Newton steps from another minimum."""


def minimise(
    curve: Curve, rows: Sequence[Float[np.ndarray, "r m"]], target: Multipliers, families: Sequence[Hashable]
) -> Minima:
    """The minima of b problems, as `stacked.minimise` finds them.

    Args:
        curve, rows, target: as there.
        families: equal for problems with one Q and t, and starts of one size.
    """
    count, size = len(rows), rows[0].shape[1]
    found = Minima(np.zeros((count, size)), np.zeros(count), np.full(count, np.nan), np.zeros(count, int))
    owner, z = np.arange(count), np.zeros((count, size))
    for _, places in grouped(families):
        if curve.depth == 2 and len(places) >= FEWEST:
            lead = places[0]
            first = separable.minimise(curve.of(lead), rows[lead], target[lead])
            for values, value in zip(found, (first.rho, first.objective, first.residual, first.steps), strict=True):
                values[lead] = value
            owner[places], z[places] = lead, curve.of(lead).chart(first.rho)
    led = np.flatnonzero((owner != np.arange(count)) & (found.residual[owner] <= REACHED))
    if led.size:
        _put(
            found,
            led,
            stacked.minimise_from(curve.of(led), [rows[k] for k in led.tolist()], target[led], z[led], STEPS),
        )
    left = np.flatnonzero(~(found.residual <= REACHED))
    if left.size:
        _put(found, left, stacked.minimise(curve.of(left), [rows[k] for k in left.tolist()], target[left]))
    return found


def _put(found: Minima, places: Int[np.ndarray, " a"], minima: Minima) -> None:
    for values, new in zip(found, minima, strict=True):
        values[places] = new
