"""Regression: seconds a run at equal error from alpha = 1e-6 to 10, beside scipy with one number a coordinate.

    python benchmarks/regression.py --shape "30 x 60" [--quick] [--runs 8] [--bound 1] [--error 1e-6]

The flow of a diagonal network has one number a coordinate (`rivals.py`). On it a user gets far with scipy, and
fastest with LSODA's compiled loop and an analytic Jacobian: this is what the project has to beat, on 4 x 10 and 100
x 400 Gaussian samples and on a table of 30 samples and 60 features, at depths 2, 3, 4 and 6, each alpha on its row.

Fair because: one process, one core, methods in turns, processor time, medians of up to three (`ladders.py`). The
project integrates a batch that differs in the seed of eta, of as many runs as take a second (8 to 64), through
`simulate` as a sweep does; its seconds are the batch's, divided by its runs. Rivals integrate some of the same runs,
one after another, and are told when the flow ends (relative residual 1e-10). Error is the worst relative error of
the limit against the exact one (minimum_q_norm), over the runs that all methods integrate; of LSODA's two settings
the better counts. `simulate` also predicts and compares, which is shown apart; the last ratio leaves it out, because
no rival does it. Compilation is reported apart: the first run of a fresh process with an empty compilation cache,
and of another that finds the cache of the first. A method that takes longer than the bound, in seconds a run, is
shown as over it.
"""

import numpy as np

from benchmarks.cells import SHAPES, Cell, first_runs
from benchmarks.common import Report, one_core, spread
from benchmarks.ladders import OURS, Ladder, Ours, Row, Theirs, arguments, climb, compare, conclusion
from benchmarks.rivals_regression import RIVALS, Fit, find_end
from kernels.theory.table import forecasts

ALPHAS = (1e-6, 1e-4, 1e-2, 1.0, 10.0)
RESIDUAL = 1e-10
LADDER = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11)
SHARED = {"100 x 400": 2}
"""How many of a batch's runs rivals get; 3, where nothing is said."""


def cell_of(shape: str, depth: int, alpha: float, runs: int) -> Cell:
    """Regression runs."""
    return Cell("regression", shape, depth, alpha, runs, ("residual", RESIDUAL))


def limit(cell: Cell, seed: int) -> np.ndarray:
    """The exact limit of a run."""
    beta = next(record.beta for record in forecasts(*cell.run(seed)) if record.prediction == "minimum_q_norm")
    assert beta is not None, f"theory has no limit at {cell}"
    return np.asarray(beta)


def ladders(cell: Cell, bound: float) -> list[Ladder]:
    """Every method on one cell; where a tight LSODA does not find the end within the bound, rivals get no rung."""
    seeds = spread(cell.runs, SHARED.get(cell.shape, 3))
    limits = [limit(cell, seed) for seed in seeds]

    def judge(place: int, beta: np.ndarray, log_loss: float) -> float:
        return float(np.linalg.norm(beta - limits[place]) / np.linalg.norm(limits[place]))

    runs = [Fit(cell.x, cell.y, cell.start(seed), RESIDUAL) for seed in seeds]
    known = all(find_end(run, 2 * bound) for run in runs)
    found = [Ladder(OURS, OURS, Ours(cell, seeds, judge, bound), list(LADDER))]
    for name, (family, rival) in RIVALS.items():
        found.append(Ladder(name, family, Theirs(name, rival, runs, judge, bound), list(LADDER) if known else []))
    return found


def main() -> None:
    chosen = arguments(__doc__, SHAPES["regression"], "4 x 10", "relative error of the limit")
    one_core()
    shape, error = chosen.shape, chosen.error
    report = Report(f"regression-{shape.replace(' ', '')}", chosen.output, chosen.quick, __doc__ or "")
    depths, alphas = ((3,), (1e-2, 1.0)) if chosen.quick else (chosen.depths, ALPHAS)
    found: list[Row] = []
    rungs: list[Row] = []
    for depth in depths:
        cell_of(shape, depth, 1.0, chosen.runs).simulate(1e-2)
        for alpha in alphas:
            methods = ladders(cell_of(shape, depth, alpha, chosen.runs).enlarged(), chosen.bound)
            climb(methods, error)
            place = {"L": depth, "alpha": alpha}
            rungs += [place | row for ladder in methods for row in ladder.rows]
            found.append(place | compare(methods, error, chosen.bound))
            report.add(f"At equal error, {shape}", found[-1:])
    report.add(f"Ladders, {shape}", rungs)
    report.add("First runs", list(map(first_runs, (cell_of(shape, depth, 1e-2, 1) for depth in depths[:2]))))
    report.conclude(**conclusion(found, chosen.bound))


if __name__ == "__main__":
    main()
