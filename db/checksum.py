"""The checksum of a run: one number over all rows that it has in any table, by which damage shows.

All sums are of 64-bit numbers, modulo 2^64; mix is the finaliser of splitmix64, a bijection.

- A value is a word: an integer, a time in microseconds and a boolean themselves; a float its bits, with one zero and
  one NaN; a text the first eight bytes of its BLAKE2b; a list the sum over its places p = 1, 2, ... of mix(word + p G).
- A row is mix of the sum, over its columns that are not NULL, of mix(word XOR name), where name is the word of
  "table.column". A column that a later version adds is NULL in older rows, and changes nothing.
- A run is the sum over its rows in all tables, so that their order means nothing, and a table that a later version
  adds changes no older run.

Written with a run by the worker that computed it, so that it covers the way into the store too.
"""

import functools
from collections.abc import Mapping
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

COLUMN = "checksum"
"""The column of `runs` that holds it; of the row itself it is left out."""

G = np.uint64(0x9E3779B97F4A7C15)
NULL_IN_A_LIST = np.uint64(0xD1B54A32D192ED03)

Words = np.ndarray
"""64-bit numbers without sign, one a row."""


def summed(tables: Mapping[str, pa.Table]) -> pa.Table:
    """The table `runs` with the checksums of its runs; rows of other runs are passed over."""
    runs = tables["runs"]
    sums = of_rows("runs", runs)
    for name, rows in tables.items():
        if name != "runs":
            sums = add_rows(sums, runs["run_id"], name, rows)
    place = runs.schema.get_field_index(COLUMN)
    return runs.set_column(place, runs.schema.field(place), pa.array(sums.view(np.int64)))


def add_rows(sums: Words, run_ids: pa.ChunkedArray, name: str, rows: pa.Table) -> Words:
    """Sums of runs with the rows of a further table added to those of their run."""
    return add(sums, pc.index_in(rows["run_id"], value_set=run_ids), of_rows(name, rows))


def add(sums: Words, places: pa.Array | pa.ChunkedArray, words: Words) -> Words:
    """Sums with words added at places; words without a place are passed over."""
    where = pc.fill_null(places, -1).to_numpy()
    added = sums.copy()
    np.add.at(added, where[where >= 0], words[where >= 0])
    return added


def of_rows(name: str, rows: pa.Table) -> Words:
    """The word of each row of a table."""
    total = np.zeros(rows.num_rows, np.uint64)
    for column in rows.column_names:
        values = rows[column].combine_chunks()
        if column != COLUMN and values.null_count < len(values):
            words = _mix(_words(values) ^ _name(f"{name}.{column}"))
            if values.null_count:
                words[pc.is_null(values).to_numpy(zero_copy_only=False)] = 0
            total += words
    return _mix(total)


@functools.cache
def _name(column: str) -> np.uint64:
    return np.uint64(_text(column))


def _text(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _words(values: pa.Array) -> Words:
    """One word a value; that of a NULL means nothing. Raises TypeError for a type that no table has."""
    kind = values.type
    if pa.types.is_list(kind):
        return _lists(values)
    if pa.types.is_string(kind):
        distinct = values.dictionary_encode()
        words = np.array([_text(text) for text in distinct.dictionary.to_pylist()] or [0], np.uint64)
        return words[pc.fill_null(distinct.indices, 0).to_numpy()]
    if pa.types.is_floating(kind):
        numbers = pc.fill_null(values, 0.0).to_numpy() + 0.0  # makes -0.0 the one zero
        return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    if pa.types.is_timestamp(kind):
        values = values.cast(pa.timestamp("us")).view(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise TypeError(f"no checksum is defined for a column of {kind}")
    return pc.fill_null(values.cast(pa.int64()), 0).to_numpy().view(np.uint64)


def _lists(values: pa.ListArray) -> Words:
    """The word of each list: a sum over its places."""
    ends = values.offsets.to_numpy().astype(np.int64)
    inner = values.values.slice(ends[0], ends[-1] - ends[0])
    ends -= ends[0]
    words = _words(inner)
    if inner.null_count:
        words = np.where(pc.is_null(inner).to_numpy(zero_copy_only=False), NULL_IN_A_LIST, words)
    places = np.arange(1, len(inner) + 1) - np.repeat(ends[:-1], np.diff(ends))
    sums = np.zeros(len(inner) + 1, np.uint64)
    np.cumsum(_mix(words + places.view(np.uint64) * G), out=sums[1:])
    return sums[ends[1:]] - sums[ends[:-1]]


def _mix(words: Words) -> Words:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014)."""
    words = words ^ (words >> np.uint64(30))
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words
