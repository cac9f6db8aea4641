"""What a claim is: a statement of theory, a figure that SQL finds in a store, and the bound that it must keep."""

import math
from dataclasses import dataclass
from typing import Any

from analysis.frames.frame import Source

COLUMNS = {
    "series": "what is alike in a case: network, depth, data",
    "x": "where it is drawn",
    "runs": "runs of the case",
    "converged": "of these, how many met their stop rule with a prediction to compare with",
    "figure": "what the claim bounds; null where it could not be found",
}
"""Columns of a claim's cases, and what they mean."""

_SUMMARY = """SELECT coalesce(sum(runs), 0)::BIGINT AS runs, coalesce(sum(runs - converged), 0)::BIGINT AS unfit,
  count(*) FILTER (WHERE figure IS NULL OR NOT isfinite(figure)) AS without,
  max(figure) AS largest, min(figure) AS least
FROM (SELECT series, x, runs, converged, figure FROM (
{cases}
))"""

_MEDIANS = """SELECT list(middle) AS middles FROM (SELECT x, median(figure) AS middle FROM (
{cases}
) GROUP BY x)"""


@dataclass(frozen=True)
class Claim:
    """One line that passes or fails: its worst figure over all cases must keep the bound.

    Of a limit the figure is how far a run is from the rate of theory, over the next order of that rate, which the query
    computes for each run: the bound is then 1. Where the rate itself leaves less than the integrator does (4.2, 4.3 and
    4.5) the figure is the distance to the limit, and the bound is 100 rtol, that of exact statements. Where theory says
    only that a gap stays open (8) the bound is chosen, far above that.
    So that no claim passes whatever the runs do, the same figure is taken of a rival statement, which is false of the
    same sweep: at every x half of its cases must break the bound.

    Attributes:
        number: its place among the claims, such as "4.1".
        statement: what theory says, in a sentence of ours.
        kind: exact, the limit in which it holds, or what else makes it true.
        reference: where it is stated or proved.
        grid: of examples/claims, and the name of the sweep whose runs are asked.
        figure: what is measured, in words.
        cases: the query, one row a case with the columns COLUMNS.
        bound: of the figure.
        why: the reason for the bound, which is theory's or the integrator's.
        rival: the query of the rival statement.
        instead: the rival in words.
        across: what is drawn from left to right.
        least: whether the figure must be at least, and not at most, the bound.
        chart: arguments of `sweep chart` that show it; none if there is no such chart.
        beside: a query for one sentence to be said beside the figure, which nothing bounds.
    """

    number: str
    statement: str
    kind: str
    reference: str
    grid: str
    figure: str
    cases: str
    bound: float
    why: str
    rival: str
    instead: str
    across: str
    least: bool = False
    chart: str = ""
    beside: str = ""

    @property
    def sign(self) -> str:
        """Of the bound."""
        return ">=" if self.least else "<="

    def kept(self, figure: float) -> bool:
        """Whether a figure keeps the bound."""
        return figure >= self.bound if self.least else figure <= self.bound


@dataclass(frozen=True)
class Verdict:
    """What a store says of a claim.

    Attributes:
        claim: the claim.
        runs: how many it was asked of.
        worst: its figure, None if there is none.
        rival: the rival's median figure at the x where it is nearest to the bound, None if there is none.
        faults: why it fails, in words; none if it passes.
        beside: what else was measured.
    """

    claim: Claim
    runs: int
    worst: float | None
    rival: float | None
    faults: tuple[str, ...]
    beside: str = ""

    @property
    def passed(self) -> bool:
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        claim = self.claim
        return {
            "claim": claim.number, "statement": claim.statement, "kind": claim.kind, "reference": claim.reference,
            "runs": self.runs, "figure": claim.figure, "worst": self.worst, "sign": claim.sign, "bound": claim.bound,
            "why": claim.why, "passed": self.passed, "faults": list(self.faults), "rival": claim.instead,
            "rival_median": self.rival, "beside": self.beside, "sweep": claim.grid, "sql": claim.cases.strip(),
            "chart": claim.chart,
        }  # fmt: skip


def evaluate(claim: Claim, store: Source) -> Verdict:
    """Ask a store. Where it has no runs, or runs without an end or a prediction, the claim fails and says so."""
    summary, medians = _SUMMARY.format(cases=claim.cases.strip()), _MEDIANS.format(cases=claim.rival.strip())
    (row,) = store.query(f"SELECT * FROM ({summary}) CROSS JOIN ({medians})").to_pylist()
    worst = row["least" if claim.least else "largest"]
    rival = _nearest(claim, row["middles"] or [])
    beside = store.query(claim.beside).to_pylist() if claim.beside else []
    return Verdict(
        claim,
        row["runs"],
        worst,
        rival,
        tuple(_faults(claim, row, worst, rival)),
        str(next(iter(beside[0].values())) or "") if beside else "",
    )


def _nearest(claim: Claim, medians: list[float | None]) -> float | None:
    """The median that breaks the bound least; None if there is none, or not everywhere."""
    found = [each for each in medians if each is not None and math.isfinite(each)]
    if not found or len(found) < len(medians):
        return None
    return max(found) if claim.least else min(found)


def _faults(claim: Claim, row: dict[str, Any], worst: float | None, rival: float | None) -> list[str]:
    if not row["runs"]:
        return ["the store has no run of it"]
    faults = []
    if row["unfit"]:
        faults.append(f"{row['unfit']} of {row['runs']} runs did not converge, or have nothing to be compared with")
    if row["without"]:
        faults.append(f"{row['without']} cases have no figure")
    if worst is not None and math.isfinite(worst) and not claim.kept(worst):
        faults.append("the bound is broken")
    if rival is None or not math.isfinite(rival):
        faults.append(f"the rival has no figure ({claim.instead}), so that nothing shows that these runs could fail")
    elif claim.kept(rival):
        faults.append(f"the rival keeps the bound too ({claim.instead}), so that these runs say nothing")
    return faults
