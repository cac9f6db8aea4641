"""The losses, one row each in the table LOSSES. Imports no JAX.

A new loss is a row here and the class that the row names, a `kernels.flows.base.Flow`. For classification that is a
`kernels.flows.classification.ClassificationFlow` with three functions of one margin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Numbers = Float[np.ndarray, "..."]
Labels = Literal["real", "signs"]


@dataclass(frozen=True)
class Loss:
    """What planning, integration and theory need to know of a loss.

    Attributes:
        task: the task whose data it takes. The first row of a task is its default loss, which no run's id names.
        formula: the loss as text, for people.
        labels: "real" targets, which some coefficients must fit, or "signs" -1 and +1, which some must separate.
        stop: the conditions that end its flow where a grid names none.
        conditions: further conditions that a grid may name; one of them replaces the default condition.
        columns: columns of the extrapolation, its order: usually, and on curves at loose tolerances, where every column
            costs an inverse (kernels/room.py). Each is the fastest number that rounding allows.
        flow: "module:Class" of its gradient flow, imported where flows are integrated.
        tail: z -> log(-l'(z)) + z for a loss sum_i l(y_i f(x_i)) with an exponential tail: its forces -l' tend to
            e^{-z}, up to a factor, as margins grow. The limits in time need no more. None for other losses.
    """

    task: str
    formula: str
    labels: Labels
    stop: Mapping[str, float | int]
    columns: tuple[int, int]
    flow: str
    conditions: tuple[str, ...] = ()
    tail: Callable[[Numbers], Numbers] | None = None

    @property
    def known_conditions(self) -> list[str]:
        """Every key that its stop rule may have."""
        return sorted({*self.stop, *self.conditions})


MOST_STEPS = 100_000

LOSSES: dict[str, Loss] = {
    "squared": Loss(
        task="regression",
        formula="1/2 sum_i (f(x_i) - y_i)^2",
        labels="real",
        stop={"residual": 1e-10, "max_steps": MOST_STEPS},
        columns=(10, 8),
        flow="kernels.flows.regression:RegressionFlow",
    ),
    # the extrapolation's weights amplify rounding: with more columns runs would end before -log Loss = 1e8
    "exponential": Loss(
        task="classification",
        formula="sum_i exp(-y_i f(x_i))",
        labels="signs",
        stop={"log_loss": -1e6, "max_steps": MOST_STEPS},
        conditions=("log_margin",),
        columns=(7, 7),
        flow="kernels.flows.exponential:ExponentialFlow",
        tail=np.zeros_like,
    ),
    "logistic": Loss(
        task="classification",
        formula="sum_i log(1 + exp(-y_i f(x_i)))",
        labels="signs",
        stop={"log_loss": -1e6, "max_steps": MOST_STEPS},
        conditions=("log_margin",),
        columns=(7, 7),
        flow="kernels.flows.logistic:LogisticFlow",
        tail=lambda z: -np.logaddexp(0.0, -z),
    ),
}

CONDITIONS = tuple(dict.fromkeys(key for loss in LOSSES.values() for key in (*loss.conditions, *loss.stop)))
"""Every key that the stop rule of some loss may have."""


def losses_of(task: str) -> list[str]:
    """The names of a task's losses, the default first."""
    return [name for name, loss in LOSSES.items() if loss.task == task]


def default_loss(task: str) -> str:
    """The loss of runs that name none."""
    return losses_of(task)[0]


def labels_of(task: str) -> Labels:
    """The kind of labels that the data of a task have."""
    return LOSSES[default_loss(task)].labels
