"""Data sets: inputs x (n, d) and targets y (n,), from points, a Gaussian teacher, a file, or scikit-learn. No JAX."""

import functools
import importlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels import data_checks, data_files
from kernels.spec import InputError, canonical_json, fragment

Parameters = Mapping[str, Any]
Samples = tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]


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


@dataclass(frozen=True)
class DataKind:
    """One way to come by samples.

    Attributes:
        subject: the parameter that may stand as the kind's own value ({file: a.csv, target: y}), or None.
        defaults: its parameters and their defaults; those that must be written default to None.
        settle: (parameters, task, base) -> canonical parameters; raises InputError.
        draw: (canonical parameters, task) -> x, y; raises InputError.
        label: (canonical parameters) -> the readable name, or None for the kind and a digest.
    """

    subject: str | None
    defaults: Parameters
    settle: Callable[[dict[str, Any], str, Path], dict[str, Any]]
    draw: Callable[[Parameters, str], Samples]
    label: Callable[[Parameters], str] | None = None


def _settle_points(parameters: dict[str, Any], task: str, base: Path) -> dict[str, Any]:
    x, y = _array("x", parameters["x"], 2), _array("y", parameters["y"], 1)
    if len(x) != len(y):
        raise InputError(f"data: points has {len(x)} rows in x and {len(y)} values in y; write one y for each row of x")
    return {"x": x.tolist(), "y": y.tolist()}


def _draw_points(parameters: Parameters, task: str) -> Samples:
    return np.array(parameters["x"], dtype=np.float64), np.array(parameters["y"], dtype=np.float64)


def _settle_gaussian(parameters: dict[str, Any], task: str, base: Path) -> dict[str, Any]:
    samples, dim = (_integer(key, parameters[key], least=1) for key in ("samples", "dim"))
    sparsity = dim if parameters["sparsity"] is None else _integer("sparsity", parameters["sparsity"], least=1)
    if sparsity > dim:
        raise InputError(f"data: sparsity {sparsity} is more than dim {dim}; write at most dim")
    noise = parameters["noise"]
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < np.inf:
        raise InputError(f"data: noise is {noise!r}; write a number >= 0, the standard deviation")
    seed = _integer("seed", parameters["seed"], least=0)
    return {"samples": samples, "dim": dim, "sparsity": sparsity, "noise": float(noise), "seed": seed}


def _draw_gaussian(parameters: Parameters, task: str) -> Samples:
    """x_ij ~ N(0, 1), a teacher b with `sparsity` non-zero entries ~ N(0, 1) at random places, z = x b + N(0, noise^2).

    Regression: y = z. Classification: y = sign(z), the last sample (x and z) negated where all signs agree: that
    keeps y_i x_i, all that the loss sees, and both classes are present. Drawn from default_rng([seed, 2]) in the
    order x, teacher, noise: task, sparsity and noise leave x as it is (but for that sign).
    """
    rng = np.random.default_rng([parameters["seed"], 2])
    x = rng.standard_normal((parameters["samples"], parameters["dim"]))
    teacher = rng.standard_normal((parameters["dim"],))
    teacher[rng.permutation(parameters["dim"])[parameters["sparsity"] :]] = 0
    z = x @ teacher + parameters["noise"] * rng.standard_normal((parameters["samples"],))
    if task == "regression":
        return x, z
    if len(z) == 1:
        raise InputError("data: one sample is one class; classification needs samples >= 2")
    if (z > 0).all() or (z < 0).all():
        x[-1], z[-1] = -x[-1], -z[-1]
    return x, np.where(z > 0, 1.0, -1.0)


def _label_gaussian(parameters: Parameters) -> str:
    text = f"dim={parameters['dim']},samples={parameters['samples']},seed={parameters['seed']}"
    if parameters["sparsity"] != parameters["dim"]:
        text += f",sparsity={parameters['sparsity']}"
    if parameters["noise"]:
        text += f",noise={parameters['noise']:g}"
    return f"gaussian({text})"


def _settle_file(parameters: dict[str, Any], task: str, base: Path) -> dict[str, Any]:
    if not isinstance(parameters["path"], str | Path):
        raise InputError(f"data: file is {parameters['path']!r}; write a path, as in {{file: samples.csv, target: y}}")
    path = Path(os.path.abspath(base / parameters["path"]))
    sha256 = data_files.digest(path)
    if parameters["sha256"] not in (None, sha256):
        raise InputError(f"data: file {path} has changed: its sha256 is {sha256}, not {parameters['sha256']}")
    known = data_files.columns(path)
    target = parameters["target"]
    if not isinstance(target, str):
        raise InputError(f"data: file {path} needs `target`, the column to predict; it has {', '.join(known[:20])}")
    data_files.check_column(path, target, known, "target")
    features = parameters["features"]
    if features is None:
        features = [name for name in known if name != target]
    if not (isinstance(features, list | tuple) and features and len(set(map(str, features))) == len(features)):
        raise InputError(f"data: features is {features!r}; write a list of different columns, such as [a, b]")
    for name in features:
        data_files.check_column(path, name, known, "features")
    if target in features:
        raise InputError(f"data: column {target!r} is the target and a feature; leave it out of features")
    return {"path": str(path), "sha256": sha256, "target": target, "features": list(features)}


