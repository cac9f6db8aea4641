"""Orthonormal coordinates in which a network is a product of single numbers, and its flow cheapest and cleanest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.decomposition import Decomposition, Layers


@dataclass(frozen=True)
class Coordinates:
    """beta(v_1, ..., v_L) = S^T product(w_1, ..., w_L) with v_l = R_l w_l and R_l orthogonal.

    Gradient flow in w is gradient flow in v: the loss is the same function and so is the metric. The product is a
    network on the inputs S x.

    Attributes:
        product: the network that multiplies, as `architecture_class` takes it.
        s: S, shape (m, d).
        bases: R_l, shape (m, m), one a layer.
    """

    product: str
    s: Float[np.ndarray, "m d"]
    bases: tuple[Float[np.ndarray, "m m"], ...]

    def into(self, layers: Layers) -> list[Any]:
        """w_l = R_l^T v_l."""
        return [basis.T @ layer for basis, layer in zip(self.bases, layers, strict=True)]

    def back(self, rows: Float[np.ndarray, "n P"]) -> Float[np.ndarray, "n P"]:
        """Rows of parameters, or of derivatives by them, in v."""
        parts = np.split(rows, len(self.bases), axis=1)
        return np.concatenate([part @ basis.T for part, basis in zip(parts, self.bases, strict=True)], axis=1)


def by_decomposition(decomposition: Decomposition | None) -> Coordinates | None:
    """R_l = U_l where the U_l are real and square, which makes the network a diagonal one; None where they are not."""
    if decomposition is None or not decomposition.real:
        return None
    square = (len(decomposition.s),) * 2
    if any(basis.shape != square for basis in decomposition.bases):
        return None
    return Coordinates("diagonal", decomposition.s, decomposition.bases)
