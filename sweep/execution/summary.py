"""What people are told: the state of a store, and what a launch found."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from db.store import Store
from kernels.spec import STATUSES
from sweep.execution.words import plural
from sweep.shown import shown

ALWAYS = ("converged", "stopped", "diverged", "failed")
"""Statuses that are named even where no run has them."""

COUNTS = """
    SELECT r.status, count(*) AS runs FROM sweep_runs s JOIN runs r USING (run_id) WHERE s.sweep_id = ? GROUP BY ALL
"""

FOUND = """
    WITH asked AS (
        SELECT c.*, isfinite(distance) AND kind = 'exact' AS exact FROM sweep_runs s JOIN convergence c USING (run_id)
        WHERE s.sweep_id = ? AND c.status = 'converged'
    )
    SELECT count(DISTINCT run_id) AS converged,
        count(DISTINCT run_id) FILTER (exact AND distance <= tolerance) AS exact,
        count(DISTINCT prediction) FILTER (exact AND distance <= tolerance) AS statements,
        max(distance) FILTER (exact AND distance <= tolerance) AS worst,
        count(DISTINCT run_id) FILTER (exact AND distance > tolerance) AS beyond,
        max(distance) FILTER (exact AND distance > tolerance) AS farthest,
        count(DISTINCT run_id) FILTER (exact AND tolerance IS NULL) AS unjudged,
        count(DISTINCT prediction) FILTER (kind <> 'exact') AS limits,
        count(*) FILTER (kind LIKE 'limit alpha%') AS in_alpha
    FROM asked
