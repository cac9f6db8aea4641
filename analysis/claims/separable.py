"""Claims 2 and 3: separable classification, singular vectors and the margin of the network's own norm."""

from analysis.claims.claim import Claim
from analysis.claims.queries import FIRST, LAST, NETWORK, SHARE, asked, between, predicted, turned, unit

_GRID = "claims-separable"
_YUN = "Yun, Krishnan, Mobahi, arXiv:2010.02501v3"
_SINGULAR = f"{_YUN}, the result on singular vectors of the data tensor"
_MARGIN = f"{_YUN}, the classification theorem"
_LONG = "(m.stop->>'$.log_loss')::DOUBLE < -1e7"
_CONNECTED = "m.architecture = 'fully_connected' AND m.depth > 1"
_OWN = "m.filter IS NULL OR m.filter = m.dim"
_DECOMPOSED = f"m.architecture <> 'fully_connected' AND ({_OWN})"

ODECO = 2.12
"""Not below the norm of any S that the grid's odeco networks draw: 2.1186 for the seed 0, 1.8959 for the seed 1."""

_SCALE = (
    "CASE WHEN m.architecture IN ('convolutional', 'walsh') THEN m.dim ** ((m.depth - 1) / 2) "
    f"WHEN m.architecture = 'odeco' THEN {ODECO} ELSE 1 END"
)
"""The norm of S, of odeco an upper bound."""

_ALIVE = "2 * greatest(a.alignment, b.alignment * (b.clock / a.clock) ** (2 / m.depth))"
"""The larger of sum_j w_j^2 off the support at both points, over the square of a layer at the first."""


def _misaligned(mean: str, last: str) -> str:
    """Cases, one a run: what 1 - |cos| is in the mean from FIRST to LAST, or there if larger, over what margins allow.

    The largest margin min_i m_i / ||Theta||^L is 1 / (L^(L/2) N), N the least norm of the network's margin problem, the
    stored objective; of networks without one it is the margin at LAST.
    """
    return f"""{asked(_GRID)}, points AS (
  SELECT run_id, o.point, o.alignment, ln(o.norm) AS scale, ln(-o.log_loss) - m.depth * ln(o.norm) AS margin
  FROM mine m JOIN orbits o USING (run_id) WHERE o.log_loss BETWEEN -{LAST:g} AND -{FIRST:g} AND {_LONG}
), steps AS (
  SELECT *, scale - lag(scale) OVER run AS step, (alignment + lag(alignment) OVER run) / 2 AS middle
  FROM points WINDOW run AS (PARTITION BY run_id ORDER BY point)
), means AS (
  SELECT run_id, sum(middle * step) / sum(step) AS mean, arg_max(alignment, point) AS last, sum(step) AS grown,
    arg_min(margin, point) AS margin, arg_max(margin, point) AS reached
  FROM steps GROUP BY run_id
), optima AS (
  SELECT run_id, -ln(p.objective) - m.depth / 2 * ln(m.depth) AS largest FROM mine m JOIN predictions p USING (run_id)
  WHERE ({_OWN}) AND p.prediction =
    CASE WHEN m.architecture = 'fully_connected' THEN 'max_margin_l2' ELSE 'max_margin_bridge' END
)
SELECT m.architecture || CASE WHEN m.filter < m.dim THEN ' (short filters)' ELSE '' END AS series, m.depth AS x,
  1 AS runs, (m.status = 'converged')::INT AS converged,
  greatest({mean}, {last}) * 2 * s.grown / (coalesce(largest, s.reached) - s.margin) AS figure
FROM mine m JOIN means s USING (run_id) LEFT JOIN optima USING (run_id) LEFT JOIN trajectories t USING (run_id)"""


