"""Separable classification: seconds a run at equal error to -log Loss = 1e2, 1e4, 1e6, beside scipy in our own clock.

    python benchmarks/classification.py --shape "30 x 60" [--quick] [--runs 8] [--bound 1] [--error 1e-6] [--alpha 0.1]

In plain time the loss falls like 1/t and nobody gets far. scipy gets the project's coordinates and clock
(`rivals_classification.py`): one number a coordinate at unit norm, a clock in which nothing overflows, and the
analytic Jacobian. Data are a table of 30 samples and 60 features, its targets above and below their median, and 40
of scikit-learn's digits, 3 against 8, in 64 pixels; the loss is exponential.

Fair because: one process, one core, methods in turns, processor time, medians of up to three (`ladders.py`). The
project integrates a batch that differs in the seed of eta, of as many runs as take a second (8 to 64), through
`simulate` as a sweep does; its seconds are the batch's, divided by its runs. Rivals integrate some of the same runs,
one after another, and are told the time of their clock at which -log Loss reaches the goal; they do not integrate
physical time, the project does. Error is the worst distance between the direction of the coefficients and that of a
reference (LSODA, rtol 1e-12) at the very -log Loss at which the method ended; ends more than 1 % off the goal do not
count. Of LSODA's two settings the better counts. `simulate` also predicts and compares, which is shown apart; the
last ratio leaves it out, because no rival does it. A method that takes longer than the bound, in seconds a run, is
shown as over it.
"""

import numpy as np

from benchmarks.cells import SHAPES, Cell, first_runs
from benchmarks.common import Report, one_core
from benchmarks.ladders import OURS, Ladder, Ours, Row, Theirs, arguments, climb, compare, conclusion
from benchmarks.rivals_classification import OFF, RIVALS, Margins, Reference

GOALS = (1e2, 1e4, 1e6)
LADDER = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11)
STUMBLES = 4
"""At loose tolerances solvers may crawl along the stiff directions: 1e-4 takes longer than 1e-7."""
SHARED = 3
"""How many of a batch's runs rivals get."""


def cell_of(shape: str, depth: int, alpha: float, runs: int, goal: float) -> Cell:
    """Classification runs."""
    return Cell("classification", shape, depth, alpha, runs, ("log_loss", -goal))


def references(cell: Cell, seeds: list[int]) -> list[Reference]:
    """The orbits of some runs past all goals."""
    z = cell.x * cell.y[:, None]
    return [Reference(Margins(z, cell.start(seed)), GOALS) for seed in seeds]


def ladders(cell: Cell, goal: float, seeds: list[int], orbits: list[Reference], bound: float) -> list[Ladder]:
    """Every method on one cell."""

    def judge(place: int, beta: np.ndarray, log_loss: float) -> float:
        if not abs(log_loss + goal) <= OFF * goal:
            return np.inf
        return float(np.linalg.norm(beta / np.linalg.norm(beta) - orbits[place].direction(goal, -log_loss)))

    z = cell.x * cell.y[:, None]
    ends = [orbit.passages[goal].end for orbit in orbits]
    runs = [Margins(z, cell.start(seed), end) for seed, end in zip(seeds, ends, strict=True)]
    found = [Ladder(OURS, OURS, Ours(cell, seeds, judge, bound), list(LADDER))]
    for name, (family, rival) in RIVALS.items():
        found.append(Ladder(name, family, Theirs(name, rival, runs, judge, bound), list(LADDER), STUMBLES))
    return found


def main() -> None:
    chosen = arguments(
        __doc__,
        SHAPES["classification"],
        "30 x 60",
        "error of the direction",
        lambda parser: parser.add_argument("--alpha", type=float, default=0.1, help="initialisation scale"),
    )
    one_core()
    shape, error = chosen.shape, chosen.error
    report = Report(f"classification-{shape.replace(' ', '')}", chosen.output, chosen.quick, __doc__ or "")
    depths, goals = ((3,), GOALS[:2]) if chosen.quick else (chosen.depths, GOALS)
    found: list[Row] = []
    rungs: list[Row] = []
    for depth in depths:
        cells = {goal: cell_of(shape, depth, chosen.alpha, chosen.runs, goal) for goal in goals}
        cells[goals[0]].simulate(1e-3)
        seeds = list(range(SHARED))
        orbits = references(cells[goals[0]], seeds)
        for goal, small in cells.items():
            cell = small.enlarged()
            methods = ladders(cell, goal, seeds, orbits, chosen.bound)
            climb(methods, error)
            place = {"L": depth, "-log Loss": goal}
            rungs += [place | row for ladder in methods for row in ladder.rows]
            found.append(place | compare(methods, error, chosen.bound))
            report.add(f"At equal error, {shape}", found[-1:])
    report.add(f"Ladders, {shape}", rungs)
    report.add("First runs", [first_runs(cell_of(shape, depth, chosen.alpha, 1, goals[-1])) for depth in depths[:2]])
    report.conclude(**conclusion(found, chosen.bound))


if __name__ == "__main__":
    main()
