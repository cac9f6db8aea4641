"""What a script or a notebook calls: plan a grid, launch it, or integrate one run in memory.

The same checks and messages as on the command line; nothing is left behind in the process but imported modules.
"""

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from analysis.files import check_report
from db.store import Store
from kernels.data.checks import MOST_NUMBERS
from kernels.losses import LOSSES
from kernels.results import RunResult
from kernels.spec import RunSpec
from sweep.execution import signals
from sweep.execution.announcement import plan_lines
from sweep.execution.environment import check_environment
from sweep.execution.estimate import foreseen
from sweep.execution.forecast import distinct
from sweep.execution.plan import Plan, make_plan, runs_of
from sweep.execution.records import tables
from sweep.execution.session import Ended, Options, run_grid
from sweep.execution.shard import parse
from sweep.execution.worker import prepare, simulator, unchanged
from sweep.grid.expansion import Audit, Expansion
from sweep.grid.grid import Grid, from_source, load
from sweep.grid.mapping import from_mapping
from sweep.grid.mistakes import GridError, not_one_of
from sweep.shown import lines_shown

GridLike = str | Path | Mapping[str, Any]
"""A grid file, or what one holds as a dict."""

EXECUTORS = ("ray", "local")
SHOWN = ("prediction", "kind", "distance", "certificate", "objective", "predicted", "detail")
"""Columns of the frame of predictions of one run, as in the view `convergence`."""


def plan(
    grid: GridLike,
    *,
    store: str | Path | None = None,
    shard: str | None = None,
    retry_failed: bool = False,
    plugins: bool = True,
    wait: float = 30.0,
    workers: int | None = None,
    pilot: bool = False,
) -> "Planned":
    """What launching a grid would do: runs in all, those the store has, those to compute. Makes no store.

    >>> import sweep
    >>> data = {"points": {"x": [[1, 2]], "y": [1]}}
    >>> grid = {"task": "regression", "data": data, "grid": {"architecture": "diagonal", "depth": [2, 3]}}
    >>> planned = sweep.plan(grid, store="none.duckdb")
    >>> planned.counts["total"], planned.counts["pending"]
    (2, 2)
    >>> planned.runs["depth"].to_list()
    [2, 3]

    Args:
        grid: a grid file, or the same as a dict, in which numpy's arrays and ranges may stand; docs/grids.md.
        store: the DuckDB file; $SWEEP_STORE or results.duckdb by default.
        shard: "i/n" for one of n parts of the grid, as for machines without a cluster.
        retry_failed: whether runs that failed for good count as pending.
        plugins: whether the grid may name code of its own, module:Class, which is run when it is read.
        wait: seconds to wait for a store that is in use.
        workers: of the launch whose time is estimated; by default the cores of this machine.
        pilot: whether some runs of programs that were never timed are integrated now, in memory, for the estimate.

    Raises GridError with every mistake found, StoreError.
    """
    _check_positive(workers=workers)
    if pilot:
        check_environment(None)
    found = Store(_store(store), timeout=wait)
    made = make_plan(read(grid, plugins), found, retry_failed, None if shard is None else parse(shard))
    return Planned(made, foreseen(made, found, workers, pilot))


