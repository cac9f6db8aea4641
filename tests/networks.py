"""Networks that are none without parameters, with parameters of any size."""

from typing import Any

import numpy as np


def parameters(name: str, dim: int, depth: int) -> dict[str, Any]:
    """What such a network is given on inputs of an even dimension; {} for every other one."""
    if name == "group_convolutional":
        return {"group": {"dihedral": dim // 2}}
    if name == "tensor":
        sizes = [(3, 2)[layer % 2] for layer in range(depth)]
        return {"values": np.random.default_rng(depth).standard_normal((dim, *sizes)).tolist()}
    return {}


def named(name: str, dim: int, depth: int) -> str | dict[str, Any]:
    """The value of the axis `architecture`."""
    given = parameters(name, dim, depth)
    return {name: given} if given else name
