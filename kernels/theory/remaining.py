"""`remaining`: how far a regression run that was stopped still had to go to its limit. Imports no JAX."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.data.checks import real_columns
from kernels.networks.decomposition import Decomposition
from kernels.networks.fully_connected import FullyConnected
from kernels.problem import Problem, grouped
from kernels.theory.base import Endpoint
from kernels.theory.one_sample import last_step, singular_basis
from kernels.theory.systems import DEPENDENT

States = Float[np.ndarray, "b n p"]
Back = Callable[[Float[np.ndarray, "b p"]], Float[np.ndarray, "b d"]]


def remaining(problems: Sequence[Problem], endpoints: Sequence[Endpoint]) -> list[float]:
    """||M (X M)^+ (y - X beta)|| / ||beta_end||, one a run: the rest of the way to the limit, to first order.

    Along the flow dbeta/dt = M M^T X^T (y - X beta) with M M^T = (dbeta / dTheta)(dbeta / dTheta)^T. If M stays as it
    is where the run stopped, the flow ends at beta_end = beta + M (X M)^+ (y - X beta). That is an oblique projection
    onto the solutions: the way there may be longer than the distance to the nearest one, by up to the condition that
    the network adds to the data.

    Args:
        problems: regressions whose network is fully connected, or has a decomposition, or has two layers on inputs of
            one direction, or has one layer that is an isometry up to a factor.
        endpoints: where their flows were stopped.
    """
    with np.errstate(all="ignore"):  # runs may have diverged
        return _remaining(problems, endpoints)


def _remaining(problems: Sequence[Problem], endpoints: Sequence[Endpoint]) -> list[float]:
    found = [float("nan")] * len(problems)
    for (architecture, dataset), places in grouped((each.architecture, each.dataset) for each in problems):
        basis = singular_basis(problems[places[0]]) if architecture.decomposed is None else None
        if basis is not None and not isinstance(architecture, FullyConnected):
            for place in places:
                change = last_step(basis, architecture, endpoints[place])
                found[place] = float(np.linalg.norm(change) / np.linalg.norm(endpoints[place].beta + change))
            continue
        beta = np.array([endpoints[place].beta for place in places])
        layers = [np.array(each) for each in zip(*(endpoints[place].layers for place in places), strict=True)]
        if len(layers) > 1 and isinstance(architecture, FullyConnected):
            rows, back = fully_connected(dataset.x, layers)
        elif len(layers) > 1 and architecture.decomposed is not None:
            rows, back = decomposed(dataset.x, layers, architecture.decomposed)
        else:
            rows, back = np.broadcast_to(dataset.x, (len(places), *dataset.x.shape)), lambda z: z
        size = np.linalg.norm(rows, axis=-1)
        size = np.where(size > 0, size, 1.0)  # each sample on its own scale
        rows, left = rows / size[..., None], (dataset.y - beta @ dataset.x.T) / size
        sound = np.isfinite(rows).all(axis=(1, 2)) & np.isfinite(left).all(axis=1)
        step = back(_nearest(np.where(sound[:, None, None], rows, 0.0), left))
        shares = np.linalg.norm(step, axis=1) / np.linalg.norm(beta + step, axis=1)
        for place, share in zip(places, shares.tolist(), strict=True):
            found[place] = share
    return found


def _nearest(rows: States, right: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b p"]:
    """The least z with R z = r of each problem; by QR, or by the pseudo-inverse where rows are nearly dependent."""
    if rows.shape[1] > rows.shape[2]:
        return np.asarray((np.linalg.pinv(rows) @ right[..., None])[..., 0])
    basis, triangle = np.linalg.qr(rows.transpose(0, 2, 1))
    sizes = np.abs(np.diagonal(triangle, axis1=1, axis2=2))
    apart = sizes.min(axis=1) > DEPENDENT * sizes.max(axis=1)
    found = np.empty((len(rows), rows.shape[2]))
    found[~apart] = (np.linalg.pinv(rows[~apart]) @ right[~apart, :, None])[..., 0]
    found[apart] = (basis[apart] @ np.linalg.solve(triangle[apart].transpose(0, 2, 1), right[apart, :, None]))[..., 0]
    return found


def decomposed(x: Float[np.ndarray, "n d"], layers: Sequence[Any], decomposition: Decomposition) -> tuple[States, Back]:
    """X M of every state, and z -> M z: M = S^T diag(K)^{1/2}, K_j = sum_l prod_{k != l} |w_k|_j^2.

    Args:
        x: X, shape (n, d).
        layers: v_1, ..., v_L with a leading axis of states.
        decomposition: that of the network.
    """
    s = decomposition.s.T if decomposition.real else real_columns(decomposition.s.T)
    w = np.array([np.abs(v.astype(u.dtype) @ u) ** 2 for v, u in zip(layers, decomposition.bases, strict=True)])
    rates = np.sum([np.prod(np.delete(w, place, axis=0), axis=0) for place in range(len(layers))], axis=0)
    roots = np.sqrt(np.tile(rates, s.shape[1] // rates.shape[1]))
    return (x @ s) * roots[:, None, :], lambda z: (roots * z) @ s.T


def fully_connected(x: Float[np.ndarray, "n d"], layers: Sequence[Any]) -> tuple[States, Back]:
    """X M of every state, and z -> M z: M has a block for each layer, W_1 ... W_{l-1} ||W_{l+1} ... w_L||.

    Args:
        x: X, shape (n, d).
        layers: W_1, ..., w_L with a leading axis of states.
    """
    before: list[Any] = [np.broadcast_to(x, (len(layers[0]), *x.shape))]
    for layer in layers[:-1]:
        before.append(before[-1] @ layer)
    after, norms = layers[-1][..., None], [np.ones((len(layers[0]), 1, 1))]
    for layer in reversed(layers[:-1]):
        norms.insert(0, np.linalg.norm(after, axis=1, keepdims=True))
        after = layer @ after
    sizes = [each.shape[-1] for each in before]

    def back(z: Float[np.ndarray, "b p"]) -> Float[np.ndarray, "b d"]:
        blocks = np.split(z[..., None], np.cumsum(sizes)[:-1], axis=1)
        total = norms[-1] * blocks[-1]
        for layer, norm, block in zip(layers[-2::-1], norms[-2::-1], blocks[-2::-1], strict=True):
            total = layer @ total + norm * block
        return np.asarray(total[..., 0])

    return np.concatenate([rows * norm for rows, norm in zip(before, norms, strict=True)], axis=-1), back
