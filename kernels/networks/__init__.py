"""Networks: from layers to linear coefficients, their coordinates and their initial layers. Imports no JAX.

A network of a user's own is a subclass of `Architecture`; `Decomposition` is what it may say of itself.
"""

from kernels.networks.base import Architecture
from kernels.networks.decomposition import Decomposition

__all__ = ["Architecture", "Decomposition"]
