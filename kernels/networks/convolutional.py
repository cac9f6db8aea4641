"""Circular convolutions, and the real Fourier basis in which convolution is a product of complex numbers."""

import functools
import itertools
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Complex, Float

from kernels.networks.base import Architecture, Coordinates, DataMatrix, Factors
from kernels.networks.decomposition import Decomposition, Layers, coordinate_invariants
from kernels.spec import InputError


class Convolutional(Architecture):
    """Circular convolution: beta_i = sum over j_1 + ... + j_L = i (mod d) of prod_l v_l[j_l].

    Hidden filters have length k <= d, the last layer has length d. With k = d it is orthogonally decomposable:
    S = d^{(L-1)/2} F and U_l = conj(F) with F the unitary DFT, real for d <= 2. With k < d it is not.
    """

    uses = frozenset({"filter"})

    def check(self) -> None:
        check_filter(self.filter, self.dim)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.filter or self.dim,),) * (self.depth - 1) + ((self.dim,),)

    def coefficients(self, layers: Layers) -> Any:
        """beta by the real and imaginary parts of the DFT's non-redundant half, as products with fixed matrices."""
        cosine, sine, inverse_cosine, inverse_sine = fourier_parts(self.dim)
        spectra = [(cosine[:, : layer.shape[0]] @ layer, sine[:, : layer.shape[0]] @ layer) for layer in layers]
        real, imaginary = functools.reduce(lambda a, b: (a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]), spectra)
        return inverse_cosine @ real + inverse_sine @ imaginary

    def data_matrix(self, x: Float[np.ndarray, " d"]) -> DataMatrix | None:
        return DataMatrix(shifts(x, self.shapes[0][0]), 1)

    @classmethod
    def real_coordinates(cls, dim: int, depth: int, filter: int | None) -> int | None:
        return dim if dim <= 2 and (depth == 1 or filter in (None, dim)) else None

    @property
    def _full(self) -> bool:
        return self.depth == 1 or self.filter in (None, self.dim)

    def decomposition(self) -> Decomposition | None:
        if not self._full:
            return None
        fourier: Complex[np.ndarray, "d d"] = scipy.linalg.dft(self.dim, scale="sqrtn")
        matrix = np.real(fourier) if self.dim <= 2 else fourier
        return Decomposition(self.dim ** ((self.depth - 1) / 2) * matrix, (np.conj(matrix),) * self.depth)

    def coordinates(self, layers: Layers, x: Float[np.ndarray, "n d"]) -> Coordinates | None:
        """The real Fourier basis, for full-length filters; None for shorter ones."""
        if not self._full:
            return None
        basis = real_fourier(self.dim)
        scale = convolution_scale(self.dim, self.depth)
        return Factors(FourierProduct(self.dim, self.depth), scale[:, None] * basis, (basis.T,) * self.depth)

    def invariants(self, layers: Layers) -> list[Any]:
        """|[w_l]_j|^2 - |[w_{l+1}]_j|^2 of Fourier coordinates for full-length filters, else of norms of v_l."""
        decomposition = self.decomposed
        return norm_invariants(layers) if decomposition is None else coordinate_invariants(decomposition.bases, layers)


class MultichannelConvolutional(Architecture):
    """Circular convolution with `width` hidden channels: beta = V_1 (*) ... (*) V_L summed over channels.

    V_1 has shape (k, 1, c), hidden V_l (k, c, c), the last V_L (d, c, 1). In frequency the layers multiply as
    matrices, so with c > 1 it is not orthogonally decomposable.
    """

    uses = frozenset({"width", "filter"})

    def check(self) -> None:
        check_filter(self.filter, self.dim)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        if self.depth == 1:
            return ((self.dim, 1, 1),)
        k, c = self.filter or self.dim, self.width or self.dim
        return ((k, 1, c), *((k, c, c),) * (self.depth - 2), (self.dim, c, 1))

    def coefficients(self, layers: Layers) -> Any:
        cosine, sine, inverse_cosine, inverse_sine = fourier_parts(self.dim)
        spectra = [tuple(_transform_taps(part, layer) for part in (cosine, sine)) for layer in layers]
        real, imaginary = functools.reduce(lambda a, b: (a[0] @ b[0] - a[1] @ b[1], a[0] @ b[1] + a[1] @ b[0]), spectra)
        return inverse_cosine @ real[:, 0, 0] + inverse_sine @ imaginary[:, 0, 0]

    def decomposition(self) -> Decomposition | None:
        return None

    def data_matrix(self, x: Float[np.ndarray, " d"]) -> DataMatrix | None:
        """M(x) of one channel, with the number of channels."""
        taps, _, channels = self.shapes[0]
        return DataMatrix(shifts(x, taps), channels)

    def invariants(self, layers: Layers) -> list[Any]:
        """V_l^T V_l - V_{l+1} V_{l+1}^T over the channels between two layers, summed over taps: shape (c, c)."""
        grams = [(_channels(layer, 2), _channels(layer, 1)) for layer in layers]
        return [
            outgoing.T @ outgoing - incoming.T @ incoming for (outgoing, _), (_, incoming) in itertools.pairwise(grams)
        ]


