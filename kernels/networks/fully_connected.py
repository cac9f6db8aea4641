"""Fully connected networks, and the subspaces in which their layers move, often of no more dimensions than samples."""

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.networks.base import Architecture, Coordinates, DataMatrix
from kernels.networks.decomposition import Decomposition, Layers

ROUNDING = 1e-13
"""A vector whose part outside a subspace is at most this share of it counts as inside.

It is little more than the rounding of products of orthogonal matrices.
"""
WORTH = 0.75
"""Largest share of the width, or of the input dimension, that a subspace may have: wider ones would save too little."""
ZERO = 16 * float(np.finfo(float).eps)
"""An entry of X V_0 counts as zero where its modulus is at most this share of sum_k |x_ik| |(V_0)_kj|."""


class FullyConnected(Architecture):
    """beta = W_1 W_2 ... W_{L-1} w_L with W_1 (d, k), W_l (k, k), w_L (k,). Not orthogonally decomposable."""

    uses = frozenset({"width"})
    axial = True  # no large parameters cancel in a force
    one_saddle = True  # because it has one output

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        if self.depth == 1:
            return ((self.dim,),)
        k = self.width or self.dim
        return ((self.dim, k), *((k, k),) * (self.depth - 2), (k,))

    def coefficients(self, layers: Layers) -> Any:
        return functools.reduce(lambda right, left: left @ right, reversed(layers))

    def decomposition(self) -> Decomposition | None:
        return None

    def data_matrix(self, x: Float[np.ndarray, " d"]) -> DataMatrix | None:
        """M(x) = x, one column, and a channel for each hidden unit: f(x) = sum_c (x^T W_1)_c [w_2]_c."""
        return DataMatrix(x[:, None], self.shapes[-1][0])

    def coordinates(self, layers: Layers, x: Float[np.ndarray, "n d"]) -> Coordinates | None:
        """The subspaces in which the layers move, filled up to even sizes; None where they save too little."""
        found = moving_subspaces(layers, x) if self.depth > 1 else None
        return None if found is None else found.even()

    def invariants(self, layers: Layers) -> list[Any]:
        """W_l^T W_l - W_{l+1} W_{l+1}^T, shape (k, k)."""
        matrices = [*layers[:-1], layers[-1][..., None]]
        return [a.T @ a - b @ b.T for a, b in itertools.pairwise(matrices)]


