"""What launching a grid would do: runs in all, stored and to compute; what each rule dropped; how long it takes."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from db.store import Store
from kernels.spec import AXES
from sweep.execution.programs import ProgramPlan, Shape, programs
from sweep.execution.records import PLAIN, table
from sweep.execution.shard import Shard
from sweep.grid.expansion import Audit, Candidate, Expansion
from sweep.grid.grid import Grid
from sweep.grid.mistakes import GridError

ORDER = (
    "run_id",
    "task",
    "loss",
    "dataset",
    "dim",
    "samples",
    *(name for name in AXES if name not in ("task", "loss")),
)
"""Columns of the frame of runs."""

CHUNK = 1 << 16
"""Runs whose identities are compared with the store at once."""


@dataclass
class Plan:
    """The counts of a grid against a store, and the way back to its pending runs.

    Attributes:
        grid: what is planned.
        expansion: enumerates the grid's combinations.
        shard: the part of the grid that is planned; None for all of it.
        elsewhere: runs of the grid that are of other parts.
        total, cached, pending: runs; total = cached + pending.
        dropped: combinations dropped, by rule.
        shapes: its runs by compile key, stored ones included.
        programs: those that pending runs need; which they are follows from all runs.
        run_ids: every run's id, in chunks.
        wanted: for each combination in the order of the expansion, whether it is a pending run.
    """

    grid: Grid
    expansion: Expansion
    shard: Shard | None = None
    elsewhere: int = 0
    total: int = 0
    cached: int = 0
    pending: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    shapes: dict[str, Shape] = field(default_factory=dict)
    programs: list[ProgramPlan] = field(default_factory=list)
    run_ids: list[pa.Array] = field(default_factory=list)
    wanted: list[np.ndarray] = field(default_factory=list)

    def candidates(self) -> Iterator[Candidate]:
        """The pending runs, one at a time, in the grid's order."""
        wanted = itertools.chain.from_iterable(mask.tolist() for mask in self.wanted)
        return itertools.compress(self.expansion.candidates(), wanted)

    @property
    def classes(self) -> Mapping[str, tuple[Any, Any]]:
        """By data set of a file the values of its label that became -1 and +1."""
        return self.expansion.catalogue.classes()

    def counts(self) -> dict[str, Any]:
        """As JSON: what, with an estimate, `sweep plan --json` prints and the store keeps of a launch."""
        return {
            "name": self.grid.name,
            **({} if self.shard is None else {"shard": str(self.shard), "elsewhere": self.elsewhere}),
            "total": self.total,
            "cached": self.cached,
            "pending": self.pending,
            "dropped": dict(self.dropped),
            "programs": len(self.programs),
        }


def make_plan(grid: Grid, store: Store, retry_failed: bool = False, shard: Shard | None = None) -> Plan:
    """Count the runs of a grid, or of a part of it, against a store.

    Raises GridError for mistakes that only combinations show, and for a grid without runs; a part may have none.
    """
    plan = Plan(grid, Expansion(grid), shard)
    audit = Audit()
    seen: set[bytes] = set()
    candidates = plan.expansion.candidates(audit)
    with grid.code.found():
        while chunk := list(itertools.islice(candidates, CHUNK)):
            _count(plan, chunk, seen, store, retry_failed)
        plan.programs = [each for each in programs(plan.shapes.values()) if each.pending]
    plan.dropped += audit.dropped
    for rule in audit.dropped:
        plan.dropped.setdefault(rule, 0)
    if not plan.total + plan.elsewhere:
        rules = ", ".join(f"{rule} ({count})" for rule, count in plan.dropped.items() if count)
        raise GridError([f"{grid.source.path}: no run is left; dropped by {rules}"])
    return plan


def runs_of(plan: Plan) -> pa.Table:
    """One row a run in the grid's order: id, axes, and whether it is stored; columns as in the table `runs`."""
    wanted = itertools.chain.from_iterable(mask.tolist() for mask in plan.wanted)
    kept: dict[str, tuple[Candidate, bool]] = {}
    for candidate, pending in zip(plan.expansion.candidates(), wanted, strict=True):
        kept.setdefault(candidate.run_id, (candidate, not pending))
    specs = [candidate.spec for candidate, _ in kept.values()]
    entries = [candidate.structure.entry for candidate, _ in kept.values()]
    columns: dict[str, list[Any]] = {
        "run_id": list(kept),
        **{name: [getattr(spec, name) for spec in specs] for name in PLAIN},
        "architecture": [spec.architecture_name for spec in specs],
        "init": [spec.init_name for spec in specs],
        **{name: [getattr(entry, name) for entry in entries] for name in ("dim", "samples")},
        "dataset": [entry.name for entry in entries],
    }
    rows = table("runs", columns).select([name for name in ORDER if name in columns])
    return rows.add_column(1, "stored", pa.array([stored for _, stored in kept.values()], pa.bool_()))


def _count(plan: Plan, chunk: list[Candidate], seen: set[bytes], store: Store, retry_failed: bool) -> None:
    """Add one chunk of combinations to a plan."""
    ids = [candidate.run_id for candidate in chunk]
    fresh = np.zeros(len(ids), bool)
    for position, run_id in enumerate(ids):
        short = bytes.fromhex(run_id)
        if short in seen:
            plan.dropped[_duplicate_rule(chunk[position])] += 1
        else:
            seen.add(short)
            fresh[position] = plan.shard is None or plan.shard.has(short)
            plan.elsewhere += not fresh[position]
    new = pa.array(ids, pa.string()).filter(pa.array(fresh))
    missing = store.missing(new, retry_failed) if len(new) else new
    wanted = np.zeros(len(ids), bool)
    wanted[fresh] = pc.is_in(new, value_set=missing).to_numpy(zero_copy_only=False)
    plan.run_ids.append(new)
    plan.wanted.append(wanted)
    plan.total += len(new)
    plan.pending += len(missing)
    plan.cached += len(new) - len(missing)
    for candidate, pending in itertools.compress(zip(chunk, wanted.tolist(), strict=True), fresh.tolist()):
        key = candidate.structure.key
        shape = plan.shapes.get(key)
        if shape is None:
            shape = plan.shapes[key] = Shape(key, candidate.structure)
        shape.add(candidate.alpha, pending)


def _duplicate_rule(candidate: Candidate) -> str:
    """Why a combination is the same run as an earlier one."""
    ignored: Mapping[str, str] = candidate.structure.ignored
    return next(iter(ignored.values()), "the same run again")
