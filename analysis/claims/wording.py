"""What a verdict says in words and numbers."""

import math
import re

from analysis.claims.claim import Verdict
from analysis.names import named


def figure(value: float | None) -> str:
    """A figure with two digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if 100 <= abs(value) < 10_000 else f"{value:.2g}"


def symbols(text: str) -> str:
    """The same sentence with Greek letters, arrows and signs, for a page."""
    for word, sign in (
        ("alpha", "α"),
        ("beta", "β"),
        ("eta", "η"),
        ("Theta", "Θ"),
        ("sigma", "σ"),
        ("gamma", "γ"),
        ("kappa", "κ"),
        ("lambda", "λ"),
        ("rho", "ρ"),
        ("nu", "ν"),
        ("infinity", "∞"),
    ):
        text = re.sub(rf"(?<![A-Za-z]){word}(?![A-Za-z])", sign, text)
    return text.replace("->", "→").replace("<=", "≤").replace(">=", "≥").replace("||", "‖").replace(" - ", " − ")


def numbers(verdict: Verdict) -> str:
    """Kind, runs, figure and bound, and what the rival gave."""
    claim = verdict.claim
    worst = f"worst {figure(verdict.worst)} {claim.sign} {claim.bound:g}"
    runs = f"{verdict.runs} run{'' if verdict.runs == 1 else 's'}"
    return f"{named(claim.kind)}; {runs}; {worst}; rival {figure(verdict.rival)}"


def escaped(text: str) -> str:
    """The same for Markdown: no sign in it marks up or ends a table's cell."""
    return re.sub(r"([|*_<])", r"\\\1", symbols(text))
