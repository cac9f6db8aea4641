"""One `sweep launch` from the grid file to the last line."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
from rich.console import Console

from analysis.files import check_report
from db.store import NoStore, Store, StoreDenied, StoreError
from kernels.own_code import OwnCode
from kernels.spec import STATUSES
from sweep.execution import summary
from sweep.execution.announcement import plan_lines
from sweep.execution.batches import Sizer
from sweep.execution.driver import Driver, Outcome
from sweep.execution.estimate import Estimate, cores, counted, estimate, estimate_lines, sizer_of
from sweep.execution.executors import Executor, LocalExecutor
from sweep.execution.history import History
from sweep.execution.plan import Plan, make_plan
from sweep.execution.progress import Live, Plain, Progress, Troubles
from sweep.execution.provenance import command, new_sweep_id, sweep_row
from sweep.execution.records import table
from sweep.execution.shard import Shard
from sweep.execution.spill import take_up
from sweep.execution.tally import Tally
from sweep.execution.words import duration
from sweep.grid.grid import Grid, load
from sweep.shown import lines_shown

if TYPE_CHECKING:
    from analysis.results import Results

READER_SECONDS = 2.0
"""How long a commit waits for readers before the driver does something else."""


@dataclass(frozen=True)
class Options:
    """What the command line says beside the grid.

    Attributes:
        store: path of the DuckDB file.
        local: run in this process instead of on Ray.
        address: of a Ray cluster to join.
        overrides: `--set` options.
        report: where the report goes, if one is wanted.
        provenance: whether that report shows host, folders and uncommitted changes too.
        workers: CPUs of the Ray that is started here.
        retry_failed: whether runs that failed for good are run again.
        max_failures: failed runs in a row that stop the sweep.
        quiet: whether stdout is left to the caller.
        silent: whether nothing is told but what goes wrong.
        wait: seconds to wait for a store that is in use.
        plugins: whether the grid may name code of its own, module:Class.
        command: what launches again, where that is not this process's command line.
        shard: the part of the grid that is launched; None for all of it.
        by_program: whether progress has a row for each program.
    """

    store: Path
    local: bool = False
    address: str | None = None
    overrides: tuple[str, ...] = ()
    report: Path | None = None
    provenance: bool = False
    workers: int | None = None
    retry_failed: bool = False
    max_failures: int = 10
    quiet: bool = False
    silent: bool = False
    wait: float = 30.0
    plugins: bool = True
    command: str | None = None
    shard: Shard | None = None
    by_program: bool = False


@dataclass(frozen=True, repr=False)
class Ended:
    """How a launch ended, for people (`print`) and for programs.

    Attributes:
        sweep_id: of this launch, in the table `sweeps`.
        store: path of the DuckDB file.
        plan: the counts before it began, as `sweep plan --json` prints them.
        counts: runs of the grid by status, whoever computed them.
        summed: whether the store could be read for that.
        computed: runs that this launch computed, by status.
        seconds: it took.
        interrupted: whether Ctrl-C or SIGTERM ended it.
        traceback: the first failure's, if failures in a row ended it.
        lost: what happened to the Ray cluster, if that ended it.
        unstored: why the store took no rows, if that ended it.
        resume: what goes on.
        report: the HTML file, if one was asked for.
        drifting: converged runs whose conserved quantities were not conserved.
        uncertified: predictions without a small certificate.
        found: what it found, in words.
        endings: why runs did not converge, in words.
        table: architecture x depth x prediction: converged runs, worst and median distance.
    """

    sweep_id: str
    store: Path
    plan: dict[str, Any]
    counts: dict[str, int]
    summed: bool
    computed: dict[str, int]
    seconds: float
    interrupted: bool
    traceback: str | None
    lost: str | None
    unstored: str | None
    resume: str
    report: str | None
    drifting: int
    uncertified: int
    found: list[str]
    endings: list[str]
    table: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "sweep_id": self.sweep_id, "store": str(self.store), **self.plan, "computed": sum(self.computed.values()),
            "statuses": self.counts, "computed_statuses": self.computed, "seconds": round(self.seconds, 2),
            "interrupted": self.interrupted, "traceback": self.traceback, "resume": self.resume,
            "cluster_lost": self.lost, "unstored": self.unstored, "report": self.report, "drifting": self.drifting,
            "uncertified": self.uncertified, "found": self.found, "endings": self.endings,
            "table": self.table.to_dicts(),
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """The end of a launch for people; the last line counts statuses, where the store could be read."""
        from sweep.formats import text

        if self.table.height:
            yield "\n" + text(self.table.to_arrow())
        yield from (*self.found, *self.endings)
        if self.drifting:
            yield summary.drift_line(self.drifting)
        if self.uncertified:
            yield summary.certificate_line(self.uncertified)
        if self.traceback:
            yield f"stopped after too many failures in a row; the first one:\n{self.traceback}"
        if self.report:
            yield f"report: {self.report}"
        done = sum(self.computed.values())
        yield f"computed {done} runs in {duration(self.seconds)}; results in {self.store}"
        if self.lost:
            yield f"stopped because the Ray cluster is gone: {self.lost}; all that had arrived is stored"
        if self.unstored:
            yield f"stopped because results could not be stored: {self.unstored}"
        if self.interrupted or self.traceback or self.lost or self.unstored:
            yield f"to go on: {self.resume}"
        if self.summed:
            yield summary.counts_line(self.plan["total"], self.counts, self.plan.get("shard"))
        else:
            yield f"{self.plan['cached']} of {self.plan['total']} runs were stored before; how many are: sweep status"

    def __repr__(self) -> str:
        return "\n".join(map(lines_shown, self.lines()))

    def load(self) -> "Results":
        """The store's frames and charts. Raises StoreError."""
        from analysis import load

        return load(self.store)


