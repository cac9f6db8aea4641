"""The shape of a grid file by pydantic: which keys stand where. `sweep schema` prints it as JSON Schema for editors.

What values mean (expansion, kernels' own checks) is the part of `grid`; here a value of an axis may be anything.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from kernels.data.kinds import DATASETS
from kernels.data.preparation import PREPARATIONS
from kernels.losses import CONDITIONS, LOSSES
from kernels.networks.initialisations import INITIALISATIONS
from kernels.networks.table import ARCHITECTURES
from kernels.spec import AXES, TASKS
from sweep.grid.mistakes import Mistakes, nearest
from sweep.grid.source import Place, Source
from sweep.grid.values import DISTRIBUTIONS, FORMS, MAPPINGS, MAX_VALUES

Json = dict[str, Any]

_USER: Json = {"type": "string", "pattern": r"^[\w.]+:\w+$", "description": "module:Class of your own"}
_PARAMETRISED: Json = {
    "type": "object",
    "properties": {
        name: {"type": "object", "properties": {key: {} for key in network.defaults}, "additionalProperties": False}
        for name, network in ARCHITECTURES.items()
        if network.defaults
    },
    "patternProperties": {_USER["pattern"]: {"type": "object"}},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "description": "{name: parameters}, for example {odeco: {s: [[1, 0], [0, 1]]}} or {tensor: {file: tensor.npy}}",
}
_BARE = [name for name, network in ARCHITECTURES.items() if network.bare]
_INTEGER: Json = {"type": "integer", "minimum": 1}

SCALARS: dict[str, Json] = {
    "task": {"enum": list(TASKS)},
    "loss": {"enum": list(LOSSES)},
    "data": {
        "type": "object",
        "description": f"one of {', '.join(DATASETS)} and its parameters, with {', '.join(PREPARATIONS)} if wanted",
    },
    "architecture": {"anyOf": [{"enum": _BARE}, _USER, _PARAMETRISED]},
    "depth": _INTEGER,
    "width": _INTEGER,
    "filter": {"anyOf": [_INTEGER, {"const": "full"}]},
    "init": {"anyOf": [{"enum": list(INITIALISATIONS)}, {"type": "object", "maxProperties": 1}]},
    "alpha": {"type": "number", "exclusiveMinimum": 0},
    "seed": {"type": "integer", "minimum": 0},
    "rtol": {"type": "number", "minimum": 1e-13, "maximum": 1e-2},
    "stop": {"type": "object", "description": ", ".join(CONDITIONS)},
    "solver": {"type": "string"},
    "record": {"type": "boolean"},
}
"""JSON Schema of one value of each axis."""


def _several(axis: str) -> Json:
    """A scalar, a list, or a spaced form."""
    one = SCALARS[axis]
    numbers: Json = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
    forms: list[Json] = [_only(form, numbers) for form in FORMS] if axis not in MAPPINGS else []
    return {
        "description": AXES[axis].help,
        "anyOf": [one, {"type": "array", "items": {"anyOf": [one, *forms]}}, *forms],
    }


def _drawn(axis: str) -> Json:
    pair: Json = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    forms = [_only(name, {"type": "array"} if name == "choice" else pair) for name in DISTRIBUTIONS]
    return {"description": AXES[axis].help, "anyOf": [SCALARS[axis], *forms]}


def _only(key: str, value: Json) -> Json:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


def _fields(describe: Any) -> dict[str, Any]:
    """One optional field an axis, and `network`, the alias of architecture."""
    found = {axis: (Annotated[Any, WithJsonSchema(describe(axis))], None) for axis in AXES}
    return {**found, "network": found["architecture"]}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=False)


Model = type[BaseModel]


def _model(name: str, base: Model, fields: dict[str, Any]) -> Model:
    return create_model(name, __base__=base, **fields)


AXES_MODEL = _model("Axes", _Strict, _fields(_several))

_SEED: Json = {
    "anyOf": [{"type": "integer", "minimum": 0}, *_drawn("seed")["anyOf"][1:]],
    "description": "a number seeds the draws; a distribution draws the axis",
}
_COUNT = Annotated[int, Field(strict=True, ge=1, le=MAX_VALUES, description="number of draws")]
RANDOM = _model(
    "Random", _Strict, {**_fields(_drawn), "n": (_COUNT, ...), "seed": (Annotated[Any, WithJsonSchema(_SEED)], 0)}
)

_TEXTS: Json = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def _filter(description: str) -> Any:
    return (Annotated[Any, WithJsonSchema({"description": description, **_TEXTS})], None)


def _section(kind: Any, description: str, **options: Any) -> Any:
    return (Annotated[kind | None, Field(description=description, **options)], None)


_SECTIONS: dict[str, Any] = {
    "when": _filter("runs of which every expression holds are kept"),
    "exclude": _filter("runs of which any expression holds are dropped"),
    "include": _filter("runs of which at least one expression holds are kept"),
    "grid": _section(AXES_MODEL, "product of its axes"),
    "zip": _section(AXES_MODEL, "axes in step: lists of equal length"),
    "list_": _section(list[AXES_MODEL], "rows, one a combination", alias="list"),  # type: ignore[valid-type]
    "random": _section(RANDOM, "n draws from distributions"),
}
BLOCK = _model("Block", AXES_MODEL, _SECTIONS)
_FILE: dict[str, Any] = {
    "name": _section(str, "of the sweep; no part of a run's identity"),
    "description": _section(str, "for people"),
    "tags": _section(list[str], "for people"),
    "blocks": _section(list[BLOCK], "blocks concatenate", min_length=1),  # type: ignore[valid-type]
}
GRID_FILE = _model("Grid", BLOCK, _FILE)


def json_schema() -> Json:
    """JSON Schema of a grid file."""
    schema = GRID_FILE.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "grid.yaml"}


def check_shape(source: Source, mistakes: Mistakes) -> None:
    """Note every unknown key, missing key and section of the wrong shape."""
    try:
        GRID_FILE.model_validate(source.tree)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            place: Place = tuple(detail["loc"])
            mistakes.add(source.where(place), _message(detail["type"], place, detail["msg"], detail["input"]))


def _message(kind: str, place: Place, message: str, value: Any) -> str:
    key = ".".join(map(str, place))
    if kind == "extra_forbidden":
        known = _keys(place[:-1])
        return f"unknown key {place[-1]!r}{nearest(place[-1], known)}; the keys here are {', '.join(known)}"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{key}: {value!r} is not a mapping; write axes and their values below it"
    if kind == "list_type":
        return f"{key}: {value!r} is not a list; start each entry with a dash"
    if kind == "missing":
        return f"{key}: missing"
    if kind == "too_short":
        return f"{key}: the list is empty; write at least one entry"
    return f"{key}: {value!r}: {message[:1].lower()}{message[1:]}"


def _keys(place: Sequence[str | int]) -> list[str]:
    """Keys that a mapping at this place may have."""
    section = [part for part in place if isinstance(part, str)]
    if not section:
        model = GRID_FILE
    elif section[-1] == "blocks":
        model = BLOCK
    else:
        model = {"random": RANDOM}.get(section[-1], AXES_MODEL)
    return [field.alias or name for name, field in model.model_fields.items()]
