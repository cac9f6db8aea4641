"""The data sets of a grid: each description is made canonical, loaded and checked once; few are kept in memory."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels.data.kinds import Dataset, canonical, classes, load
from kernels.own_code import OwnCode
from kernels.spec import InputError, canonical_json, fragment

KEPT = 256
"""Data sets whose arrays stay in memory."""

MOST_NUMBERS = 50_000_000
"""Of all data sets together, for each is drawn or read when the grid is planned: 400 MB."""


@dataclass(frozen=True)
class Entry:
    """A data set without its arrays.

    Attributes:
        task: regression or classification.
        data: {kind: parameters}, canonical.
        fragment: its part of a run's identity.
        name, dim, samples: of the data set.
    """

    task: str
    data: dict[str, Any]
    fragment: str
    name: str
    dim: int
    samples: int

    @property
    def label(self) -> str:
        """What `data` is compared with in an expression: the kind, or the name of a bundled data set."""
        ((kind, parameters),) = self.data.items()
        return str(parameters["name"]) if kind == "dataset" else kind


class Catalogue:
    """Data sets by task and description."""

    def __init__(self, base: Path, code: OwnCode):
        self.base, self.code = base, code
        self._entries: dict[tuple[str, str], Entry | InputError] = {}
        self._numbers = 0
        self._loaded: OrderedDict[tuple[str, str], Dataset] = OrderedDict()

    def entry(self, task: str, raw: Mapping[str, Any], key: str) -> Entry:
        """The data set of a description, `key` being its canonical JSON. Raises InputError, the same one every time."""
        found = self._entries.get((task, key))
        if found is None:
            found = self._entries[task, key] = self._make(task, raw)
        if isinstance(found, InputError):
            raise found
        return found

    def classes(self) -> dict[str, tuple[Any, Any]]:
        """By name of a data set the two values of its file that became -1 and +1, where they were others."""
        entries = (entry for entry in self._entries.values() if isinstance(entry, Entry))
        found = {entry.name: classes(entry.data, entry.task) for entry in entries}
        return {name: both for name, both in found.items() if both is not None}

    def dataset(self, entry: Entry) -> Dataset:
        """The arrays. Raises InputError."""
        key = (entry.task, entry.fragment)
        if key in self._loaded:
            self._loaded.move_to_end(key)
        else:
            with self.code.found():
                self._loaded[key] = load(entry.data, entry.task)
            if len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
        return self._loaded[key]

    def _make(self, task: str, raw: Mapping[str, Any]) -> Entry | InputError:
        if self._numbers > MOST_NUMBERS:
            return InputError(f"data: more than {MOST_NUMBERS:,} numbers in the data sets of one grid; write fewer")
        try:
            with self.code.found():
                data = canonical(raw, task, self.base)
                dataset = load(data, task)
        except InputError as error:
            return error
        samples, dim = dataset.x.shape
        self._numbers += samples * dim
        entry = Entry(task, data, fragment("data", data), dataset.name, dim, samples)
        self._loaded[task, entry.fragment] = dataset
        if len(self._loaded) > KEPT:
            self._loaded.popitem(last=False)
        return entry


def description_key(raw: Any) -> str:
    """Equal descriptions have equal keys."""
    return canonical_json(raw)
