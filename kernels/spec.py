"""The identity of one run: what determines its numbers, and nothing else. Imports no JAX."""

import hashlib
import json
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

from kernels.losses import LOSSES, default_loss

KERNEL_VERSION = 5
"""Part of every run's identity: raise it when a change to kernels/ moves numbers by more than the tolerance."""

TASKS = tuple(dict.fromkeys(loss.task for loss in LOSSES.values()))

SOLVER_NAMES = ("extrapolation", "kvaerno5", "kvaerno3", "tsit5", "dopri8")
"""Keys of `kernels.integrator.solvers.SOLVERS`, which imports JAX."""

Task = Literal["regression", "classification"]
Status = Literal["converged", "imprecise", "stopped", "diverged", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)

NO_DEFAULT = object()


@dataclass(frozen=True)
class Axis:
    """One key of a grid that becomes part of a run, with what every list of axes needs to know of it.

    Attributes:
        help: what it is, for editors and error messages.
        default: its value where a grid says nothing; NO_DEFAULT if a grid must say, or if another axis decides.
        described: whether a value may be a name with parameters, {name: parameters}.
        optional: whether only some architectures have it; None where they do not.
        program: whether its value is part of the compile key (kernels/room.py). Data and rtol enter that key by sizes
            and columns.
        inner: whether a grid expands it innermost. These are alpha and seed, which decide neither the program nor what
            can be combined. A third one needs changes in `sweep/grid/expansion.py` and `Descriptions`.
    """

    help: str
    default: Any = NO_DEFAULT
    described: bool = False
    optional: bool = False
    program: bool = False
    inner: bool = False


AXES: dict[str, Axis] = {
    "task": Axis("real targets or two classes"),
    "loss": Axis("; ".join(f"{name} ({loss.task}): {loss.formula}" for name, loss in LOSSES.items()), program=True),
    "data": Axis("data sets; parameters that are lists or ranges mean several", described=True),
    "architecture": Axis("the network: a name, or {name: parameters}", described=True, program=True),
    "depth": Axis("number of weight layers, >= 1", 2, program=True),
    "width": Axis("hidden width or channels, of networks that have one", None, optional=True, program=True),
    "filter": Axis("length of the hidden filters, full by default", None, optional=True, program=True),
    "init": Axis("the layers at t = 0", "structured", described=True),
    "alpha": Axis("initialisation scale", 1.0, inner=True),
    "seed": Axis("of every draw of architecture and initialisation", 0, inner=True),
    "rtol": Axis("relative tolerance of the integrator", 1e-7),
    "stop": Axis("conditions that end the flow", described=True),
    "solver": Axis("integrator", "extrapolation", program=True),
    "record": Axis("whether the orbit is kept", True, program=True),
}
"""name -> axis, in the order they are listed to people. `kernels.validate.canonicalise` says what values mean."""

DEFAULTS: dict[str, Any] = {name: axis.default for name, axis in AXES.items() if axis.default is not NO_DEFAULT}


class InputError(ValueError):
    """Input of a user that cannot be run; the message says what is wrong and what to write instead."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    if type(value) is float and math.isfinite(value):
        return repr(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class RunSpec:
    """One run, canonical: axes that its architecture or initialisation does not have are None (seed: 0).

    Attributes:
        task: regression or classification.
        loss: a name in LOSSES, of a loss of this task.
        data: {kind: parameters}, as canonicalised by `kernels.data.kinds.canonical`.
        architecture: a name in ARCHITECTURES, or "module:Class"; {name: parameters} where parameters were given.
        depth: number of weight layers L >= 1.
        width: hidden width k, of architectures that have one, else None.
        filter: length of the hidden filters, of architectures that have one, else None.
        init: {name: parameters}, a name in INITIALISATIONS.
        alpha: initialisation scale, > 0.
        seed: of every draw made by the architecture and the initialisation.
        rtol: relative tolerance of the integrator.
        stop: conditions that end the flow; all of them present, those of the loss by default.
        solver: a name in SOLVERS.
        record: whether the orbit is kept at 64-128 points.
    """

    task: Task
    loss: str
    data: Mapping[str, Any]
    architecture: str | Mapping[str, Any]
    depth: int
    width: int | None
    filter: int | None
    init: Mapping[str, Any]
    alpha: float
    seed: int
    rtol: float
    stop: Mapping[str, float | int]
    solver: str
    record: bool

    def to_dict(self) -> dict[str, Any]:
        """Every axis by name, JSON-able: the `spec` column of the store."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, axes: Mapping[str, Any]) -> "RunSpec":
        """Inverse of `to_dict`, also for runs that were stored before loss was an axis."""
        return cls(**{**DEFAULTS, "loss": default_loss(axes["task"]), **axes})

    def identity(self) -> dict[str, Any]:
        """The axes that its id is made of. The default loss is left out, so that ids are as before loss was an axis."""
        axes = self.to_dict()
        if self.loss == default_loss(self.task):
            del axes["loss"]
        return axes

    @cached_property
    def run_id(self) -> str:
        """32 hex digits: SHA-256 of the canonical JSON of the identity."""
        parts = {name: fragment(name, value) for name, value in self.identity().items()}
        return run_id(parts)

    @property
    def architecture_name(self) -> str:
        return architecture_name(self.architecture)

    @property
    def init_name(self) -> str:
        return next(iter(self.init))

    @property
    def data_kind(self) -> str:
        return next(iter(self.data))


