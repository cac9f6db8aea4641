"""Workers of another version: how the driver knows one, and what it says.

One answer from other code would stand in the store like any other, so the first one ends the sweep.
"""

import re
from collections.abc import Iterable

from sweep.execution.executors import ExecutorError, Outcome
from sweep.execution.provenance import command
from sweep.execution.versions import differences, versions
from sweep.execution.worker import Finished, Raised, Refused, missing

MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")


class OtherVersionError(ExecutorError):
    """Workers were not of the driver's version; the sweep stopped, and none of their runs counts as failed."""

    def __init__(self, refused: Iterable[Refused]):
        machines = {one.worker.partition(":")[0]: one for one in refused}
        lines = [f"another version on {host}: {reason}" for host, one in machines.items() for reason in one.reasons]
        lines.append(
            "nothing of it was stored and no run was marked failed; make that machine like this one, or take it out "
            f"of the cluster, then go on: {command()}"
        )
        super().__init__("\n".join(lines))


def refusal(outcome: Outcome) -> Refused | None:
    """The refusal that an answer is, or amounts to: one of another version that took the batch all the same."""
    match outcome:
        case Refused():
            return outcome
        case Finished(worker=worker, versions=None):
            return Refused(("code of a release that does not say its version",), worker)
        case Finished(worker=worker, versions=found) | Raised(worker=worker, versions=found) if found is not None:
            reasons = differences(versions(), found)
            return Refused(reasons, worker, found) if reasons else None
    return None


def unloadable(host: str, error: object) -> Refused:
    """The refusal of a worker that could not load the body of a task: it lacks a package, or has other code."""
    text = str(error)
    packages = MISSING.findall(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = missing(packages[-1]) if packages else f"it cannot load a batch: {lines[-1]}"
    return Refused((reason,), host)
