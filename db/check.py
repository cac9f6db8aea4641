"""Reading a whole store: is every row there, and does it keep what the schema promises? What is whole can be saved.

DuckDB keeps a checksum of every block and compares it when it reads the block, so that reading every column of every
row finds what a disk has changed. Promises between rows, and the checksum of each run, find the rest.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from db import schema
from db.arrow import rows_at_once
from db.checksum import COLUMN, add, of_rows
from db.connection import raw
from db.errors import Damaged, StoreDenied, TooMuch
from db.insert import KEYS, OF_A_RUN
from db.store import Store, make

LEAST_ROWS = 2_048
"""Where rows cannot be read, ranges are halved down to this: DuckDB reads so many at once."""

NAMED = 3
"""Run ids that a damage names."""

Flags = np.ndarray
"""One truth a row of a table."""


@dataclass(frozen=True)
class Damage:
    """One promise that rows of one table do not keep.

    Attributes:
        table: whose rows they are.
        what: is the matter, in words.
        rows: how many they are.
        run_ids: the first few of their runs, where they are known.
    """

    table: str
    what: str
    rows: int
    run_ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        ids = ", ".join(self.run_ids) + (", ..." if self.rows > len(self.run_ids) else "")
        return f"{self.table}: {self.rows} {self.what}" + (f": {ids}" if self.run_ids else "")


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        rows: that were read, by table.
        damages: none if the store is whole.
        without_checksum: runs of versions that wrote none: what is missing of them shows less surely.
        saved: rows of the new store by table, where one was asked for.
    """

    rows: Mapping[str, int]
    damages: tuple[Damage, ...]
    without_checksum: int
    saved: Mapping[str, int] | None = None

    @property
    def whole(self) -> bool:
        return not self.damages


@dataclass
class Part:
    """What could be read of one table.

    Attributes:
        columns: its keys and what the promises speak of, a row for each that was read.
        ranges: of row numbers that were read.
        lost: ranges that were not.
        lost_ids: of runs in these, as far as they can be read.
        bad: rows that are left out of what is saved.
    """

    columns: pa.Table
    ranges: list[range] = field(default_factory=list)
    lost: list[range] = field(default_factory=list)
    lost_ids: list[str] = field(default_factory=list)
    bad: Flags = field(default_factory=lambda: np.zeros(0, bool))

    def __getitem__(self, name: str) -> pa.Array:
        return self.columns[name].combine_chunks()


def check(store: Store, salvage: Path | None = None) -> Checked:
    """Read everything; with `salvage`, write what is whole into a new store of that name.

    The store stays open for reading meanwhile: who would write waits. Raises Damaged where the file cannot be opened
    for damage, and StoreErrors as other uses of the store do; `salvage` never replaces a file.
    """
    if salvage is not None and salvage.exists():
        raise StoreDenied(f"--salvage {salvage}: that file exists; name a new one")
    with store.reading() as duck:
        parts = {name: _part(duck, name, store.path) for name in KEYS}
        damages = tuple(_damages(parts))
        saved = None if salvage is None else _save(duck, parts, Path(os.path.abspath(salvage)))
    unsummed = parts["runs"][COLUMN].null_count
    return Checked({name: part.columns.num_rows for name, part in parts.items()}, damages, unsummed, saved)


def _part(duck: Any, name: str, path: Path) -> Part:
    """Read a table and keep of it what the promises speak of."""
    part, kept = Part(pa.table({})), []
    for where, rows in _pieces(duck, name, part, path):
        part.ranges += [where] if where else []
        few = KEPT.get(name, _keys)(name, rows)
        kept.append(few.take(pa.array(np.arange(few.num_rows))))  # a copy: one column of DuckDB's keeps all of them
    part.columns = pa.concat_tables(kept)
    part.bad = np.zeros(part.columns.num_rows, bool)
    return part


