"""How many columns the extrapolation should have: speed at equal error of regression, and failures of classification.

    python benchmarks/columns.py [--quick]

Measured: runs per second of one ensemble by the number K of columns, which is the order. Regression (Gaussian data of
its own for each run, alpha from 0.03 to 1) over a ladder of tolerances, rates at a given worst error interpolated in
logarithms, in units of the best one. Classification to -log Loss = 1e8 at two tolerances: rates, steps, and runs that
did not arrive within 2,000 steps, because the table's weights, of order e^K, amplify rounding. One core, warm, best of
up to three. `kernels.flows` takes its choice from here.
"""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.common import Report, best, one_core, options, rate_at
from benchmarks.ensembles import Ensemble, Reference, classification, regression
from kernels.integrator.lane import CONVERGED

Row = dict[str, Any]
COLUMNS = (5, 6, 7, 8, 9, 10, 11, 12)
TARGETS = (2e-6, 1e-8)


def by_tolerance(ensemble: Ensemble, reference: Reference, columns: int) -> Iterator[Row]:
    """Rate and worst error of one number of columns, from loose to tight."""
    program = replace(ensemble.program, columns=columns)
    ensemble.at(rtol=1e-2).integrate(program)
    for rtol in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        runs = ensemble.at(rtol=rtol)
        assert runs.starts
        seconds, ends = best(functools.partial(runs.integrate, program), budget=1.0)
        worst = float(reference.errors(ensemble, np.array([end.theta for end in ends])).max())
        yield {"setting": rtol, "worst_error": worst, "runs_per_second": len(runs) / seconds}
        if worst <= min(TARGETS):
            return


def fastest(ensemble: Ensemble, columns: tuple[int, ...]) -> list[Row]:
    """Runs per second at each target error, over those of the best number of columns."""
    reference = Reference(ensemble)
    ladders = {count: list(by_tolerance(ensemble, reference, count)) for count in columns}
    rows: list[Row] = []
    for target in TARGETS:
        rates = {count: rate_at(ladder, target) for count, ladder in ladders.items()}
        most = max((rate for rate in rates.values() if rate), default=0.0)
        relative = {f"K = {count}": rate / most if rate else None for count, rate in rates.items()}
        rows.append({"problem": ensemble.name, "worst_error": target, "best runs/s": most, **relative})
    return rows


def arriving(ensemble: Ensemble, columns: tuple[int, ...], goal: float) -> list[Row]:
    """Rates, steps and failures of a classification ensemble."""
    rows: list[Row] = []
    for count in columns:
        program = replace(ensemble.program, columns=count)
        ensemble.at(stop={"log_loss": -10.0}).integrate(program)
        for rtol in (1e-4, 1e-7):
            runs = ensemble.at(rtol=rtol, stop={"log_loss": -goal, "max_steps": 2000})
            assert runs.starts
            seconds, ends = best(functools.partial(runs.integrate, program), budget=0.5)
            steps = [end.steps + end.rejected for end in ends]
            rows.append(
                {
                    "problem": ensemble.name, "K": count, "rtol": rtol, "runs_per_second": len(runs) / seconds,
                    "median_steps": float(np.median(steps)), "most_steps": max(steps),
                    "failures": sum(end.status != CONVERGED for end in ends),
                }
            )  # fmt: skip
    return rows


def main() -> None:
    chosen = options(__doc__)
    one_core()
    report = Report("columns", chosen.output, chosen.quick, __doc__ or "")
    columns = (6, 8) if chosen.quick else COLUMNS
    many = 8 if chosen.quick else 256
    problems = [regression("diagonal L=3, d=10, n=4", many, 4, 10, architecture="diagonal", depth=3)]
    if not chosen.quick:
        problems.append(regression("walsh L=3, d=64, n=20", 64, 20, 64, architecture="walsh", depth=3))
    for ensemble in problems:
        report.add("Regression: rate at equal error, over the best", fastest(ensemble, columns))
    for depth in (2,) if chosen.quick else (2, 4):
        axes = {"architecture": "diagonal", "depth": depth, "init": "gaussian", "alpha": 0.1}
        separable = classification(f"diagonal L={depth}, d=20, n=10", many // 2, 10, 20, **axes)
        report.add("Classification", arriving(separable, columns[:-2] or columns, 1e2 if chosen.quick else 1e8))
    report.conclude(measured="one core; see the tables")


if __name__ == "__main__":
    main()
