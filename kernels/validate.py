"""From the axes a user wrote to one canonical RunSpec, or a message that says what to write. Imports no JAX."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from kernels.data.checks import fits, real_columns, separates
from kernels.data.kinds import Dataset
from kernels.losses import LOSSES, Labels, default_loss, losses_of
from kernels.networks.base import Architecture
from kernels.networks.checks import check_network
from kernels.networks.initialisations import INITIALISATIONS, canonical_init, initial_layers
from kernels.networks.reach import Reach, reach
from kernels.networks.table import ARCHITECTURES, architecture_class, build, canonical_architecture, parameters_given
from kernels.spec import DEFAULTS, SOLVER_NAMES, TASKS, InputError, RunSpec, architecture_name

ROUNDING = 16 * float(np.finfo(float).eps)
"""An entry of X S^T counts as zero where its modulus is at most this share of sum_k |x_ik| |S_jk|."""
MOST_LAYERS = 10_000
MOST_NUMBERS = 100_000_000
"""Most numbers in a network's layers and the matrices of its decomposition: 800 MB."""


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
    depth = _depth(axes.get("depth"), network.fixed_depth(given))
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
    task = _choice("task", values.get("task"), TASKS)
    loss = _loss(values.get("loss"), task)
    return RunSpec(
        task=task,
        loss=loss,
        data=values["data"],
        architecture=architecture,
        depth=depth,
        width=width,
        filter=filter_length,
        init=init,
        alpha=_positive("alpha", values["alpha"]),
        seed=_integer("seed", values["seed"], least=0) if drawn else 0,
        rtol=_rtol(values["rtol"]),
        stop=_stop(values.get("stop") or {}, loss),
        solver=_choice("solver", values["solver"], SOLVER_NAMES),
        record=bool(values["record"]),
    )


def check_compatible(spec: RunSpec, dataset: Dataset) -> None:
    """Raise InputError where architecture, initialisation and data of a run do not go together."""
    check_parts(spec, dataset.x.shape[1])
    check_reach(spec, dataset)


def check_parts(spec: RunSpec, dim: int) -> None:
    """Raise InputError where architecture and initialisation do not go together, in `dim` dimensions."""
    network = build(spec, dim)
    if type(network) not in ARCHITECTURES.values():
        check_network(network)
    initial_layers(spec, network)


def reach_varies(spec: RunSpec, dim: int) -> bool:
    """Whether `check_reach` depends on the seed: S is drawn, and beta = S^T rho does not represent every beta."""
    network = build(spec, dim)
    if not network.draws(network.given) or network.spans_inputs:
        return False
    here, there = (each.decomposed for each in (network, build(replace(spec, seed=spec.seed + 1), dim)))
    return here is None or there is None or not np.array_equal(here.s, there.s)


def check_reach(spec: RunSpec, dataset: Dataset) -> None:
    """Raise InputError where no coefficients that the flow can reach fit the targets, or separate the classes.

    For an orthogonally decomposable network, with A = X S^T, three sets of rho are tried, each within the one before:
    every rho; rho_j = 0 in coordinates that rest at the start; rho_j of the sign that the start fixes
    (kernels/networks/reach.py). Least squares, non-negative least squares and linear programs decide, and only what is
    certain is refused. Of other networks, only those whose coefficients span less than R^d are checked, as a tensor
    may (`Architecture.span`).
    """
    network = build(spec, dataset.x.shape[1])
    decomposition = network.decomposed
    if decomposition is None:
        _check_span(spec, dataset, network.span())
        return
    w = np.array(decomposition.transform(initial_layers(spec, network)))
    found = reach(decomposition, w)
    narrow = not network.spans_inputs
    if not (narrow or found.rest.any() or found.signs.any()):
        return
    matrix = dataset.x @ decomposition.s.T
    matrix[np.abs(matrix) <= ROUNDING * (np.abs(dataset.x) @ np.abs(decomposition.s.T))] = 0
    copies = 2 if np.iscomplexobj(matrix) else 1
    labels = LOSSES[spec.loss].labels
    columns, rest = real_columns(matrix), np.tile(found.rest, copies)
    signs = np.concatenate([found.signs, np.zeros(len(found.signs) * (copies - 1))])
    free = np.zeros(len(signs))
    if narrow and not _possible(labels, columns, dataset.y, free):
        raise InputError(_narrow(spec, network, columns))
    if found.rest.any() and not _possible(labels, columns[:, ~rest], dataset.y, free[~rest]):
        raise InputError(_resting(labels, found))
    if found.signs.any() and not _possible(labels, columns[:, ~rest], dataset.y, signs[~rest]):
        raise InputError(_one_sided(labels, found))