def run(grid_path: Path, options: Options) -> Ended:
    """Plan, run, store, sum up. Raises before anything is written if something in the input is wrong."""
    if options.report is not None:
        check_report(options.report)
    return run_grid(load(grid_path, options.overrides, options.plugins), options)


def run_grid(grid: Grid, options: Options) -> Ended:
    """The same of a grid that is read already."""
    with grid.code.found():
        return _run(grid, options)


def _run(grid: Grid, options: Options) -> Ended:
    stream = sys.stderr if options.quiet else sys.stdout
    store = _store(options, stream)
    plan = make_plan(grid, store, options.retry_failed, options.shard)
    _check_writable(store)
    sweep_id = new_sweep_id()
    history, workers = History(store), _workers(options)
    made = estimate(plan, history, workers or 1)
    counts = counted(plan, made)
    _tell(plan_lines(counts, estimated=workers is not None or not plan.pending), options, stream)
    begin = time.monotonic()
    outcome: Outcome | None = None
    try:
        if plan.pending:
            with _executor(sweep_id, grid.code, options) as executor:
                if executor.slots != workers:
                    made = estimate(plan, history, executor.slots)
                    counts = counted(plan, made)
                    _tell(estimate_lines(counts), options, stream)
                _open(store, sweep_id, plan, counts, options.command)
                sizer = sizer_of(plan, history, executor.slots)
                outcome = _compute(plan, store, options, executor, made, sizer, sweep_id)
        else:
            _open(store, sweep_id, plan, counts, options.command)
            outcome = Outcome()
        some = plan.total > plan.pending or outcome.statuses
        report = _report(options) if some and not outcome.unstored else None
        told = _summary(store, options.store, sweep_id, outcome)
    except KeyboardInterrupt:  # after the last run: the executor was closing, or the summary was being read
        if outcome is None:
            raise
        outcome.interrupted = True
        report, told = None, _unread(outcome)
    return Ended(
        sweep_id=sweep_id,
        store=options.store,
        plan=counts,
        computed=dict(outcome.statuses),
        seconds=time.monotonic() - begin,
        interrupted=outcome.interrupted,
        traceback=outcome.traceback,
        lost=outcome.lost,
        unstored=outcome.unstored,
        resume=options.command or command(),
        report=report,
        **told,
    )


def record(grid: Grid, store: Store) -> None:
    """Enter a grid of which the store has every run as a sweep of its own, as launching it again would."""
    plan = make_plan(grid, store)
    _open(store, new_sweep_id(), plan, counted(plan, estimate(plan, History(store), 1)))