def _draw_file(parameters: Parameters, task: str) -> Samples:
    path = Path(parameters["path"])
    found = data_files.digest(path)
    if found != parameters["sha256"]:
        raise InputError(f"data: file {path} has changed since the grid was read; launch again")
    return data_files.read(path, parameters["features"], parameters["target"], task == "classification")


def _label_file(parameters: Parameters) -> str:
    return f"{Path(parameters['path']).stem}-{_digest('file', parameters)}"


BUNDLED: dict[str, tuple[str, int | None]] = {
    "digits": ("load_digits", 10),
    "iris": ("load_iris", 3),
    "wine": ("load_wine", 3),
    "breast_cancer": ("load_breast_cancer", 2),
    "diabetes": ("load_diabetes", None),
}
"""scikit-learn's data sets that need no download: loader and number of classes (None: real targets)."""

SCALES = ("range", "variance", "none")


def _settle_bundled(parameters: dict[str, Any], task: str, base: Path) -> dict[str, Any]:
    name, classes, samples, seed = (parameters[key] for key in ("name", "classes", "samples", "seed"))
    if name not in BUNDLED:
        raise InputError(f"data: unknown dataset {name!r}; write one of {', '.join(BUNDLED)}")
    number = BUNDLED[name][1]
    if classes is None and task == "classification":
        if number != 2:
            kind = "real targets" if number is None else f"{number} classes"
            raise InputError(f"data: {name} has {kind}; write classes: [a, b], or task: regression")
        classes = [0, 1]
    if classes is not None:
        if not (isinstance(classes, list | tuple) and len(classes) == 2 and classes[0] != classes[1]):
            raise InputError(f"data: classes is {classes!r}; write two different labels, such as [3, 8]")
        classes = [_integer("classes", label, least=0) for label in classes]
        if number is None or max(classes) >= number:
            known = "no classes" if number is None else f"the classes 0 to {number - 1}"
            raise InputError(f"data: classes is {classes}; {name} has {known}")
    if parameters["scale"] not in SCALES:
        raise InputError(f"data: scale is {parameters['scale']!r}; write one of {', '.join(SCALES)}")
    return {
        "name": name,
        "classes": classes,
        "samples": None if samples is None else _integer("samples", samples, least=1 if classes is None else 2),
        "seed": None if seed is None else _integer("seed", seed, least=0),
        "scale": parameters["scale"],
    }


def _draw_bundled(parameters: Parameters, task: str) -> Samples:
    """One of scikit-learn's data sets: the first `samples` rows, or with a seed that many drawn without replacement.

    With `classes: [a, b]` only those rows, y = -1 for a and +1 for b, ceil(samples / 2) of a and the rest of b.
    `scale` is by feature and over all rows of the data set, so that a sample's features do not depend on the
    selection: range to [0, 1], variance to mean 0 and variance 1; constant features become 0.
    """
    x, y = _bundled(parameters["name"])
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
def _bundled(name: str) -> Samples:
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


def _label_bundled(parameters: Parameters) -> str:
    given = {key: value for key, value in parameters.items() if key != "name" and value not in (None, "range")}
    text = ",".join(f"{key}={'|'.join(map(str, v)) if isinstance(v, list) else v}" for key, v in given.items())
    return f"{parameters['name']}({text})" if text else str(parameters["name"])


DATASETS: dict[str, DataKind] = {
    "points": DataKind(None, {"x": None, "y": None}, _settle_points, _draw_points),
    "gaussian": DataKind(
        None,
        {"samples": None, "dim": None, "sparsity": None, "noise": 0.0, "seed": 0},
        _settle_gaussian,
        _draw_gaussian,
        _label_gaussian,
    ),
    "file": DataKind(
        "path",
        {"path": None, "sha256": None, "target": None, "features": None},
        _settle_file,
        _draw_file,
        _label_file,
    ),
    "dataset": DataKind(
        "name",
        {"name": None, "classes": None, "samples": None, "seed": None, "scale": "range"},
        _settle_bundled,
        _draw_bundled,
        _label_bundled,
    ),
}


