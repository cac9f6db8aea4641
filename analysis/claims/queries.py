"""SQL that claims have in common. Each claim's query can be run as it stands: it names the sweep that it asks."""

NETWORK = "m.architecture"


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
