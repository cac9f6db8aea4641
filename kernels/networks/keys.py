"""Keys of networks: equal networks have equal keys, so that each is made once."""

from dataclasses import dataclass

from kernels.networks.base import Architecture


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


def key(architecture: Architecture) -> Key:
    """The key of a network."""
    return Key(
        type(architecture),
        architecture.dim,
        architecture.depth,
        architecture.width,
        architecture.filter,
        architecture.seed if architecture.draws(architecture.given) else 0,
        architecture.fingerprint,
    )