def canonical(data: Mapping[str, Any], task: str, base: Path) -> dict[str, Any]:
    """{kind: every parameter, defaults filled in}; a file's path made absolute from `base`, its digest added.

    Both {file: a.csv, target: y} and {file: {path: a.csv, target: y}} are read, so canonical data are their own
    canonical form. {"module:function": parameters} calls function(task=..., **parameters) -> x, y of the user's.
    Raises InputError for an unknown kind or parameter, a missing file or column.
    """
    kind, parameters = _split(data)
    if ":" in kind:
        _imported(kind)
        return {kind: json.loads(_json(parameters))}
    variant = DATASETS[kind]
    unknown = sorted(set(parameters) - set(variant.defaults))
    if unknown:
        raise InputError(f"data: {kind} has no {unknown[0]!r}; it takes {', '.join(variant.defaults)}")
    return {kind: variant.settle({**variant.defaults, **parameters}, task, base)}


def load(data: Mapping[str, Any], task: str) -> Dataset:
    """The data set that a canonical description denotes; the last 256 are kept, their arrays read-only.

    Raises InputError where it cannot be run: NaN, one class or more than two, not separable (classification, decided
    by a linear program), targets that no coefficients fit (regression, by least squares), fewer than one sample.
    """
    return _load(canonical_json(data), task)


@functools.lru_cache(maxsize=256)
def _load(text: str, task: str) -> Dataset:
    ((kind, parameters),) = json.loads(text).items()
    x, y = _called(kind, parameters, task) if ":" in kind else DATASETS[kind].draw(parameters, task)
    x, y = np.array(x, dtype=np.float64, order="C"), np.array(y, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        raise InputError(f"data: x has shape {x.shape}, y has shape {y.shape}; they need (n, d) and (n,)")
    if 0 in x.shape:
        raise InputError(
            f"data: there are {x.shape[0]} samples of {x.shape[1]} features; at least one of each is needed"
        )
    data_checks.check(x, y, task)
    x.flags.writeable = y.flags.writeable = False
    label = None if ":" in kind else DATASETS[kind].label
    return Dataset(label(parameters) if label else f"{kind}-{_digest(kind, parameters)}", x, y)


def _split(data: Any) -> tuple[str, dict[str, Any]]:
    """Kind and written parameters."""
    kinds = ", ".join(DATASETS)
    if not isinstance(data, Mapping):
        raise InputError(f"data: {data!r} is not a mapping; write {{kind: parameters}}, a kind being one of {kinds}")
    found = [key for key in data if key in DATASETS or ":" in str(key)]
    if len(found) != 1:
        keys = ", ".join(map(str, data)) or "nothing"
        raise InputError(f"data: {keys} names {'no kind' if not found else 'several kinds'}; write one of {kinds}")
    kind = str(found[0])
    own, beside = data[kind], {str(key): value for key, value in data.items() if key != kind}
    subject = DATASETS[kind].subject if kind in DATASETS else None
    if isinstance(own, Mapping):
        return kind, {**own, **beside}
    if subject is None:
        raise InputError(f"data: {kind} is {own!r}; write its parameters, as in {{{kind}: {{...}}}}")
    return kind, {subject: own, **beside}


def _imported(kind: str) -> Callable[..., Any]:
    """The function of "module:function"."""
    module, _, attribute = kind.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"data: {kind!r} cannot be imported ({error}); is it on PYTHONPATH?") from error
    if not callable(found):
        raise InputError(f"data: {kind!r} is not a function; write one that returns x and y")
    return found


def _called(kind: str, parameters: Parameters, task: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        x, y = _imported(kind)(task=task, **parameters)
        return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        wanted = ", ".join(["task", *parameters])
        raise InputError(f"data: {kind} failed ({error}); write a function of ({wanted}) that returns x, y") from error


def _json(parameters: Parameters) -> str:
    try:
        return canonical_json(parameters)
    except (TypeError, ValueError) as error:
        raise InputError(f"data: {parameters!r} is not JSON ({error}); write numbers, texts, lists") from error


def _digest(kind: str, parameters: Parameters) -> str:
    import hashlib

    return hashlib.sha256(fragment("data", {kind: parameters}).encode()).hexdigest()[:8]


def _array(key: str, value: Any, ndim: int) -> Float[np.ndarray, "..."]:
    example = "[[1, 2], [3, 4]]" if ndim == 2 else "[1, -1]"
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"data: {key} is {value!r}; write numbers in rows of equal length, as {example}") from error
    if array.ndim != ndim or array.size == 0:
        raise InputError(f"data: {key} is {value!r}; write numbers in rows of equal length, as {example}")
    if not np.isfinite(array).all():
        raise InputError(f"data: {key} holds NaN or an infinity; write finite numbers")
    return array


def _integer(key: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"data: {key} is {value!r}; write an integer >= {least}")
    return value
