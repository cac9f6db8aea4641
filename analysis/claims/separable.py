"""Claims 2 and 3: separable classification, singular vectors and the margin of the network's own norm."""

from analysis.claims.claim import Claim
from analysis.claims.queries import NETWORK, asked, predicted, turned

_GRID = "claims-separable"
_YUN = "Yun, Krishnan, Mobahi, arXiv:2010.02501v3"
_SINGULAR = f"{_YUN}, the result on singular vectors of the data tensor"
_MARGIN = f"{_YUN}, the classification theorem"
_LONG = "(m.stop->>'$.log_loss')::DOUBLE < -1e7"
_CONNECTED = "m.architecture = 'fully_connected' AND m.depth > 1"
_OWN = "m.filter IS NULL OR m.filter = m.dim"
_DECOMPOSED = f"m.architecture <> 'fully_connected' AND ({_OWN})"


def _powers(power: str, where: str, of_each: str, group: str) -> str:
    """Cases of the power of -log Loss by which 1 - |cos| falls, over the last two decades.

    Above 1e-9 only, ten times the square of 100 rtol: below it the integrator is seen.
    """
    return f"""{asked(_GRID)}, points AS (
  SELECT run_id, m.status, m.architecture, m.depth, log10(-o.log_loss) AS clock, log10(o.alignment) AS height
  FROM mine m JOIN orbits o USING (run_id) WHERE o.log_loss < -1 AND o.alignment > 1e-9 AND {_LONG} AND {where}
), tails AS (
  FROM points QUALIFY clock >= max(clock) OVER (PARTITION BY run_id) - 2
), slopes AS (
  SELECT run_id, any_value(status) AS status, architecture, depth, regr_slope(height, clock) AS slope
  FROM tails GROUP BY run_id, architecture, depth
)
SELECT architecture AS series, depth AS x, count(*) AS runs, sum((status = 'converged')::INT) AS converged,
  {of_each}(abs(slope / ({power}) - 1)) AS figure
FROM slopes GROUP BY {group}"""


def _rests(figure: str) -> str:
    """Cases of the singular values and vectors of fully connected layers against the weights at the start."""
    return f"""{asked(_GRID)}
SELECT 'fully connected, -log Loss = ' || printf('%.0e', -m.log_loss) AS series, depth AS x, 1 AS runs,
  (m.status = 'converged' AND p.run_id IS NOT NULL)::INT AS converged, {figure} AS figure
FROM mine m LEFT JOIN predictions p ON p.run_id = m.run_id AND p.prediction = 'singular_vectors'
  LEFT JOIN trajectories t ON t.run_id = m.run_id
WHERE {_CONNECTED}"""


_GROWN = "(t.norm[-1] / t.norm[1])"
_RATIO = "p.singular_ratio"
_ADJACENT = "p.adjacent_alignment"
_EXCESS = "((p.detail->>'$.objective_reached')::DOUBLE / p.objective - 1)"
_STATIONARITY = "(p.detail->>'$.stationarity')::DOUBLE"
_BRIDGE = turned("m.beta", "p.beta")


def _shallower(where: str) -> str:
    """Cases of deep networks against the direction that one layer of the same network and data turns to."""
    return f"""{asked(_GRID)}, shallow AS (
  SELECT m.dataset, m.architecture, m.seed, p.beta FROM mine m JOIN predictions p USING (run_id)
  WHERE p.prediction = 'max_margin_bridge' AND m.depth = 1
)
SELECT {NETWORK} AS series, m.depth AS x, 1 AS runs, (m.status = 'converged')::INT AS converged,
  {turned("m.beta", "s.beta")} AS figure
FROM mine m JOIN shallow s ON s.dataset = m.dataset AND s.architecture = m.architecture
  AND (s.seed = m.seed OR m.architecture <> 'odeco')
WHERE {_LONG} AND {where}"""


