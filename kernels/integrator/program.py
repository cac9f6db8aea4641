"""What a compiled loop is specialised to."""

import functools
from dataclasses import dataclass

import numpy as np

from kernels.flows.base import Flow
from kernels.flows.curves import Curves
from kernels.flows.parametrisation import Layers
from kernels.flows.table import flow_class
from kernels.networks.base import Architecture
from kernels.x64 import jax


@dataclass(frozen=True)
class Program:
    """What one compiled loop is specialised to: everything static of a run.

    Attributes:
        architecture: class of the network whose layers are integrated; None where its coordinates move on curves. Of
            those, `dim` counts the coordinates, and `depth` is the largest that the program has room for.
        columns: of the extrapolation.
        sizes: `Architecture.sizes` of that network.
    """

    loss: str
    dim: int
    depth: int
    samples: int
    solver: str
    record: bool
    columns: int
    architecture: type[Architecture] | None = None
    width: int | None = None
    filter: int | None = None
    sizes: tuple[int, ...] = ()

    @functools.cached_property
    def flow(self) -> Flow:
        if self.architecture is None:
            return flow_class(self.loss)(Curves(self.dim, self.depth - 1))
        network = self.architecture.without_parameters(self.dim, self.depth, self.width, self.filter, self.sizes)
        return flow_class(self.loss)(Layers(network))

    @property
    def lanes(self) -> int:
        """On a CPU as many as amortise what a step costs besides arithmetic: 64 at 4 x 10, a single one at 30 x 60."""
        if jax.default_backend() != "cpu":
            most, budget = 4096, 1 << 23
        else:
            most, budget = 64, 2560
        work = self.flow.parametrisation.parameters * self.samples
        return max(1, min(most, 2 ** int(np.log2(max(1, budget / work)))))
