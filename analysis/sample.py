"""Which runs figures draw: of a large store a random part, for they would show no more of all of its runs."""

from analysis.frames.frame import EVERY_RUN

DRAWN_RUNS = 20_000
"""Runs of a store of which every one counts in the figures; of more the figures have a sample of about so many."""


def sample(runs: int) -> str:
    """The condition on runs that figures of a store of so many draw: ids are digests, so the first are random ones."""
    share = DRAWN_RUNS / max(runs, 1)
    return EVERY_RUN if share >= 1 else f"run_id < '{round(share * 16**6):06x}'"
