"""The real Fourier basis, in which a circular convolution is a product of complex numbers."""

import functools
import itertools
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.decomposition import Decomposition, Layers
from kernels.network import Architecture


@functools.cache
def fourier_parts(dim: int) -> tuple[Float[np.ndarray, "f d"], ...]:
    """Real and imaginary part of the DFT's non-redundant half, then of its inverse (transposed)."""
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
    """What the convolution of L vectors is in each coordinate of `real_fourier`, over the product of the vectors'."""
    paired = 2 * pairs(dim)
    return np.where(np.arange(dim) < paired, dim / 2, dim) ** ((depth - 1) / 2)


class FourierProduct(Architecture):
    """Circular convolution in the coordinates of `real_fourier`: products of complex numbers, without the scale."""

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
        """|[w_l]_j|^2 - |[w_{l+1}]_j|^2 per Fourier coordinate: cosine and sine make two conjugate ones."""
        half = pairs(self.dim)
        squares = [((v[:half] ** 2 + v[half : 2 * half] ** 2) / 2, v[2 * half :] ** 2) for v in layers]
        return [x - y for a, b in itertools.pairwise(squares) for x, y in zip(a, b, strict=True)]


def _join(like: Any, *parts: Any) -> Any:
    """Concatenate, in the module of `like`: numpy or JAX."""
    return like.__array_namespace__().concat(parts)
