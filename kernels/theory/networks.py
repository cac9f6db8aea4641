"""What theory derives from a network alone, computed once a network rather than once a run."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from kernels.architectures import Architecture, Decomposition

Key = tuple[type[Architecture], int, int, int | None, int | None, int]


def key(architecture: Architecture) -> Key:
    """What determines a network: its class, sizes, and the seed if it draws from it."""
    seed = architecture.seed if architecture.random else 0
    return type(architecture), architecture.dim, architecture.depth, architecture.width, architecture.filter, seed


def decomposition_of(architecture: Architecture) -> Decomposition | None:
    """`architecture.decomposition()`, kept."""
    return decomposition_by_key(key(architecture))


@lru_cache(maxsize=32)
def decomposition_by_key(network: Key) -> Decomposition | None:
    return _build(network).decomposition()


def one_layer_isometry(architecture: Architecture) -> bool:
    """Whether the network is one layer v with beta = M v and M M^T a multiple of the identity.

    Then the least ||v|| gives the least ||beta||, in regression and in classification.
    """
    return architecture.depth == 1 and _isometry(key(architecture))


@lru_cache(maxsize=32)
def _isometry(network: Key) -> bool:
    architecture = _build(network)
    units = (unit.reshape(architecture.shapes[0]) for unit in np.eye(architecture.parameters))
    matrix: Float[np.ndarray, "d P"] = np.stack([architecture.coefficients([unit]) for unit in units], axis=1)
    gram = matrix @ matrix.T
    return bool(np.abs(gram - gram[0, 0] * np.eye(len(gram))).max() <= 1e-10 * gram[0, 0])


def _build(network: Key) -> Architecture:
    kind, dim, depth, width, filter_length, seed = network
    return kind(dim, depth, width, filter_length, seed)
