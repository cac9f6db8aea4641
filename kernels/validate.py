"""From the axes a user wrote to one canonical RunSpec, or a message that says what to write. Imports no JAX."""

import math
from collections.abc import Mapping
from typing import Any

from kernels.data.kinds import Dataset
from kernels.networks.checks import check_network
from kernels.networks.initialisations import INITIALISATIONS, canonical_init, initial_layers
from kernels.networks.table import ARCHITECTURES, architecture_class, build, canonical_architecture, parameters_given
from kernels.spec import DEFAULT_STOP, DEFAULTS, SOLVER_NAMES, TASKS, InputError, RunSpec, architecture_name

MOST_LAYERS = 10_000
MOST_NUMBERS = 100_000_000
"""Of a network's layers and of the matrices of its decomposition: 800 MB."""


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
    if depth > MOST_LAYERS:
        raise InputError(f"depth: {depth} is more than {MOST_LAYERS:,} layers; write fewer")
    width = filter_length = None
    if "width" in network.uses and (depth > 1 or network.random):
        width = _width(values["width"], network.fixed_width(given), dim)
    if "filter" in network.uses and depth > 1:
        full = values["filter"] in (None, "full")
        filter_length = dim if full else _integer("filter", values["filter"], least=1)
    _check_size(depth, width, dim)
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


def check_compatible(spec: RunSpec, dataset: Dataset) -> None:
    """Raise InputError where architecture, initialisation and data of a run do not go together."""
    network = build(spec, dataset.x.shape[1])
    if type(network) not in ARCHITECTURES.values():
        check_network(network)
    initial_layers(spec, network)


def _check_size(depth: int, width: int | None, dim: int) -> None:
    """Raise InputError for a network of which not even the layers fit into memory."""
    numbers = depth * dim + dim * dim if width is None else dim * width + depth * width * width
    if numbers > MOST_NUMBERS:
        axis, advice = ("architecture", "data of a smaller dimension") if width is None else ("width", "a smaller one")
        raise InputError(
            f"{axis}: {depth} layers of width {width or dim} on inputs of dimension {dim} take {numbers:,} numbers, "
            f"more than {MOST_NUMBERS:,}; write {advice}"
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
