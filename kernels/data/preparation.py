"""What may be done to samples of any kind before the flow, as in {file: a.csv, target: y, bias: true}."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.spec import InputError

Inputs = Float[np.ndarray, "n d"]

ROUNDING = 8 * float(np.finfo(float).eps)
"""Of a number, relative to the largest of its feature."""


def standardised(x: Inputs) -> Inputs:
    """(x_ij - m_j) / s_j, with the mean m_j and s_j^2 = sum_i (x_ij - m_j)^2 / n of feature j.

    A feature that is the same in every sample, or differs by its rounding alone, becomes 0. The sum of the samples is
    then zero, so that n samples have rank n - 1 at most: a regression whose targets do not have mean zero needs `bias`
    as well.
    """
    largest = np.abs(x).max(axis=0)
    unit = x / np.where(largest > 0, largest, 1.0)  # squares neither overflow nor underflow
    unit = unit - unit[0]  # what is left is no longer rounding of a large mean
    varies = np.ptp(unit, axis=0) > ROUNDING
    centred = unit - unit.mean(axis=0)
    return np.where(varies, centred / np.where(varies, centred.std(axis=0), 1.0), 0.0)


def of_unit_norm(x: Inputs) -> Inputs:
    """x_i / ||x_i||_2, sample by sample. Raises InputError for a sample that is zero."""
    largest = np.abs(x).max(axis=1, keepdims=True)
    if zero := [str(i + 1) for i in np.flatnonzero(largest == 0)[:5]]:
        raise InputError(
            f"data: unit_norm: sample {', '.join(zero)} is the zero vector, which has no direction; remove it, "
            "or write unit_norm: false"
        )
    scaled = x / largest  # so that squares neither overflow nor underflow
    return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def with_bias(x: Inputs) -> Float[np.ndarray, "n d+1"]:
    """(x_i, 1): a last feature that is one in every sample, (n, d + 1); its coefficient is the bias."""
    return np.column_stack([x, np.ones(len(x))])


PREPARATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "standardise": standardised,
    "unit_norm": of_unit_norm,
    "bias": with_bias,
}
"""name -> what is done, in the order in which it is done."""


def asked(parameters: Mapping[str, Any]) -> dict[str, bool]:
    """{name: True} of the preparations that are asked for. The others are left out, so that they are in no run's id."""
    for name in PREPARATIONS:
        if not isinstance(parameters.get(name, False), bool):
            raise InputError(f"data: {name} is {parameters[name]!r}; write true or false")
    return {name: True for name in PREPARATIONS if parameters.get(name, False)}


def prepare(x: Inputs, names: Mapping[str, Any]) -> Float[np.ndarray, "n _"]:
    """The samples after every preparation that is asked for."""
    for name, done in PREPARATIONS.items():
        if names.get(name, False):
            x = done(x)
    return x