def launch(
    grid: GridLike,
    *,
    store: str | Path | None = None,
    executor: Literal["ray", "local"] = "ray",
    address: str | None = None,
    workers: int | None = None,
    shard: str | None = None,
    report: str | Path | None = None,
    retry_failed: bool = False,
    max_failures: int = 10,
    plugins: bool = True,
    wait: float = 30.0,
    quiet: bool = False,
) -> Ended:
    """Compute what the store does not have yet of a grid, store it, and sum up. Launching again goes on.

    Ctrl-C stores what has arrived and returns, `interrupted` then being true; a second one ends what is running now.
    In a process that is connected to Ray already, that cluster is used, and stays up.

    Args:
        grid, store, shard, retry_failed, plugins, wait: as of `plan`.
        executor: "ray", or "local": in this process, on one core, for small grids.
        address: of a Ray cluster to join, HOST:PORT or auto; without it Ray starts here.
        workers: CPUs of the Ray that is started here.
        report: the HTML file for the report of the store at the end.
        max_failures: failed runs in a row that stop the sweep.
        quiet: nothing is printed but what goes wrong, on standard error.

    Returns what `print` shows as the command line does, with `counts` by status, `table` (polars), `found` in words,
    `sweep_id`, and `load()` for the store's frames and charts.

    Raises GridError with every mistake found, StoreError, ExecutorError where Ray cannot be started or joined, and
    InputError for an environment in which no run would start. Failed runs are no error: they are counted.
    """
    if executor not in EXECUTORS:
        raise GridError([f"executor: {not_one_of(executor, EXECUTORS)}"])
    if executor == "local" and address is not None:
        raise GridError(["address is of executor='ray'; leave one of them out"])
    _check_positive(workers=workers, max_failures=max_failures)
    path = _store(store)
    part = None if shard is None else parse(shard)
    if report is not None:
        check_report(Path(report))
    found = read(grid, plugins)
    check_environment(address)
    signals.forget()
    options = Options(
        store=path,
        local=executor == "local",
        address=address,
        workers=workers,
        shard=part,
        report=None if report is None else Path(report),
        retry_failed=retry_failed,
        max_failures=max_failures,
        quiet=quiet,
        silent=quiet,
        wait=wait,
        plugins=plugins,
        command=_call(
            grid,
            path,
            executor=executor,
            address=address,
            workers=workers,
            shard=shard,
            report=None if report is None else str(report),
            retry_failed=retry_failed,
            max_failures=max_failures,
            plugins=plugins,
            wait=wait,
            quiet=quiet,
        ),
    )
    ended = run_grid(found, options)
    if not quiet and (ended.interrupted or ended.traceback or ended.lost or ended.unstored):
        print(ended, flush=True)
    return ended


def run(
    *,
    data: tuple[Any, Any] | Mapping[str, Any],
    architecture: str | Mapping[str, Any],
    task: str | None = None,
    loss: str | None = None,
    depth: int | None = None,
    width: int | None = None,
    filter: int | str | None = None,
    init: str | Mapping[str, Any] | None = None,
    alpha: float | None = None,
    seed: int | None = None,
    rtol: float | None = None,
    stop: Mapping[str, float] | None = None,
    solver: str | None = None,
    record: bool | None = None,
) -> "Run":
    """Gradient flow of one network to its end, in memory, with every prediction that applies to it.

    Its end is the one that a launch stores, to rounding.

    >>> import sweep
    >>> found = sweep.run(architecture="diagonal", depth=2, alpha=0.1, data=([[1, 2]], [1]))
    >>> found.status
    'converged'
    >>> found.beta.round(4)
    array([0.0346, 0.4827])
    >>> exact = found.predictions.row(by_predicate=pl.col("prediction") == "minimum_q_norm", named=True)
    >>> exact["kind"], exact["distance"] < 1e-6, exact["certificate"] < 1e-8
    ('exact', True, True)

    Args:
        data: x of shape (n, d) and y of shape (n,); or as in a grid, {"gaussian": {...}}.
        task: by default that of the loss, and regression without one.
        others: axes of a grid (docs/grids.md), one value each; what is left out is the default.

    Raises GridError for what is no run, or several.
    """
    named = {
        "task": task, "loss": loss, "data": data, "architecture": architecture, "depth": depth, "width": width,
        "filter": filter, "init": init, "alpha": alpha, "seed": seed, "rtol": rtol, "stop": stop, "solver": solver,
        "record": record,
    }  # fmt: skip
    tree = {axis: value for axis, value in named.items() if value is not None}
    tree["task"] = task or _task_of(loss)
    if not isinstance(data, Mapping):
        tree["data"] = {"points": _points(data)}
    grid = from_source(from_mapping(tree, MOST_NUMBERS))
    expansion, audit = Expansion(grid), Audit()
    runs = list(distinct(expansion.candidates(audit)))
    if len(runs) != 1:
        rules = ", ".join(rule for rule, count in audit.dropped.items() if count)
        raise GridError([f"these are {len(runs)} runs; sweep.launch takes several" if runs else f"no run: {rules}"])
    check_environment(None)
    with unchanged():
        prepare()
        simulate = simulator()
    with grid.code.found():
        (result,) = simulate([(runs[0].spec, expansion.catalogue.dataset(runs[0].structure.entry))])
        predictions = pl.DataFrame(tables([result], "")["predictions"])
    return Run(result, predictions.rename({"beta": "predicted"}).select(SHOWN))


