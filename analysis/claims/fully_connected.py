"""Claim 6: fully connected networks, the least l2 norm and the l2 margin."""

from analysis.claims.claim import Claim
from analysis.claims.queries import NETWORK, apart, asked, predicted, turned

_GRID = "claims-fully-connected"
_SEPARABLE = "claims-separable"
_YUN = "Yun, Krishnan, Mobahi, arXiv:2010.02501v3, the result on fully connected networks"
_GAP = apart("m.beta", "p.beta")
_CONNECTED = "m.architecture = 'fully_connected'"


def _other_network(wanted: str, where: str) -> str:
    """Cases of diagonal networks against what is predicted of fully connected ones on the same data."""
    return f"""{asked(_GRID)}, wanted AS (
  SELECT DISTINCT ON (dataset) dataset, p.beta FROM mine m JOIN predictions p USING (run_id)
  WHERE {_CONNECTED} AND p.prediction = '{wanted}' AND p.beta IS NOT NULL ORDER BY dataset, run_id
)
SELECT {NETWORK} AS series, depth AS x, 1 AS runs, (m.status = 'converged')::INT AS converged,
  {apart("m.beta", "w.beta")} AS figure
FROM mine m JOIN wanted w USING (dataset) WHERE m.architecture = 'diagonal' AND {where}"""


def _slopes(power: str) -> str:
    return f"""{asked(_GRID)}, fits AS (
  SELECT architecture, depth, dataset, count(*) AS runs, sum((status = 'converged')::INT) AS converged,
    regr_slope(ln({_GAP}), ln(alpha)) AS slope
  FROM mine m JOIN predictions p USING (run_id)
  WHERE p.prediction = 'minimum_l2_norm' AND init = 'gaussian' AND alpha < 0.1 GROUP BY ALL
)
SELECT architecture AS series, depth AS x, runs, converged, abs(slope / ({power}) - 1) AS figure FROM fits"""


_LONG = "(m.stop->>'$.log_loss')::DOUBLE < -1e7"
_RATE = f"{turned('m.beta', 'p.beta')} * (-m.log_loss) ** (1 / m.depth)"
_RATE_OF_OTHERS = f"{turned('m.beta', 'w.beta')} * (-m.log_loss) ** (1 / m.depth)"


def _decomposable(figure: str) -> str:
    """Cases of diagonal networks against the l2 margin of the same data."""
    return f"""{asked(_SEPARABLE)}, wanted AS (
  SELECT DISTINCT ON (dataset) dataset, p.beta FROM mine m JOIN predictions p USING (run_id)
  WHERE {_CONNECTED} AND p.prediction = 'max_margin_l2' AND p.beta IS NOT NULL ORDER BY dataset, run_id
)
SELECT {NETWORK} AS series, depth AS x, 1 AS runs, (m.status = 'converged')::INT AS converged, {figure} AS figure
FROM mine m JOIN wanted w USING (dataset)
WHERE m.architecture = 'diagonal' AND depth IN (3, 4) AND {_LONG}"""


def balanced(grid: str, power: str, where: str) -> str:
    """Cases of the part across (1, 2) of the coefficients over a power of their squared norm, at both ends."""
    found, start = (
        f"({beta}[2] - 2 * {beta}[1]) / list_inner_product({beta}, {beta}) ** ({power})"
        for beta in ("m.beta", "t.beta[1]")
    )
    return f"""{asked(grid)}
SELECT {NETWORK} AS series, depth AS x, 1 AS runs, (m.status = 'converged')::INT AS converged,
  abs({found} / ({start}) - 1) AS figure
FROM mine m LEFT JOIN trajectories t USING (run_id) WHERE {where}"""


CLAIMS = (
    Claim(
        number="6.1",
        statement="From orthogonal layers a fully connected network ends in the least l2 norm, at every alpha and "
        "depth.",
        kind="exact",
        reference=_YUN,
        grid=_GRID,
        figure="||beta - beta*|| / ||beta*|| at the end, beta* of least l2 norm",
        cases=predicted(_GRID, "minimum_l2_norm", _GAP, where=f"{_CONNECTED} AND m.init = 'orthogonal'"),
        bound=1e-5,
        why="100 rtol, as in 4.1: beta never leaves the span of the samples",
        rival=_other_network("minimum_l2_norm", "true"),
        instead="diagonal networks on the same data",
        across="depth L",
        chart="exactness",
    ),
    Claim(
        number="6.2",
        statement="From Gaussian layers the distance to the least l2 norm falls like alpha as alpha -> 0, at every "
        "depth.",
        kind="limit alpha->0",
        reference=f"{_YUN}; the power: what of W_1 is orthogonal to the samples rests, and is of order alpha",
        grid=_GRID,
        figure="|fitted power of alpha - 1|, one fit a data set and depth",
        cases=_slopes("1"),
        bound=0.1,
        why="the rest of the network is its limit up to a relative order alpha, which is 0.08 at most here",
        rival=_slopes("depth"),
        instead="the power L",
        across="depth L",
        chart="initialisation_scale",
    ),
    Claim(
        number="6.4",
        statement="From balanced layers the shape of the start is kept at every depth: what of "
        "beta ||beta||^(1/L - 1) is across the samples never changes.",
        kind="exact",
        reference="Azulay et al., arXiv:2102.09769, for L = 2; the same argument for every L: balanced layers stay so, "
        "and all of them have the singular value ||beta||^(1/L)",
        grid=_GRID,
        figure="relative change of that part across the sample (1, 2), from start to end",
        cases=balanced(_GRID, "(1 - 1 / m.depth) / 2", "m.init = 'layers'"),
        bound=1e-5,
        why="100 rtol, as in 4.1",
        rival=balanced(_GRID, "0", "m.init = 'layers'"),
        instead="what of beta itself is across the sample, as for one layer",
        across="depth L",
    ),
    Claim(
        number="6.3",
        statement="On separable data fully connected networks turn to the l2 margin at every depth, at the rate "
        "(-log Loss)^(-1/L).",
        kind="limit t->inf",
        reference=f"{_YUN}; Ji and Telgarsky, arXiv:1810.02032; the rate as in 2.2",
        grid=_SEPARABLE,
        figure="distance of directions times (-log Loss)^(1/L), at -log Loss = 1e8",
        cases=predicted(_SEPARABLE, "max_margin_l2", _RATE, where=f"{_CONNECTED} AND {_LONG}"),
        bound=4.0,
        why="what rests of the start is of norm ||Theta(0)||, below one here, while layers grow to (-log Loss / "
        "gamma)^(1/L) with a margin gamma below one: a constant of order one. For one layer it is what the l2 problem "
        "leaves, of order one too",
        rival=_decomposable(_RATE_OF_OTHERS),
        instead="three and four diagonal layers turn there too",
        across="depth L",
        chart="classification_distance",
    ),
)
