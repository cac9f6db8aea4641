"""Convolution over a finite group: circular and dyadic convolutions are two abelian cases of this linear network.

Source: Lawrence, Georgiev, Dienes and Kiani, arXiv:2110.06084.
"""

import functools
import itertools
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from kernels.networks.base import Architecture, Coordinates, Parameters
from kernels.networks.convolutional import Convolutional
from kernels.networks.decomposition import Decomposition, Layers
from kernels.networks.groups import EXAMPLE, Group, canonical_group, group_of, order
from kernels.spec import InputError


class GroupConvolutional(Architecture):
    """beta = v_1 * ... * v_L with (a * b)(g) = sum_h a(h) b(h^{-1} g). Inputs are functions on the group: d = |G|.

    In the Fourier coefficients F_r = sum_g v(g) r(g), r a unitary irreducible representation, layers multiply as
    matrices, block by block. So the network is orthogonally decomposable for abelian groups alone, with U_l = C^T and
    S = d^{(L-1)/2} conj(C), C the unitary table of characters (real for products of {cyclic: 2}). {cyclic: d} is the
    network `convolutional`, a product of q groups {cyclic: 2} is `walsh`.
    """

    defaults: ClassVar[Parameters] = MappingProxyType({"group": None})
    bare = False

    def __init__(
        self,
        dim: int,
        depth: int,
        width: int | None = None,
        filter: int | None = None,
        seed: int = 0,
        group: Any = None,
    ):
        super().__init__(dim, depth, width, filter, seed, group=group)
        if group is None:
            return
        if (elements := order(group)) != dim:
            raise InputError(
                f"architecture: the group {group} has {elements} elements, inputs have dimension {dim}; write a group "
                f"of {dim} elements, such as {{cyclic: {dim}}}"
            )
        self.constants = (self.group.quotients,)

    @classmethod
    def canonical(cls, given: Parameters) -> dict[str, Any]:
        merged = super().canonical(given)
        if merged["group"] is None:
            raise InputError(f"architecture: group_convolutional needs its group; write group: {EXAMPLE}")
        return {"group": canonical_group(merged["group"])}

    @functools.cached_property
    def group(self) -> Group:
        """The group that was given, with its table and representations."""
        return group_of(self.given["group"])

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.dim,),) * self.depth

    def coefficients(self, layers: Layers) -> Any:
        return functools.reduce(self._convolved, layers)

    def _convolved(self, a: Any, b: Any) -> Any:
        return b[self.constants[0]] @ a

    def decomposition(self) -> Decomposition | None:
        characters = self.group.characters
        if characters is None:
            return None
        unitary = characters / np.sqrt(self.dim)
        return Decomposition(self.dim ** ((self.depth - 1) / 2) * unitary.conj(), (unitary.T,) * self.depth)

    def coordinates(self, layers: Layers, x: Float[np.ndarray, "n d"]) -> Coordinates | None:
        """The real Fourier basis for a cyclic group, else those of a real decomposition, if there is one."""
        if "cyclic" in self.given["group"] and self.dim > 2:
            return Convolutional(self.dim, self.depth).coordinates(layers, x)
        return super().coordinates(layers, x)

    def invariants(self, layers: Layers) -> list[Any]:
        """v_l~ * v_l - v_{l+1} * v_{l+1}~ with v~(g) = v(g^{-1}), shape (d,).

        Their Fourier coefficients are A_l^* A_l - A_{l+1} A_{l+1}^*, block by block, A_l being those of v_l.
        """
        inverses = self.constants[0][0]
        turned = [layer[inverses] for layer in layers]
        return [
            self._convolved(turned_a, a) - self._convolved(b, turned_b)
            for (a, turned_a), (b, turned_b) in itertools.pairwise(zip(layers, turned, strict=True))
        ]