def _pieces(duck: Any, name: str, part: Part, path: Path) -> Iterator[tuple[range, pa.Table]]:
    """The rows of a table in their order, with their row numbers; notes what cannot be read."""
    most = rows_at_once(name)
    (last,) = duck.execute(f"SELECT coalesce(max(rowid), 0) FROM {name}").fetchone()
    todo = [range(first, min(first + most, last + 1)) for first in range(0, last + 1, most)][::-1]
    while todo:
        where = todo.pop()
        rows = _read(duck, name, "*", where, path)
        if rows is not None:
            yield where, rows
        elif len(where) > LEAST_ROWS:
            todo += [where[len(where) // 2 :], where[: len(where) // 2]]
        else:
            part.lost.append(where)
            ids = _read(duck, name, "run_id", where, path) if "run_id" in schema.expected()[name] else None
            part.lost_ids += [] if ids is None else pc.unique(ids["run_id"].drop_null()).to_pylist()
    if not part.ranges:
        yield range(0), duck.execute(f"FROM {name} LIMIT 0").to_arrow_table()


def _read(duck: Any, name: str, columns: str, where: range, path: Path) -> pa.Table | None:
    """Some rows of a table, or None where they cannot be read."""
    sql = f"SELECT {columns} FROM {name} WHERE rowid BETWEEN {where[0]} AND {where[-1]}"
    try:
        rows: pa.Table = duck.execute(sql).to_arrow_table()
        return rows
    except duckdb.OutOfMemoryException as error:
        raise TooMuch("reading the store needs more memory; raise --max-memory ($SWEEP_MAX_MEMORY)") from error
    except (duckdb.FatalException, duckdb.InternalException) as error:  # after these DuckDB answers nothing more
        first = str(error).partition("\n")[0]
        raise Damaged(f"{path} is damaged: {name} cannot be read ({first}); restore it from a copy") from error
    except (duckdb.Error, OSError):
        return None


def _keys(name: str, rows: pa.Table) -> pa.Table:
    return rows.select(list(KEYS[name]))


def _of_runs(name: str, rows: pa.Table) -> pa.Table:
    recorded = pc.and_(rows["record"], pc.not_equal(rows["status"], "failed"))
    return pa.table(
        {
            "run_id": rows["run_id"], "dim": rows["dim"], "recorded": recorded, COLUMN: rows[COLUMN],
            "length": pc.list_value_length(rows["beta"]), "word": of_rows(name, rows),
        }
    )  # fmt: skip


def _of_predictions(name: str, rows: pa.Table) -> pa.Table:
    lengths = pc.list_value_length(rows["predicted" if name == "saddles" else "beta"])
    return _keys(name, rows).append_column("length", lengths).append_column("word", pa.array(of_rows(name, rows)))


def _of_trajectories(name: str, rows: pa.Table) -> pa.Table:
    """`even`: all lists of a row have one length; `length`: of the coefficients at each point, -1 if they differ."""
    beta = rows["beta"].combine_chunks()
    points = pc.list_value_length(beta).to_numpy(zero_copy_only=False)
    even = np.ones(rows.num_rows, bool)
    for column in rows.column_names:
        if pa.types.is_list(rows.schema.field(column).type):
            even &= pc.fill_null(pc.equal(pc.list_value_length(rows[column]), pa.array(points)), True).to_numpy()
    widths = pc.fill_null(pc.list_value_length(beta.flatten()), -1).to_numpy()
    ends = np.concatenate([[0], np.cumsum(points)])
    first = np.append(widths, -1)[ends[:-1]]
    others = np.concatenate([[0], np.cumsum(widths != np.repeat(first, points))])
    length = np.where(others[ends[1:]] > others[ends[:-1]], -1, np.where(points == 0, -2, first))
    return pa.table({"run_id": rows["run_id"], "even": even, "length": length, "word": of_rows(name, rows)})


KEPT: dict[str, Callable[[str, pa.Table], pa.Table]] = {
    "runs": _of_runs,
    "predictions": _of_predictions,
    "trajectories": _of_trajectories,
    "path_predictions": _of_predictions,
    "saddles": _of_predictions,
}
"""What is kept of a table's rows; of the others their keys."""


def _damages(parts: Mapping[str, Part]) -> Iterator[Damage]:
    """Every promise that is not kept; marks the rows that are not whole as bad."""
    for name, part in parts.items():
        if part.lost:
            yield Damage(name, "rows cannot be read", sum(map(len, part.lost)), tuple(part.lost_ids[:NAMED]))
        yield from _note(name, part, "rows repeat a key", _repeated(part, KEYS[name]))
    runs = parts["runs"]
    ids, dim = runs["run_id"], _numbers(runs["dim"])
    sums, of_a_run = runs["word"].to_numpy().copy(), {}
    for name in OF_A_RUN:
        part = parts[name]
        places = pc.index_in(part["run_id"], value_set=ids)
        sums = add(sums, places, part["word"].to_numpy())
        place = of_a_run[name] = pc.fill_null(places, -1).to_numpy()
        yield from _note(name, part, "rows have no run", place < 0)
        length = _numbers(part["length"])
        wrong = _differ(length, np.append(dim, -2)[place])
        yield from _note(name, part, "rows have coefficients of another dimension than their run", wrong)
    orbits = parts["trajectories"]
    uneven = pc.invert(orbits["even"]).to_numpy(zero_copy_only=False)
    yield from _note("trajectories", orbits, "rows have lists of several lengths", uneven)
    wrong = _differ(_numbers(runs["length"]), dim)
    yield from _note("runs", runs, "runs have coefficients of another dimension than their data", wrong)
    alone = runs["recorded"].to_numpy(zero_copy_only=False).copy()
    alone[of_a_run["trajectories"][of_a_run["trajectories"] >= 0]] = False
    again = _repeated(runs, KEYS["runs"])
    yield from _note("runs", runs, "runs lack their trajectory", alone & ~again)
    stored = runs[COLUMN]
    known = stored.is_valid().to_numpy(zero_copy_only=False)
    changed = known & (pc.fill_null(stored, 0).to_numpy() != sums.view(np.int64))
    yield from _note("runs", runs, "runs do not add up to their checksum", changed & ~again)
    asked, sweeps = parts["sweep_runs"], parts["sweeps"]
    of_no_sweep = pc.invert(pc.is_in(asked["sweep_id"], value_set=sweeps["sweep_id"]))
    yield from _note("sweep_runs", asked, "rows have no sweep", of_no_sweep.to_numpy(zero_copy_only=False))
    _spread(parts, of_a_run, known)


def _note(name: str, part: Part, what: str, wrong: Flags) -> Iterator[Damage]:
    """The damage of the rows that are wrong, if there are any; marks them."""
    count = int(wrong.sum())
    if count:
        part.bad |= wrong
        ids = part["run_id"].filter(pa.array(wrong)) if "run_id" in part.columns.column_names else pa.array([])
        yield Damage(name, what, count, tuple(pc.unique(ids).to_pylist()[:NAMED]))


def _spread(parts: Mapping[str, Part], of_a_run: Mapping[str, Flags], summed: Flags) -> None:
    """A run is whole with all of its rows or not at all."""
    runs = parts["runs"]
    if any(parts[name].lost for name in of_a_run):
        runs.bad |= ~summed  # nothing says how many rows they had
    for name, place in of_a_run.items():
        runs.bad[place[parts[name].bad & (place >= 0)]] = True
    for name, place in of_a_run.items():
        parts[name].bad |= np.append(runs.bad, True)[place]


def _numbers(values: pa.Array) -> np.ndarray:
    """Integers; -2 for NULL."""
    return pc.fill_null(values.cast(pa.int64()), -2).to_numpy()


def _differ(one: np.ndarray, other: np.ndarray) -> Flags:
    """Where two numbers are known and not equal."""
    return (one > -2) & (other > -2) & (one != other)


def _repeated(part: Part, keys: tuple[str, ...]) -> Flags:
    """Rows whose key an earlier row has too."""
    code = np.zeros(part.columns.num_rows, np.int64)
    for key in keys:
        distinct = part[key].dictionary_encode()
        code = code * max(len(distinct.dictionary), 1) + distinct.indices.to_numpy()
    repeated = np.ones(len(code), bool)
    repeated[np.unique(code, return_index=True)[1]] = False
    return repeated


def _save(duck: Any, parts: Mapping[str, Part], path: Path) -> dict[str, int]:
    """A new store of the rows that are whole; returns how many there are by table."""
    saved = dict.fromkeys(parts, 0)

    def fill(connection: Connection) -> None:
        into = raw(connection)
        for name, part in parts.items():
            start = 0
            for where in part.ranges:
                rows = _read(duck, name, "*", where, path)
                assert rows is not None
                kept = rows.filter(pa.array(~part.bad[start : start + rows.num_rows]))
                start += rows.num_rows
                into.register("incoming", kept)
                into.execute(f"INSERT INTO {name} BY NAME FROM incoming")
                saved[name] += kept.num_rows

    make(path, fill)
    return saved
