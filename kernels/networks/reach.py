"""Which rho the flow can reach from a start, in the coordinates of an orthogonal decomposition. Imports no JAX."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Inexact

from kernels.networks.decomposition import Decomposition

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Reach:
    """The set that rho = w_1 * ... * w_L never leaves.

    Attributes:
        rest: whether rho_j = 0 for ever, shape (m,). It is where two or more of the w_l(0) are zero, because every
            dw_l/dt = -[A^H r]_j times the product of the other w_k is then zero.
        signs: +1 or -1 where rho_j keeps that sign, else 0, shape (m,). It keeps it where two layers of a real
            coordinate have the same least modulus. w_k^2 - w_l^2 = 0 is conserved, so that both could be zero only
            together; the coordinate would rest there, and no flow comes to a point of rest in finite time.
    """

    rest: Bool[np.ndarray, " m"]
    signs: Float[np.ndarray, " m"]


def reach(decomposition: Decomposition, w: Inexact[np.ndarray, "L m"]) -> Reach:
    """The set of rho that a flow from w never leaves.

    Args:
        decomposition: of the network.
        w: w_l(0) = U_l^T v_l(0), one row a layer, shape (L, m).
    """
    free = Reach(np.zeros(w.shape[1], bool), np.zeros(w.shape[1]))
    if len(w) == 1:
        return free
    modulus = np.abs(w)
    noise = _noise(decomposition, w)
    rest = (modulus <= noise).sum(axis=0) >= 2
    order = np.argsort(modulus, axis=0, kind="stable")[:2]
    (least, second), (first, other) = (np.take_along_axis(values, order, axis=0) for values in (modulus, noise))
    tied = (least > first) & (second - least <= first + other + 4 * EPS * second * (first > 0))
    signs = np.prod(np.sign(w.real), axis=0)
    return Reach(rest, np.where(tied & _real(decomposition) & ~rest, signs, 0.0))


def _noise(decomposition: Decomposition, w: Inexact[np.ndarray, "L m"]) -> Float[np.ndarray, "L m"]:
    """The most that rounding leaves of a w_l that is zero: 0 where it is a single entry of v_l."""
    single = np.array([(basis != 0).sum(axis=0) <= 1 for basis in decomposition.bases])
    return np.where(single, 0.0, 8 * EPS * np.hypot.reduce(np.abs(w), axis=1, keepdims=True))


def _real(decomposition: Decomposition) -> Bool[np.ndarray, " m"]:
    """Whether each coordinate stays real, because its row of S and its columns of U_l are real."""
    if decomposition.real:
        return np.ones(decomposition.s.shape[0], bool)
    parts = [decomposition.s.T, *decomposition.bases]
    return np.logical_and.reduce([~np.imag(part).any(axis=0) for part in parts])
