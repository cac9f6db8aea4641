"""Twins: columns of A = X S^T that are equal up to sign, so that their coordinates see the same inputs. Imports no JAX.

Twins that start equal stay equal for ever. Doubles must keep them so: in a deep network that starts small the flow
amplifies a difference of 1e-16 between two columns, and one of the two coordinates would take what both have to share.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

TWINS = 1e-14
"""Two columns whose entries differ by at most this share of their largest one count as equal (`pairs`)."""


def copies(a: Float[np.ndarray, "n m"]) -> list[Int[np.ndarray, " _"]]:
    """The places of each set of two and more columns that are equal, up to sign, to the last bit."""
    leads = np.take_along_axis(a, (a != 0).argmax(axis=0)[None], axis=0)[0]
    turned = a * np.where(leads < 0, -1.0, 1.0)
    _, found, counts = np.unique(turned, axis=1, return_inverse=True, return_counts=True)
    sets = np.split(np.argsort(np.ravel(found), kind="stable"), np.cumsum(counts)[:-1])
    return [places for places in sets if len(places) > 1]


def labels(matrix: Float[np.ndarray, "n m"]) -> tuple[Int[np.ndarray, " m"] | None, Float[np.ndarray, " m"]]:
    """(labels, signs) of columns, the rows being of unit size.

    Labels are equal for columns that agree, up to sign, to 13 digits of their largest entry; None without twins.
    """
    largest = np.abs(matrix).max(axis=0)
    scaled = np.round(matrix / np.where(largest > 0, largest, 1.0), 13)
    leads = np.take_along_axis(scaled, (scaled != 0).argmax(axis=0)[None], axis=0)[0]
    signs = np.where(leads < 0, -1.0, 1.0)
    marks = np.vstack([digits(largest), scaled * signs])
    kinds, found = np.unique(marks, axis=1, return_inverse=True)
    return (np.ravel(found) if kinds.shape[1] < matrix.shape[1] else None), signs


def digits(size: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """log2 of sizes to 12 decimals: equal numbers for sizes that agree to about 12 digits."""
    return np.round(np.log2(np.where(size > 0, size, 0.5**1000)), 12)


def pairs(a: Float[np.ndarray, "n m"]) -> Iterator[tuple[int, int, float]]:
    """Triples (j, k, s): column j is s = 1 or -1 times column k < j to TWINS, k being the first of its twins.

    Only columns are compared whose largest entries agree, and the moduli of their products with one random vector, both
    to what twins may differ by: with one sample sizes alone tell columns apart, in tables of signs products alone.
    Sorting finds them: a table of every pair would not fit into memory where there are many columns.
    """
    sizes = np.abs(a).max(axis=0)
    weights = np.random.default_rng(0).standard_normal(len(a))
    places = np.flatnonzero(sizes > 0)
    sizes = sizes[places]
    probed = np.abs(weights @ (a[:, places] / sizes))
    group = _runs(sizes, 2 * TWINS * sizes, np.zeros(len(places), dtype=int))
    group = _runs(probed, np.full(len(places), 2 * TWINS * np.abs(weights).sum()), group)
    while len(places):
        _, lead, inverse, counts = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
        firsts = places[lead][inverse]
        kept = (counts[inverse] > 1) & (firsts != places)
        places, firsts, group = places[kept], firsts[kept], group[kept]
        ours, theirs = a[:, places], a[:, firsts]
        signs = np.where((ours * theirs).sum(axis=0) > 0, 1.0, -1.0)
        same = np.abs(ours - signs * theirs).max(axis=0) <= TWINS * np.abs(theirs).max(axis=0)
        yield from zip(places[same].tolist(), firsts[same].tolist(), signs[same].tolist(), strict=True)
        places, group = places[~same], group[~same]


def _runs(
    values: Float[np.ndarray, " k"], tolerance: Float[np.ndarray, " k"], group: Int[np.ndarray, " k"]
) -> Int[np.ndarray, " k"]:
    """Labels of the runs, within each group, of values that are no farther than the tolerance from the next."""
    order = np.lexsort((values, group))
    apart = (np.diff(values[order]) > tolerance[order][1:]) | (np.diff(group[order]) > 0)
    found = np.empty(len(values), dtype=int)
    found[order] = np.concatenate([[0], np.cumsum(apart)])[: len(values)]
    return found
