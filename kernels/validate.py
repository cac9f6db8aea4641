"""From the axes a user wrote to one canonical RunSpec, or a message that says what to write. Imports no JAX."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kernels.architectures import (
    ARCHITECTURES,
    Architecture,
    architecture_class,
    canonical_architecture,
    parameters_given,
)
from kernels.datasets import Dataset
from kernels.initialisations import INITIALISATIONS, canonical_init, initial_layers
from kernels.spec import DEFAULT_STOP, DEFAULTS, SOLVER_NAMES, TASKS, InputError, RunSpec, architecture_name


def canonicalise(axes: Mapping[str, Any], dim: int) -> RunSpec:
    """The run that these axes denote on data of dimension `dim`; `data` is canonical already.

    Axes that the architecture does not have become None, a seed that nothing draws from becomes 0.
    Raises InputError, whose message starts with the axis at fault.
    """
    values = {**DEFAULTS, **axes}
    architecture = canonical_architecture(values["architecture"])
    network = architecture_class(architecture_name(architecture))
    given = parameters_given(architecture)
    init = canonical_init(values["init"])
    depth = _integer("depth", values["depth"], least=1)
    width = filter_length = None
    if "width" in network.uses and (depth > 1 or network.random):
        width = _width(values["width"], network.fixed_width(given), dim)
    if "filter" in network.uses and depth > 1:
        full = values["filter"] in (None, "full")
        filter_length = dim if full else _integer("filter", values["filter"], least=1)
    ((name, parameters),) = init.items()
    drawn = network.draws(given) or INITIALISATIONS[name].random(parameters)
    return RunSpec(
        task=_choice("task", values.get("task"), TASKS),
        data=values["data"],
        architecture=architecture,
        depth=depth,
        width=width,
        filter=filter_length,
        init=init,
        alpha=_positive("alpha", values["alpha"]),
        seed=_integer("seed", values["seed"], least=0) if drawn else 0,
        rtol=_rtol(values["rtol"]),
        stop=_stop(values.get("stop") or {}, values["task"]),
        solver=_choice("solver", values["solver"], SOLVER_NAMES),
        record=bool(values["record"]),
    )


def build(spec: RunSpec, dim: int) -> Architecture:
    """The network of a run. Raises InputError if there is none in `dim` dimensions."""
    network, given = architecture_class(spec.architecture_name), parameters_given(spec.architecture)
    return network(dim, spec.depth, spec.width, spec.filter, spec.seed, **given)


def check_compatible(spec: RunSpec, dataset: Dataset) -> None:
    """Raise InputError where architecture, initialisation and data of a run do not go together."""
    network = build(spec, dataset.x.shape[1])
    if type(network) not in ARCHITECTURES.values():
        _check_decomposition(network)
    initial_layers(spec, network)


def _check_decomposition(network: Architecture) -> None:
    """Raise InputError where a user's decomposition is not one, or not that of the coefficients."""
    decomposition, name = network.decomposition(), type(network).__name__
    if decomposition is None:
        return
    m, bases = len(decomposition.s), decomposition.bases
    wanted = [(*shape, m) for shape in network.shapes]
    if decomposition.s.shape != (m, network.dim) or [basis.shape for basis in bases] != wanted:
        raise InputError(
            f"architecture: the decomposition of {name} has s of shape {decomposition.s.shape} and bases of shapes "
            f"{[basis.shape for basis in bases]}; inputs of dimension {network.dim} and its layers need "
            f"{(m, network.dim)} and {wanted}"
        )
    for number, basis in enumerate(bases, start=1):
        gap = float(np.abs(basis.conj().T @ basis - np.eye(m)).max())
        if gap > 1e-10:
            raise InputError(
                f"architecture: U_{number} in the decomposition of {name} is not orthonormal: U^* U differs from the "
                f"identity by {gap:.1e}; normalise its columns, and put the factor into s"
            )
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal(shape) for shape in network.shapes]
    own = np.asarray(network.coefficients(layers))
    theirs = decomposition.s.T @ np.prod(decomposition.transform(layers), axis=0)
    if not np.allclose(own, theirs, rtol=0, atol=1e4 * np.finfo(own.dtype).eps * float(np.abs(own).max())):
        raise InputError(
            f"architecture: coefficients and decomposition of {name} disagree: at random layers they give {own[:3]}... "
            f"and {theirs[:3]}...; correct one of them, or let decomposition return None"
        )


def _width(width: Any, fixed: int | None, dim: int) -> int:
    if width is None:
        return dim if fixed is None else fixed
    if fixed not in (None, _integer("width", width, least=1)):
        raise InputError(f"width: {width} is not that of the matrices given, {fixed}; leave width out")
    return int(width)


def _choice(axis: str, value: Any, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise InputError(f"{axis}: {value!r} is not one of {', '.join(choices)}")
    return value


def _integer(axis: str, value: Any, least: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise InputError(f"{axis}: {value!r} is not an integer >= {least}")


def _positive(axis: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value < math.inf):
        raise InputError(f"{axis}: {value!r} is not a positive number")
    return float(value)


def _rtol(value: Any) -> float:
    rtol = _positive("rtol", value)
    if not 1e-13 <= rtol <= 1e-2:
        raise InputError(f"rtol: {value!r} is outside 1e-13 .. 1e-2")
    return rtol


STOP_RANGES = {"residual": (0.0, 1.0), "log_loss": (-1e300, 0.0), "log_margin": (-30.0, 700.0)}
"""Open intervals of the conditions that end a flow."""


def _stop(stop: Any, task: str) -> dict[str, int | float]:
    defaults = DEFAULT_STOP[task]
    known = {*defaults, "log_margin"} if task == "classification" else set(defaults)
    if not isinstance(stop, Mapping) or set(stop) - known:
        raise InputError(f"stop: {stop!r} is not of {task}; it takes {', '.join(sorted(known))}")
    merged = {**defaults, **stop}
    if "log_margin" in stop and "log_loss" not in stop:
        del merged["log_loss"]
    merged["max_steps"] = _integer("stop.max_steps", merged["max_steps"], least=1)
    for name, (low, high) in STOP_RANGES.items():
        if name in merged and not low < _finite(f"stop.{name}", merged[name]) < high:
            wanted = "below 0" if name == "log_loss" else f"between {low:g} and {high:g}"
            raise InputError(f"stop.{name}: {merged[name]!r} is not {wanted}")
    return merged


def _finite(axis: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{axis}: {value!r} is not a number")
    return float(value)
