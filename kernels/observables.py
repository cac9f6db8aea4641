"""What is recorded at each point of an orbit: one row an observable. Imports no JAX.

The compiled loop evaluates a row, the store has a column for it, and the view `orbits` shows it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Observable:
    """One number of every recorded point.

    Attributes:
        value: (flow, point, data) -> number, with `kernels.flows.base.Flow`, `kernels.flows.observables.Point` and
            `kernels.flows.parametrisation.RunData`. It is traced by JAX: array methods and operators, no branches.
        words: what the number is, for people.
        whole: whether it is a whole number (BIGINT).
        added: whether older stores lack it; their orbits have NULL there.
    """

    value: Callable[[Any, Any, Any], Any]
    words: str
    whole: bool = False
    added: bool = False


OBSERVABLES: dict[str, Observable] = {
    "step": Observable(lambda flow, point, data: point.steps, "number of accepted steps so far", whole=True),
    "log_time": Observable(lambda flow, point, data: point.log_time, "log of the flow's time; -inf at t = 0"),
    "log_loss": Observable(
        lambda flow, point, data: flow.log_loss(point.theta, point.log_norm, data), "log of the loss"
    ),
    "residual": Observable(
        lambda flow, point, data: flow.residual(point.theta, data),
        "distance from beta to the solutions of X beta = y over the least norm of those (regression; NaN otherwise)",
    ),
    "min_margin": Observable(
        lambda flow, point, data: flow.min_margin(point.theta, point.log_norm, data),
        "min_i y_i x_i^T beta / ||Theta||^L (classification; NaN otherwise)",
    ),
    "norm": Observable(
        lambda flow, point, data: flow.norm(point.theta, point.log_norm, data),
        "||Theta||, inf where it overflows a double",
    ),
    "alignment": Observable(
        lambda flow, point, data: flow.alignment(point.theta, point.log_norm, point.velocity, data),
        "max over layers of 1 - |cos(v_l, grad_{v_l} Loss)|; 1 where a layer or its gradient is zero",
    ),
}
"""name -> row, in the order of a recorded point; the linear coefficients follow."""