CLAIMS = (
    Claim(
        number="2.1",
        statement="On separable data every layer turns to a singular vector of the data tensor, whatever the network: "
        "to the contraction of the tensor with the other layers, in the direction that the loss asks for.",
        kind="limit t->inf",
        reference=_SINGULAR,
        grid=_GRID,
        figure="largest 1 - |cos| between a layer and its gradient at -log Loss = 1e8",
        cases=predicted(
            _GRID,
            "singular_vectors",
            "p.distance",
            where=_LONG,
            series="architecture || CASE WHEN filter < dim THEN ' (short filters)' ELSE '' END",
        ),
        bound=0.01,
        why="theory gives a limit and no rate for all networks: a hundredth of what unrelated directions have. Where "
        "there is a rate, 2.2 and 2.3 ask for it",
        rival=f"""{asked(_GRID)}
SELECT {NETWORK} AS series, depth AS x, 1 AS runs, (status = 'converged')::INT AS converged, t.alignment[1] AS figure
FROM mine m JOIN trajectories t USING (run_id) WHERE {_LONG} AND depth > 1""",
        instead="the layers are aligned from the start",
        across="depth L",
        chart="alignment",
    ),
    Claim(
        number="2.2",
        statement="In fully connected networks that alignment comes at the rate (-log Loss)^(-2/L), L = 1 to 5: what "
        "the start has beside the singular vector rests while the layers grow.",
        kind="limit t->inf",
        reference=f"{_SINGULAR}; the rate follows from the conserved differences of neighbouring layers",
        grid=_GRID,
        figure="|fitted power of -log Loss / (-2/L) - 1| of 1 - |cos|, the last two decades above 1e-9",
        cases=_powers("-2 / depth", "m.architecture = 'fully_connected'", "max", "run_id, architecture, depth"),
        bound=0.1,
        why="powers of neighbouring depths up to L = 5 differ by a sixth and more, which a tenth still tells apart",
        rival=_powers("-2 / (depth + 1)", "m.architecture = 'fully_connected'", "max", "run_id, architecture, depth"),
        instead="the power of one layer more",
        across="depth L",
        chart="alignment",
    ),
    Claim(
        number="2.3",
        statement="Orthogonally decomposable networks of three layers and more come at the same rate.",
        kind="limit t->inf",
        reference="as 2.2: coordinates off the support rest. For two layers they die like a power of the data's own",
        grid=_GRID,
        figure="median over runs of |fitted power of -log Loss / (-2/L) - 1|, as in 2.2",
        cases=_powers("-2 / depth", f"m.depth > 2 AND {_DECOMPOSED}", "median", "architecture, depth"),
        bound=0.1,
        why="as in 2.2. A run that passes a saddle late has not yet come to its rate: hence the median of a network",
        rival=_powers("-2 / (depth + 1)", f"m.depth > 2 AND {_DECOMPOSED}", "median", "architecture, depth"),
        instead="the power of one layer more",
        across="depth L",
        chart="alignment",
    ),
    Claim(
        number="2.4",
        statement="The layers of fully connected networks become of rank one: second singular values never exceed what "
        "the start had, while the first ones grow with the margin.",
        kind="limit t->inf",
        reference="Ji and Telgarsky, arXiv:1810.02032, for deep linear networks",
        grid=_GRID,
        figure="largest sigma_2 / sigma_1 of a layer, over sqrt(2 L) ||Theta(0)|| / ||Theta||",
        cases=_rests(f"{_RATIO} * {_GROWN} / sqrt(2 * m.depth)"),
        bound=1.0,
        why="a theorem: W_l^T W_l - W_{l+1} W_{l+1}^T is conserved and w_L has rank one, so that sigma_2^2 is at most "
        "the sum of these differences, below 2 ||Theta(0)||^2; ||W_l||^2 is ||Theta||^2 / L up to the same",
        rival=_rests(f"{_RATIO} * {_GROWN} ** 2 / sqrt(2 * m.depth)"),
        instead="the ratio falls like the square of the norm",
        across="depth L",
        chart="alignment",
    ),
    Claim(
        number="2.5",
        statement="Singular vectors of adjacent layers of fully connected networks align.",
        kind="limit t->inf",
        reference="Ji and Telgarsky, arXiv:1810.02032, for deep linear networks",
        grid=_GRID,
        figure="largest 1 - |cos| of adjacent singular vectors, over 4 L^2 (||Theta(0)|| / ||Theta||)^4 + 1e-14",
        cases=_rests(f"(1 - {_ADJACENT}) / (4 * m.depth**2 / {_GROWN}**4 + 1e-14)"),
        bound=1.0,
        why="a theorem: W_l^T W_l and W_{l+1} W_{l+1}^T differ by less than ||Theta(0)||^2 in norm, and the angle of "
        "their leading eigenvectors is at most twice that over the gap sigma_1^2 = ||Theta||^2 / L (Davis and Kahan); "
        "1e-14 for rounding",
        rival=_rests(f"(1 - {_ADJACENT}) / (4 * m.depth**2 / {_GROWN}**8 + 1e-14)"),
        instead="they align like the eighth power of the norm",
        across="depth L",
        chart="alignment",
    ),
    Claim(
        number="3.1",
        statement="One layer of any orthogonally decomposable network turns to the l2 margin of its own coordinates.",
        kind="limit t->inf",
        reference=f"{_MARGIN}; Soudry et al., arXiv:1710.10345",
        grid=_GRID,
        figure="distance of directions at -log Loss = 1e8",
        cases=predicted(_GRID, "max_margin_bridge", _BRIDGE, where=f"depth = 1 AND {_LONG} AND {_DECOMPOSED}"),
        bound=1e-5,
        why="the distance is a constant of the data over -log Loss = 1e8; a thousand for the constant",
        rival=_shallower("m.depth = 3"),
        instead="three layers turn there too",
        across="depth L",
        chart="classification_distance",
    ),
    Claim(
        number="3.2",
        statement="Two layers turn to the least l1 norm of the transformed coefficients, real or complex, that "
        "keeps all margins; where the direction is slow, its objective is near.",
        kind="limit t->inf",
        reference=f"{_MARGIN}; for convolutions Gunasekar et al., arXiv:1806.00468",
        grid=_GRID,
        figure="(||rho||_1 / optimum - 1) e log(-log Loss) / d at equal margin",
        cases=predicted(
            _GRID,
            "max_margin_bridge",
            f"{_EXCESS} * exp(1) * ln(-m.log_loss) / m.dim",
            where=f"depth = 2 AND {_DECOMPOSED}",
        ),
        bound=1.0,
        why="by duality the excess is the sum over coordinates off the support of (1 - kappa) times their share, which "
        "is (-log Loss)^(kappa - 1): at most 1 / (e log(-log Loss)) each, for every kappa below one, d of them",
        rival=predicted(
            _GRID, "max_margin_bridge", f"{_EXCESS} * -m.log_loss / m.dim", where=f"depth = 2 AND {_DECOMPOSED}"
        ),
        instead="the excess is 1 / -log Loss a coordinate, as for other depths",
        across="depth L",
        chart="classification_distance",
    ),
    Claim(
        number="3.3",
        statement="With three layers and more the direction turns to a stationary point of the l_{2/L} margin problem "
        "in the transformed space, L = 3 to 6, real and complex.",
        kind="limit t->inf",
        reference=_MARGIN,
        grid=_GRID,
        figure="median over the runs of a network of the residual of stationarity at -log Loss = 1e8",
        cases=f"""{asked(_GRID)}
SELECT {NETWORK} AS series, depth AS x, count(*) AS runs,
  sum((m.status = 'converged' AND p.run_id IS NOT NULL)::INT) AS converged, median({_STATIONARITY}) AS figure
FROM mine m LEFT JOIN predictions p ON p.run_id = m.run_id AND p.prediction = 'max_margin_bridge'
WHERE depth > 2 AND {_LONG} AND {_DECOMPOSED} GROUP BY architecture, depth""",
        bound=1e-5,
        why="coordinates off the support rest, so that their share falls like one over -log Loss = 1e8; a thousand for "
        "the constant. A run that passes a saddle late has not come there: hence the median, and 3.4 for all",
        rival=_shallower("m.depth > 2"),
        instead="the l2 margin of the same coordinates",
        across="depth L",
        chart="classification_distance",
        beside=f"""{asked(_GRID)}, ends AS (
  SELECT depth, avg(({_EXCESS} < 0.01)::INT) AS share, count(*) AS runs
  FROM mine m JOIN predictions p USING (run_id)
  WHERE p.prediction = 'max_margin_bridge' AND depth > 2 AND NOT m.record GROUP BY depth
)
SELECT 'Share of ' || sum(runs) || ' runs that end within 1 % of the best objective known: ' ||
  string_agg('L = ' || depth || ' ' || printf('%.0f', 100 * share) || ' %', ', ' ORDER BY depth) || '.' FROM ends""",
    ),
    Claim(
        number="3.4",
        statement="No run of these is far from a stationary point.",
        kind="limit t->inf",
        reference=_MARGIN,
        grid=_GRID,
        figure="residual of stationarity at -log Loss = 1e8, all runs",
        cases=predicted(_GRID, "max_margin_bridge", _STATIONARITY, where=f"depth > 2 AND {_LONG} AND {_DECOMPOSED}"),
        bound=0.01,
        why="theory gives a limit without a rate, and saddles may be passed at any time: one per cent",
        rival=_shallower("m.depth > 2"),
        instead="the l2 margin of the same coordinates",
        across="depth L",
        chart="classification_distance",
    ),
)
