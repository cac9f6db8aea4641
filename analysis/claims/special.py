"""Claim 1: the named networks are linear tensor networks."""

from analysis.claims.claim import Claim
from analysis.claims.queries import apart, asked

_GRID = "claims-special"


def _pairs(alike: str) -> str:
    """Cases, one a pair: the end of a named network m against that of the tensor t on the same data."""
    return f"""{asked(_GRID)}
SELECT m.architecture || ', ' || m.task AS series, m.depth AS x, 2 AS runs,
  (m.status = 'converged')::INT + (t.status = 'converged')::INT AS converged, {apart("m.beta", "t.beta")} AS figure
FROM mine m JOIN mine t ON t.dataset = m.dataset AND t.task = m.task AND {alike}
WHERE m.architecture <> 'tensor' AND t.architecture = 'tensor'"""


CLAIMS = (
    Claim(
        number="1.1",
        statement="Fully connected, diagonal and convolutional networks are special cases of one linear tensor "
        "network: from the same layers the tensor that is written out ends where the named network does, L = 2 and 3.",
        kind="exact",
        reference="Yun, Krishnan, Mobahi, arXiv:2010.02501v3, the tensor formulation",
        grid=_GRID,
        figure="||beta - beta*|| / ||beta*||, beta of the named network, beta* of its tensor, at the end of both flows",
        cases=_pairs("t.alpha = m.alpha"),
        bound=1e-5,
        why="100 rtol, as in 4.1: the flows are the same, but integrated in other coordinates",
        rival=_pairs("t.alpha <> m.alpha"),
        instead="the tensor from layers of another scale ends there as well",
        across="depth L",
    ),
)
