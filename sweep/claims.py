"""Launching what the claims ask for: all their grids in one launch, then each entered as a sweep of its own."""

from collections.abc import Iterable, Sequence

from analysis.claims import CLAIMS, GRIDS, Claim
from db.store import Store
from sweep.execution.session import Ended, Options, record, run_grid
from sweep.grid import shipped
from sweep.grid.grid import Grid, load
from sweep.grid.mistakes import GridError, nearest
from sweep.grid.source import Source


def chosen(numbers: Iterable[str]) -> list[Claim]:
    """The claims of these numbers, a family by its first part ("4"); all for none. Raises GridError."""
    wanted = list(numbers)
    for each in wanted:
        if not _about(each):
            raise GridError([f"claim: unknown {each!r}{nearest(each, CLAIMS)}; write one of {', '.join(CLAIMS)}"])
    found = {claim.number for each in wanted for claim in _about(each)}
    return [claim for claim in CLAIMS.values() if not wanted or claim.number in found]


def _about(number: str) -> list[Claim]:
    return [claim for claim in CLAIMS.values() if number in (claim.number, claim.number.split(".")[0])]


def grids(claims: Sequence[Claim], quick: bool = False) -> list[Grid]:
    """The grids that claims ask of, each once."""
    folder = shipped.folder() / "claims"
    names = dict.fromkeys(claim.grid.removeprefix("claims-") for claim in claims)
    return [load(folder / f"{name}.yaml", GRIDS[name] if quick else ()) for name in names]


def together(parts: Sequence[Grid]) -> Grid:
    """One grid of the blocks of all, so that they share workers and compiled programs."""
    tree = {"name": "claims", "grids": [part.name for part in parts]}
    source = Source(parts[0].source.path.with_name("claims.yaml"), tree)
    return Grid("claims", source, tuple(block for part in parts for block in part.blocks))


def launch(claims: Sequence[Claim], options: Options, quick: bool = False) -> Ended:
    """Compute what the store lacks for these claims. Where all has been asked, each grid is a sweep of its own."""
    parts = grids(claims, quick)
    ended = run_grid(together(parts), options)
    if not (ended.interrupted or ended.lost or ended.unstored or ended.traceback):
        for part in parts:
            record(part, Store(options.store, timeout=options.wait))
    return ended
