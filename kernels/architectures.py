"""Architectures: multilinear maps from the layers v_1, ..., v_L to the linear coefficients beta with f(x) = x^T beta.

Everything a gradient flow needs is Theta -> beta(Theta). The maps use only operators that numpy and JAX arrays share,
so declaring a grid imports no JAX. Notation and theory: Yun, Krishnan and Mobahi, arXiv:2010.02501.
"""

import functools
import importlib
import itertools
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Complex, Float

from kernels.coordinates import Coordinates, Factors
from kernels.decomposition import Decomposition, Layers, coordinate_invariants
from kernels.fourier import convolution_scale, fourier_parts, real_fourier
from kernels.network import Architecture, Parameters
from kernels.network_checks import check_class
from kernels.odeco import Odeco
from kernels.spec import InputError, architecture_name
from kernels.subspaces import moving_subspaces

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Convolutional",
    "Diagonal",
    "FullyConnected",
    "MultichannelConvolutional",
    "Odeco",
    "SignedDiagonal",
    "Walsh",
    "architecture_class",
    "canonical_architecture",
    "parameters_given",
]


def check_filter(length: int | None, dim: int) -> None:
    """Raise InputError for a filter longer than the inputs."""
    if length is not None and not 1 <= length <= dim:
        raise InputError(f"filter: {length} does not fit inputs of dimension {dim}; write 1 to {dim}")


def norm_invariants(layers: Layers) -> list[Any]:
    """||v_l||^2 - ||v_{l+1}||^2: conserved by every multilinear network."""
    squares = [(layer**2).sum() for layer in layers]
    return [a - b for a, b in itertools.pairwise(squares)]


class FullyConnected(Architecture):
    """beta = W_1 W_2 ... W_{L-1} w_L with W_1 (d, k), W_l (k, k), w_L (k,). Not orthogonally decomposable."""

    uses = frozenset({"width"})
    axial = True  # one output: at every saddle beta = 0, and no force is balanced by large parameters

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

    def coordinates(self, layers: Layers, x: Float[np.ndarray, "n d"]) -> Coordinates | None:
        """The hidden subspaces in which it moves."""
        return moving_subspaces(layers, x) if self.depth > 1 else None

    def invariants(self, layers: Layers) -> list[Any]:
        """W_l^T W_l - W_{l+1} W_{l+1}^T, shape (k, k)."""
        matrices = [*layers[:-1], layers[-1][..., None]]
        return [a.T @ a - b @ b.T for a, b in itertools.pairwise(matrices)]


class Diagonal(Architecture):
    """beta = v_1 * ... * v_L, elementwise. S = I, U_l = I."""

    axial = True

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.dim,),) * self.depth

    def coefficients(self, layers: Layers) -> Any:
        return functools.reduce(operator.mul, layers)

    def decomposition(self) -> Decomposition | None:
        return Decomposition(np.eye(self.dim), (np.eye(self.dim),) * self.depth)

    def invariants(self, layers: Layers) -> list[Any]:
        """v_l^2 - v_{l+1}^2, shape (d,)."""
        return [a**2 - b**2 for a, b in itertools.pairwise(layers)]


class SignedDiagonal(Architecture):
    """beta = u_1 * ... * u_L - v_1 * ... * v_L with layers (u_l, v_l) in R^{2d}: S = [I; -I], U_l = I.

    With equal layers it is u^L - v^L, the parametrisation of Woodworth et al., arXiv:2002.09277, sections 4 and 5.
    """

    axial = True

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((2 * self.dim,),) * self.depth

    def coefficients(self, layers: Layers) -> Any:
        product = functools.reduce(operator.mul, layers)
        return product[: self.dim] - product[self.dim :]

    def decomposition(self) -> Decomposition | None:
        signs = np.concatenate([np.eye(self.dim), -np.eye(self.dim)])
        return Decomposition(signs, (np.eye(2 * self.dim),) * self.depth)

    def invariants(self, layers: Layers) -> list[Any]:
        """Differences of squares of adjacent layers, shape (2d,)."""
        return [a**2 - b**2 for a, b in itertools.pairwise(layers)]


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
        """Through the real and imaginary parts of the DFT's non-redundant half: matrix products, equal for all runs."""
        cosine, sine, inverse_cosine, inverse_sine = fourier_parts(self.dim)
        spectra = [(cosine[:, : layer.shape[0]] @ layer, sine[:, : layer.shape[0]] @ layer) for layer in layers]
        real, imaginary = functools.reduce(lambda a, b: (a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]), spectra)
        return inverse_cosine @ real + inverse_sine @ imaginary

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
        """Cosines and sines, for full-length filters."""
        if not self._full:
            return None
        basis = real_fourier(self.dim)
        scale = convolution_scale(self.dim, self.depth)
        return Factors("kernels.fourier:FourierProduct", scale[:, None] * basis, (basis.T,) * self.depth)

    def invariants(self, layers: Layers) -> list[Any]:
        """Per Fourier coordinate for full-length filters, else ||v_l||^2 - ||v_{l+1}||^2."""
        decomposition = self.decomposition()
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

    def invariants(self, layers: Layers) -> list[Any]:
        """V_l^T V_l - V_{l+1} V_{l+1}^T over the channels between two layers, summed over taps: shape (c, c)."""
        grams = [(_channels(layer, 2), _channels(layer, 1)) for layer in layers]
        return [
            outgoing.T @ outgoing - incoming.T @ incoming for (outgoing, _), (_, incoming) in itertools.pairwise(grams)
        ]


