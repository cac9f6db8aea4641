"""Networks of a user's own: diagonal ones that break, as programs break, at chosen seeds."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from kernels.architectures import Diagonal

RAISES, OUT_OF_MEMORY, DIES = 7, 8, 9


class Fragile(Diagonal):
    """Seed 7 raises, seed 8 runs out of memory, seed 9 kills its process."""

    def check(self) -> None:
        if self.seed == RAISES:
            raise RuntimeError(f"seed {self.seed} is broken")
        if self.seed == OUT_OF_MEMORY:
            raise MemoryError(f"seed {self.seed} is too large")
        if self.seed == DIES:
            os._exit(1)


class Slow(Diagonal):
    """Takes a moment to build, so that a test can interrupt it."""

    def check(self) -> None:
        if self.seed > 1:
            time.sleep(0.004)


class Doomed(Diagonal):
    """On a node of Ray it says that it is at work and waits until the file `spared-NODE` lies beside it."""

    def check(self) -> None:
        if self.seed <= 1:  # the driver builds these, too
            return
        import ray

        here = Path(__file__).parent
        node = ray.get_runtime_context().get_node_id()
        (here / f"at-work-{node}").touch()
        while not (here / f"spared-{node}").exists():
            time.sleep(0.01)


class Untraceable(Diagonal):
    """Leaves JAX for numpy."""

    def coefficients(self, layers: Any) -> Any:
        return np.prod([np.array(layer) for layer in layers], axis=0)

    def decomposition(self) -> None:
        return None
