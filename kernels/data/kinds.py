"""Data sets: inputs x (n, d) and targets y (n,), from points, a Gaussian teacher, a file, or scikit-learn. No JAX."""

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kernels import own_code
from kernels.data import bundled, checks, files, preparation, selection
from kernels.data.checks import MOST_NUMBERS, integer
from kernels.data.preparation import PREPARATIONS
from kernels.losses import labels_of
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
    """One kind of data: how its samples are read or drawn.

    Attributes:
        subject: the parameter whose value may be written as the value of the kind itself, as the path in
            {file: a.csv, target: y}; or None.
        defaults: its parameters and their defaults; parameters that must be written have None.
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
    samples, dim = (integer(key, parameters[key], least=1) for key in ("samples", "dim"))
    sparsity = dim if parameters["sparsity"] is None else integer("sparsity", parameters["sparsity"], least=1)
    if samples * dim > MOST_NUMBERS:
        raise InputError(
            f"data: {samples:,} samples of dimension {dim:,} are {samples * dim:,} numbers; "
            f"write at most {MOST_NUMBERS:,}"
        )
    if sparsity > dim:
        raise InputError(f"data: sparsity {sparsity} is more than dim {dim}; write at most dim")
    noise = parameters["noise"]
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < np.inf:
        raise InputError(f"data: noise is {noise!r}; write a number >= 0, the standard deviation")
    seed = integer("seed", parameters["seed"], least=0)
    return {"samples": samples, "dim": dim, "sparsity": sparsity, "noise": float(noise), "seed": seed}


def _draw_gaussian(parameters: Parameters, task: str) -> Samples:
    """x_ij ~ N(0, 1), a teacher b with `sparsity` non-zero entries ~ N(0, 1) at random places, z = x b + N(0, noise^2).

    Regression: y = z. Classification: y = sign(z). If all signs agree, x and z of the last sample are negated, so that
    both classes are present; y_i x_i, all that the loss sees, stays as it was. Numbers are drawn from
    default_rng([seed, 2]) in the order x, teacher, noise, so that x does not depend on task, sparsity and noise (but
    for that sign).
    """
    rng = np.random.default_rng([parameters["seed"], 2])
    x = rng.standard_normal((parameters["samples"], parameters["dim"]))
    teacher = rng.standard_normal((parameters["dim"],))
    teacher[rng.permutation(parameters["dim"])[parameters["sparsity"] :]] = 0
    z = x @ teacher + parameters["noise"] * rng.standard_normal((parameters["samples"],))
    if labels_of(task) == "real":
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
    sha256 = files.digest(path)
    if parameters["sha256"] not in (None, sha256):
        raise InputError(f"data: file {path} has changed: its sha256 is {sha256}, not {parameters['sha256']}")
    known = files.columns(path)
    target = parameters["target"]
    if not isinstance(target, str):
        raise InputError(f"data: file {path} needs `target`, the column to predict; it has {', '.join(known[:20])}")
    files.check_columns(path, [target], known, "target")
    features = selection.features(path, known, target, parameters["features"], parameters["exclude"])
    return {"path": str(path), "sha256": sha256, "target": target, "features": features}


def _draw_file(parameters: Parameters, task: str) -> Samples:
    path = Path(parameters["path"])
    found = files.digest(path)
    if found != parameters["sha256"]:
        raise InputError(f"data: file {path} has changed since the grid was read; launch again")
    return files.read(path, parameters["features"], parameters["target"], labels_of(task) == "signs")


def _label_file(parameters: Parameters) -> str:
    return f"{Path(parameters['path']).stem}-{_digest('file', parameters)}"


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
        {"path": None, "sha256": None, "target": None, "features": None, "exclude": None},
        _settle_file,
        _draw_file,
        _label_file,
    ),
    "dataset": DataKind(
        "name",
        {"name": None, "classes": None, "samples": None, "seed": None, "scale": "range"},
        bundled.settle,
        bundled.draw,
        bundled.label,
    ),
}


def canonical(data: Mapping[str, Any], task: str, base: Path) -> dict[str, Any]:
    """{kind: every parameter, defaults filled in}, with a file's path made absolute from `base` and its digest added.

    Both {file: a.csv, target: y} and {file: {path: a.csv, target: y}} are accepted, so that canonical data are their
    own canonical form. {"module:function": parameters} is a function of the user's, (task=..., **parameters) -> x, y.
    Raises InputError for an unknown kind or parameter and for a missing file or column.
    """
    kind, parameters = _split(data)
    if ":" in kind:
        _imported(kind)
        return {kind: json.loads(_json(parameters))}
    known = takes(kind)
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise InputError(f"data: {kind} has no {unknown[0]!r}; it takes {', '.join(known)}")
    variant = DATASETS[kind]
    own = {key: parameters.get(key, default) for key, default in variant.defaults.items()}
    return {kind: variant.settle(own, task, base) | preparation.asked(parameters)}


def takes(kind: str) -> tuple[str, ...]:
    """The parameters that data of a kind may have."""
    return (*DATASETS[kind].defaults, *PREPARATIONS)


def classes(data: Mapping[str, Any], task: str) -> tuple[Any, Any] | None:
    """The two values in a file that become -1 and +1, in this order; None for data that hold -1 and +1 themselves."""
    ((kind, parameters),) = data.items()
    if kind != "file" or labels_of(task) != "signs":
        return None
    found = files.classes(Path(parameters["path"]), parameters["target"])
    return None if found == (-1.0, 1.0) else found


def load(data: Mapping[str, Any], task: str) -> Dataset:
    """The data set of a canonical description; the last 256 are kept, with read-only arrays.

    Raises InputError where no flow can be run on it: NaN or infinity, no sample, other than two classes, classes that
    are not separable (classification, decided by a linear program), targets that no coefficients fit (regression,
    decided by least squares).
    """
    own = any(":" in kind for kind in data)
    return _load(canonical_json(data), task, own_code.meaning() if own else "")


@functools.lru_cache(maxsize=256)
def _load(text: str, task: str, code: str) -> Dataset:
    """`load`, cached by text. `code` tells functions of one name but different code apart."""
    ((kind, parameters),) = json.loads(text).items()
    x, y = _called(kind, parameters, task) if ":" in kind else _drawn(kind, parameters, task)
    x, y = np.array(x, dtype=np.float64, order="C"), np.array(y, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        raise InputError(f"data: x has shape {x.shape}, y has shape {y.shape}; they need (n, d) and (n,)")
    if 0 in x.shape:
        raise InputError(
            f"data: there are {x.shape[0]} samples of {x.shape[1]} features; at least one of each is needed"
        )
    checks.check(x, y, task)
    x.flags.writeable = y.flags.writeable = False
    return Dataset(_name(kind, parameters), x, y)


def _drawn(kind: str, parameters: Parameters, task: str) -> Samples:
    x, y = DATASETS[kind].draw(parameters, task)
    return preparation.prepare(x, parameters), y


def _name(kind: str, parameters: Parameters) -> str:
    """The readable name of data: that of their kind, then of what was done to them, as wine(samples=40)+standardise."""
    if ":" in kind:
        return f"{kind}-{_digest(kind, parameters)}"
    own = {key: value for key, value in parameters.items() if key not in PREPARATIONS}
    label = DATASETS[kind].label
    return "+".join([label(own) if label else f"{kind}-{_digest(kind, own)}", *preparation.asked(parameters)])


def _split(data: Any) -> tuple[str, dict[str, Any]]:
    """The kind of data that a grid wrote, and its parameters as written. Raises InputError."""
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
    """The user's function that "module:function" names. Raises InputError."""
    try:
        found = own_code.attribute(kind)
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
