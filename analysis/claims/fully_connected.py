"""Claim 6: fully connected networks, the least l2 norm and the l2 margin."""

from analysis.claims.claim import Claim
from analysis.claims.queries import NETWORK, SHARE, apart, asked, between, length, predicted, unit

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


_SIZE = f"{length('p.beta')} ** (1 / depth)"


def _extrapolated(power: str) -> str:
    """Cases, one a data set and depth: the power of alpha, its first order in alpha removed, against theory's."""
    return f"""{asked(_GRID)}, ends AS (
  SELECT architecture, depth, dataset, alpha, m.status, ln({_GAP}) - {power} * ln(alpha) AS height,
    t.norm[1] / {_SIZE} AS share
  FROM mine m JOIN predictions p USING (run_id) JOIN trajectories t USING (run_id)
  WHERE p.prediction = 'minimum_l2_norm' AND init = 'gaussian'
), heights AS (
  SELECT architecture, depth, dataset, count(*) AS runs, sum((status = 'converged')::INT) AS converged,
    list(height ORDER BY alpha) AS h, max(share) AS share
  FROM ends GROUP BY ALL
)
SELECT architecture AS series, depth AS x, runs, converged,
  abs(2 * (h[2] - h[1]) - (h[3] - h[2])) / share ** 2 AS figure
FROM heights"""


_LONG = "(m.stop->>'$.log_loss')::DOUBLE < -1e7"


def turning(grid: str, direction: str, where: str, joined: str = "") -> str:
    """Cases, one a run: how far the distance to a direction is from (-log Loss)^(-1/L), over its next order."""
    return f"""{between(grid, where)}, apart AS (
  SELECT pairs.*, list_distance(a.direction, {direction}) AS first, list_distance(b.direction, {direction}) AS last
  FROM pairs {joined}
)
SELECT {NETWORK} AS series, m.depth AS x, 1 AS runs, (m.status = 'converged')::INT AS converged,
  abs(ln(last / first) + ln(b.clock / a.clock) / m.depth) / (
    first ** 2 + a.alignment + ln(m.samples) / (m.depth * a.clock)
    + {SHARE} * (1 + 2 * sqrt(2 * a.alignment) / first)) AS figure
FROM mine m JOIN apart USING (run_id)"""


_MARGIN = f"""JOIN (
    SELECT m.run_id, {unit("p.beta")} AS wanted
    FROM mine m JOIN mine w USING (dataset) JOIN predictions p ON p.run_id = w.run_id
    WHERE w.architecture = 'fully_connected' AND p.prediction = 'max_margin_l2' AND {{which}}
  ) USING (run_id)"""
_OWN = _MARGIN.format(which="w.run_id = m.run_id")
_OF_OTHERS = _MARGIN.format(which=f"w.depth = m.depth AND w.seed = m.seed AND {_LONG.replace('m.', 'w.')}")


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
        figure="|2 f(0.02, 0.01) - f(0.04, 0.02)| over e^2, f the change of log(distance / alpha) between two alphas",
        cases=_extrapolated("1"),
        bound=1.0,
        why="the distance is what rests of W_1, exactly of order alpha, times the direction of the other layers, which "
        "is its limit and a series in e = ||Theta(0)|| / ||beta||^(1/L), start over end of a layer. The difference "
        "removes the first order; the second is e^2 at the largest alpha",
        rival=_extrapolated("depth"),
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
        figure="|change of log(distance of directions) + 1/L log(-log Loss)| from -log Loss = 3e3 to 3e5, over its "
        "next order",
        cases=turning(_SEPARABLE, "wanted", f"{_CONNECTED} AND {_LONG}", _OWN),
        bound=1.0,
        why="what W_1 has off the span of the support vectors rests, and beta is W_1 times what the other layers are: "
        "the distance c is r / sigma, with sigma^L = ||beta|| and a least margin between M = -log Loss and M + log n. "
        "The next order, at the first point: the other layers' direction turns by 2 e (Davis and Kahan; e as in 2.2), "
        "and r is at most sigma sqrt(2 a), a = 1 - |cos| of 2.2, so 2 e sqrt(2 a) / c; e and a of sigma; c^2 of "
        "||beta||; log n / (L M)",
        rival=turning(
            _SEPARABLE, "wanted", f"m.architecture = 'diagonal' AND m.depth IN (3, 4) AND {_LONG}", _OF_OTHERS
        ),
        instead="three and four diagonal layers turn there too",
        across="depth L",
        chart="classification_distance",
    ),
)
