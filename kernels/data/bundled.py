"""Samples of the data sets that come with scikit-learn, which is imported when one is read. Imports no JAX."""

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels.data.checks import integer
from kernels.losses import labels_of
from kernels.spec import InputError

Parameters = Mapping[str, Any]
Samples = tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]
BUNDLED: dict[str, tuple[str, int | None]] = {
    "digits": ("load_digits", 10),
    "iris": ("load_iris", 3),
    "wine": ("load_wine", 3),
    "breast_cancer": ("load_breast_cancer", 2),
    "diabetes": ("load_diabetes", None),
}
"""scikit-learn's data sets that need no download: loader and number of classes (None: real targets)."""
SCALES = ("range", "variance", "none")


def settle(parameters: dict[str, Any], task: str, base: Path) -> dict[str, Any]:
    """The canonical parameters: every one, checked. Raises InputError that says which is wrong."""
    name, classes, samples, seed = (parameters[key] for key in ("name", "classes", "samples", "seed"))
    if name not in BUNDLED:
        raise InputError(f"data: unknown dataset {name!r}; write one of {', '.join(BUNDLED)}")
    number = BUNDLED[name][1]
    if classes is None and labels_of(task) == "signs":
        if number != 2:
            kind = "real targets" if number is None else f"{number} classes"
            raise InputError(f"data: {name} has {kind}; write classes: [a, b], or task: regression")
        classes = [0, 1]
    if classes is not None:
        if not (isinstance(classes, list | tuple) and len(classes) == 2 and classes[0] != classes[1]):
            raise InputError(f"data: classes is {classes!r}; write two different labels, such as [3, 8]")
        classes = [integer("classes", label, least=0) for label in classes]
        if number is None or max(classes) >= number:
            known = "no classes" if number is None else f"the classes 0 to {number - 1}"
            raise InputError(f"data: classes is {classes}; {name} has {known}")
    if parameters["scale"] not in SCALES:
        raise InputError(f"data: scale is {parameters['scale']!r}; write one of {', '.join(SCALES)}")
    return {
        "name": name,
        "classes": classes,
        "samples": None if samples is None else integer("samples", samples, least=1 if classes is None else 2),
        "seed": None if seed is None else integer("seed", seed, least=0),
        "scale": parameters["scale"],
    }


def draw(parameters: Parameters, task: str) -> Samples:
    """(x, y) of one of scikit-learn's data sets: the first `samples` rows, or as many drawn without replacement.

    With `classes: [a, b]` there are rows of these classes alone, ceil(samples / 2) of a with y = -1, the others of b
    with y = +1. `scale` acts on each feature, by all rows of the data set, so that a sample does not depend on which
    others are taken: `range` maps to [0, 1], `variance` to mean 0 and variance 1; constant features become 0.
    """
    x, y = _read(parameters["name"])
    x = _scaled(x, parameters["scale"])
    rng = None if parameters["seed"] is None else np.random.default_rng([parameters["seed"], 2])
    classes, samples = parameters["classes"], parameters["samples"]
    if classes is None:
        rows = _choose(np.arange(len(y)), samples, rng, parameters["name"])
        return x[rows], y[rows]
    wanted = (None, None) if samples is None else (samples - samples // 2, samples // 2)
    parts = [
        _choose(np.flatnonzero(y == label), number, rng, f"{parameters['name']}, class {label},")
        for label, number in zip(classes, wanted, strict=True)
    ]
    rows = np.sort(np.concatenate(parts))
    return x[rows], np.where(y[rows] == classes[1], 1.0, -1.0)


@functools.cache
def _read(name: str) -> Samples:
    datasets = importlib.import_module("sklearn.datasets")
    x, y = getattr(datasets, BUNDLED[name][0])(return_X_y=True)
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)


def _scaled(x: Float[np.ndarray, "n d"], scale: str) -> Float[np.ndarray, "n d"]:
    if scale == "none":
        return x
    shift, size = (x.min(axis=0), np.ptp(x, axis=0)) if scale == "range" else (x.mean(axis=0), x.std(axis=0))
    return (x - shift) / np.where(size > 0, size, 1.0)


def _choose(rows: np.ndarray, number: int | None, rng: np.random.Generator | None, what: str) -> np.ndarray:
    if number is not None and number > len(rows):
        raise InputError(f"data: {what} has {len(rows)} samples; {number} are asked for: write fewer samples")
    return (rows if rng is None else rng.permutation(rows))[:number]


def label(parameters: Parameters) -> str:
    """The name and what differs from the defaults: digits(classes=3|8,samples=40)."""
    given = {key: value for key, value in parameters.items() if key != "name" and value not in (None, "range")}
    text = ",".join(f"{key}={'|'.join(map(str, v)) if isinstance(v, list) else v}" for key, v in given.items())
    return f"{parameters['name']}({text})" if text else str(parameters["name"])
