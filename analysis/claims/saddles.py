"""Claims 7.8 to 7.10: from saddle to saddle, on data whose saddles and times are worked out on paper.

X = ((1, 0.5, 0.7, 0), (0.5, 1, 0.1, 0.7)), y = (1, 0), as in examples/claims/known.yaml.
"""

from analysis.claims.claim import Claim
from analysis.claims.queries import apart, asked

_GRID = "claims-known"

SADDLES = "[0.8, 0, 0, 0]", "[0, 0, 1.4, 0]", "[0, 0, 10/7, -10/49]"
_SOLUTION_ELSEWHERE = "[0, 0.4, 0, 0]", "[-0.4, 0, 2, 0]"


def visits(grid: str, *places: str, over: str = "1") -> str:
    """Cases, one a run and place: how near to it the orbit came, relative to it and over a number of the run."""
    listed = ", ".join(f"({number}, {place}::DOUBLE[])" for number, place in enumerate(places, 1))
    return f"""{asked(grid)}
SELECT 'L = ' || m.depth || ', alpha = ' || m.alpha AS series, place.number AS x, (place.number = 1)::INT AS runs,
  (any_value(m.status) = 'converged')::INT * (place.number = 1)::INT AS converged,
  min({apart("o.beta", "place.beta")}) / {over} AS figure
FROM mine m JOIN orbits o USING (run_id) CROSS JOIN (VALUES {listed}) place(number, beta)
WHERE m.dim = 4 AND m.depth > 2 GROUP BY run_id, m.depth, m.alpha, place.number"""


_RATES, _HALVES = "[1, 0.1, 0.098]", "[0.4, 0.7, 5/49]"
"""Of the coordinate that each jump brings to life: the rate at the saddle before it, and half of where it goes."""


def _points(where: str) -> str:
    """Common table expressions `mine` and `jumps`: of runs m, the first recorded point next to each saddle.

    With the time of that point, after, and of the one before it, before. NULL where no point is next to a saddle.
    """
    saddles = ", ".join(("[0, 0, 0, 0]", *SADDLES))
    return f"""{asked(_GRID)}, points AS (
  SELECT run_id, any_value(m.status) AS status, m.depth, m.alpha, o.point, exp(any_value(o.log_time)) AS time,
    list_position(list_transform([{saddles}], lambda s: list_distance(any_value(o.beta), s::DOUBLE[])),
      list_min(list_transform([{saddles}], lambda s: list_distance(any_value(o.beta), s::DOUBLE[])))) - 1 AS nearest
  FROM mine m JOIN orbits o USING (run_id) WHERE m.dim = 4 AND {where} GROUP BY run_id, m.depth, m.alpha, o.point
), steps AS (
  SELECT *, lag(time) OVER (PARTITION BY run_id ORDER BY point) AS earlier FROM points
), jumps AS (
  SELECT run_id, any_value(status) AS status, depth, alpha, saddle,
    arg_min(time, point) FILTER (nearest = saddle) AS after,
    arg_min(earlier, point) FILTER (nearest = saddle) AS before
  FROM steps CROSS JOIN (VALUES (1), (2), (3)) number(saddle) GROUP BY run_id, depth, alpha, saddle
)"""


def _jumps(times: str, first: int = 1) -> str:
    """Cases, one a run and jump: when the orbit came nearer to a saddle than to the one before, against its time.

    Over the next order of that time and half of what lies between the two recorded points, whose middle is taken.
    """
    return f"""{_points("m.depth > 2")}
SELECT 'L = ' || depth || ', alpha = ' || alpha AS series, saddle AS x, (saddle = {first})::INT AS runs,
  (status = 'converged' AND saddle = {first})::INT AS converged,
  abs((before + after) / 2
    - {times}[saddle] * alpha ** (2 - depth) * sqrt(pi()) * gamma((depth - 2) / 2) / (2 * gamma((depth - 1) / 2))
  ) / ((after - before) / 2 + list_sum(list_transform({_HALVES}[:saddle],
    lambda half, i: half ** (2 / depth - 1) / ((depth - 2) * {_RATES}[i])))) AS figure
FROM jumps WHERE saddle >= {first}"""


