"""What an architecture is: a multilinear map from the layers v_1, ..., v_L to the linear coefficients beta."""

import copy
import functools
import hashlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from kernels.coordinates import Coordinates, by_decomposition
from kernels.decomposition import Decomposition, Layers
from kernels.spec import InputError, canonical_json

Parameters = Mapping[str, Any]


class Architecture(ABC):
    """A linear tensor network with L layers; a subclass per network, all in ARCHITECTURES.

    Class attributes:
        uses: which of the axes width and filter it has.
        axial: whether, at the saddles where training stops over, parameters are large or small each by itself (or pair
            by pair), and not combinations of them. The flow of such a network tells rounding from forces at every
            depth and scale. A subclass with coefficients of its own is not, unless it says so (nor does it inherit
            `coordinates`).
        random: whether the seed of the run determines the network itself.
        defaults: its parameters, given as {name: parameters}, and their defaults. What they determine must be in
            `constants`: networks of one shape run through one program.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    axial: ClassVar[bool] = False
    random: ClassVar[bool] = False
    defaults: ClassVar[Parameters] = MappingProxyType({})

    def __init_subclass__(cls) -> None:
        def place(name: str) -> int:
            return next(place for place, owner in enumerate(cls.__mro__) if name in vars(owner))

        for name in ("axial", "coordinates"):  # of other coefficients than these
            if place("coefficients") < place(name):
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
        """Every parameter, as JSON that is equal for equal networks. Raises InputError."""
        unknown = sorted(set(given) - set(cls.defaults))
        if unknown:
            takes = ", ".join(cls.defaults) or "no parameters"
            raise InputError(f"architecture: {cls.__name__} has no parameter {unknown[0]!r}; it takes {takes}")
        return {**cls.defaults, **given}

    @classmethod
    def draws(cls, given: Parameters) -> bool:
        """Whether the seed determines a network with these parameters."""
        return cls.random

    @classmethod
    def fixed_width(cls, given: Parameters) -> int | None:
        """The width that these parameters leave, or None if they leave any."""
        return None

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of the parameters given, empty if there are none."""
        if all(self.given[name] == self.defaults.get(name) for name in self.given):
            return ""
        return hashlib.sha256(canonical_json(self.given).encode()).hexdigest()

    def with_constants(self, constants: tuple[Any, ...]) -> "Architecture":
        """The same network with other arrays in place of those drawn from its seed, so that one program serves all."""
        other = copy.copy(self)
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

    def coordinates(self, layers: Layers, x: Float[np.ndarray, "n d"]) -> Coordinates | None:
        """Where the flow from these layers on inputs x is integrated, if not in the network's own parameters."""
        return None if self.axial else by_decomposition(self.decomposition())

    @abstractmethod
    def invariants(self, layers: Layers) -> list[Any]:
        """Quadratic functions of the layers that the exact gradient flow conserves."""

    @property
    def parameters(self) -> int:
        """Number of parameters P."""
        return sum(math.prod(shape) for shape in self.shapes)

    def split(self, theta: Any) -> tuple[Any, ...]:
        """The layers v_1, ..., v_L in a flat vector of parameters, numpy or JAX."""
        ends = list(itertools.accumulate(math.prod(shape) for shape in self.shapes))
        starts = [0, *ends[:-1]]
        return tuple(theta[a:b].reshape(shape) for a, b, shape in zip(starts, ends, self.shapes, strict=True))