def _tell(lines: Iterable[str], options: Options, stream: Any) -> None:
    for line in () if options.quiet else lines:
        print(lines_shown(line), file=stream, flush=True)


def _store(options: Options, stream: Any) -> Store:
    """The store, with the rows that an earlier launch could not commit. Raises StoreError."""
    path = options.store
    if path.is_symlink() and not path.exists():
        target = Path(os.path.realpath(path))
        print(lines_shown(f"{path} is a link to {target}, which is made"), file=stream, flush=True)
        path = target
    store = Store(path, timeout=options.wait)
    if runs := take_up(store):
        print(f"stored {runs} runs that an earlier launch had to write elsewhere", file=stream, flush=True)
    return store


def _summary(store: Store, path: Path, sweep_id: str, outcome: Outcome) -> dict[str, Any]:
    """What the store says of the sweep; of one that cannot be read, what is known without it."""
    try:
        return {
            "counts": summary.counts(store, sweep_id),
            "summed": True,
            "drifting": summary.drifting(store, sweep_id),
            "uncertified": summary.uncertified(store, sweep_id),
            "found": summary.found_lines(store, sweep_id, str(path)),
            "endings": summary.endings(store, sweep_id),
            "table": pl.DataFrame(summary.table(store, sweep_id)),
        }
    except StoreError:
        if not outcome.unstored:
            raise
        return _unread(outcome)


def _unread(outcome: Outcome) -> dict[str, Any]:
    """What is known of a launch without its store."""
    counts = {name: outcome.statuses[name] for name in STATUSES}
    none: dict[str, Any] = {"drifting": 0, "uncertified": 0, "found": [], "endings": [], "table": pl.DataFrame()}
    return {"counts": counts, "summed": False, **none}


def _check_writable(store: Store) -> None:
    """Raise StoreError where results could not be written, before Ray is started for them."""
    folder = store.path.parent
    if not folder.is_dir():
        raise NoStore(f"{folder} is not a folder; make it, or name another file with --store")
    target = store.path if store.path.exists() else folder
    if not os.access(target, os.W_OK):
        raise StoreDenied(f"{target} is not writable; name another file with --store")


def _executor(sweep_id: str, code: OwnCode, options: Options) -> Executor:
    if options.local:
        return LocalExecutor(sweep_id, code)
    from sweep.execution.ray_executor import RayExecutor

    return RayExecutor(sweep_id, code, address=options.address, workers=options.workers)


def _open(store: Store, sweep_id: str, plan: Plan, counts: dict[str, Any], command: str | None = None) -> None:
    """Make the store if need be and record what this launch asks for."""
    store.create()
    ids = pa.chunked_array(plan.run_ids, pa.string()).combine_chunks()
    asked = table("sweep_runs", {"sweep_id": pa.array([sweep_id] * len(ids), pa.string()), "run_id": ids})
    store.commit({"sweeps": sweep_row(sweep_id, plan.grid, counts, command), "sweep_runs": asked})


def _compute(
    plan: Plan, store: Store, options: Options, executor: Executor, made: Estimate, sizer: Sizer, sweep_id: str
) -> Outcome:
    store = Store(store.path, timeout=READER_SECONDS)
    with _progress(Tally(plan.total, plan.cached, made), options) as progress:
        if not options.silent:
            progress.say(f"running {plan.pending} runs {executor.describe()}")
        return Driver(plan, store, executor, sizer, progress, sweep_id, options.max_failures).run()


def _progress(tally: Tally, options: Options) -> Progress:
    stream = sys.stderr if options.quiet else sys.stdout
    if options.silent:
        return Troubles(tally, stream)
    if stream.isatty():
        return Live(tally, Console(file=stream), options.by_program)
    return Plain(tally, stream, options.by_program)


def _workers(options: Options) -> int | None:
    """How many there will be; None where only the cluster knows."""
    if options.local:
        return 1
    from sweep.execution.ray_tasks import running

    return None if options.address is not None or running() else options.workers or cores()


def _report(options: Options) -> str | None:
    if options.report is None:
        return None
    from analysis.report import write_report

    return str(write_report(options.store, options.report, provenance=options.provenance))