def _alignment_power(power: str, moved: str, where: str) -> str:
    """Cases, one a run: how far 1 - |cos| is from a power of -log Loss, in logarithms, over the next order."""
    return f"""{between(_GRID, f"{_LONG} AND {where}")}
SELECT {NETWORK} AS series, m.depth AS x, 1 AS runs, (m.status = 'converged')::INT AS converged,
  abs(ln(b.alignment / a.alignment) - {power} * ln(b.clock / a.clock)) / (
    2 / m.depth * ln(b.clock / a.clock) - 2 * ln(b.norm / a.norm)
    + {SHARE} + {SHARE} ** 2 / (2 * a.alignment) + {moved}
    + 200 * m.rtol / sqrt(2 * b.alignment)) AS figure
FROM mine m JOIN pairs USING (run_id)
  LEFT JOIN predictions p ON p.run_id = m.run_id AND p.prediction = 'singular_vectors'"""


_MOVED = f"2 * {_SCALE} * ({_ALIVE}) ** ((m.depth - 2) / 2) / ((m.depth - 2) * p.singular_value)"


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


_RESTING = f"""m.depth * ({_SCALE}) ** 2 * ({_ALIVE}) ** (m.depth - 1)
      / ((m.depth - 2) * v.singular_value * a.size * m.depth ** (m.depth / 2))"""


def _direction_power(wanted: str, moved: str, where: str) -> str:
    """Cases, one a run: how far the distance to a direction is from 1 / -log Loss, in logarithms, over the next order.

    `wanted` is a query of run_id and direction, `moved` what coordinates off the support change of beta / ||beta||.
    """
    return f"""{between(_GRID, f"{_LONG} AND {_DECOMPOSED} AND {where}")}, wanted AS (
{wanted}
), apart AS (
  SELECT *, list_distance(a.direction, w.direction) AS first, list_distance(b.direction, w.direction) AS last
  FROM pairs LEFT JOIN wanted w USING (run_id)
)
SELECT {NETWORK} AS series, m.depth AS x, 1 AS runs,
  (m.status = 'converged' AND w.direction IS NOT NULL)::INT AS converged,
  abs(ln(last / first) + ln(b.clock / a.clock)) / (
    first + ln(m.samples) / a.clock + ({moved}) / first) AS figure
FROM mine m JOIN apart w USING (run_id)
  LEFT JOIN predictions v ON v.run_id = m.run_id AND v.prediction = 'singular_vectors'"""


_OWN_DIRECTION = f"""  SELECT m.run_id, {unit("p.beta")} AS direction
  FROM mine m JOIN predictions p USING (run_id) WHERE p.prediction = 'max_margin_bridge'"""
_OF_ONE_LAYER = f"""  SELECT m.run_id, {unit("p.beta")} AS direction
  FROM mine m JOIN mine s ON s.dataset = m.dataset AND s.architecture = m.architecture AND s.depth = 1
    AND (s.seed = m.seed OR m.architecture <> 'odeco')
  JOIN predictions p ON p.run_id = s.run_id
  WHERE p.prediction = 'max_margin_bridge'"""
_DEEP = f"{_RESTING} + m.depth * {SHARE} / a.clock"


def _residual(figure: str, more: str = "") -> str:
    """Cases of runs of three layers and more: a figure over what the alignment of layers at the end allows."""
    return f"""{asked(_GRID)}
SELECT {NETWORK} AS series, m.depth AS x, 1 AS runs,
  (m.status = 'converged' AND p.run_id IS NOT NULL)::INT AS converged,
  {figure} / (sqrt(m.dim) * (sqrt(2 * t.alignment[-1]) + m.depth * (t.norm[1] / t.norm[-1]) ** 2)) AS figure
FROM mine m JOIN trajectories t USING (run_id)
  LEFT JOIN predictions p ON p.run_id = m.run_id AND p.prediction = 'max_margin_bridge'
  {more}WHERE m.depth > 2 AND {_LONG} AND {_DECOMPOSED}"""