def _growth(times: str, first: int = 1) -> str:
    """Cases, one a jump: by how much its time grows with log(1 / alpha) between two runs of two layers.

    Against theory's clock, over half of what lies between recorded points of both, and what is left at the third jump.
    """
    return f"""{_points("m.depth = 2")}, grown AS (
  SELECT saddle, 2 * (saddle = {first})::INT AS runs, ((saddle = {first})::INT * (a.status = 'converged')::INT
    + (saddle = {first})::INT * (b.status = 'converged')::INT) AS converged, a.alpha, ln(a.alpha / b.alpha) AS way,
    (b.before + b.after - a.before - a.after) / 2 AS change, (a.after - a.before + b.after - b.before) / 2 AS between
  FROM jumps a JOIN jumps b USING (saddle) WHERE a.alpha > b.alpha
)
SELECT 'L = 2' AS series, saddle AS x, runs, converged,
  abs(change / way - {times}[saddle]) / (between / way + {times}[saddle] * alpha ** (8 / 49)) AS figure
FROM grown WHERE saddle >= {first}"""


CLAIMS = (
    Claim(
        number="7.8",
        statement="From small weights the flow goes from saddle to saddle (Zhao et al.): on "
        "these data it waits at (0.8, 0, 0, 0) and (0, 0, 1.4, 0) and ends in (0, 0, 10/7, -10/49), L = 3 to 5.",
        kind="limit alpha->0",
        reference="Zhao et al., arXiv:2607.12332, for every depth; two layers are claim 7.10",
        grid=_GRID,
        figure="nearest relative distance of the orbit to each saddle, over alpha",
        cases=visits(_GRID, *SADDLES, over="m.alpha"),
        bound=1.0,
        why="coordinates off a saddle's support are of order alpha^L and those on it off by order alpha^(L-2) at most: "
        "alpha for L = 3, and recorded points stand on the plateau",
        rival=visits(_GRID, *_SOLUTION_ELSEWHERE, over="m.alpha"),
        instead="least squares on the second column, and the solution (-0.4, 0, 2, 0)",
        across="number of the saddle",
        chart="plateaus",
    ),
    Claim(
        number="7.9",
        statement="It jumps at the times (1, 4, 4 + 80/49) T_L alpha^(2-L), T_L the end of the potential's domain.",
        kind="limit alpha->0",
        reference="as 7.8",
        grid=_GRID,
        figure="|time of the jump - predicted time| over the next order of that time",
        cases=_jumps("[1, 4, 4 + 80/49]"),
        bound=1.0,
        why="the time is that at which dw/dt = u w^(L-1), u the coordinate's rate at the saddle, would be infinite; "
        "the flow is then half way, at rho / 2, earlier by (rho / 2)^(2/L-1) / ((L - 2) u). Every jump shifts its own "
        "time and those that follow by as much at most: the next order is the sum up to this jump, whatever alpha is, "
        "with u = 1, 1/10, 0.098 and rho / 2 = 0.4, 0.7, 5/49. Half of the time between two recorded points is added",
        rival=_jumps("[1, 2, 3]", 2),
        instead="equal waits, (1, 2, 3), of the second and third jump",
        across="number of the jump",
        chart="plateaus",
    ),
    Claim(
        number="7.10",
        statement="Two layers jump between the same saddles at the times (1, 4, 4 + 80/49) log(1 / alpha) (Pesme and "
        "Flammarion).",
        kind="limit alpha->0",
        reference="Pesme and Flammarion, arXiv:2304.00488",
        grid=_GRID,
        figure="|growth of the jump's time from alpha = 1e-32 to 1e-60, over that of log(1 / alpha), - predicted time| "
        "over its next order",
        cases=_growth("[1, 4, 4 + 80/49]"),
        bound=1.0,
        why="a coordinate of two layers is alpha^2 sinh(2 nu) / 2, of order one once nu is log(1 / alpha) up to a "
        "constant: so jumps come late or early by constants, which the difference of two runs removes. What "
        "depends on alpha in them is what the first coordinate, which dies on the second plateau, still is at the "
        "third jump: alpha^(8/49), as its nu moves by -4/49 log(1 / alpha) there. Half of the times between recorded "
        "points is added",
        rival=_growth("[1, 2, 3]", 2),
        instead="equal waits, (1, 2, 3), of the second and third jump",
        across="number of the jump",
        chart="plateaus",
    ),
)
