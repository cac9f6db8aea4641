"""The driver: hands out batches, takes results, decides about failures, and is the only one that writes.

What ends a batch, and what follows (every try is a row of `attempts`):

- results, also of diverged runs or runs out of steps: committed, never retried;
- a Python exception: the batch is halved until the bad run stands alone; that run is stored as failed, with traceback;
- a worker or a node that died: tried again, on budgets of their own; then halved, for a run may be what kills it;
- out of memory: halved; a single run is tried again a few times;
- many failed runs in a row, none between them good: the sweep stops and shows the first traceback;
- the cluster is gone: no batch failed. One of our own is started again once; else the sweep stops and says so;
- the store takes no rows: they are written elsewhere (`spill`) and the sweep stops.
- a worker of another version: the sweep stops, and no run of that batch counts as failed.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from db.store import Store
from kernels.spec import canonical_json
from sweep.execution.batches import Batch, Batcher, Sizer
from sweep.execution.executors import ClusterLost, Executor, ExecutorError, Lost
from sweep.execution.ledger import Ledger, Unstored
from sweep.execution.plan import Plan
from sweep.execution.progress import Progress
from sweep.execution.records import failed_run, now, table
from sweep.execution.refusal import OtherVersionError, refusal
from sweep.execution.signals import answered_by, interrupt, interrupted
from sweep.execution.waiting import Waiting
from sweep.execution.worker import Finished, Raised, Refused

WORKER_DEATHS = 3
"""A batch survives so many deaths of its worker."""

NODE_DEATHS = 20
"""A batch survives so many losses of its node: preemption is no fault of the batch."""

MEMORY_KILLS = 3
"""A single run is tried so often after running out of memory."""

MAX_FAILURES = 10
"""Failed runs in a row that stop a sweep."""

POLL_SECONDS = 0.2

STOP_SECONDS = 3.0
"""How long batches in flight may take, after an interrupt, to end where they are."""


@dataclass
class Outcome:
    """How a launch ended.

    Attributes:
        statuses: runs computed by this launch, by status.
        interrupted: whether a signal ended it.
        traceback: the first failure's, if failures stopped it.
        lost: what happened to the cluster, if that stopped it.
        unstored: why the store took no more rows and where they are, if that stopped it.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    interrupted: bool = False
    traceback: str | None = None
    first_failure: str | None = None
    lost: str | None = None
    unstored: str | None = None


class Interrupt:
    """A signal asks the sweep to stop; a second one ends what is running now."""

    def __init__(self, notice: Callable[[str], None]):
        self.requested, self._notice = interrupted(), notice

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._notice("stopping: what has arrived is being stored (again to stop at once)")