CLAIMS = (
    Claim(
        number="2.1",
        statement="On separable data every layer turns to a singular vector of the data tensor, whatever the network: "
        "to the contraction of the tensor with the other layers, in the direction that the loss asks for. What they "
        "miss it by goes to zero as log ||Theta|| grows.",
        kind="limit t->inf",
        reference=f"{_SINGULAR}; the bound by the argument of Lyu and Li, arXiv:1906.05890",
        grid=_GRID,
        figure="largest 1 - |cos| between a layer and its gradient, its mean over log ||Theta|| from -log Loss = 3e3 "
        "to 3e5 or, if larger, its last value, over log(largest margin / margin at 3e3) / (2 growth of log ||Theta||)",
        cases=_misaligned("s.mean", "s.last"),
        bound=1.0,
        why="a theorem for every network of degree L: log(-log Loss / ||Theta||^L) grows by at least "
        "L (1 / cos^2 - 1), cos that of Theta with its gradient, a unit of log ||Theta||, by Cauchy and Schwarz at "
        "least 2 (1 - |cos|) of the worst layer. It cannot grow past the largest margin 1 / (L^(L/2) N), N the least "
        "norm known that keeps all margins: a budget that the window's start fixes, over a growth without end. Where "
        "N is unknown (short filters) the margin at 3e5 stands for it. The last value is below the mean where layers "
        "keep turning: that is not of the theorem, it is seen",
        rival=_misaligned("t.alignment[1]", "0"),
        instead="no layer turns, 1 - |cos| stays what it is at the start",
        across="depth L",
        chart="alignment",
        beside=f"""{asked(_GRID)}
SELECT 'Largest 1 - |cos| of a run at -log Loss = 1e8: ' || printf('%.1e', max(distance)) || '.'
FROM mine m JOIN predictions p USING (run_id) WHERE p.prediction = 'singular_vectors' AND {_LONG}""",
    ),
    Claim(
        number="2.2",
        statement="In fully connected networks of two layers and more that alignment comes at the rate "
        "(-log Loss)^(-2/L), L = 2 to 5: what the start has beside the singular vector rests while the layers grow.",
        kind="limit t->inf",
        reference=f"{_SINGULAR}; the rate follows from the conserved differences of neighbouring layers",
        grid=_GRID,
        figure="|change of log(1 - |cos|) + 2/L log(-log Loss)| from -log Loss = 3e3 to 3e5, over its next order",
        cases=_alignment_power("(-2 / m.depth)", "0", _CONNECTED),
        bound=1.0,
        why="1 - |cos| is r^2 / (2 sigma^2), r what rests. What is conserved, D = W_l^T W_l - W_{l+1} W_{l+1}^T, keeps "
        "r^2 up to D^2 / sigma^2 and sigma^2 = ||Theta||^2 / L up to D, with ||D|| <= ||Theta(0)||^2. So the next "
        "order is e + e^2 / (2 (1 - |cos|)), e = L ||Theta(0)||^2 / ||Theta||^2 at the first point; 2/L times the "
        "growth of log(-log Loss / ||Theta||^L), which turns ||Theta|| into -log Loss; and 100 rtol of the angle. One "
        "layer is claim 3.1",
        rival=_alignment_power("(-2 / (m.depth + 1))", "0", _CONNECTED),
        instead="the power of one layer more",
        across="depth L",
        chart="alignment",
    ),
    Claim(
        number="2.3",
        statement="Orthogonally decomposable networks of four and five layers come at the same rate, those that pass "
        "a saddle late as well.",
        kind="limit t->inf",
        reference="as 2.2: coordinates off the support rest. For two layers they die like a power of the data's own",
        grid=_GRID,
        figure="as in 2.2, the next order with what coordinates off the support still move",
        cases=_alignment_power("(-2 / m.depth)", _MOVED, f"m.depth IN (4, 5) AND {_DECOMPOSED}"),
        bound=1.0,
        why="r^2 is the sum of w^2 over coordinates off the support, each layer. It grows by at most 2 r^L G, G the "
        "integral of their gradient: ||S|| ||u|| sigma^2 / ((L - 2) M) at most from a point with M = -log Loss on, as "
        "sigma grows; M = u.beta gives ||u|| by the singular value s. So log r^2 moves by "
        "2 ||S|| (2 (1 - |cos|))^(L/2 - 1) / ((L - 2) s) at most; the rest of the next order is that of 2.2. No "
        "other depth can fail: at L = 3 that move, at L = 6 what is conserved, e^2 / (2 (1 - |cos|)), is as large as "
        "what tells the rival's power apart",
        rival=_alignment_power("(-2 / (m.depth + 1))", _MOVED, f"m.depth IN (4, 5) AND {_DECOMPOSED}"),
        instead="the power of one layer more",
        across="depth L",
        chart="alignment",
        beside=f"""SELECT 'Where it cannot fail, the worst figure is: ' ||
  string_agg('L = ' || x || ' ' || printf('%.2f', figure), ', ' ORDER BY x) || '.'
FROM (SELECT x, max(figure) AS figure FROM (
{_alignment_power("(-2 / m.depth)", _MOVED, f"m.depth IN (3, 6) AND {_DECOMPOSED}")}
) GROUP BY x)""",
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
        statement="One layer of any orthogonally decomposable network turns to the l2 margin of its own coordinates, "
        "at the rate 1 / -log Loss.",
        kind="limit t->inf",
        reference=f"{_MARGIN}; Soudry et al., arXiv:1710.10345",
        grid=_GRID,
        figure="|change of log(distance of directions) + log(-log Loss)| from -log Loss = 3e3 to 3e5, over its next "
        "order",
        cases=_direction_power(_OWN_DIRECTION, "0", "m.depth = 1"),
        bound=1.0,
        why="margins of support vectors stay -log Loss + log 1/p_i, p_i their shares of the loss, and what is off "
        "their span rests: beta is -log Loss times the margin's direction and a constant. The constant's part along "
        "that direction is the next order: sum p_i log 1/p_i <= log n over -log Loss, and, where S is not orthogonal, "
        "what rests, of the order of the distance itself",
        rival=_direction_power(_OF_ONE_LAYER, "0", "m.depth = 3"),
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
        "in the transformed space, L = 3 to 6, real and complex, at the rate 1 / -log Loss.",
        kind="limit t->inf",
        reference=_MARGIN,
        grid=_GRID,
        figure="as in 3.1, to the stationary point next to the end, which has a certificate of its own",
        cases=_direction_power(_OWN_DIRECTION, _DEEP, "m.depth > 2"),
        bound=1.0,
        why="at a stationary point of data in general position as many coordinates are alive as samples are active: "
        "margins fix them up to a constant, as in 3.1, and coordinates off the support rest. The next order, with "
        "M = -log Loss and over the distance, both at the first point: L e / M, by which shares of samples move where "
        "layers are not yet alike (e as in 2.2), and what coordinates off the support still move, as in 2.3: "
        "L ||S||^2 (2 (1 - |cos|))^(L-1) / ((L - 2) s) over the size of beta at unit layers; besides, that of 3.1",
        rival=_direction_power(_OF_ONE_LAYER, _DEEP, "m.depth > 2"),
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
        statement="No run ends farther from a stationary point than the alignment of its layers allows.",
        kind="limit t->inf",
        reference=_MARGIN,
        grid=_GRID,
        figure="residual of stationarity at -log Loss = 1e8, over sqrt(d) (sqrt(2 (1 - |cos|)) + e), e as in 2.2",
        cases=_residual(_STATIONARITY),
        bound=1.0,
        why="the residual is the least of ||rho - |rho|^(2-2/L) A^H mu|| over ||rho||, mu >= 0. With the samples' "
        "forces for mu it is what a layer is beside its gradient, each coordinate times |rho|^(1-1/L) <= 1: the sine "
        "of their angle, times ||w|| / ||rho|| <= sqrt(d); e is by how much moduli of layers differ. By 2.1 it tends "
        "to zero, in the mean over log ||Theta||, for every run",
        rival=_residual(
            turned("m.beta", "w.direction"), f"LEFT JOIN (\n{_OF_ONE_LAYER}\n) w ON w.run_id = m.run_id\n  "
        ),
        instead="the l2 margin of the same coordinates",
        across="depth L",
        chart="classification_distance",
    ),
)