def _call(grid: GridLike, store: Path, **given: Any) -> str:
    """What launches the same again: the arguments that are not the defaults."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(launch).parameters.items()}
    said = {"store": str(store)} | {name: value for name, value in given.items() if value != defaults[name]}
    named = "grid" if isinstance(grid, Mapping) else repr(str(grid))
    return f"sweep.launch({', '.join((named, *(f'{name}={value!r}' for name, value in said.items())))})"


def read(grid: GridLike, plugins: bool = True) -> Grid:
    """A grid, checked. Raises GridError; of a dict it names keys where it names lines of a file."""
    return from_source(from_mapping(grid), plugins) if isinstance(grid, Mapping) else load(Path(grid), (), plugins)


@dataclass(frozen=True, repr=False)
class Planned:
    """What a launch would do.

    Attributes:
        plan: the plan itself.
        counts: total, cached, pending, dropped (by rule), programs, batches, estimated_seconds, estimate (its
            range and where it is from), as `sweep plan --json` prints them.
    """

    plan: Plan
    counts: dict[str, Any]

    @cached_property
    def runs(self) -> pl.DataFrame:
        """One row a run, in the grid's order: its id, whether the store has it, and its axes."""
        return pl.DataFrame(runs_of(self.plan))

    @property
    def classes(self) -> Mapping[str, tuple[Any, Any]]:
        """By data set of a file the values of its label that became -1 and +1."""
        return self.plan.classes

    @cached_property
    def programs(self) -> pl.DataFrame:
        """One row a program that would be compiled: its key, how many shapes share it, how many runs are pending."""
        rows = [(each.key, len(each.shapes), each.pending) for each in self.plan.programs]
        return pl.DataFrame(rows, {"program": pl.String, "shapes": pl.Int64, "runs": pl.Int64}, orient="row")

    def __repr__(self) -> str:
        return "\n".join(map(lines_shown, plan_lines(self.counts)))


@dataclass(frozen=True, repr=False)
class Run:
    """One run that ended.

    Attributes:
        result: everything that is known of it (`kernels.results.RunResult`).
        predictions: one row a prediction: `distance` of the end from it, its `certificate`, `predicted` coefficients.
    """

    result: RunResult
    predictions: pl.DataFrame

    @property
    def run_id(self) -> str:
        return self.spec.run_id

    @property
    def spec(self) -> RunSpec:
        """What was run, defaults filled in."""
        return self.result.spec

    @property
    def status(self) -> str:
        """converged, imprecise, stopped or diverged; `message` says why it did not converge."""
        return self.result.status

    @property
    def message(self) -> str:
        return self.result.message

    @property
    def beta(self) -> np.ndarray:
        """Linear coefficients at the end, shape (d,); of classification those of the parameters at unit norm."""
        return self.result.beta

    @cached_property
    def orbit(self) -> pl.DataFrame:
        """One row a recorded point, as in the view `orbits`; none with record=False."""
        kept = self.result.trajectory
        if kept is None:
            return pl.DataFrame(schema={"point": pl.Int64, "beta": pl.List(pl.Float64)})
        vectors = {"beta": kept.beta, "residual_integral": kept.residual_integral}
        listed = {name: pl.Series(rows).cast(pl.List(pl.Float64)) for name, rows in vectors.items() if rows is not None}
        return pl.DataFrame({"point": np.arange(1, len(kept.beta) + 1), **kept.observed, **listed})

    def __repr__(self) -> str:
        spec, shown = self.spec, self.predictions.select("prediction", "kind", "distance", "certificate")
        head = f"{spec.task}, {spec.architecture_name}, depth {spec.depth}, alpha {spec.alpha:g}"
        ended = f"{self.status} after {self.result.steps} steps{self.message and f': {self.message}'}"
        return lines_shown(f"{head}: {ended}\nbeta = {np.array2string(self.beta, threshold=20)}\n{shown}")


def _check_positive(**given: int | None) -> None:
    """Raise GridError."""
    for name, value in given.items():
        if value is not None and value < 1:
            raise GridError([f"{name}: {value} is not an integer >= 1"])


def _store(given: str | Path | None) -> Path:
    return Path(given or os.environ.get("SWEEP_STORE") or "results.duckdb")


def _points(data: Any) -> dict[str, Any]:
    """{x, y} of a pair. Raises GridError."""
    if isinstance(data, tuple | list) and len(data) == 2:
        return {"x": data[0], "y": data[1]}
    raise GridError([f"data: {data!r:.100} is no pair (x, y), and no mapping such as {{'gaussian': {{...}}}}"])


def _task_of(loss: str | None) -> str:
    return LOSSES[loss].task if loss in LOSSES else "regression"
