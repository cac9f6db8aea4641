"""Work against precision for regression: ensembles of gradient flows run to their end by different integrators.

    python benchmarks/work_precision.py [--quick] [--only TEXT]

Compared: the project's own ensembles; diffrax (Kvaerno5, Kvaerno3, KenCarp4, Tsit5; diffeqsolve with PIDController
under jit and vmap, ended by an event); scipy's solver classes stepped by hand in numpy, with analytic Jacobians;
gradient descent under jit and vmap. Each over a ladder of tolerances (of step sizes, for gradient descent).

Fair because: everything runs in one process on one core, one after another; all start at the same Theta(0), follow the
same flow and scale tolerances alike (rtol (|theta| + a size of theta(0))). All stop at a distance of 1e-10 from the
solutions, relative to the least of them; rivals may also end at the time at which the flow gets there, which they are
told (explicit methods at their stability limit keep a residual of the size of their tolerance). Nobody records an
orbit; compilation is reported apart. Error is the worst relative error of the limit against theory's exact coefficients
(fully connected: of the final parameters, against rtol 1e-12, because coefficients there are right at any tolerance).
The project integrates in the coordinates it finds (one number a coordinate of the decomposition; fully connected, in
the subspaces that move), diffrax in the network's parameters as one would write it, scipy in those of the
decomposition, where there is one. The project integrates all runs; rivals a sample spread evenly over alpha, which
flatters their worst error. diffrax twice: all of its runs in one vmapped call, as one would write it, where every lane
waits for the slowest; and in blocks of neighbours in alpha, one call each, so that no lane waits long, which takes
knowing beforehand which runs are alike. scipy in random order until its time is over. Rates at a given error are
interpolated on a method's ladder, in logarithms. A ladder ends when it is precise enough, a rival's also when a rung
takes too long. The fully connected network has 3,550 parameters: of diffrax's implicit solvers, with their dense
Jacobian, a single step is timed there.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.common import Report, best, one_core, options, rate_at, timed
from benchmarks.ensembles import Ensemble, Reference, regression_ensembles
from benchmarks.rivals_descent import descend, sharpness
from benchmarks.rivals_diffrax import SOLVERS, DiffraxRuns, floor
from benchmarks.rivals_scipy import sample, system
from kernels.integrator.program import Program

TARGETS = (2e-6, 1e-8)
OURS = "ours"
TOGETHER, IN_BLOCKS = "diffrax", "diffrax in blocks"
FAMILIES = (TOGETHER, IN_BLOCKS, "scipy", "descent")
LADDER = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
WANTED = 1e-8

Row = dict[str, Any]


def row(method: str, family: str, setting: float, errors: np.ndarray, steps: Any, seconds: float, **more: Any) -> Row:
    """One rung of a ladder."""
    return {
        "method": method,
        "family": family,
        "setting": setting,
        "runs": len(errors),
        "seconds": seconds,
        "runs_per_second": len(errors) / seconds,
        "worst_error": float(errors.max()),
        "median_error": float(np.median(errors)),
        "median_steps": float(np.median(steps)),
        "most_steps": int(np.max(steps)),
        **more,
    }


def compiling(ensemble: Ensemble, ladder: Iterable[float]) -> dict[Program, float]:
    """Seconds of a first call of each program: tolerances share one where they share its order."""
    found: dict[Program, float] = {}
    for rtol in ladder:
        program = ensemble.at(rtol=rtol).program
        if program not in found:
            found[program] = timed(functools.partial(ensemble.at(rtol=1e-2).integrate, program))[0]
    return found


def ours(
    ensemble: Ensemble, reference: Reference, ladder: Iterable[float], compiled: Mapping[Program, float]
) -> Iterator[Row]:
    """The project's ensembles: all runs."""
    for rtol in ladder:
        runs = ensemble.at(rtol=rtol)
        assert runs.starts
        seconds, ends = best(runs.integrate)
        errors = reference.of_parameters(ensemble, np.array([end.theta for end in ends]))
        unfinished = sum(end.status != 1 for end in ends)
        steps = [end.steps for end in ends]
        first = compiled[runs.program]
        found = row(OURS, OURS, rtol, errors, steps, seconds, unfinished=unfinished, compile_seconds=first)
        yield found
        if found["worst_error"] <= WANTED:
            return


