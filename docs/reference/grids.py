"""Grid files: axes with default and help, data sets with their parameters, the JSON Schema."""

import json
from collections.abc import Mapping
from typing import Any

from docs.reference.markdown import cell, table
from kernels.data.kinds import DATASETS
from kernels.data.preparation import PREPARATIONS
from kernels.spec import AXES
from sweep.grid.schema import json_schema

SCHEMA = "grid.schema.json"


def page() -> str:
    axes = [(f"`{name}`", cell(axis.help), default(axis.default)) for name, axis in AXES.items()]
    data = [(f"`{name}`", parameters(kind.defaults)) for name, kind in DATASETS.items()]
    keys = [f"`{key}`" for key in json_schema()["properties"] if key not in AXES]
    return "\n\n".join([
        "# Keys of a grid",
        f"How blocks, axes and values go together: [Grids](../grids.md). The [JSON Schema]({SCHEMA}), which "
        "`sweep schema` prints, tells an editor the same.",
        "## Axes",
        table(("axis", "what it is", "default"), axes),
        f"Beside axes a grid file may have {', '.join(keys)}.",
        "## Data sets",
        "Parameters with their defaults; those without must be written, or follow from the others.",
        table(("kind", "parameters"), data),
        f"Every kind also takes {', '.join(f'`{name}: true`' for name in PREPARATIONS)}, done in this order.",
    ]) + "\n"  # fmt: skip


def parameters(defaults: Mapping[str, Any]) -> str:
    """Names and defaults."""
    return ", ".join(f"`{name}`" if value is None else f"`{name}: {value}`" for name, value in defaults.items())


def default(value: Any) -> str:
    """As a grid would write it; what follows from another axis, or must be written, has none."""
    return "" if type(value) is object or value is None else f"`{json.dumps(value)}`"


def schema() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
