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
    """What one compiled loop is specialised to: all of a run that decides shapes and code.

    Attributes:
        architecture: class of the network whose layers are integrated; None where coordinates move on curves.
        dim: input dimension of that network; on curves, the number of coordinates.
        depth: its number of layers; on curves, the most that the program has slots for.
        samples: rows of the data, those included that fill up a room.
        columns: columns of the extrapolation, its order.
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
    def vectorised(self) -> bool:
        """Whether lanes step side by side: where what a step costs besides arithmetic outweighs waiting for others.

        A lane's arithmetic grows with parameters x samples. On a CPU lanes step one after another where these are more
        than 1280, as at 30 x 60.
        """
        return jax.default_backend() != "cpu" or self._lanes(64, 2560) > 1

    @property
    def lanes(self) -> int:
        """Number of lanes, a power of two: as many as amortise what a step, or a call of the loop, costs besides.

        On a CPU there are 64 at 4 x 10, and 8 that step one after another at 30 x 60.
        """
        if jax.default_backend() != "cpu":
            return self._lanes(4096, 1 << 23)
        return self._lanes(64, 2560) if self.vectorised else self._lanes(8, 1 << 16)

    def _lanes(self, most: int, budget: int) -> int:
        work = self.flow.parametrisation.parameters * self.samples
        return max(1, min(most, 2 ** int(np.log2(max(1, budget / work)))))