def by_diffrax(
    name: str, family: str, part: Ensemble, reference: Reference, width: int, patience: float
) -> Iterator[Row]:
    """One diffrax solver, from loose to tight, `width` runs to a vmapped call."""
    runs = DiffraxRuns(name, part, reference.times(part), width)
    compiled = timed(runs.compile)[0]
    for rtol in LADDER:
        seconds, (theta, steps, arrived) = best(functools.partial(runs.integrate, rtol), budget=1.0, most=2)
        errors = reference.of_parameters(part, theta)
        missed = int(np.sum(~arrived))
        method = f"{family}, {name}"
        found = row(method, family, rtol, errors, steps, seconds, unfinished=missed, compile_seconds=compiled)
        yield found
        if found["worst_error"] <= WANTED or seconds > patience or missed == len(part):
            return


def one_step(name: str, ensemble: Ensemble) -> Iterator[Row]:
    """What a step of a dense implicit solver costs where a whole run takes too long: one attempted step of one run."""
    part = ensemble.sample(1)
    runs = DiffraxRuns(name, part, np.full(1, np.inf), 1, most=1)
    compiled = timed(runs.compile)[0]
    seconds, (_, steps, _) = best(lambda: runs.integrate(1e-4), budget=8.0, most=2)
    method = f"diffrax {name}, one step only"
    yield row(method, IN_BLOCKS, 1e-4, np.array([np.inf]), steps, seconds, unfinished=1, compile_seconds=compiled)


def by_scipy(
    method: str, ensemble: Ensemble, reference: Reference, count: int, patience: float, ladder: Iterable[float]
) -> Iterator[Row]:
    """One scipy solver; runs in random order until time is over."""
    part = ensemble.shuffled().sample(count)
    systems = [system(problem) for problem in part.problems]
    for rtol in ladder:
        ends = sample(systems, method, rtol, rtol * floor(part.theta), reference.times(part), patience)
        found = np.array([s.beta(end.z) for s, end in zip(systems, ends, strict=False)])
        errors = reference.errors(part, np.array([end.z for end in ends]) if reference.parameters else found)
        missed = sum(not end.finished for end in ends)
        seconds, steps = sum(end.seconds for end in ends), [end.steps for end in ends]
        found_row = row(f"scipy {method}", "scipy", rtol, errors, steps, seconds, unfinished=missed)
        yield found_row
        if found_row["worst_error"] <= WANTED or missed:
            return


def by_descent(ensemble: Ensemble, reference: Reference, count: int, most: int) -> Iterator[Row]:
    """Gradient descent: the largest step at which no run breaks down, then smaller ones."""
    part = ensemble.sample(count)
    limits = np.array([end.theta for end in part.at(rtol=1e-7).integrate()])
    stable = 2 / sharpness(part, limits)
    compiled = timed(lambda: descend(part, stable, 1))[0]
    share, rungs = 0.9, 0
    while rungs < 2 and share > 1e-3:
        seconds, (theta, steps, residual) = timed(functools.partial(descend, part, share * stable, most))
        if np.isfinite(residual).all():
            rungs += 1
            errors = reference.of_parameters(part, theta)
            missed = int(np.sum(residual > ensemble.runs[0][0].stop["residual"]))
            yield row(
                "gradient descent", "descent", share, errors, steps, seconds,
                unfinished=missed, compile_seconds=compiled,
            )  # fmt: skip
        share /= 2 if rungs == 0 else 8


