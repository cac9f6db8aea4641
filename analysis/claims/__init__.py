"""Every claim, by number: what theory says, and the query and bound by which a store agrees with it or not.

A new claim is an entry in the CLAIMS of a file here, and what its grid in examples/claims lacks.
"""

from collections.abc import Sequence

from analysis.claims import fully_connected, gaps, regression, separable
from analysis.claims.claim import COLUMNS, Claim, Verdict, evaluate

__all__ = ["CLAIMS", "COLUMNS", "GRIDS", "Claim", "Verdict", "evaluate"]

_ALL = (*separable.CLAIMS, *regression.CLAIMS, *fully_connected.CLAIMS, *gaps.CLAIMS)
CLAIMS: dict[str, Claim] = {claim.number: claim for claim in sorted(_ALL, key=lambda claim: claim.number)}

GRIDS: dict[str, Sequence[str]] = {
    "separable": (),
    "regression": (),
    "interpolation": (),
    "fully-connected": (),
    "gaps": (),
}
"""Files of examples/claims, each a sweep of the name claims-FILE, and the `--set` options that make them quick."""
