"""Finite groups: cyclic ones, dihedral ones and their products, with tables and irreducible representations.

A group is described as a grid writes it: {cyclic: n}, {dihedral: n} or {product: [...]}.
"""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex, Inexact, Int

from kernels.spec import InputError, canonical_json

MOST_ELEMENTS = 1000
"""Most elements of a group: its table has the square of that many entries."""

EXAMPLE = "{cyclic: 8}, {dihedral: 4} or {product: [{cyclic: 2}, {cyclic: 3}]}"

Description = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Irrep:
    """A unitary irreducible representation r.

    Attributes:
        matrices: r(g) of every element g, shape (n, k, k).
        copies: 2 if r is not real, because it stands for its conjugate, too; else 1.
    """

    matrices: Inexact[np.ndarray, "n k k"]
    copies: int

    @property
    def weight(self) -> int:
        """k times copies, its weight in Plancherel's formula n ||f||^2 = sum_r weight_r ||F_r||^2."""
        return self.copies * self.matrices.shape[1]


@dataclass(frozen=True, eq=False)
class Group:
    """A finite group of n elements, the first of which is the identity.

    Attributes:
        table: the index of g h in row g, column h, shape (n, n).
        irreps: the irreducible representations, one of each pair of conjugate ones.
        characters: every character, one a row, shape (n, n), if the group is abelian; else None.
    """

    table: Int[np.ndarray, "n n"]
    irreps: tuple[Irrep, ...]
    characters: Inexact[np.ndarray, "n n"] | None

    @functools.cached_property
    def inverses(self) -> Int[np.ndarray, " n"]:
        """The index of g^{-1} at the index of g."""
        return np.argmin(self.table, axis=1)

    @functools.cached_property
    def quotients(self) -> Int[np.ndarray, "n n"]:
        """The index of h^{-1} g in row g, column h: (a * b)(g) = sum_h a(h) b(h^{-1} g)."""
        return np.ascontiguousarray(self.table[self.inverses].T)


def canonical_group(description: Any) -> dict[str, Any]:
    """The description, the same for groups of the same table: dihedral groups of 2 and 4 elements are cyclic products.

    Raises InputError for what describes no group, or one of more than MOST_ELEMENTS elements.
    """
    if not isinstance(description, Mapping) or len(description) != 1:
        raise InputError(f"architecture: group is {description!r}; write {EXAMPLE}")
    ((name, given),) = description.items()
    if name == "product":
        if not isinstance(given, list | tuple) or not given:
            raise InputError(f"architecture: product is {given!r}; write a list of groups, such as {EXAMPLE}")
        factors = [canonical_group(factor) for factor in given]
        flat = [part for factor in factors for part in factor.get("product", [factor])]
        found: dict[str, Any] = flat[0] if len(flat) == 1 else {"product": flat}
    elif name not in ("cyclic", "dihedral"):
        raise InputError(f"architecture: unknown group {name!r}; write {EXAMPLE}")
    elif isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise InputError(f"architecture: {name} is {given!r}; write an integer >= 1, such as {{{name}: 4}}")
    else:
        pair: dict[str, Any] = {"product": [{"cyclic": 2}, {"cyclic": 2}]}
        small = {1: {"cyclic": 2}, 2: pair} if name == "dihedral" else {}
        found = small.get(given, {name: given})
    if (elements := order(found)) > MOST_ELEMENTS:
        raise InputError(f"architecture: a group of {elements:,} elements; write one of at most {MOST_ELEMENTS:,}")
    return found


def order(description: Description) -> int:
    """The number of elements."""
    ((name, given),) = description.items()
    return math.prod(map(order, given)) if name == "product" else int(given) * (2 if name == "dihedral" else 1)


def group_of(description: Description) -> Group:
    """The group of a canonical description; the last 32 are kept."""
    return _group(canonical_json(description), _Held(description))


class _Held:
    """A description that equals any other, so that the cache of `_group` compares the text alone."""

    def __init__(self, description: Description):
        self.description = description

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=32)
def _group(text: str, held: _Held) -> Group:
    ((name, given),) = held.description.items()
    if name == "product":
        return functools.reduce(_product, (group_of(factor) for factor in given))
    return _cyclic(int(given)) if name == "cyclic" else _dihedral(int(given))


def _cyclic(n: int) -> Group:
    """The group of r^k, at index k, with representations r -> e^{2 pi i j / n}."""
    index = np.arange(n)
    characters: Complex[np.ndarray, "n n"] = np.exp(2j * np.pi / n * (np.outer(index, index) % n))
    irreps = []
    for j in range(n // 2 + 1):
        real = 2 * j % n == 0
        irreps.append(Irrep((characters[j].real.round() if real else characters[j])[:, None, None], 1 if real else 2))
    return Group((index[:, None] + index) % n, tuple(irreps), characters.real.round() if n <= 2 else characters)


def _dihedral(n: int) -> Group:
    """The group of r^k, at index k, and r^k s, at n + k, with s r = r^{-1} s. Its representations are real."""
    turns, flips = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    signs = 1 - 2 * flips
    table = (turns[:, None] + signs[:, None] * turns) % n + n * (flips[:, None] ^ flips)
    ones = [np.ones(2 * n), signs.astype(float)]
    if n % 2 == 0:
        ones += [(-1.0) ** turns, signs * (-1.0) ** turns]
    irreps = [Irrep(one[:, None, None], 1) for one in ones]
    for j in range(1, (n + 1) // 2):
        angles = 2 * np.pi / n * (j * turns % n)
        cosine, sine = (np.where(np.abs(part) < 1e-15, 0.0, part) for part in (np.cos(angles), np.sin(angles)))
        matrices = np.stack([np.stack([cosine, -signs * sine], axis=1), np.stack([sine, signs * cosine], axis=1)], 1)
        irreps.append(Irrep(matrices, 1))
    return Group(table, tuple(irreps), None)


def _product(first: Group, second: Group) -> Group:
    """The direct product: (g, h) is at index i m + j for g at i, h at j, m elements h."""
    m = len(second.table)
    table = np.kron(first.table, np.full((m, m), m)) + np.tile(second.table, (len(first.table),) * 2)
    irreps = [
        Irrep(_kronecker(a.matrices, b.matrices), max(a.copies, b.copies))
        for a in first.irreps
        for b in (_every(second.irreps) if a.copies == 2 else second.irreps)
    ]
    characters = None
    if first.characters is not None and second.characters is not None:
        characters = np.kron(first.characters, second.characters)
    return Group(table, tuple(irreps), characters)


def _every(irreps: Sequence[Irrep]) -> list[Irrep]:
    """These representations, and the conjugates of those that are not real."""
    conjugates = [Irrep(each.matrices.conj(), each.copies) for each in irreps if each.copies == 2]
    return list(itertools.chain(irreps, conjugates))


def _kronecker(a: Inexact[np.ndarray, "n k k"], b: Inexact[np.ndarray, "m l l"]) -> Inexact[np.ndarray, "nm kl kl"]:
    """The Kronecker product of a(g) and b(h), for every pair (g, h)."""
    size, dim = len(a) * len(b), a.shape[1] * b.shape[1]
    return np.einsum("gij,hkl->ghikjl", a, b).reshape(size, dim, dim)
