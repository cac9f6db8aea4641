"""How the cost of a run grows with each size of its problem, one at a time.

    python benchmarks/growth.py [--quick] [--only AXIS]

Measured: milliseconds and steps per run of a regression ensemble (Gaussian data of its own for each run, rtol 1e-7,
residual 1e-10, warm, one core, best of up to three), while one of samples n, dimension d, width, depth, alpha or lanes
moves and the others stay. `exponent` is the slope of log milliseconds between a row and the one before. Bytes per lane
are what the compiled step holds for one lane, as XLA counts it: state, data and temporaries of a batch, over its lanes.
Nothing is compared with anything else: the table says what a larger problem costs.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.common import Report, best, one_core, options, timed
from benchmarks.ensembles import Ensemble, regression
from kernels.integrator.lane import Lane, attempt, start
from kernels.integrator.loop import Start
from kernels.integrator.program import Program
from kernels.integrator.solvers import SOLVERS
from kernels.x64 import jax

Row = dict[str, Any]

DIAGONAL = {"architecture": "diagonal", "depth": 3}
CONNECTED = {"architecture": "fully_connected", "depth": 3, "width": 20, "init": "gaussian"}
"""Moves in all of its parameters; from orthogonal layers a step would cost the same at any width."""


@dataclass(frozen=True)
class Lanes(Program):
    """A program whose number of lanes is given."""

    given: int = 1

    @property
    def lanes(self) -> int:
        return self.given


def bytes_per_lane(ensemble: Ensemble) -> float:
    """Arguments, results and temporaries of one compiled step of a full batch, over its lanes."""
    program = ensemble.program
    flow, solver, lanes = program.flow, SOLVERS[program.solver], min(program.lanes, len(ensemble))
    batch: Start = jax.tree.map(lambda *values: jnp.stack([jnp.asarray(v) for v in values]), *ensemble.starts[:lanes])

    def step(state: Lane, runs: Start) -> Lane:
        one = functools.partial(attempt, flow, solver, program.columns)
        return jax.vmap(lambda lane, run: one(lane, run.data, run.control))(state, runs)

    begin = jax.jit(jax.vmap(lambda run: start(flow, run.theta, run.data, run.control, 0)))(batch)
    memory = jax.jit(step).lower(begin, batch).compile().memory_analysis()
    assert memory is not None
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return float(held / lanes)


def measure(ensemble: Ensemble, program: Program | None = None) -> Row:
    """Cost of one ensemble."""
    compiled, _ = timed(lambda: ensemble.integrate(program))
    seconds, ends = best(lambda: ensemble.integrate(program), budget=1.5)
    steps = [end.steps + end.rejected for end in ends]
    return {
        "runs": len(ensemble),
        "lanes": (program or ensemble.program).lanes,
        "parameters": ensemble.architecture.parameters,
        "ms_per_run": 1e3 * seconds / len(ensemble),
        "microseconds_per_step": 1e6 * seconds / sum(steps),
        "median_steps": float(np.median(steps)),
        "most_steps": max(steps),
        "unfinished": sum(end.status != 1 for end in ends),
        "compile_seconds": compiled - seconds,
    }


def along(axis: str, values: Sequence[float], count: int, fixed: dict[str, Any], memory: bool = True) -> list[Row]:
    """One row a value of the axis: n and d are the data's, any other an axis of the runs."""
    rows: list[Row] = []
    for value in values:
        sizes = {"n": 4, "d": 10, **{k: v for k, v in fixed.items() if k in ("n", "d")}}
        axes = {k: v for k, v in fixed.items() if k not in ("n", "d")}
        if axis in sizes:
            sizes[axis] = int(value)
        else:
            axes[axis] = value
        runs = regression(axis, count, sizes["n"], sizes["d"], **axes)
        made = {axis: value, **measure(runs)}
        if memory:
            made["bytes_per_lane"] = bytes_per_lane(runs)
        if rows:
            before = rows[-1]
            made["exponent"] = float(
                np.log(made["ms_per_run"] / before["ms_per_run"]) / np.log(value / float(before[axis]))
            )
        rows.append(made)
    return rows


def along_lanes(values: Sequence[int], count: int) -> list[Row]:
    """The same runs with other numbers of lanes."""
    runs = regression("lanes", count, 4, 10, **DIAGONAL)
    own = runs.program
    fields: dict[str, Any] = {field.name: getattr(own, field.name) for field in dataclasses.fields(own)}
    return [measure(runs, Lanes(**{**fields, "given": lanes})) for lanes in values]


def along_runs(values: Sequence[int]) -> list[Row]:
    """How many runs a batch needs before its fixed costs no longer show."""
    largest = regression("runs", max(values), 4, 10, **DIAGONAL)
    return [measure(largest.sample(count)) for count in values]


def main() -> None:
    chosen = options(__doc__, lambda parser: parser.add_argument("--only", default="", help="one of the axes"))
    one_core()
    report = Report("growth", chosen.output, chosen.quick, __doc__ or "")
    quick = chosen.quick
    many, few = (4, 2) if quick else (128, 8)
    sweeps: dict[str, tuple[Sequence[float], int, dict[str, Any]]] = {
        "n": ((2, 4) if quick else (1, 2, 4, 8, 16, 32), many, {**DIAGONAL, "d": 40}),
        "d": ((10, 20) if quick else (5, 10, 20, 40, 80, 160, 320), many, DIAGONAL),
        "width": ((20,) if quick else (20, 40, 80, 160), few, {**CONNECTED, "d": 20, "n": 5}),
        "depth": ((2,) if quick else (1, 2, 3, 4, 5, 6, 8), many, {"architecture": "diagonal"}),
        "alpha": ((0.1,) if quick else (1e-3, 1e-2, 1e-1, 1.0, 10.0), many, DIAGONAL),
    }
    for axis, (values, count, fixed) in sweeps.items():
        if chosen.only in ("", axis):
            shape = ", ".join(f"{name} {value}" for name, value in fixed.items())
            report.add(f"{axis} ({shape})", along(axis, values, count, fixed, memory=axis != "alpha"))
    if chosen.only in ("", "lanes"):
        report.add("lanes (diagonal, L=3, d=10, n=4)", along_lanes((4,) if quick else (1, 4, 16, 64, 256), 2 * many))
    if chosen.only in ("", "runs"):
        report.add("runs in a batch (diagonal, L=3, d=10, n=4)", along_runs((4,) if quick else (1, 8, 64, 512, 2048)))
    report.conclude(measured="one core; see the tables")


if __name__ == "__main__":
    main()