class Driver:
    """One launch of one plan."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Executor,
        sizer: Sizer,
        progress: Progress,
        sweep_id: str,
        max_failures: int = MAX_FAILURES,
    ):
        self.executor, self.sizer, self.progress = executor, sizer, progress
        self.sweep_id, self.max_failures = sweep_id, max_failures
        self.batcher = Batcher(plan.candidates(), plan.programs, sizer, plan.expansion.catalogue)
        self.ledger = Ledger(store, progress.say, sweep_id)
        self.outcome = Outcome()
        self.interrupt = Interrupt(progress.say)
        self._again: list[Batch] = []
        self._out: Counter[str] = Counter()
        self._refused: list[Refused] = []
        self._in_a_row = 0

    def run(self) -> Outcome:
        """Compute every pending run, or stop; everything that has arrived is stored before this returns.

        Raises OtherVersionError, after that, if a worker was not of this version.
        """
        with answered_by(self.interrupt):
            try:
                waiting = Waiting(self.executor, self.progress.say)
                while not self._stopped() and self._step(waiting):
                    pass
                if self.interrupt.requested:
                    self._end_batches()
            except KeyboardInterrupt:
                self.interrupt.requested = True
            except ClusterLost:  # while it was being stopped
                pass
            except Unstored as error:
                self.outcome.unstored = str(error)
            finally:
                self._store_rest()
        if self._refused:
            raise OtherVersionError(self._refused)
        self.outcome.interrupted = self.interrupt.requested
        return self.outcome

    def _step(self, waiting: Waiting) -> bool:
        """Hand out batches, take results, commit; false if nothing is left to do."""
        try:
            if not self._fill():
                return False
            waiting.look(self._poll(POLL_SECONDS))
            self._look()
        except ClusterLost as lost:
            self._cluster_lost(lost)
        self.ledger.commit_if_due()
        return True

    def _look(self) -> None:
        self.progress.look(self.executor.running(), self.executor.slots)

    def _poll(self, seconds: float) -> int:
        """Take what ended; returns how many batches that were."""
        ended = self.executor.poll(seconds)
        for batch, outcome in ended:
            self._take(batch, outcome)
        return len(ended)

    def _end_batches(self) -> None:
        """Take what batches in flight have finished; those that do not answer in time are dropped."""
        self.executor.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while self.executor.in_flight and time.monotonic() < deadline:
            self._poll(POLL_SECONDS)
        self._look()

    def _store_rest(self) -> None:
        """Commit what has arrived; where that cannot be waited for it is written elsewhere."""
        try:
            self.ledger.flush()
        except KeyboardInterrupt:
            self.interrupt.requested = True
        except Unstored as error:
            self.outcome.unstored = self.outcome.unstored or str(error)

    def _cluster_lost(self, lost: ClusterLost) -> None:
        """Store what has arrived, then start a cluster of our own again, or stop. No batch failed."""
        self.progress.say(f"the Ray cluster is gone: {lost}; no run counts as failed")
        self.ledger.commit()
        try:
            with answered_by(interrupt):
                if self.executor.restart():
                    self.progress.say(f"started again {self.executor.describe()}")
                    return
        except (ExecutorError, ClusterLost) as error:
            lost = ClusterLost(f"{lost}; {error}")
        self.outcome.lost = str(lost)

    def _stopped(self) -> bool:
        ends = (self.outcome.traceback, self.outcome.lost)
        return self.interrupt.requested or bool(self._refused) or any(end is not None for end in ends)

    def _fill(self) -> bool:
        """Submit batches while there is room; false if nothing is left to do."""
        while self.executor.in_flight < self.executor.capacity:
            device = self.executor.device
            first = self.executor.first(device)
            batch = self._again.pop() if self._again else self.batcher.next(self._out, device, first)
            if batch is None:
                break
            self._out[batch.key] += 1
            self.executor.submit(batch)
        return self.executor.in_flight > 0

    def _take(self, batch: Batch, outcome: Finished | Raised | Refused | Lost) -> None:
        self._out[batch.key] -= 1
        match refusal(outcome) or outcome:
            case Refused() as refused:
                self.ledger.add({"attempts": self._attempt(batch, "refused", refused)})
                self._refused.append(refused)
            case Finished() as finished:
                self._finished(batch, finished)
            case (Raised(out_of_memory=True) | Lost(out_of_memory=True)) as killed:
                self._out_of_memory(batch, killed)
            case Raised() as raised:
                self._raised(batch, raised)
            case Lost(node=node) as lost:
                self._lost(batch, lost, node)

    def _finished(self, batch: Batch, outcome: Finished) -> None:
        tables, whole = outcome.tables, len(outcome) == len(batch)
        if not len(outcome):
            return
        if whole:
            self.sizer.observe(batch, outcome.seconds - outcome.compile_seconds)
        self._in_a_row = 0
        attempt = self._attempt(batch, "finished" if whole else "interrupted", outcome, runs=len(outcome))
        self.ledger.add({**tables, "attempts": attempt})
        statuses = Counter(
            {row["values"]: row["counts"] for row in pc.value_counts(tables["runs"]["status"]).to_pylist()}
        )
        self.outcome.statuses += statuses
        seconds = outcome.seconds - outcome.compile_seconds
        worst = worst_distances(tables["runs"], tables["predictions"])
        self.progress.done(batch.key, len(outcome), seconds, statuses, worst)

    def _raised(self, batch: Batch, outcome: Raised) -> None:
        if len(batch) > 1:
            self._note(batch, "failed", outcome)
            self._split(batch)
        else:
            self._give_up(batch, outcome, "failed", retryable=False)

    def _out_of_memory(self, batch: Batch, outcome: Raised | Lost) -> None:
        if len(batch) > 1:
            self._note(batch, "out of memory", outcome)
            self._split(batch)
        elif batch.killed + 1 < MEMORY_KILLS:
            self._note(batch, "out of memory", outcome)
            self._again.append(batch.again(killed=batch.killed + 1))
        else:
            self._give_up(batch, outcome, "out of memory", retryable=True)

    def _lost(self, batch: Batch, outcome: Lost, node: bool) -> None:
        spent, budget = (batch.lost_nodes, NODE_DEATHS) if node else (batch.lost, WORKER_DEATHS)
        if spent < budget:
            self._note(batch, "lost", outcome)
            self._again.append(batch.again(lost=batch.lost + (not node), lost_nodes=batch.lost_nodes + node))
        elif len(batch) > 1:
            self._note(batch, "lost", outcome)
            self._split(batch, lost=WORKER_DEATHS - 1, lost_nodes=0)
        else:
            self._give_up(batch, outcome, "lost", retryable=True)

    def _split(self, batch: Batch, **changes: int) -> None:
        first, second = batch.halves(**changes)
        self._again += [second, first]

    def _note(self, batch: Batch, what: str, outcome: Raised | Lost) -> None:
        """Record a try that is followed by another."""
        self.ledger.add({"attempts": self._attempt(batch, what, outcome)})
        runs = f"{len(batch)} runs" if len(batch) > 1 else f"run {batch.runs[0][0].run_id}"
        self.progress.say(f"{runs}: {what}, trying again: {outcome.error}")

    def _give_up(self, batch: Batch, outcome: Raised | Lost, what: str, retryable: bool) -> None:
        """Record a single run as failed."""
        ((spec, _),), (entry,) = batch.runs, batch.entries
        row = failed_run(spec, entry.name, entry.dim, entry.samples, outcome.error, self.sweep_id)
        attempt = self._attempt(batch, what, outcome, retryable=retryable, run_id=spec.run_id)
        self.ledger.add({"runs": row, "attempts": attempt})
        self.outcome.statuses["failed"] += 1
        text = outcome.traceback if isinstance(outcome, Raised) else outcome.error
        self.outcome.first_failure = self.outcome.first_failure or text
        self._in_a_row += 1
        if self._in_a_row >= self.max_failures:
            self.outcome.traceback = self.outcome.first_failure
        self.progress.done(batch.key, 1, 0.0, Counter(failed=1), {})
        self.progress.say(f"run {spec.run_id} failed: {outcome.error}")

    def _attempt(
        self,
        batch: Batch,
        what: str,
        outcome: Finished | Raised | Refused | Lost,
        **more: Any,
    ) -> pa.Table:
        """The `attempts` row of one try."""
        seconds = outcome.seconds if isinstance(outcome, Finished) else None
        found = None if isinstance(outcome, Lost) else outcome.versions
        row = {
            "attempt_id": secrets.token_hex(16),
            "sweep_id": self.sweep_id,
            "batch_id": f"{self.sweep_id}-{batch.number}",
            "attempt": batch.attempt,
            "compile_key": batch.key,
            "outcome": what,
            "error": None if isinstance(outcome, Finished) else outcome.error,
            "traceback": outcome.traceback if isinstance(outcome, Raised) else None,
            "worker": None if isinstance(outcome, Lost) else outcome.worker,
            "started_at": now() - timedelta(seconds=seconds or 0),
            "seconds": seconds,
            "runs": len(batch),
            "compile_seconds": outcome.compile_seconds if isinstance(outcome, Finished) else None,
            "cpu_seconds": outcome.cpu_seconds if isinstance(outcome, Finished) else None,
            "versions": None if found is None else canonical_json(found),
            **more,
        }
        return table("attempts", {name: [value] for name, value in row.items()})


def worst_distances(runs: pa.Table, predictions: pa.Table) -> dict[str, float]:
    """Largest finite distance of converged runs from predictions, by kind."""
    converged = runs.filter(pc.equal(runs["status"], "converged"))["run_id"]
    found = predictions.filter(pc.is_in(predictions["run_id"], value_set=converged)).select(["kind", "distance"])
    found = found.filter(pc.fill_null(pc.is_finite(found["distance"]), False))
    worst = found.group_by("kind", use_threads=False).aggregate([("distance", "max")])
    return dict(zip(worst["kind"].to_pylist(), worst["distance_max"].to_pylist(), strict=True))
