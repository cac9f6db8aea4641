"""Which cases of a long table the default suite runs."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest


def sampled(cases: Iterable[Any] | Mapping[str, tuple[Any, ...]], every: int) -> list[Any]:
    """All cases; those between every `every`-th one are slow. A mapping gives names and arguments."""
    table = cases.items() if isinstance(cases, Mapping) else [(None, (case,)) for case in cases]
    return [
        pytest.param(*values, id=name, marks=pytest.mark.slow if place % every else [])
        for place, (name, values) in enumerate(table)
    ]
