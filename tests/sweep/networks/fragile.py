"""Networks of a user's own: diagonal ones that break, as programs break, at chosen seeds."""

import os
import sys
import time
from typing import Any

import numpy as np

from kernels.networks.base import Diagonal

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


class Untraceable(Diagonal):
    """Leaves JAX for numpy."""

    def coefficients(self, layers: Any) -> Any:
        return np.prod([np.array(layer) for layer in layers], axis=0)

    def decomposition(self) -> None:
        return None


class Endless(Diagonal):
    """Takes minutes to build, in slices, as long integrations do."""

    def check(self) -> None:
        if self.seed > 1 and "jax" in sys.modules:
            time.sleep(60)
