"""What theory derives from a network alone, computed once a network rather than once a run."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from kernels.networks.base import Architecture
from kernels.networks.decomposition import Decomposition


@dataclass(frozen=True)
class Key:
    """What determines a network: its class, sizes, the seed if it draws from it, and what was given."""

    kind: type[Architecture]
    dim: int
    depth: int
    width: int | None
    filter: int | None
    seed: int
    fingerprint: str
    architecture: Architecture = field(compare=False, repr=False)
    """One network that is so determined."""


def key(architecture: Architecture) -> Key:
    """What determines a network."""
    return Key(
        type(architecture),
        architecture.dim,
        architecture.depth,
        architecture.width,
        architecture.filter,
        architecture.seed if architecture.draws(architecture.given) else 0,
        architecture.fingerprint,
        architecture,
    )


def decomposition_of(architecture: Architecture) -> Decomposition | None:
    """`architecture.decomposition()`, kept."""
    return decomposition_by_key(key(architecture))


@lru_cache(maxsize=32)
def decomposition_by_key(network: Key) -> Decomposition | None:
    return network.architecture.decomposition()


def one_layer_isometry(architecture: Architecture) -> bool:
    """Whether the network is one layer v with beta = M v and M M^T a multiple of the identity.

    Then the least ||v|| gives the least ||beta||, in regression and in classification.
    """
    return architecture.depth == 1 and _isometry(key(architecture))


@lru_cache(maxsize=32)
def _isometry(network: Key) -> bool:
    architecture = network.architecture
    units = (unit.reshape(architecture.shapes[0]) for unit in np.eye(architecture.parameters))
    matrix: Float[np.ndarray, "d P"] = np.stack([architecture.coefficients([unit]) for unit in units], axis=1)
    gram = matrix @ matrix.T
    return bool(np.abs(gram - gram[0, 0] * np.eye(len(gram))).max() <= 1e-10 * gram[0, 0])
