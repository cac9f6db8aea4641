"""Whether a class of the user's own is a network. Imports no JAX."""

from kernels.network import Architecture
from kernels.spec import InputError


def check_class(name: str, network: type[Architecture]) -> None:
    """Raise InputError where a class lacks a part of a network."""
    missing = sorted(getattr(network, "__abstractmethods__", ()))
    if missing:
        raise InputError(
            f"architecture: {name} lacks {', '.join(missing)}; a network has the property shapes and the methods "
            "coefficients, decomposition and invariants"
        )
    if callable(network.shapes):
        raise InputError(f"architecture: shapes of {name} is a method; write @property above it")
