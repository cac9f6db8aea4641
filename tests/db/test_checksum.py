"""The checksum of a run: as its docstring defines it, the same from the store, and other for every change."""

import math
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from db.checksum import of_rows, summed
from db.store import Store
from tests.db import store_rows as rows

WORD = (1 << 64) - 1


def mix(x: int) -> int:
    """splitmix64's finaliser, on Python's integers."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


def word(value: Any) -> int:
    """The word of one value, from the definition."""
    if isinstance(value, list):
        places = enumerate(value, start=1)
        return sum(mix((word(each) + place * 0x9E3779B97F4A7C15) & WORD) for place, each in places) & WORD
    if isinstance(value, str):
        return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "little")
    if isinstance(value, float):
        return int(np.array(math.nan if math.isnan(value) else value or 0.0).view(np.uint64))
    return int(value) & WORD


def test_rows_are_summed_as_defined() -> None:
    made = rows.trajectories(["a", "b"], step=[3, -1, 5])
    expected = []
    for row in made.to_pylist():
        cells = [mix(word(value) ^ word(f"trajectories.{name}")) for name, value in row.items() if value is not None]
        expected.append(mix(sum(cells) & WORD))
    assert of_rows("trajectories", made).tolist() == expected


def test_the_store_gives_back_what_was_summed(store: Store) -> None:
    results = rows.results(["a", "b"], min_margin=-0.0, residual=math.nan, message="é")
    results["runs"] = summed(results)
    store.commit(results)
    read = {name: store.query(f"FROM {name} ORDER BY run_id DESC") for name in results}
    again = summed(read)
    assert again["checksum"].to_pylist() == results["runs"]["checksum"].to_pylist()[::-1]
    assert len(set(again["checksum"].to_pylist())) == 2


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("runs", {"beta": [0.5, 0.0]}),
        ("runs", {"beta": [0.0, 0.5, 0.0]}),
        ("runs", {"beta": None}),
        ("runs", {"beta": []}),
        ("runs", {"dim": None}),
        ("runs", {"record": False}),
        ("runs", {"alpha": float(np.nextafter(0.1, 1))}),
        ("predictions", {"distance": None}),
        ("predictions", {"distance": 0.0}),
        ("predictions", {"certificate": 0.5, "distance": None}),
        ("trajectories", {"norm": rows.TRAJECTORY["residual"], "residual": rows.TRAJECTORY["norm"]}),
        ("trajectories", {"beta": [[0.0, 0.0, 3.0], [4.0]]}),
        ("trajectories", {"beta": [[3.0, 4.0], [0.0, 0.0]]}),
        ("path_predictions", {"point": 1}),
        ("path_predictions", {"beta": [0.0, 1.0]}),
        ("saddles", {"predicted": [3.0, 5.0]}),
        ("saddles", {"log_time": None}),
    ],
)
def test_every_change_shows(name: str, changed: dict[str, Any]) -> None:
    make = getattr(rows, name)
    assert of_rows(name, make(["a"])).tolist() != of_rows(name, make(["a"], **changed)).tolist()


def test_a_column_of_a_later_version_changes_nothing() -> None:
    made = rows.runs(["a"])
    later = made.append_column("note", pa.nulls(1, pa.string()))
    assert of_rows("runs", later).tolist() == of_rows("runs", made).tolist()
