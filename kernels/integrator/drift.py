"""How well a run kept what its network conserves."""

import numpy as np

from kernels.integrator.ensemble import End
from kernels.integrator.lane import AT_REST
from kernels.problem import Problem


def invariant_drift(problem: Problem, end: End) -> float:
    """Largest change along a run of what its network conserves, relative to ||Theta||^2."""
    if end.status == AT_REST:
        return 0.0
    architecture, scale = problem.architecture, np.exp(-2 * end.log_norm)
    before, after = (architecture.invariants(layers) for layers in (problem.layers, architecture.split(end.theta)))
    changes = [np.max(np.abs(b - scale * a), initial=0.0) for a, b in zip(before, after, strict=True)]
    return float(max(changes, default=0.0) / np.sum(end.theta**2))
