"""What a verdict says in words and numbers."""

from analysis.charts.theme import arrow
from analysis.claims.claim import Verdict


def figure(value: float | None) -> str:
    """A figure with two digits; a dash where there is none."""
    return "–" if value is None else f"{value:.2g}"


def numbers(verdict: Verdict) -> str:
    """Kind, runs, figure and bound, and what the rival gave."""
    claim = verdict.claim
    worst = f"worst {figure(verdict.worst)} {claim.sign} {claim.bound:g}"
    return f"{arrow(claim.kind)}; {verdict.runs} runs; {worst}; rival {figure(verdict.rival)}"