@dataclass(frozen=True)
class Subspaces(Coordinates):
    """W_l = rest_l + V_{l-1} w_l V_l^T with orthonormal V_l, for beta = W_1 ... W_{L-1} w_L.

    The ranges of V_1, ..., V_{L-1} are such that the range of V_1 contains every W_1^T x_i, that of V_{L-1} contains
    w_L, and W_l maps the range of V_l into that of V_{l-1}, W_l^T the range of V_{l-1} into that of V_l. The gradient
    of W_l is a sum of outer products of (W_1 ... W_{l-1})^T x_i and W_{l+1} ... w_L, which never leave these ranges. So
    the flow is that of a fully connected network with layers w_l, and the rest of each W_l stays as it was drawn.

    V_0 spans the inputs and the columns of W_1 V_1, because beta never leaves their span. The part of W_1 that is
    orthogonal to the inputs rests, but beta takes it along.

    Attributes:
        sizes: number of columns of V_0, ..., V_L; all hidden ones are equal.
        bases: V_0, ..., V_L; None for the identity, where another basis would save little. A basis with fewer
            dimensions than others is filled up with columns of zeros; the weights there are zero and stay zero.
    """

    sizes: tuple[int, ...]
    bases: tuple[Float[np.ndarray, "_ _"] | None, ...]

    def even(self) -> "Subspaces":
        """The same, filled up to even sizes, so that starts whose subspaces differ by one dimension share a program."""
        first, *hidden, last = self.bases
        width = self.sizes[1] if hidden[0] is None else self.sizes[1] + self.sizes[1] % 2
        before = self.sizes[0] if first is None else self.sizes[0] + self.sizes[0] % 2
        filled = [basis if basis is None else _filled(basis, width) for basis in hidden]
        start = None if first is None else _filled(first, before)
        return Subspaces((before, *(width,) * len(hidden), 1), (start, *filled, last))

    @property
    def network(self) -> Architecture:
        return FullyConnected(self.sizes[0], len(self.bases) - 1, self.sizes[1])

    def inputs(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
        if self.bases[0] is None:
            return x
        found: Float[np.ndarray, "n m"] = x @ self.bases[0]
        found[np.abs(found) <= ZERO * (np.abs(x) @ np.abs(self.bases[0]))] = 0.0
        return found

    def coefficients(self, rows: Float[np.ndarray, "*r m"]) -> Float[np.ndarray, "*r d"]:
        return _product(None, rows, _transposed(self.bases[0]))

    def into(self, layers: Layers) -> list[Any]:
        """w_l = V_{l-1}^T W_l V_l."""
        *matrices, last = layers
        sides = zip(self.bases[:-1], [*matrices, last[:, None]], self.bases[1:], strict=True)
        *turned, column = (_product(_transposed(before), layer, after) for before, layer, after in sides)
        return [*turned, column[:, 0]]

    def back(self, rows: Float[np.ndarray, "n Q"]) -> Float[np.ndarray, "n P"]:
        """V_{l-1} w_l V_l^T."""
        cuts = np.cumsum([a * b for a, b in itertools.pairwise(self.sizes)])[:-1]
        sides = zip(itertools.pairwise(self.sizes), itertools.pairwise(self.bases), strict=True)
        turned = [
            _product(before, part.reshape(len(rows), *shape), _transposed(after))
            for part, (shape, (before, after)) in zip(np.split(rows, cuts, axis=1), sides, strict=True)
        ]
        return np.concatenate([layer.reshape(len(rows), -1) for layer in turned], axis=1)

    def rest(self, layers: Layers) -> Float[np.ndarray, " P"]:
        moving = self.back(np.concatenate([np.ravel(layer) for layer in self.into(layers)])[None])[0]
        return np.concatenate([np.ravel(layer) for layer in layers]) - moving


def moving_subspaces(layers: Layers, x: Float[np.ndarray, "n d"]) -> Subspaces | None:
    """The smallest V_l as in `Subspaces`; None if all are about as wide as the network (WORTH).

    With orthogonal hidden layers they have at most n + 1 dimensions, for n samples and w_L, and so have two layers from
    any start. A small sample counts in full, because directions are normalised first. What a product with a hidden
    layer leaves outside a subspace counts as rounding up to 1e-13 of that layer's norm. None also for layers of
    different widths.
    """
    first, dim = layers[0], x.shape[1]
    if len({layer.shape[1] for layer in layers[:-1]}) > 1:
        return None
    seen = _extended(np.zeros((dim, 0)), _normalised(x.T))
    spans = _closed(layers, seen)
    used = first if spans is None else first @ spans[0]
    inside = np.linalg.norm(used - seen @ (seen.T @ used)) <= ROUNDING * np.linalg.norm(first)
    start: Any = seen if inside else _extended(seen, _normalised(used))
    if start.shape[1] > WORTH * dim and not (inside and spans):
        start = None
    if start is None and spans is None:
        return None
    width = first.shape[1] if spans is None else max(1, *(span.shape[1] for span in spans))
    hidden = [None] * (len(layers) - 1) if spans is None else [_filled(span, width) for span in spans]
    sizes = (dim if start is None else start.shape[1], *(width,) * len(hidden), 1)
    return Subspaces(sizes, (start, *hidden, None))


def _filled(span: Float[np.ndarray, "k q"], columns: int) -> Float[np.ndarray, "k p"]:
    return np.pad(span, ((0, 0), (0, columns - span.shape[1])))


def _closed(layers: Layers, seen: Float[np.ndarray, "d r"]) -> list[Float[np.ndarray, "_ _"]] | None:
    """V_1, ..., V_{L-1}, grown from both ends until the layers map their ranges into each other; None above WORTH."""
    first, *hidden, last = layers
    spans = [np.zeros((len(last), 0))] * (len(hidden) + 1)
    spans[0] = _extended(spans[0], _normalised(first.T @ seen))
    spans[-1] = _extended(spans[-1], last[:, None])
    dimensions: list[int] = []
    while dimensions != (dimensions := [span.shape[1] for span in spans]):
        if max(dimensions) > WORTH * len(last):
            return None
        for place, matrix in enumerate(hidden):
            spans[place + 1] = _extended(spans[place + 1], matrix.T @ spans[place])
        for place, matrix in reversed(list(enumerate(hidden))):
            spans[place] = _extended(spans[place], matrix @ spans[place + 1])
    return spans


def _extended(span: Float[np.ndarray, "k q"], vectors: Float[np.ndarray, "k v"]) -> Float[np.ndarray, "k p"]:
    """An orthonormal basis of the span of a subspace and further vectors, without directions that are rounding."""
    size = np.linalg.norm(vectors, 2) if vectors.size else 0.0
    if size == 0:
        return span
    outside = vectors / size
    for _ in range(2):
        outside = outside - span @ (span.T @ outside)
    directions, sizes, _ = np.linalg.svd(outside, full_matrices=False)
    new = directions[:, sizes > ROUNDING]
    return np.linalg.qr(np.concatenate([span, new], axis=1))[0] if new.size else span


def _normalised(columns: Float[np.ndarray, "k v"]) -> Float[np.ndarray, "k v"]:
    norms = np.linalg.norm(columns, axis=0)
    return columns / np.where(norms > 0, norms, 1)


def _transposed(matrix: Any) -> Any:
    return None if matrix is None else matrix.T


def _product(before: Any, layer: Any, after: Any) -> Any:
    """before @ layer @ after, where None is the identity."""
    left = layer if before is None else before @ layer
    return left if after is None else left @ after
