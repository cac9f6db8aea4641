"""A run before its flow: what theory and the integrator see of it. Imports no JAX."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Inexact

from kernels.data.kinds import Dataset
from kernels.networks.base import Architecture
from kernels.networks.decomposition import Decomposition
from kernels.networks.initialisations import initial_layers
from kernels.networks.keys import decomposition_of
from kernels.networks.table import build
from kernels.spec import RunSpec


@dataclass(frozen=True, eq=False)
class Problem:
    """What theory sees before the flow starts. Compared by identity, so that what is derived from it can be kept."""

    spec: RunSpec
    dataset: Dataset
    architecture: Architecture
    layers: tuple[np.ndarray, ...]
    """The layers at t = 0."""

    @property
    def regression(self) -> bool:
        return self.spec.task == "regression"

    @property
    def depth(self) -> int:
        return self.architecture.depth

    @cached_property
    def decomposition(self) -> Decomposition | None:
        """The network's orthogonal decomposition, shared by all problems of one network."""
        return decomposition_of(self.architecture)

    @cached_property
    def coordinates(self) -> Inexact[np.ndarray, "L m"] | None:
        """w_l(0) = U_l^T v_l(0), one row a layer; None without a decomposition."""
        return None if self.decomposition is None else np.array(self.decomposition.transform(self.layers))

    @cached_property
    def scale(self) -> Float[np.ndarray, " m"] | None:
        """c_j = alpha |eta_j| of the structured initialisation: |w_l(0)| = c > 0 for l < L, w_L(0) = 0; else None.

        Signs of the hidden w_l are no matter: rho = w_1 ... w_L runs over the same curve. Complex w_l must be real.
        """
        w = self.coordinates
        if w is None or len(w) < 2:
            return None
        c = np.abs(w[0])
        hidden = np.abs(np.abs(w[:-1]) - c) <= 1e-10 * c
        real = not np.iscomplexobj(w) or bool((np.abs(w.imag) <= 1e-10 * c).all())
        structured = c.min() > 0 and hidden.all() and real and bool((np.abs(w[-1]) <= 1e-12 * c).all())
        return c if structured else None


def problem_of(spec: RunSpec, dataset: Dataset) -> Problem:
    """What theory sees of a run: its network and initial layers beside spec and data."""
    architecture = build(spec, dataset.x.shape[1])
    return Problem(spec, dataset, architecture, initial_layers(spec, architecture))
