"""Data sets: inputs x (n, d) and targets y (n,), from points, a Gaussian teacher, a file, or scikit-learn. No JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets of one run.

    Attributes:
        name: short and readable, the `dataset` column: "points-1a2b3c4d", "gaussian(dim=10,samples=4,seed=0)".
        x: inputs, one row a sample, float64.
        y: targets (regression), or -1/+1 labels (classification), float64.
    """

    name: str
    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]


def canonical(data: Mapping[str, Any], task: str, base: Path) -> dict[str, Any]:
    """{kind: every parameter, defaults filled in}; a file's path made absolute from `base`, its digest added.

    Raises InputError for an unknown kind or parameter, a missing file or column.
    """
    raise NotImplementedError


def load(data: Mapping[str, Any], task: str) -> Dataset:
    """The data set that a canonical description denotes.

    Raises InputError where it cannot be run: NaN, one class or more than two, not separable (classification, decided
    by a linear program), targets that no coefficients fit (regression, by least squares), fewer than one sample.
    """
    raise NotImplementedError
