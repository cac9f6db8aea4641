"""Orthonormal coordinates in which a flow is integrated, the cheapest and cleanest; what rests may be left out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.decomposition import Decomposition, Layers


class Coordinates(ABC):
    """v_l = rest_l + (isometry of w_l), where the flow moves w_l alone, as the layers of a network of its own.

    Gradient flow in w is then gradient flow in v: the loss is the same function and the metric is the same.
    """

    @property
    @abstractmethod
    def network(self) -> dict[str, Any]:
        """Name, dim, width and filter of the network with layers w_l, as `architecture_class` takes them."""

    @abstractmethod
    def inputs(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
        """What that network sees of the inputs x."""

    @abstractmethod
    def coefficients(self, rows: Float[np.ndarray, "*r m"]) -> Float[np.ndarray, "*r d"]:
        """Linear coefficients beta of the original network, one row a state."""

    @abstractmethod
    def into(self, layers: Layers) -> list[Any]:
        """w_l, one array a layer."""

    @abstractmethod
    def back(self, rows: Float[np.ndarray, "n Q"]) -> Float[np.ndarray, "n P"]:
        """Rows of changes of w, or of derivatives by w, as those of v."""

    @abstractmethod
    def rest(self, layers: Layers) -> Float[np.ndarray, " P"]:
        """rest_1, ..., rest_L, flattened: what the flow leaves as it is."""


@dataclass(frozen=True)
class Factors(Coordinates):
    """beta(v_1, ..., v_L) = S^T product(w_1, ..., w_L) with v_l = R_l w_l and R_l orthogonal: nothing rests.

    Attributes:
        product: the network that multiplies.
        s: S, shape (m, d).
        bases: R_l, shape (m, m), one a layer.
    """

    product: str
    s: Float[np.ndarray, "m d"]
    bases: tuple[Float[np.ndarray, "m m"], ...]

    @property
    def network(self) -> dict[str, Any]:
        return {"architecture": self.product, "dim": len(self.s), "width": None, "filter": None}

    def inputs(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
        return x @ self.s.T

    def coefficients(self, rows: Float[np.ndarray, "*r m"]) -> Float[np.ndarray, "*r d"]:
        return rows @ self.s

    def into(self, layers: Layers) -> list[Any]:
        return [basis.T @ layer for basis, layer in zip(self.bases, layers, strict=True)]

    def back(self, rows: Float[np.ndarray, "n Q"]) -> Float[np.ndarray, "n P"]:
        parts = np.split(rows, len(self.bases), axis=1)
        return np.concatenate([part @ basis.T for part, basis in zip(parts, self.bases, strict=True)], axis=1)

    def rest(self, layers: Layers) -> Float[np.ndarray, " P"]:
        return np.zeros(sum(layer.size for layer in layers))


def by_decomposition(decomposition: Decomposition | None) -> Factors | None:
    """R_l = U_l where the U_l are real and square, which makes the network a diagonal one; None where they are not."""
    if decomposition is None or not decomposition.real:
        return None
    square = (len(decomposition.s),) * 2
    if any(basis.shape != square for basis in decomposition.bases):
        return None
    return Factors("diagonal", decomposition.s, decomposition.bases)
