"""Orthogonal decomposition of a data tensor: in its coordinates a network is a product of L numbers, each by itself."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Inexact

Layers = Sequence[Any]
"""One array a layer, numpy or JAX."""


@dataclass(frozen=True)
class Decomposition:
    """Orthogonal decomposition of the data tensor, M(x) = sum_j [S x]_j (U_1)_{:,j} (x) ... (x) (U_L)_{:,j}.

    With w_l = U_l^T v_l (plain transpose) and rho = w_1 * ... * w_L the linear coefficients are beta = S^T rho.

    Attributes:
        s: S, shape (m, d).
        bases: U_l with orthonormal columns, shape (k_l, m), one a layer.
    """

    s: Inexact[np.ndarray, "m d"]
    bases: tuple[Inexact[np.ndarray, "k m"], ...]

    @property
    def real(self) -> bool:
        return not any(map(np.iscomplexobj, (self.s, *self.bases)))

    def transform(self, layers: Layers) -> list[Any]:
        """w_l = U_l^T v_l, each of shape (m,)."""
        return transform(self.bases, layers)

    def layer(self, index: int, coordinates: Inexact[np.ndarray, " m"]) -> Float[np.ndarray, " k"]:
        """The real layer v with U^T v = w, for w in the image of real layers (else the nearest)."""
        return np.real(np.conj(self.bases[index]) @ coordinates)


def transform(bases: Sequence[Any], layers: Layers) -> list[Any]:
    """w_l = U_l^T v_l, each of shape (m,)."""
    return [basis.T @ layer.astype(basis.dtype) for basis, layer in zip(bases, layers, strict=True)]


def coordinate_invariants(bases: Sequence[Any], layers: Layers) -> list[Any]:
    """|[w_l]_j|^2 - |[w_{l+1}]_j|^2 for every coordinate j: conserved by every orthogonally decomposable network."""
    squares = [(w.real**2 + w.imag**2) for w in transform(bases, layers)]
    return [a - b for a, b in itertools.pairwise(squares)]
