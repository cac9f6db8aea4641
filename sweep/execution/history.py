"""What batches of the past took, as the store has it: seconds of a run by program, and what compiling it took."""

from collections.abc import Iterable, Mapping
from functools import cached_property

from db.store import Store
from sweep.execution.costs import Model, fitted
from sweep.execution.programs import COMPILATION, ProgramPlan
from sweep.execution.timing import Timing, kept

FEW = 5
"""Batches from which on their own spread says how far a program's median may be off."""

LEAST_SPREAD = 1.15
FEW_SPREAD = 1.5
"""Factors up and down: what medians of many batches, and of few, are off by in any case."""

BATCHES = """
    WITH accelerated AS (SELECT DISTINCT sweep_id FROM runs WHERE device != 'cpu' AND sweep_id IS NOT NULL),
    batches AS (
        SELECT compile_key, worker,
            if(cpu_seconds BETWEEN 1e-9 AND seconds AND a.sweep_id IS NULL, cpu_seconds / seconds, 1) AS share,
            compile_seconds * share AS compiling, greatest(seconds * share - compiling, 1e-3) / runs AS rate
        FROM attempts LEFT JOIN accelerated a USING (sweep_id)
        WHERE outcome = 'finished' AND compile_key IS NOT NULL AND runs > 0
            AND seconds BETWEEN 1e-9 AND 1e9 AND compile_seconds BETWEEN 0 AND 1e9
    ),
    compilations AS (
        SELECT compile_key, median(seconds) AS compiling
        FROM (SELECT compile_key, sum(compiling) AS seconds FROM batches GROUP BY compile_key, worker)
        WHERE seconds > 0.01 GROUP BY compile_key
    )
    SELECT compile_key, count(*) AS batches, any_value(c.compiling) AS compiling, quantile_disc(rate, 0.1) AS low,
        quantile_disc(rate, 0.5) AS middle, quantile_disc(rate, 0.9) AS high
    FROM batches LEFT JOIN compilations c USING (compile_key) GROUP BY compile_key
"""
"""The median is one of the values, the lower of two. Seconds for which the worker had no CPU do not count, nor those
for compiling, which each worker spends once: quickly, then well, and for few lanes and many. Batches from before
compiling was told apart (schema 0006) are left out. A worker that waits for an accelerator uses little CPU: in a sweep
that has one all seconds count. BETWEEN also drops NULL, NaN and infinities, which others may have written."""


class History:
    """Timings of programs, from a store.

    Args:
        store: a file that does not exist has none.
        pilot: timings of runs made just now, which stand where the store has none, before those of earlier pilots.
    """

    def __init__(self, store: Store, pilot: Mapping[str, Timing] | None = None):
        self._store, self._pilot = store, dict(pilot or {})

    @cached_property
    def timed(self) -> dict[str, Timing]:
        """By key of the program, of those that batches of the store went through."""
        if not self._store.path.exists():
            return {}
        rows = self._store.query(BATCHES).to_pylist()
        return {
            row["compile_key"]: _timing(**{name: row[name] for name in row if name != "compile_key"}) for row in rows
        }

    def of(self, program: ProgramPlan) -> Timing | None:
        """Of the program itself, else by the cost of others; None where nothing is known of its like."""
        own = self.timed.get(program.key) or self._pilot.get(program.key) or kept(program.key)
        if own is not None or self._model is None:
            return own
        costs = self._model.of(program)
        return None if costs is None else Timing(*costs, "alike")

    def rates(self, programs: Iterable[ProgramPlan]) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds a run, by key of the program: of those that batches went through, and as guessed of others."""
        known = {program.key: self.of(program) for program in programs}
        timed = {key: each.middle for key, each in known.items() if each is not None and each.source == "timed"}
        guessed = {key: each.middle for key, each in known.items() if each is not None and key not in timed}
        return timed, guessed

    @cached_property
    def compiling(self) -> float:
        """Seconds for a program that nobody has compiled yet: the median of the others'."""
        known = sorted(timing.compiling for timing in self.timed.values() if timing.compiling is not None)
        return known[(len(known) - 1) // 2] if known else COMPILATION

    @cached_property
    def _model(self) -> Model | None:
        return fitted(self._store)


def _timing(batches: int, compiling: float | None, low: float, middle: float, high: float) -> Timing:
    spread = LEAST_SPREAD if batches >= FEW else FEW_SPREAD
    return Timing(min(low, middle / spread), middle, max(high, middle * spread), "timed", compiling)