def _channels(layer: Any, axis: int) -> Any:
    """The layer as a matrix with the channels of one axis as columns."""
    moved = layer if axis == 2 else layer.transpose(0, 2, 1)
    return moved.reshape(-1, moved.shape[2])


def _transform_taps(part: Any, layer: Any) -> Any:
    """A part of the DFT over the taps of every pair of channels, shape (frequencies, c, c')."""
    taps, rows, columns = layer.shape
    return (part[:, :taps] @ layer.reshape(taps, rows * columns)).reshape(-1, rows, columns)


class Walsh(Architecture):
    """Dyadic convolution, d = 2^q: beta_i = sum over j_1 XOR ... XOR j_L = i of prod_l v_l[j_l].

    S = d^{(L-1)/2} H and U_l = H with H the orthonormal Walsh-Hadamard matrix: a real orthogonal decomposition.
    """

    def check(self) -> None:
        if self.dim & (self.dim - 1):
            raise InputError(
                f"architecture: walsh needs inputs of dimension 2^q, these have {self.dim}; "
                f"write data of dimension {1 << (self.dim.bit_length() - 1)} or {1 << self.dim.bit_length()}"
            )

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.dim,),) * self.depth

    def coefficients(self, layers: Layers) -> Any:
        product = functools.reduce(operator.mul, [self._hadamard @ layer for layer in layers])
        return self.dim ** ((self.depth - 1) / 2) * (self._hadamard @ product)

    @functools.cached_property
    def _hadamard(self) -> Float[np.ndarray, "d d"]:
        return scipy.linalg.hadamard(self.dim) / np.sqrt(self.dim)

    def decomposition(self) -> Decomposition | None:
        return Decomposition(self.dim ** ((self.depth - 1) / 2) * self._hadamard, (self._hadamard,) * self.depth)

    def invariants(self, layers: Layers) -> list[Any]:
        """Per Walsh coordinate, shape (d,)."""
        squares = [(self._hadamard @ layer) ** 2 for layer in layers]
        return [a - b for a, b in itertools.pairwise(squares)]


ARCHITECTURES: dict[str, type[Architecture]] = {
    "fully_connected": FullyConnected,
    "diagonal": Diagonal,
    "signed_diagonal": SignedDiagonal,
    "convolutional": Convolutional,
    "multichannel_convolutional": MultichannelConvolutional,
    "walsh": Walsh,
    "odeco": Odeco,
}


def canonical_architecture(architecture: Any) -> str | dict[str, Any]:
    """A name, or {name: every parameter} where one differs from its default. Raises InputError."""
    mapping = isinstance(architecture, Mapping) and len(architecture) == 1
    name, given = next(iter(architecture.items())) if mapping else (architecture, {})
    if not isinstance(name, str) or not isinstance(given, Mapping | None):
        raise InputError(
            f"architecture: {architecture!r} is not a name or {{name: parameters}}; write one of "
            f"{', '.join(ARCHITECTURES)}, module:Class, or for example {{odeco: {{s: [[1, 0], [0, 1]]}}}}"
        )
    network = architecture_class(name)
    merged = network.canonical(given or {})
    return name if merged == dict(network.defaults) else {name: merged}


def parameters_given(architecture: str | Parameters) -> Parameters:
    """The parameters in a canonical name (none) or {name: parameters}."""
    return {} if isinstance(architecture, str) else architecture[architecture_name(architecture)]


def architecture_class(name: str) -> type[Architecture]:
    """The class of a name in ARCHITECTURES, or of "module:Class". Raises InputError."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if ":" not in name:
        known = ", ".join(ARCHITECTURES)
        raise InputError(f"architecture: unknown {name!r}; write one of {known}, or module:Class")
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"architecture: {name!r} cannot be imported ({error}); is it on PYTHONPATH?") from error
    if not (isinstance(found, type) and issubclass(found, Architecture)):
        raise InputError(f"architecture: {name!r} is not a subclass of kernels.architectures.Architecture")
    check_class(name, found)
    return found
