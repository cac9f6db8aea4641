"""A network of a user's own with a parameter: beta_j = scale v_{1,j} ... v_{L,j}, decomposable with S = scale I."""

import itertools
from typing import Any

import numpy as np

from kernels.networks import Decomposition
from kernels.networks.base import Diagonal


class Scaled(Diagonal):
    """The diagonal network times a number given in the grid."""

    defaults = {"scale": 1.0}  # noqa: RUF012

    def __init__(self, *sizes: Any, scale: float = 1.0, **more: Any):
        super().__init__(*sizes, scale=scale, **more)
        self.constants = (np.float64(scale),)

    def coefficients(self, layers: Any) -> Any:
        return self.constants[0] * super().coefficients(layers)

    def decomposition(self) -> Decomposition:
        return Decomposition(self.constants[0] * np.eye(self.dim), (np.eye(self.dim),) * self.depth)


class Unbalanced(Scaled):
    """The same with a wrong claim: no flow keeps the sums of squares."""

    def invariants(self, layers: Any) -> list[Any]:
        return [a**2 + b**2 for a, b in itertools.pairwise(layers)]