def check_filter(length: int | None, dim: int) -> None:
    """Raise InputError for a filter longer than the inputs."""
    if length is not None and not 1 <= length <= dim:
        raise InputError(f"filter: {length} does not fit inputs of dimension {dim}; write 1 to {dim}")


def shifts(x: Float[np.ndarray, " d"], taps: int) -> Float[np.ndarray, "k d"]:
    """M(x)_{ij} = x_{(i + j) mod d} of two layers, shape (taps, d)."""
    return x[(np.arange(taps)[:, None] + np.arange(len(x))) % len(x)]


def norm_invariants(layers: Layers) -> list[Any]:
    """||v_l||^2 - ||v_{l+1}||^2: conserved by every multilinear network."""
    squares = [(layer**2).sum() for layer in layers]
    return [a - b for a, b in itertools.pairwise(squares)]


def _channels(layer: Any, axis: int) -> Any:
    """The layer of shape (k, c, c') as a matrix whose columns are the channels of one axis, 1 or 2."""
    moved = layer if axis == 2 else layer.transpose(0, 2, 1)
    return moved.reshape(-1, moved.shape[2])


def _transform_taps(part: Any, layer: Any) -> Any:
    """The real or imaginary part of the DFT over taps, for every pair of channels: shape (frequencies, c, c')."""
    taps, rows, columns = layer.shape
    return (part[:, :taps] @ layer.reshape(taps, rows * columns)).reshape(-1, rows, columns)


@functools.cache
def fourier_parts(dim: int) -> tuple[Float[np.ndarray, "f d"], ...]:
    """Real and imaginary part of the DFT's non-redundant half, shape (f, d), then those of its inverse, (d, f)."""
    frequencies = np.arange(dim // 2 + 1)
    weights = np.where((frequencies == 0) | (2 * frequencies == dim), 1, 2) / dim
    angles = 2 * np.pi / dim * (np.outer(frequencies, np.arange(dim)) % dim)
    forward = (np.cos(angles), -np.sin(angles))
    return (*forward, *((part * weights[:, None]).T for part in forward))


def pairs(dim: int) -> int:
    """Number of frequencies that have both a cosine and a sine."""
    return (dim - 1) // 2


@functools.cache
def real_fourier(dim: int) -> Float[np.ndarray, "d d"]:
    """An orthonormal basis, one row each: cosines and sines of the paired frequencies, then the constant and, for even
    d, the alternating vector.
    """
    cosine, sine, _, _ = fourier_parts(dim)
    paired = slice(1, 1 + pairs(dim))
    single = cosine[[0, dim // 2] if dim % 2 == 0 else [0]]
    return np.concatenate([np.sqrt(2 / dim) * cosine[paired], np.sqrt(2 / dim) * sine[paired], single / np.sqrt(dim)])


def convolution_scale(dim: int, depth: int) -> Float[np.ndarray, " d"]:
    """Factor of each coordinate of `real_fourier`: a convolution of L vectors over the product of their coordinates."""
    paired = 2 * pairs(dim)
    return np.where(np.arange(dim) < paired, dim / 2, dim) ** ((depth - 1) / 2)


class FourierProduct(Architecture):
    """Circular convolution in the coordinates of `real_fourier`, without the factor `convolution_scale`.

    A cosine and a sine coordinate of one frequency are real and imaginary part of a complex number. These numbers are
    multiplied, and the single coordinates as real numbers.
    """

    axial = True

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.dim,),) * self.depth

    def coefficients(self, layers: Layers) -> Any:
        half = pairs(self.dim)
        parts = [(layer[:half], layer[half : 2 * half], layer[2 * half :]) for layer in layers]
        real, imaginary, single = functools.reduce(
            lambda a, b: (a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0], a[2] * b[2]), parts
        )
        return _join(layers[0], real, imaginary, single)

    def decomposition(self) -> Decomposition | None:
        return None

    def invariants(self, layers: Layers) -> list[Any]:
        """|[w_l]_j|^2 - |[w_{l+1}]_j|^2, once for each complex number and for each single coordinate.

        A complex number counts by half its square, because it stands for two conjugate Fourier coordinates.
        """
        half = pairs(self.dim)
        squares = [((v[:half] ** 2 + v[half : 2 * half] ** 2) / 2, v[2 * half :] ** 2) for v in layers]
        return [x - y for a, b in itertools.pairwise(squares) for x, y in zip(a, b, strict=True)]


def _join(like: Any, *parts: Any) -> Any:
    """Concatenate by the array library of `like`, numpy or JAX."""
    return like.__array_namespace__().concat(parts)