def compare(rows: list[Row]) -> Iterator[Row]:
    """Rates at each target error, and how many times faster the project is than the best of each family."""
    by_method: dict[str, list[Row]] = {}
    for r in rows:
        by_method.setdefault(r["method"], []).append(r)
    for target in TARGETS:
        rates = {method: rate_at(found, target) for method, found in by_method.items()}
        made: Row = {"worst_error": target, "ours": rates.get(OURS)}
        for family in FAMILIES:
            own = {method: rate for method, rate in rates.items() if rate and by_method[method][0]["family"] == family}
            name = max(own, key=lambda method: own[method]) if own else None
            made |= {f"best {family}": name or "none reached it", f"{family} runs/s": own[name] if name else None}
            made[f"ours / {family}"] = made["ours"] / own[name] if name and made["ours"] else None
        yield made


def settings(ensemble: Ensemble, quick: bool) -> dict[str, Any]:
    """How much of an ensemble each rival gets: about half a minute on it."""
    if quick:
        return {"together": 2, "blocks": 1, "width": 2, "scipy": 2, "patience": 0.5, "descent": (2, 20_000)}
    size = ensemble.architecture.parameters
    if size > 1000:
        return {"together": 4, "blocks": 4, "width": 1, "scipy": 4, "patience": 10.0, "descent": (4, 20_000)}
    if size > 100:
        return {"together": 8, "blocks": 6, "width": 1, "scipy": 16, "patience": 5.0, "descent": (16, 100_000)}
    return {"together": 64, "blocks": 4, "width": 8, "scipy": 24, "patience": 2.5, "descent": (16, 300_000)}


def measure(ensemble: Ensemble, quick: bool, note: Callable[[list[Row]], None]) -> list[Row]:
    """Every method on one ensemble."""
    rungs = LADDER[1:4] if quick else LADDER
    compiled = compiling(ensemble, rungs)
    reference = Reference(ensemble)
    share = settings(ensemble, quick)
    rows: list[Row] = []

    def take(found: Iterator[Row]) -> None:
        made = list(found)
        rows.extend(made)
        note(made)

    large = ensemble.architecture.parameters > 1000
    take(ours(ensemble, reference, rungs, compiled))
    for name in ("Tsit5",) if large else SOLVERS:
        count, width, patience = share["together"], share["width"], share["patience"]
        take(by_diffrax(name, TOGETHER, ensemble.sample(count), reference, count, 3 * patience))
        take(by_diffrax(name, IN_BLOCKS, ensemble.blocks(share["blocks"], width), reference, width, patience))
    if large:
        take(one_step("Kvaerno5", ensemble))
    methods = {
        "LSODA": (1e-5, *LADDER[2:], 1e-11, 1e-12),
        "BDF": LADDER[2::2],
        "Radau": (1e-4, *LADDER[1:6]),
        "DOP853": LADDER[2::2],
    }
    if large:
        methods = dict.fromkeys(("LSODA", "DOP853", "RK45"), LADDER[::2])
    for method, ladder in methods.items():
        take(by_scipy(method, ensemble, reference, share["scipy"], share["patience"], ladder))
    take(by_descent(ensemble, reference, *share["descent"]))
    return rows


def main() -> None:
    chosen = options(__doc__, lambda parser: parser.add_argument("--only", default="", help="part of a problem's name"))
    one_core()
    report = Report("work_precision", chosen.output, chosen.quick, __doc__ or "")
    ratios: list[Row] = []
    for ensemble in regression_ensembles(chosen.quick):
        if chosen.only not in ensemble.name:
            continue
        title = ensemble.name
        rows = measure(ensemble, chosen.quick, functools.partial(report.add, title))
        ratios += [{"problem": ensemble.name, **found} for found in compare(rows)]
    report.add("At equal error", ratios)
    for target in TARGETS:
        for family in FAMILIES[:-1]:
            known = [r[f"ours / {family}"] for r in ratios if r["worst_error"] == target and r[f"ours / {family}"]]
            name = f"ours / best {family} at worst error {target:g}"
            report.conclude(**{name: f"{min(known):.1f} to {max(known):.1f} times" if known else "not reached"})


if __name__ == "__main__":
    main()
