"""Which columns of a table are features: those named, those of a pattern, or all but some. Imports no JAX."""

import fnmatch
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernels.data import files
from kernels.spec import InputError

PATTERN = re.compile(r"[*?\[]")

IDENTIFIER = re.compile(r"(?:^|[^A-Za-z])(?i:ids?|index|idx|nr|no|number|key)$|[a-z]I[dD]$")
"""Names of columns that usually identify samples, and are no features of them."""


def features(path: Path, known: Sequence[str], target: str, named: Any, excluded: Any) -> list[str]:
    """The names of the features in the order written; the columns that match one pattern are in the file's order.

    Args:
        known: names of the file's columns.
        named: the parameter `features`, names or patterns with * ? [ab]; None for every column but the target.
        excluded: the parameter `exclude`, names or patterns of columns that are no features; None for none.

    A name that a column has is never taken as a pattern. Raises InputError, also where a column that only numbers the
    samples would be a feature though nobody named it.
    """
    out = frozenset(() if excluded is None else _matching(path, known, excluded, "exclude"))
    if target in out:
        raise InputError(f"data: column {target!r} is the target, and excluded; leave it out of exclude")
    if named is None:
        found = files.features_of(path, known, target, out)
        _check_identifiers(path, found)
    else:
        found = [name for name in _matching(path, known, named, "features") if name not in out]
        if target in found and target in map(str, named):
            raise InputError(f"data: column {target!r} is the target and a feature; leave it out of features")
        found = [name for name in found if name != target]
    if not found:
        raise InputError(f"data: file {path}: no feature is left; exclude fewer columns")
    return found


def _matching(path: Path, known: Sequence[str], written: Any, key: str) -> list[str]:
    if not (isinstance(written, list | tuple) and written and len(set(map(str, written))) == len(written)):
        raise InputError(f"data: {key} is {written!r}; write a list of different columns, such as [a, b] or [gene_*]")
    having, found = frozenset(known), []
    for name in map(str, written):
        if name in having or not PATTERN.search(name):
            files.check_columns(path, [name], known, key)
            found.append(name)
            continue
        fitting = [column for column in known if fnmatch.fnmatchcase(column, name)]
        if not fitting:
            raise InputError(f"data: file {path} has no column like {name!r} ({key}); it has {', '.join(known[:20])}")
        found += fitting
    return list(dict.fromkeys(found))


def _check_identifiers(path: Path, found: Sequence[str]) -> None:
    """Raise InputError where a feature that nobody named has an identifier's name and holds growing whole numbers."""
    for name in found:
        if IDENTIFIER.search(name):
            values = files.read(path, [name], name, two_values=False)[1]
            if len(values) > 1 and (values == np.round(values)).all() and (np.diff(values) > 0).all():
                raise InputError(
                    f"data: file {path}: column {name!r} holds growing whole numbers, all different, as identifiers "
                    f"of samples do, which are no feature; write exclude: [{name}], or name the columns to use, with "
                    f"it if it is one: features: [{name}, ...]"
                )