def _check_span(spec: RunSpec, dataset: Dataset, span: Float[np.ndarray, "d r"] | None) -> None:
    """Raise InputError where no coefficients in this span fit the targets, or separate the classes."""
    if span is None:
        return
    rank = span.shape[1]
    if not _possible(LOSSES[spec.loss].labels, dataset.x @ span, dataset.y, np.zeros(rank)):
        raise InputError(
            f"architecture: {spec.architecture_name} cannot {_aim(spec)}: its coefficients lie in "
            f"{_plural(rank, 'dimension')} of {len(span)}, and none there do it; write one of a higher rank, or fewer "
            "samples"
        )


def _possible(
    labels: Labels, columns: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], signs: Float[np.ndarray, " k"]
) -> bool:
    """Whether coefficients of these signs (0 for any sign) fit y, or separate the classes."""
    if not columns.size:
        return False
    return fits(columns, y, signs) if labels == "real" else separates(y[:, None] * columns, signs)


_AIMS: dict[Labels, str] = {"real": "fit these targets", "signs": "separate these classes"}


def _aim(spec: RunSpec) -> str:
    return _AIMS[LOSSES[spec.loss].labels]


def _narrow(spec: RunSpec, network: Architecture, columns: Float[np.ndarray, "n k"]) -> str:
    decomposition = network.decomposed
    assert decomposition is not None
    rows = decomposition.s.shape[0]
    rank = int(np.linalg.matrix_rank(columns / (np.linalg.norm(columns, axis=1, keepdims=True) + (columns == 0))))
    advice = "write an s of more rows" if network.given.get("s") is not None else "write a larger width"
    return (
        f"architecture: {spec.architecture_name} cannot {_aim(spec)}: its coefficients are beta = S^T rho with S "
        f"of {_plural(rows, 'row')}, and no rho does it (X S^T has rank {rank} for {_plural(len(columns), 'sample')}); "
        f"{advice}, or fewer samples"
    )


def _resting(labels: Labels, found: Reach) -> str:
    if found.rest.all():
        return (
            "init: nothing moves from this start: two or more layers are zero in every coordinate; write layers of "
            "which at most one is zero in a coordinate"
        )
    return (
        f"init: this start cannot {_AIMS[labels]}: nothing moves in {_coordinates(found.rest)}, where two or more "
        "layers are zero, and the other coordinates do not suffice; write layers of which at most one is zero in a "
        "coordinate"
    )


def _one_sided(labels: Labels, found: Reach) -> str:
    return (
        f"init: this start cannot {_AIMS[labels]}: the product of the layers keeps its sign in "
        f"{_coordinates(found.signs != 0)}, where two layers share the least modulus, and no coefficients of these "
        "signs do it; write layers of which one is the least in modulus, such as a last layer of zeros"
    )


def _coordinates(chosen: Bool[np.ndarray, " m"]) -> str:
    places = [str(place + 1) for place in np.flatnonzero(chosen)]
    if len(places) == len(chosen) > 1:
        return "every coordinate"
    shown = ", ".join(places[:6]) + (", ..." if len(places) > 6 else "")
    return f"coordinate{'s' if len(places) > 1 else ''} {shown}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _check_size(depth: int, width: int | None, dim: int) -> None:
    """Raise InputError for a network whose layers alone have more than MOST_NUMBERS numbers."""
    numbers = depth * dim + dim * dim if width is None else dim * width + depth * width * width
    if numbers > MOST_NUMBERS:
        axis, advice = ("architecture", "data of a smaller dimension") if width is None else ("width", "a smaller one")
        raise InputError(
            f"{axis}: {depth} layers of width {width or dim} on inputs of dimension {dim} take {numbers:,} numbers, "
            f"more than {MOST_NUMBERS:,}; write {advice}"
        )


def _depth(depth: Any, fixed: int | None) -> int:
    """The depth, as written or as the network's parameters fix it. Raises InputError where the two differ."""
    written = _integer("depth", DEFAULTS["depth"] if depth is None else depth, least=1)
    if fixed is None:
        return written
    if depth is not None and written != fixed:
        raise InputError(f"depth: {depth} is not that of the tensor given, {fixed}; write {fixed}, or leave depth out")
    return fixed


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


def _loss(value: Any, task: str) -> str:
    known = losses_of(task)
    if value is None:
        return known[0]
    if value not in known:
        raise InputError(f"loss: {value!r} is not a loss of {task}; write {' or '.join(known)}")
    return str(value)


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


def _stop(stop: Any, name: str) -> dict[str, int | float]:
    loss = LOSSES[name]
    if not isinstance(stop, Mapping) or set(stop) - set(loss.known_conditions):
        whose = loss.task if name == default_loss(loss.task) else f"the {name} loss"
        raise InputError(f"stop: {stop!r} is not of {whose}; it takes {', '.join(loss.known_conditions)}")
    replaced = set(loss.stop) - {"max_steps"} if set(stop) & set(loss.conditions) else set()
    merged = {**{key: value for key, value in loss.stop.items() if key not in replaced}, **stop}
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
