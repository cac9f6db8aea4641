"""SQL that claims have in common. Each claim's query can be run as it stands: it names the sweep that it asks."""

NETWORK = "m.architecture"

FIRST, LAST = 3e3, 3e5
"""-log Loss at both ends of the window in which powers of it are taken, one for every claim.

From 3e3 on the next orders are small; after 3e5 the gradient's own error, which exponents of 1e6 and more amplify, is
seen in networks of six layers.
"""


def asked(grid: str) -> str:
    """A common table expression `mine`: the runs that the newest launch of a grid asked for."""
    return f"""WITH mine AS (
  SELECT * FROM runs SEMI JOIN (
    FROM sweep_runs WHERE sweep_id = (SELECT max_by(sweep_id, created_at) FROM sweeps WHERE name = '{grid}')
  ) USING (run_id)
)"""


def length(vector: str) -> str:
    """The l2 norm of a list."""
    return f"sqrt(list_inner_product({vector}, {vector}))"


def apart(found: str, wanted: str) -> str:
    """||found - wanted|| / ||wanted|| of two lists."""
    return f"list_distance({found}, {wanted}) / {length(wanted)}"


def unit(vector: str) -> str:
    """A list divided by its l2 norm."""
    return f"list_transform({vector}, lambda b: b / {length(vector)})"


def turned(found: str, wanted: str) -> str:
    """|| found/||found|| - wanted/||wanted|| || of two lists."""
    return f"list_distance({unit(found)}, {unit(wanted)})"


def predicted(
    grid: str, prediction: str, figure: str, *, where: str = "true", x: str = "depth", series: str = NETWORK
) -> str:
    """Cases, one a run: `figure` of the run m and its prediction p, for runs that satisfy `where`."""
    return f"""{asked(grid)}
SELECT {series} AS series, {x} AS x, 1 AS runs, (m.status = 'converged' AND p.run_id IS NOT NULL)::INT AS converged,
  {figure} AS figure
FROM mine m LEFT JOIN predictions p ON p.run_id = m.run_id AND p.prediction = '{prediction}'
WHERE {where}"""


def between(grid: str, where: str) -> str:
    """Common table expressions `mine` and `pairs`: of runs m that satisfy `where`, two points of their orbits.

    a and b, with clock = -log Loss, norm, alignment and direction, are the first ones with a clock of FIRST and of
    LAST; start is the norm at the start.
    """
    point = (
        "struct_pack(clock := -o.log_loss, norm := o.norm, alignment := o.alignment, size := "
        f"{length('o.beta')}, direction := {unit('o.beta')})"
    )
    return f"""{asked(grid)}, pairs AS (
  SELECT m.run_id, arg_min(o.norm, o.point) AS start,
    arg_min({point}, o.point) FILTER (o.log_loss <= -{FIRST:g}) AS a,
    arg_min({point}, o.point) FILTER (o.log_loss <= -{LAST:g}) AS b
  FROM mine m JOIN orbits o USING (run_id) WHERE {where} GROUP BY m.run_id
)"""


SHARE = "(m.depth * (start / a.norm) ** 2)"
"""L ||Theta(0)||^2 / ||Theta||^2: what is conserved of the start over the square of a layer, at the first point."""
