"""Runs as theory sees them before their flow, from their specs in a store: networks, data, coordinates."""

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Inexact

from kernels.data.kinds import DATASETS, Dataset, load
from kernels.networks.base import Diagonal
from kernels.networks.table import ARCHITECTURES
from kernels.problem import Problem, problems_of
from kernels.spec import InputError, RunSpec

UNREADABLE = (
    InputError, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError,
)  # fmt: skip
"""What a text that is no spec, or whose file has moved, may raise."""


def problems(texts: Sequence[str]) -> list[Problem | None]:
    """The problem of every spec; None where it cannot be made again.

    A spec is what a store says, whoever made it: only data, networks and starts of ours are made, never a
    module:function.
    """
    known: dict[str, Dataset] = {}
    read = [_read(text, known) for text in texts]
    readable = [each for each in read if each is not None]
    try:
        made: list[Problem | None] = list(problems_of(readable))
    except UNREADABLE:  # one of them has no network
        made = [_alone(each) for each in readable]
    rest = iter(made)
    return [None if each is None else next(rest) for each in read]


def _read(text: str, known: dict[str, Dataset]) -> tuple[RunSpec, Dataset] | None:
    try:
        spec = RunSpec.from_dict(json.loads(text))
        if set(spec.data) - set(DATASETS) or spec.architecture_name not in ARCHITECTURES:
            return None
        asked = json.dumps([spec.data, spec.task], sort_keys=True)
        if asked not in known:
            known[asked] = load(spec.data, spec.task)
    except UNREADABLE:
        return None
    return spec, known[asked]


def _alone(run: tuple[RunSpec, Dataset]) -> Problem | None:
    try:
        return problems_of([run])[0]
    except UNREADABLE:
        return None


def coordinates(problem: Problem, beta: Float[np.ndarray, "k d"]) -> Inexact[np.ndarray, "k m"] | None:
    """rho with S^T rho = beta, row by row; None where the network has no decomposition or beta does not determine rho.

    It does where S is square and invertible; rows that are not finite stay so.
    """
    decomposition = problem.decomposition
    if decomposition is None or decomposition.s.shape[0] != decomposition.s.shape[1]:
        return None
    if isinstance(problem.architecture, Diagonal):
        return beta
    if np.linalg.cond(decomposition.s) > 1e12:
        return None
    found: Inexact[np.ndarray, "k m"] = np.linalg.solve(decomposition.s.T, beta.T.astype(decomposition.s.dtype)).T
    return found
