"""Networks defined by an orthogonal decomposition: signed copies, Walsh functions, or any S and orthogonal U_l."""

import functools
import itertools
import operator
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
from jaxtyping import Float

from kernels.networks.base import Architecture, Parameters
from kernels.networks.decomposition import Decomposition, Layers, coordinate_invariants, transform, unit_matrix
from kernels.spec import InputError


class SignedDiagonal(Architecture):
    """beta = u_1 * ... * u_L - v_1 * ... * v_L with layers (u_l, v_l) in R^{2d}: S = [I; -I], U_l = I.

    If all layers are equal, beta = u^L - v^L, the parametrisation of Woodworth et al., arXiv:2002.09277, sections 4, 5.
    """

    axial = True
    rowwise = True

    @classmethod
    def real_coordinates(cls, dim: int, depth: int, filter: int | None) -> int | None:
        return 2 * dim

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((2 * self.dim,),) * self.depth

    def coefficients(self, layers: Layers) -> Any:
        product = functools.reduce(operator.mul, layers)
        return product[: self.dim] - product[self.dim :]

    def decomposition(self) -> Decomposition | None:
        unit = unit_matrix(2 * self.dim)
        return Decomposition(unit[:, : self.dim] - unit[:, self.dim :], (unit,) * self.depth)

    def invariants(self, layers: Layers) -> list[Any]:
        """Differences of squares of adjacent layers, shape (2d,)."""
        return [a**2 - b**2 for a, b in itertools.pairwise(layers)]


class Walsh(Architecture):
    """Dyadic convolution, d = 2^q: beta_i = sum over j_1 XOR ... XOR j_L = i of prod_l v_l[j_l].

    S = d^{(L-1)/2} H and U_l = H with H the orthonormal Walsh-Hadamard matrix: a real orthogonal decomposition.
    """

    rowwise = True

    @classmethod
    def real_coordinates(cls, dim: int, depth: int, filter: int | None) -> int | None:
        return dim

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
        """[w_l]_j^2 - [w_{l+1}]_j^2 in Walsh coordinates w_l = H v_l, shape (d,)."""
        squares = [(layer @ self._hadamard) ** 2 for layer in layers]
        return [a - b for a, b in itertools.pairwise(squares)]


class Odeco(Architecture):
    """beta = S^T prod_l (U_l^T v_l) with S of shape (m, d) and orthogonal U_l of shape (m, m); m is the width.

    What is not given is drawn from the seed: S with Gaussian entries of variance 1/d, U_l uniform orthogonal. A given S
    does not change the U_l that a seed draws. U_l is square, because a part of a layer outside its range would never
    move.
    """

    uses = frozenset({"width"})
    random = True
    defaults: ClassVar[Parameters] = MappingProxyType({"s": None, "bases": None})

    def __init__(
        self,
        dim: int,
        depth: int,
        width: int | None = None,
        filter: int | None = None,
        seed: int = 0,
        s: Any = None,
        bases: Any = None,
    ):
        super().__init__(dim, depth, width, filter, seed, s=s, bases=bases)
        rng = np.random.default_rng([seed, 1])
        m = width or dim
        drawn = rng.standard_normal((m, dim)) / np.sqrt(dim)
        matrix = drawn if s is None else np.array(s, dtype=float)
        if matrix.shape != (m, dim):
            raise InputError(
                f"architecture: s of odeco has shape {matrix.shape}; width {m} and data of dimension {dim} "
                f"need {(m, dim)}"
            )
        if bases is None:
            layers = [np.linalg.qr(rng.standard_normal((m, m)))[0] for _ in range(depth)]
        else:
            layers = [np.array(basis, dtype=float) for basis in bases]
        if [basis.shape for basis in layers] != [(m, m)] * depth:
            shapes = ", ".join(str(basis.shape) for basis in layers)
            raise InputError(
                f"architecture: bases of odeco have shapes {shapes}; depth {depth} needs {depth} of {m, m}"
            )
        self.constants = (matrix, *layers)

    @classmethod
    def canonical(cls, given: Parameters) -> dict[str, Any]:
        merged = super().canonical(given)
        if merged["s"] is not None:
            merged["s"] = _matrix("s", merged["s"])
        if merged["bases"] is not None:
            if not isinstance(merged["bases"], list | tuple) or not merged["bases"]:
                raise InputError("architecture: bases of odeco must be a list of matrices, one a layer")
            merged["bases"] = [_matrix("bases", basis) for basis in merged["bases"]]
            for number, basis in enumerate(map(np.array, merged["bases"]), start=1):
                gap = np.abs(basis.T @ basis - np.eye(basis.shape[1])).max()
                if basis.shape[0] != basis.shape[1] or gap > 1e-10:
                    raise InputError(
                        f"architecture: bases of odeco: U_{number}, of shape {basis.shape}, is not orthogonal: "
                        f"U^T U differs from the identity by {gap:.1e}; write a square one with all its digits"
                    )
        return merged

    @classmethod
    def draws(cls, given: Parameters) -> bool:
        return given.get("s") is None or given.get("bases") is None

    @classmethod
    def fixed_width(cls, given: Parameters) -> int | None:
        if given.get("s") is not None:
            return len(given["s"])
        return None if given.get("bases") is None else len(given["bases"][0])

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.width or self.dim,),) * self.depth

    def coefficients(self, layers: Layers) -> Any:
        s, *bases = self.constants
        return s.T @ functools.reduce(operator.mul, transform(bases, layers))

    def decomposition(self) -> Decomposition:
        s, *bases = self.constants
        return Decomposition(s, tuple(bases))

    def invariants(self, layers: Layers) -> list[Any]:
        """[w_l]_j^2 - [w_{l+1}]_j^2 with w_l = U_l^T v_l, shape (m,)."""
        return coordinate_invariants(self.constants[1:], layers)


def _matrix(name: str, value: Any) -> list[list[float]]:
    """A matrix of finite numbers, as floats. Raises InputError."""
    try:
        matrix = np.array(value, dtype=float)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(
            f"architecture: {name} of odeco must be rows of numbers, all of one length, as in [[1, 0], [0, 1]]"
        )
    if not np.isfinite(matrix).all():
        raise InputError(f"architecture: {name} of odeco holds a number that is not finite")
    rows: list[list[float]] = matrix.tolist()
    return rows
