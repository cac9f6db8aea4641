"""What a network is: a multilinear map from the layers v_1, ..., v_L to the linear coefficients beta.

Everything a gradient flow needs is Theta -> beta(Theta). The maps use only operators that numpy and JAX arrays share,
so declaring a grid imports no JAX. Notation and theory: Yun, Krishnan and Mobahi, arXiv:2010.02501.

A flow may be integrated as that of another network, in orthonormal coordinates (`Coordinates`). That other network is
`Diagonal` wherever a decomposition allows it, so that it is defined here and not in a file of its own.
"""

import copy
import functools
import hashlib
import itertools
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float

from kernels.networks.decomposition import Decomposition, Layers, dense, unit_matrix
from kernels.spec import InputError, canonical_json

Parameters = Mapping[str, Any]

MOST_ENTRIES = 1_000_000
"""Most entries of a tensor that is written out: 8 MB, and every lane of a program holds a copy."""


class Coordinates(ABC):
    """v_l = rest_l + R_l(w_l), R_l an isometry: the flow moves w_l alone, and w_l are the layers of another network.

    Gradient flow in w is then gradient flow in v, because the loss is the same function and the metric is the same.
    """

    @property
    @abstractmethod
    def network(self) -> "Architecture":
        """The network with layers w_l. Its class and sizes alone decide the compiled program."""

    @abstractmethod
    def inputs(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
        """The inputs of that network for the inputs x of the original one."""

    @abstractmethod
    def coefficients(self, rows: Float[np.ndarray, "*r m"]) -> Float[np.ndarray, "*r d"]:
        """beta of the original network from the coefficients of the other one, one row a state."""

    @abstractmethod
    def into(self, layers: Layers) -> list[Any]:
        """w_l, one array a layer."""

    @abstractmethod
    def back(self, rows: Float[np.ndarray, "n Q"]) -> Float[np.ndarray, "n P"]:
        """Rows of changes of w, or of derivatives by w, as changes of v or derivatives by v."""

    @abstractmethod
    def rest(self, layers: Layers) -> Float[np.ndarray, " P"]:
        """rest_1, ..., rest_L, flattened: the part of the layers that the flow never changes."""


class DataMatrix(NamedTuple):
    """M(x) of a network of two layers and C channels: f(x) = sum_c v_c^T M(x) w_c.

    v_c and w_c are the columns of both layers, each as a matrix of C columns.

    Attributes:
        matrix: M(x), shape (P_1 / C, P_2 / C), P_l being the number of parameters of layer l.
        channels: C.
    """

    matrix: Float[np.ndarray, "a b"]
    channels: int


MOST_TRIALS = 10_000
"""Most entries of a data matrix that is computed one entry at a time: a fraction of a second."""


class Architecture(ABC):
    """A linear tensor network with L layers: f(x) = M(x) o (v_1, ..., v_L) = x^T beta(v_1, ..., v_L).

    There is a subclass for each network, all in ARCHITECTURES.

    Class attributes:
        uses: which of the axes width and filter it has.
        axial: True if, near every saddle, each parameter (or pair of them) is itself large or tiny, as in a diagonal
            network; False if tiny quantities are differences of large parameters, as in a rotated one. It decides where
            the flow of the squared loss damps stiff directions: on the forces of the samples (True; accurate at any
            depth and alpha), or on the change of the parameters (False; less accurate at small alpha). A subclass with
            coefficients of its own has the default False unless it sets it, and does not inherit `coordinates` either.
        one_saddle: whether beta = 0 at every saddle. The flow then waits at its start only, and conserved quantities
            decide no later jump.
        rowwise: whether `invariants` also takes layers with a leading axis, one state a row.
        random: whether the seed of the run determines the network itself.
        defaults: its parameters, written in a grid as {name: parameters}, and their defaults. Arrays that they
            determine must be in `constants`, because networks of one shape share a compiled program.
        bare: whether its name alone, without parameters, is a network.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    axial: ClassVar[bool] = False
    one_saddle: ClassVar[bool] = False
    rowwise: ClassVar[bool] = False
    random: ClassVar[bool] = False
    defaults: ClassVar[Parameters] = MappingProxyType({})
    bare: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        def place(name: str) -> int:
            return next(place for place, owner in enumerate(cls.__mro__) if name in vars(owner))

        # what an ancestor says of its own coefficients or invariants need not hold of those of this class
        coefficients = ((name, "coefficients") for name in ("axial", "one_saddle", "real_coordinates", "coordinates"))
        for name, subject in (*coefficients, ("data_matrix", "coefficients"), ("rowwise", "invariants")):
            if place(subject) < place(name):
                setattr(cls, name, vars(Architecture)[name])

    def __init__(
        self,
        dim: int,
        depth: int,
        width: int | None = None,
        filter: int | None = None,
        seed: int = 0,
        **parameters: Any,
    ):
        self.dim, self.depth, self.width, self.filter, self.seed = dim, depth, width, filter, seed
        self.given: Parameters = parameters
        self.constants: tuple[Any, ...] = ()
        self.check()

    @classmethod
    def canonical(cls, given: Parameters) -> dict[str, Any]:
        """Every parameter, defaults filled in, as JSON that is equal for equal networks. Raises InputError."""
        unknown = sorted(set(given) - set(cls.defaults))
        if unknown:
            takes = ", ".join(cls.defaults) or "no parameters"
            raise InputError(f"architecture: {cls.__name__} has no parameter {unknown[0]!r}; it takes {takes}")
        return {**cls.defaults, **given}

    @classmethod
    def draws(cls, given: Parameters) -> bool:
        """Whether a network with these parameters depends on the seed."""
        return cls.random

    @classmethod
    def fixed_width(cls, given: Parameters) -> int | None:
        """The width that these parameters fix, or None if they fit every width."""
        return None

    @classmethod
    def fixed_depth(cls, given: Parameters) -> int | None:
        """The depth that these parameters fix, or None if they fit every depth."""
        return None

    @classmethod
    def located(cls, given: Parameters, base: Path) -> Parameters:
        """The parameters with paths of files made absolute; relative ones start at `base`."""
        return given

    @classmethod
    def without_parameters(
        cls, dim: int, depth: int, width: int | None, filter: int | None, sizes: tuple[int, ...]
    ) -> "Architecture":
        """The network for which a program is compiled, without its parameters.

        Args:
            sizes: `sizes` of the network with parameters.
        """
        return cls(dim, depth, width, filter)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Further sizes on which shapes of layers depend, besides dim, depth, width and filter."""
        return ()

    @classmethod
    def real_coordinates(cls, dim: int, depth: int, filter: int | None) -> int | None:
        """Number m of coordinates, if every network of this class and these sizes has a real orthogonal decomposition.

        Runs of such networks may share a program, whatever their sizes. None otherwise.
        """
        return None

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of the parameters given, empty if there are none."""
        if all(self.given[name] == self.defaults.get(name) for name in self.given):
            return ""
        return hashlib.sha256(canonical_json(self.given).encode()).hexdigest()

    def with_constants(self, constants: tuple[Any, ...]) -> "Architecture":
        """The same network with other `constants`, so that one program serves all networks of its shape."""
        other = copy.copy(self)
        for name in ("decomposed", "spans_inputs", "one_layer_isometry"):
            vars(other).pop(name, None)
        other.constants = constants
        return other

    def check(self) -> None:
        """Raise InputError if no such network exists in `dim` dimensions."""
        return

    @property
    @abstractmethod
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each layer."""

    @abstractmethod
    def coefficients(self, layers: Layers) -> Any:
        """beta(Theta), shape (d,): multilinear in the layers."""

    @abstractmethod
    def decomposition(self) -> Decomposition | None:
        """The orthogonal decomposition of the data tensor, or None if it has none."""

    @functools.cached_property
    def decomposed(self) -> Decomposition | None:
        """`decomposition()`, computed once."""
        return self.decomposition()

    def data_tensor(self) -> Float[np.ndarray, "d *k"]:
        """The data tensor's map M, beta_i = sum over k of M[i, k_1, ..., k_L] prod_l v_l[k_l], layers flattened.

        The network's own data tensor is M(x) = sum_i x_i M[i], and its gradients are contractions of it: with
        r = dLoss/df, -grad_{v_l} Loss = M(-X^T r) contracted with every layer but v_l. By multilinearity the entries
        are the coefficients at unit layers. Shape (d, k_1, ..., k_L). Raises InputError above MOST_ENTRIES.
        """
        counts = tuple(math.prod(shape) for shape in self.shapes)
        entries = self.dim * math.prod(counts)
        if entries > MOST_ENTRIES:
            raise InputError(
                f"architecture: the tensor of these {self.depth} layers has {entries:,} entries, more than "
                f"{MOST_ENTRIES:,}; write a smaller depth, width or dimension"
            )
        found = np.empty((self.dim, *counts))
        units = [np.eye(count).reshape(count, *shape) for count, shape in zip(counts, self.shapes, strict=True)]
        for place in np.ndindex(counts):
            found[:, *place] = self.coefficients([unit[k] for unit, k in zip(units, place, strict=True)])
        return found

    @functools.cached_property
    def spans_inputs(self) -> bool:
        """Whether every beta is Re(S^T rho) for some rho, S of the decomposition; True if there is none."""
        return self.decomposed is None or self.decomposed.spans_inputs()

    def span(self) -> Float[np.ndarray, "d r"] | None:
        """Orthonormal columns whose span holds every beta, for a network without decomposition; None if that is R^d."""
        return None

    @functools.cached_property
    def one_layer_isometry(self) -> bool:
        """Whether the network is one layer v with beta = M v and M M^T a multiple of the identity.

        Then the least ||v|| gives the least ||beta||, in regression and in classification.
        """
        if self.depth != 1:
            return False
        units = (unit.reshape(self.shapes[0]) for unit in np.eye(self.parameters))
        matrix: Float[np.ndarray, "d P"] = np.stack([self.coefficients([unit]) for unit in units], axis=1)
        gram = matrix @ matrix.T
        return bool(np.abs(gram - gram[0, 0] * np.eye(len(gram))).max() <= 1e-10 * gram[0, 0])

    def coordinates(self, layers: Layers, x: Float[np.ndarray, "n d"]) -> Coordinates | None:
        """Coordinates in which the flow from these layers on inputs x is integrated; None for the parameters v_l."""
        return None if self.axial else by_decomposition(self.decomposed)

    def data_matrix(self, x: Float[np.ndarray, " d"]) -> DataMatrix | None:
        """M(x) of a network of two layers, for one input.

        It follows from the decomposition where there is one, else from the tensor; None where that would take more than
        MOST_TRIALS entries.
        """
        decomposition = self.decomposed
        if decomposition is not None:
            left, right = decomposition.bases
            return DataMatrix(np.real(dense((left * (decomposition.s @ x)) @ right.T)), 1)
        if math.prod(math.prod(shape) for shape in self.shapes) > MOST_TRIALS:
            return None
        return DataMatrix(np.tensordot(x, self.data_tensor(), 1), 1)

    @abstractmethod
    def invariants(self, layers: Layers) -> list[Any]:
        """Quadratic functions of the layers that the exact gradient flow conserves."""

    @property
    def parameters(self) -> int:
        """Number of parameters P."""
        return sum(math.prod(shape) for shape in self.shapes)

    def split(self, theta: Any) -> tuple[Any, ...]:
        """The layers v_1, ..., v_L in a flat vector of parameters, or in every row of an array; numpy or JAX."""
        ends = list(itertools.accumulate(math.prod(shape) for shape in self.shapes))
        parts = zip([0, *ends[:-1]], ends, self.shapes, strict=True)
        return tuple(theta[..., a:b].reshape(*theta.shape[:-1], *shape) for a, b, shape in parts)


class Diagonal(Architecture):
    """beta = v_1 * ... * v_L, elementwise. S = I, U_l = I."""

    axial = True
    rowwise = True

    @classmethod
    def real_coordinates(cls, dim: int, depth: int, filter: int | None) -> int | None:
        return dim

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.dim,),) * self.depth

    def coefficients(self, layers: Layers) -> Any:
        return functools.reduce(operator.mul, layers)

    def decomposition(self) -> Decomposition | None:
        unit = unit_matrix(self.dim)
        return Decomposition(unit, (unit,) * self.depth)

    def invariants(self, layers: Layers) -> list[Any]:
        """v_l^2 - v_{l+1}^2, shape (d,)."""
        return [a**2 - b**2 for a, b in itertools.pairwise(layers)]


@dataclass(frozen=True)
class Factors(Coordinates):
    """beta(v_1, ..., v_L) = S^T product(w_1, ..., w_L) with v_l = R_l w_l and R_l orthogonal, so that rest_l = 0.

    Attributes:
        product: the network with layers w_l, such as `Diagonal`.
        s: S, shape (m, d).
        bases: R_l, shape (m, m), one a layer.
    """

    product: Architecture
    s: Float[np.ndarray, "m d"] | scipy.sparse.sparray
    bases: tuple[Float[np.ndarray, "m m"] | scipy.sparse.sparray, ...]

    @property
    def network(self) -> Architecture:
        return self.product

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
    """The diagonal network that this one is in v_l = U_l w_l, if the U_l are real and square; else None."""
    if decomposition is None or not decomposition.real:
        return None
    size = decomposition.s.shape[0]
    if any(basis.shape != (size, size) for basis in decomposition.bases):
        return None
    return Factors(Diagonal(size, len(decomposition.bases)), decomposition.s, decomposition.bases)
