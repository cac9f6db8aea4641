"""The network of a given tensor: any linear tensor network there is. Imports no JAX."""

import functools
import hashlib
import io
import math
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from kernels.networks.base import MOST_ENTRIES, Architecture, Parameters
from kernels.networks.convolutional import norm_invariants
from kernels.networks.decomposition import Decomposition, Layers
from kernels.spec import InputError

HEADER = 1 << 16
"""Most bytes that a file of an array may have besides its numbers."""


class Tensor(Architecture):
    """beta_i = sum over k of M[i, k_1, ..., k_L] prod_l v_l[k_l], M of shape (d, k_1, ..., k_L) listed or from a file.

    The data tensor of x is M(x) = sum_i x_i M[i] (Yun, Krishnan and Mobahi, arXiv:2010.02501). The depth L is the
    number of axes of M after the first. M may have an orthogonal decomposition, but none is looked for.
    """

    defaults: ClassVar[Parameters] = MappingProxyType({"values": None, "file": None, "sha256": None})
    bare = False

    def __init__(
        self,
        dim: int,
        depth: int,
        width: int | None = None,
        filter: int | None = None,
        seed: int = 0,
        values: Any = None,
        file: Any = None,
        sha256: str | None = None,
        sizes: tuple[int, ...] = (),
    ):
        self._sizes = sizes
        super().__init__(dim, depth, width, filter, seed, values=values, file=file, sha256=sha256)
        if sizes:
            return
        array = _listed(values) if file is None else _stored(str(file), sha256)
        if array.ndim != depth + 1:
            raise InputError(f"depth: {depth} is not that of the tensor given, {array.ndim - 1}; leave depth out")
        if len(array) != dim:
            raise InputError(
                f"architecture: the tensor of shape {array.shape} is one for inputs of dimension {len(array)}, these "
                f"have {dim}; write one of shape ({dim}, ...), its first axis that of the inputs"
            )
        self._sizes, self.constants = array.shape[1:], (array,)

    @classmethod
    def canonical(cls, given: Parameters) -> dict[str, Any]:
        """Values as floats, or a file's absolute path and the digest of its content."""
        merged = super().canonical(given)
        if (merged["values"] is None) == (merged["file"] is None):
            raise InputError(
                "architecture: tensor needs its numbers; write {tensor: {values: [[...], ...]}} or "
                "{tensor: {file: tensor.npy}}, one of both"
            )
        if merged["file"] is None:
            return {"values": _listed(merged["values"]).tolist(), "file": None, "sha256": None}
        if not isinstance(merged["file"], str):
            raise InputError(f"architecture: file of tensor is {merged['file']!r}; write a path, such as tensor.npy")
        path = cls.located(merged, Path())["file"]
        found = hashlib.sha256(_content(path)).hexdigest()
        if merged["sha256"] not in (None, found):
            raise InputError(
                f"architecture: file {path} has changed: its sha256 is {found}, not {merged['sha256']}; launch again"
            )
        _stored(path, found)
        return {"values": None, "file": path, "sha256": found}

    @classmethod
    def located(cls, given: Parameters, base: Path) -> Parameters:
        file = given.get("file")
        return {**given, "file": os.path.abspath(base / file)} if isinstance(file, str) else given

    @classmethod
    def fixed_depth(cls, given: Parameters) -> int | None:
        if given["file"] is not None:
            return _stored(given["file"], given["sha256"]).ndim - 1
        return np.ndim(given["values"]) - 1

    @classmethod
    def without_parameters(
        cls, dim: int, depth: int, width: int | None, filter: int | None, sizes: tuple[int, ...]
    ) -> "Architecture":
        return cls(dim, depth, sizes=sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """k_1, ..., k_L."""
        return self._sizes

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple((size,) for size in self._sizes)

    def coefficients(self, layers: Layers) -> Any:
        """beta, by contracting M with the layers from its last axis to its second."""
        return functools.reduce(lambda array, layer: array @ layer, reversed(layers), self.constants[0])

    def decomposition(self) -> Decomposition | None:
        return None

    def data_tensor(self) -> Float[np.ndarray, "d *k"]:
        return np.array(self.constants[0])

    def span(self) -> Float[np.ndarray, "d r"] | None:
        """The range of M unfolded along its first axis, shape (d, r); None if it is R^d."""
        directions, sizes, _ = np.linalg.svd(self.constants[0].reshape(self.dim, -1), full_matrices=False)
        rank = int((sizes > self.dim * np.finfo(float).eps * sizes[0]).sum())
        return None if rank == self.dim else directions[:, :rank]

    def invariants(self, layers: Layers) -> list[Any]:
        """||v_l||^2 - ||v_{l+1}||^2."""
        return norm_invariants(layers)


def _listed(values: Any) -> Float[np.ndarray, "d *k"]:
    """Nested lists as an array. Raises InputError."""
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        array = np.zeros(())
    return _checked(array, "values of tensor are")


def _stored(path: str, sha256: str | None) -> Float[np.ndarray, "d *k"]:
    """The array in a file whose content has this digest. Raises InputError."""
    try:
        stamp = os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        stamp = 0
    return _read(path, sha256, stamp)


@functools.lru_cache(maxsize=16)
def _read(path: str, sha256: str | None, stamp: int) -> Float[np.ndarray, "d *k"]:
    content = _content(path)
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise InputError(f"architecture: file {path} has changed since the grid was read; launch again")
    try:
        shape, _, kind = _header(content)
        if kind.hasobject or math.prod(shape) > MOST_ENTRIES:
            raise ValueError(f"it holds {kind} of shape {shape}")
        found = np.load(io.BytesIO(content), allow_pickle=False)
        array = np.asarray(found, dtype=float) if found.dtype.kind in "fiu" else None
    except (ValueError, TypeError, EOFError, OSError, MemoryError, SyntaxError) as error:
        raise InputError(
            f"architecture: file {path} holds no array of at most {MOST_ENTRIES:,} numbers ({str(error)[:100]}); write "
            "one with numpy.save"
        ) from error
    if array is None:
        raise InputError(f"architecture: file {path} holds {found.dtype}, no real numbers; write floats")
    array = _checked(array, f"file {path} is")
    array.flags.writeable = False
    return array


def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type by a file's header, read before memory for the array is allocated. Raises ValueError."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format")
    shape, order, kind = read(file)
    return shape, order, kind


def _content(path: str) -> bytes:
    """The bytes of a file that is no larger than a tensor may be. Raises InputError."""
    most = 8 * MOST_ENTRIES + HEADER
    try:
        if not os.path.isfile(path):
            reason = "is not a file" if os.path.exists(path) else "does not exist"
            raise InputError(f"architecture: file {path} {reason}; a relative path starts at the grid's folder")
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"architecture: file {path} cannot be read ({error})") from error
    if len(content) > most:
        raise InputError(
            f"architecture: file {path} is larger than a tensor of {MOST_ENTRIES:,} numbers; write a smaller one"
        )
    return content


def _checked(array: Float[np.ndarray, "*k"], what: str) -> Float[np.ndarray, "*k"]:
    """Raise InputError unless it is an array of finite numbers with an axis for the inputs and one a layer."""
    if array.ndim < 2 or not array.size:
        raise InputError(
            f"architecture: {what} no array of numbers with an axis of inputs and one for each layer; write rows of "
            "equal length, as [[1, 0], [0, 1]] for one layer"
        )
    if array.size > MOST_ENTRIES:
        raise InputError(f"architecture: {what} {array.size:,} numbers; write at most {MOST_ENTRIES:,}")
    if not np.isfinite(array).all():
        raise InputError(f"architecture: {what} not finite everywhere; write finite numbers")
    return array