"""

DRIFT = 100
"""More rtol than the integration lets conserved quantities drift: it stays near one, mostly far below."""

DRIFTING = f"status = 'converged' AND invariant_drift > {DRIFT} * rtol"

UNCERTIFIED = "status = 'converged' AND NOT certified"


def table(store: Store, sweep_id: str) -> pa.Table:
    """Architecture x depth x prediction: worst and median distance of converged runs of this sweep, and their number.

    Limits in alpha are taken at the alpha nearest to them, in the column `at alpha`, and `runs` counts the runs there;
    the loss is a column where a task has several.
    """
    from analysis.frames.counts import PREDICTIONS_BY_NETWORK

    known = PREDICTIONS_BY_NETWORK.read(store, _of(sweep_id))
    known = known.sort("architecture", "depth", "loss", "prediction", "kind")
    known = known.drop("runs").rename({"judged": "runs", "judged_at": "at alpha"})
    losses = ["loss"] if (known.group_by("task").n_unique()["loss"] > 1).any() else []
    dropped = [] if known["at alpha"].count() else ["at alpha"]
    columns = ["architecture", "depth", *losses, "prediction", "kind", "runs", "worst", "median", "at alpha"]
    found: pa.Table = known.select(columns).drop(dropped).to_arrow()
    return found


def _of(sweep_id: str) -> str:
    """The condition on runs that a sweep asked for them."""
    return f"run_id IN (SELECT run_id FROM sweep_runs WHERE sweep_id = '{sweep_id}')"


def endings(store: Store, sweep_id: str) -> list[str]:
    """Why runs of a sweep did not converge: one sentence for each reason."""
    from analysis.frames.counts import ENDS
    from analysis.wording import endings

    return endings(ENDS.read(store, _of(sweep_id)))


def found_lines(store: Store, sweep_id: str, path: str) -> list[str]:
    """What a sweep found, in words, and what to do next; nothing where no run of it converged."""
    (row,) = store.query(FOUND, [sweep_id]).to_pylist()
    if not row["converged"]:
        return []
    where = f" --store {shlex.quote(path)}"
    lines, chart = [], "predictions"
    if row["exact"]:
        chart = "exactness"
        met = f"{plural(row['exact'], 'run')} met {plural(row['statements'], 'exact prediction')}"
        lines.append(f"{met} within {row['worst']:.1e}, as near as rtol and stop rule allow")
    if row["beyond"]:
        lines.append(
            f"{plural(row['beyond'], 'run')} ended farther from exact predictions than rtol and stop rule allow, up "
            f'to {row["farthest"]:.1e}; sweep query "SELECT * FROM convergence WHERE distance > tolerance"{where}'
        )
    if row["unjudged"]:
        lines.append(
            f"{plural(row['unjudged'], 'run')} cannot be judged by exact predictions: stopped at a residual above "
            "0.01, or of an older version; lower stop.residual"
        )
    if row["limits"]:
        scales = "; of those in alpha the table has the runs at the alpha nearest to them" if row["in_alpha"] else ""
        lines.append(f"{plural(row['limits'], 'limit')} can only be approached{scales}")
    lines.append(f"next: sweep report{where}, sweep chart {chart} -o {chart}.png{where}")
    return lines


def counts(store: Store, sweep_id: str) -> dict[str, int]:
    """Runs of a sweep by status, whoever computed them."""
    found = store.query(COUNTS, [sweep_id])
    known = dict(zip(found["status"].to_pylist(), found["runs"].to_pylist(), strict=True))
    return {name: known.get(name, 0) for name in STATUSES}


def counts_line(total: int, found: Mapping[str, int], shard: str | None = None) -> str:
    """The last line of a launch, of one part of a grid if there is one."""
    pending = total - sum(found.values())
    parts = [f"{found[name]} {name}" for name in STATUSES if found[name] or name in ALWAYS]
    parts += [f"{pending} pending"] if pending else []
    return f"{f'shard {shard}: ' if shard else ''}{total} runs: {', '.join(parts)}"


def drifting(store: Store, sweep_id: str) -> int:
    """Converged runs of a sweep whose conserved quantities were not conserved."""
    sql = f"SELECT count(*) AS runs FROM sweep_runs s JOIN runs r USING (run_id) WHERE s.sweep_id = ? AND {DRIFTING}"
    return int(store.query(sql, [sweep_id])["runs"][0].as_py())


def uncertified(store: Store, sweep_id: str) -> int:
    """Predictions of converged runs of a sweep that could not be computed to a small certificate."""
    joined = "sweep_runs s JOIN convergence c USING (run_id)"
    sql = f"SELECT count(*) AS predictions FROM {joined} WHERE s.sweep_id = ? AND {UNCERTIFIED}"
    return int(store.query(sql, [sweep_id])["predictions"][0].as_py())


def certificate_line(predictions: int) -> str:
    """What that means, and where to look."""
    return (
        f"{predictions} prediction{'s' if predictions > 1 else ''} could not be computed to a small certificate and "
        f'{"are" if predictions > 1 else "is"} not compared; sweep query "SELECT run_id, prediction, certificate FROM '
        f'convergence WHERE {UNCERTIFIED}"'
    )


def drift_line(runs: int) -> str:
    """What that means, and where to look."""
    return (
        f"conserved quantities drifted by more than {DRIFT} rtol in {runs} converged run{'s' if runs > 1 else ''}: "
        f'check the invariants of these networks; sweep query "SELECT run_id, architecture, depth, invariant_drift '
        f'FROM runs WHERE {DRIFTING}"'
    )


def status(store: Store) -> dict[str, Any]:
    """Sweeps, latest first, and the runs of the whole store by status."""
    sweeps = store.query("SELECT * FROM progress ORDER BY created_at DESC").to_pylist()
    runs = store.query("SELECT status, count(*) AS runs FROM runs GROUP BY ALL ORDER BY ALL").to_pylist()
    return {"store": str(store.path), "runs": {row["status"]: row["runs"] for row in runs}, "sweeps": sweeps}


def status_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The state of a store for people."""
    runs = ", ".join(f"{count} {shown(name)}" for name, count in found["runs"].items()) or "no runs yet"
    yield f"{shown(found['store'])}: {runs}"
    for sweep in found["sweeps"]:
        ends = ", ".join(f"{sweep[name]} {name}" for name in STATUSES if sweep[name])
        state = "finished" if not sweep["pending"] else f"{sweep['pending']} pending"
        yield f"  {shown(sweep['sweep_id'])}  {shown(_name(sweep))}: {sweep['done']}/{sweep['runs']} runs, {state}" + (
            f" ({ends})" if ends else ""
        )


def _name(sweep: Mapping[str, Any]) -> str:
    """Of a sweep, with its shard."""
    return f"{sweep['name']}, shard {sweep['shard']}" if sweep["shard"] else str(sweep["name"])
