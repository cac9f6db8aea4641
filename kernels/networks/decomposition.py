"""Orthogonal decomposition of a data tensor: in each of its coordinates a network is a product of L numbers.

Source: Yun, Krishnan and Mobahi, arXiv:2010.02501.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float, Inexact

Layers = Sequence[Any]
"""One array a layer, numpy or JAX."""

LARGEST_DENSE = 512
"""Largest unit matrix that is held dense: products with a small one take less time so; a large one would not fit."""


@dataclass(frozen=True)
class Decomposition:
    """Orthogonal decomposition of the data tensor, M(x) = sum_j [S x]_j (U_1)_{:,j} (x) ... (x) (U_L)_{:,j}.

    With w_l = U_l^T v_l (plain transpose) and rho = w_1 * ... * w_L the linear coefficients are beta = S^T rho.

    Attributes:
        s: S, shape (m, d); a sparse array where most of it is zero.
        bases: U_l with orthonormal columns, shape (k_l, m), one a layer; sparse likewise.
    """

    s: Inexact[np.ndarray, "m d"] | scipy.sparse.sparray
    bases: tuple[Inexact[np.ndarray, "k m"] | scipy.sparse.sparray, ...]

    @property
    def real(self) -> bool:
        return not any(map(np.iscomplexobj, (self.s, *self.bases)))

    def spans_inputs(self) -> bool:
        """Whether every beta is Re(S^T rho) for some rho."""
        s = self.s
        dim = s.shape[1]
        rows = np.vstack([s.real, s.imag]) if np.iscomplexobj(s) else s
        gram = rows.T @ rows
        if (np.abs(gram).sum(axis=1) < 1.9 * gram.diagonal()).all():  # dominant diagonal: full rank without an SVD
            return True
        return rows.shape[0] >= dim and int(np.linalg.matrix_rank(rows)) == dim

    def transform(self, layers: Layers) -> list[Any]:
        """w_l = U_l^T v_l, each of shape (m,)."""
        return transform(self.bases, layers)

    def layer(self, index: int, coordinates: Inexact[np.ndarray, " m"]) -> Float[np.ndarray, " k"]:
        """The real layer v with U^T v = w if there is one, else the one nearest to that."""
        return np.real(np.conj(self.bases[index]) @ coordinates)


def unit_matrix(size: int) -> Float[np.ndarray, "m m"] | scipy.sparse.sparray:
    """The identity, shape (m, m); sparse where m > LARGEST_DENSE."""
    return np.eye(size) if size <= LARGEST_DENSE else scipy.sparse.eye_array(size, format="csr")


def dense(matrix: Inexact[np.ndarray, "k m"] | scipy.sparse.sparray) -> Inexact[np.ndarray, "k m"]:
    """The matrix as numpy's array."""
    return matrix if isinstance(matrix, np.ndarray) else np.asarray(matrix.toarray())


def transform(bases: Sequence[Any], layers: Layers) -> list[Any]:
    """w_l = U_l^T v_l, each of shape (m,)."""
    return [basis.T @ layer.astype(basis.dtype) for basis, layer in zip(bases, layers, strict=True)]


def coordinate_invariants(bases: Sequence[Any], layers: Layers) -> list[Any]:
    """|[w_l]_j|^2 - |[w_{l+1}]_j|^2 for every coordinate j: conserved by every orthogonally decomposable network."""
    squares = [(w.real**2 + w.imag**2) for w in transform(bases, layers)]
    return [a - b for a, b in itertools.pairwise(squares)]
