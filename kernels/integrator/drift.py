"""Drift: how far runs are from conserving what gradient flow on their networks conserves."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from kernels.integrator.ensemble import End
from kernels.integrator.lane import AT_REST
from kernels.integrator.passage import on_curves
from kernels.networks.base import Architecture
from kernels.networks.decomposition import Layers
from kernels.problem import Problem, grouped

TINY = float(np.finfo(float).tiny)


def invariant_drift(problem: Problem, end: End) -> float:
    """max |I(Theta_end) - I(Theta(0))| / ||Theta_end||^2 over the network's conserved quantities I (`invariants`)."""
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
    """`invariant_drift` of many runs of one network that is rowwise, or of a single run of any network."""
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


def gap_drifts(problems: Sequence[Problem], ends: Sequence[End]) -> list[float]:
    """For every run, the largest change of a conserved quantity over the gap that decides where its flow ends.

    Orthogonally decomposable networks: |w_l|^2 - |w_k|^2 is conserved in every coordinate j, and the limit depends on
    gap_j, the second least |w_l(0)|^2 less the least. The drift is the largest ratio over coordinates with gap_j > 0.
    On curves it is zero, because they conserve every gap exactly.

    Other networks: each change is divided by the largest modulus of its conserved quantity at the start, or by the mean
    square of the weights at the start if that is more. If the network has one saddle (`Architecture.one_saddle`), the
    mean square at the end counts, too, because small gaps decide nothing once the flow has left the start.

    Classification: NaN. The weights outgrow every gap, so that a drift at the end decides nothing.
    """
    return [_gap_drift(problem, end) for problem, end in zip(problems, ends, strict=True)]


def _gap_drift(problem: Problem, end: End) -> float:
    if not problem.regression:
        return np.nan
    if on_curves(problem) or problem.depth == 1 or not np.isfinite(end.theta).all() or not np.isfinite(end.log_norm):
        return 0.0
    factor, after = np.exp(-end.log_norm), problem.architecture.split(end.theta)
    if problem.decomposition is None or problem.coordinates is None:
        size = _mean_square(problem.layers)
        if problem.architecture.one_saddle:
            size = max(size, factor**2 * _mean_square(after))
        pairs = zip(
            problem.architecture.invariants(problem.layers), problem.architecture.invariants(after), strict=True
        )
        ratios = [
            np.max(np.abs(b - factor**2 * a), initial=0.0) / max(np.max(np.abs(b), initial=0.0), size, TINY)
            for b, a in pairs
        ]
        return float(max(ratios, default=0.0))
    squares = np.abs(problem.coordinates) ** 2
    changes = squares - np.abs(factor * np.array(problem.decomposition.transform(after))) ** 2
    drift = changes.max(axis=0) - changes.min(axis=0)
    least, second = np.sort(squares, axis=0)[:2]
    gaps = second - least
    decided = gaps > 0
    return float(np.max(drift[decided] / gaps[decided], initial=0.0))


def _mean_square(layers: Layers) -> float:
    return float(np.mean(np.concatenate([np.ravel(layer) for layer in layers]) ** 2))
