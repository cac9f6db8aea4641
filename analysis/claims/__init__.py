"""Every claim, by number: what theory says, and the query and bound by which a store agrees with it or not.

A new claim is an entry in the CLAIMS of a file here, and what its grid in examples/claims lacks.
"""

from collections.abc import Sequence

from analysis.claims import fully_connected, gaps, known, regression, saddles, separable, special
from analysis.claims.claim import COLUMNS, Claim, Verdict, evaluate

__all__ = ["CLAIMS", "COLUMNS", "GRIDS", "Claim", "Verdict", "evaluate"]

_ALL = (
    *special.CLAIMS,
    *separable.CLAIMS,
    *regression.CLAIMS,
    *fully_connected.CLAIMS,
    *known.CLAIMS,
    *saddles.CLAIMS,
    *gaps.CLAIMS,
)


def _place(claim: Claim) -> list[int]:
    return [int(part) for part in claim.number.split(".")]


CLAIMS: dict[str, Claim] = {claim.number: claim for claim in sorted(_ALL, key=_place)}

GRIDS: dict[str, Sequence[str]] = {
    "special": ("exclude=depth == 3 or task == 'classification'",),
    "separable": (
        "data.gaussian.seed=0",
        "blocks.0.grid.architecture=diagonal,convolutional", "blocks.0.grid.depth=1,2,3,5", "blocks.0.grid.seed=0",
        "blocks.1.grid.depth=1,3", "blocks.1.grid.seed=0",
        "blocks.2.grid.depth=2", "blocks.2.grid.seed=0",
        "blocks.3.grid.depth=3", "blocks.3.grid.seed=0",
        "blocks.4.grid.architecture=diagonal", "blocks.4.grid.depth=3", "blocks.4.grid.seed=2,3",
    ),
    "regression": (
        "blocks.0.data.gaussian.seed=0", "blocks.0.grid.depth=2,3,5",
        "blocks.1.data.gaussian.seed=13",
        "blocks.2.data.gaussian.seed=0", "blocks.2.grid.depth=2,3,5",
        "blocks.3.data.gaussian.seed=0",
    ),
    "interpolation": ("data.gaussian.seed=1,9",),
    "fully-connected": (
        "data.gaussian.seed=0", "blocks.0.grid.depth=2,3", "blocks.1.grid.depth=2,3", "blocks.2.grid.depth=2,3",
    ),
    "known": (
        "blocks.0.grid.architecture=diagonal", "blocks.0.grid.seed=0", "blocks.1.grid.seed=0",
        "blocks.2.grid.depth=3", "blocks.2.grid.seed=0",
        "blocks.5.grid.alpha=0.5,2",
        "blocks.6.zip.depth=3,4", "blocks.6.zip.alpha=0.0001,0.01",
    ),
    "gaps": (
        "blocks.0.data.gaussian.seed=0", "blocks.0.grid.depth=2,3",
        "blocks.1.data.gaussian.seed=0", "blocks.1.grid.depth=2,3",
        "blocks.3.grid.seed=0", "blocks.4.grid.depth=3",
    ),
}  # fmt: skip
"""Files of examples/claims, each a sweep of the name claims-FILE, and the `--set` options that make them quick."""
