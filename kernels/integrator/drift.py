"""How well runs kept what their networks conserve."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from kernels.integrator.ensemble import End
from kernels.integrator.lane import AT_REST
from kernels.networks.base import Architecture
from kernels.networks.decomposition import Layers
from kernels.problem import Problem, grouped


def invariant_drift(problem: Problem, end: End) -> float:
    """Largest change along a run of what its network conserves, relative to ||Theta||^2."""
    return invariant_drifts([problem], [end])[0]


def invariant_drifts(problems: Sequence[Problem], ends: Sequence[End]) -> list[float]:
    """`invariant_drift` of every run."""
    drifts = np.zeros(len(problems))
    moved = [place for place, end in enumerate(ends) if end.status != AT_REST]
    for architecture, found in grouped(problems[place].architecture for place in moved):
        places = [moved[index] for index in found]
        for some in [places] if architecture.rowwise else ([place] for place in places):
            drifts[some] = _drifts(architecture, [problems[k].layers for k in some], [ends[k] for k in some])
    return drifts.tolist()


def _drifts(architecture: Architecture, starts: Sequence[Layers], ends: Sequence[End]) -> Float[np.ndarray, " b"]:
    """Of runs of a network whose invariants are taken row by row, or of a single run."""
    theta = np.array([end.theta for end in ends])
    scale = np.exp(-2 * np.array([end.log_norm for end in ends]))
    before: Layers = [np.array(layer) for layer in zip(*starts, strict=True)]
    after: Layers = architecture.split(theta)
    if not architecture.rowwise:
        before, after = ([layer[0] for layer in layers] for layers in (before, after))
    pairs = zip(architecture.invariants(before), architecture.invariants(after), strict=True)
    changes = [
        np.abs(np.reshape(b, (len(ends), -1)) - scale[:, None] * np.reshape(a, (len(ends), -1))) for a, b in pairs
    ]
    largest = np.concatenate([np.zeros((len(ends), 1)), *changes], axis=1).max(axis=1)
    return largest / np.sum(theta**2, axis=1)