def architecture_name(architecture: str | Mapping[str, Any]) -> str:
    """The name in a name or {name: parameters}."""
    return architecture if isinstance(architecture, str) else next(iter(architecture))


def fragment(axis: str, value: Any) -> str:
    """The canonical JSON of one axis of an identity. It leaves out a file's path, and holds its content's digest."""
    if axis == "data" and "file" in value:
        value = {"file": {k: v for k, v in value["file"].items() if k != "path"}}
    if axis == "architecture" and isinstance(value, Mapping) and "tensor" in value:
        value = {"tensor": {k: v for k, v in value["tensor"].items() if k != "file"}}
    if isinstance(value, int) and axis in ("alpha", "rtol"):
        value = float(value)
    return canonical_json(value)


def run_id(fragments: Mapping[str, str]) -> str:
    """Hash of one run from the fragments of its axes, which a grid computes once for each value."""
    return _digest(",".join(f'"{axis}":{fragments[axis]}' for axis in sorted(fragments)))


def _digest(text: str) -> str:
    return hashlib.sha256(f'{{{text},"kernel":{KERNEL_VERSION}}}'.encode()).hexdigest()[:32]


class Descriptions:
    """Ids and canonical JSON of many runs. What runs share that differ in alpha and seed alone is written once."""

    def __init__(self) -> None:
        self._texts: dict[int, tuple[Any, str]] = {}
        self._patterns: dict[Hashable, tuple[Pattern, Pattern]] = {}

    def json(self, value: Any) -> str:
        """canonical_json(value), computed once for each object."""
        if id(value) not in self._texts:
            self._texts[id(value)] = value, canonical_json(value)
        return self._texts[id(value)][1]

    def of(self, spec: RunSpec) -> tuple[str, str]:
        """(spec.run_id, canonical_json(spec.to_dict()))."""
        values = ((axis, getattr(spec, name)) for name, axis in AXES.items() if not axis.inner)
        common = tuple(self.json(value) if axis.described else value for axis, value in values)
        if common not in self._patterns:
            axes, hashed = spec.to_dict(), spec.identity()
            self._patterns[common] = (
                _open({axis: canonical_json(value) for axis, value in axes.items()}),
                _open({axis: fragment(axis, value) for axis, value in hashed.items()}),
            )
        written, hashed_text = self._patterns[common]
        seed = canonical_json(spec.seed)
        if "run_id" not in vars(spec):
            vars(spec)["run_id"] = _digest(_filled(hashed_text, fragment("alpha", spec.alpha), seed))
        return spec.run_id, f"{{{_filled(written, canonical_json(spec.alpha), seed)}}}"


Pattern = tuple[str, str, str]
"""The JSON of sorted axes in three parts: up to the value of alpha, from there to that of seed, and the rest."""


def _open(texts: Mapping[str, str]) -> Pattern:
    before, rest = _parted(sorted(texts.items()), "alpha")
    between, after = _parted(rest, "seed")
    opened = "".join(f'"{axis}":{text},' for axis, text in before)
    middle = "".join(f'"{axis}":{text},' for axis, text in between)
    return f'{opened}"alpha":', f',{middle}"seed":', "".join(f',"{axis}":{text}' for axis, text in after)


def _parted(items: list[tuple[str, str]], axis: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The items before an axis, and those after it."""
    place = [name for name, _ in items].index(axis)
    return items[:place], items[place + 1 :]


def _filled(pattern: Pattern, alpha: str, seed: str) -> str:
    before, between, after = pattern
    return f"{before}{alpha}{between}{seed}{after}"
