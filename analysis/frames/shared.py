"""Pieces of SQL that several frames share."""

MOST_ALPHAS = 4

FLOOR = 1e-16
"""Distances below are drawn here: a zero has no place on a log axis, and doubles cannot tell."""

SHAPE = "('d = ' || dim || ', n = ' || samples) AS shape"
"""Data of different dimensions or numbers of samples are not pooled; different draws of one shape are."""

PREFERRED = """list_position(['exact', 'limit t->inf', 'limit alpha->0', 'limit alpha->inf'], kind),
    coalesce(list_position(['minimum_q_norm', 'minimum_l2_norm'], prediction), 9), prediction"""
"""Order of statements about one run: the strongest first, the paper's before others that agree with it."""

OF_THE_PATH = "('finite_margin', 'lasso_path', 'saddle_sequence')"
"""Predictions of the whole path: what they say of the last point is no word on where a run must end, or another's."""

REASON = """regexp_replace(split_part(message, chr(10), 1), 'drifted by \\S+ of', 'drifted by a tenth or more of')"""
"""Why a run did not converge, in the words of its message, without the numbers of this one run."""

ROUNDED = "round(alpha, (4 - floor(log10(alpha)))::INT)"
"""Alpha to five digits: grids write the same scale in several ways (0.1 and 10^-1)."""


def spread_alphas(table: str) -> str:
    """Common table expressions that end in `alphas`: at most MOST_ALPHAS scales of a table's column alpha.

    Scales that most architectures share come first; among them an even selection, both ends included.
    """
    return f"""shared AS (
  SELECT alpha, count(DISTINCT architecture) AS shared_by FROM {table} GROUP BY alpha
), ranked AS (
  SELECT alpha, row_number() OVER (ORDER BY alpha) - 1 AS place, count(*) OVER () AS alphas
  FROM shared WHERE shared_by = (SELECT max(shared_by) FROM shared)
), alphas AS (
  SELECT alpha FROM ranked
  WHERE place = 0 OR alphas <= {MOST_ALPHAS}
     OR place * {MOST_ALPHAS - 1} // (alphas - 1) > (place - 1) * {MOST_ALPHAS - 1} // (alphas - 1)
)"""


_NETWORK = "json_extract(spec, '$.architecture')"
POOLED = {
    "architecture": "networks", "depth": "depths", "data": "data sets", "alpha": "scales α", "seed": "seeds",
    "init || coalesce(init_detail::VARCHAR, '')": "starts", "width": "widths", "filter": "filter lengths",
    _NETWORK: "parameters of the network", "loss": "losses", "rtol": "tolerances", "stop": "stop rules",
    "solver": "solvers",
}  # fmt: skip
"""What runs of one series may differ in, and what it is called where they do."""

OF_RUNS = ("architecture", "depth", "alpha", "width", "filter", "init", "seed", "dataset", "loss", "rtol")
"""Columns of runs that series may be made of."""


def pooled(table: str, series: str, *apart: str) -> str:
    """A common table expression `pooled`: of every series of a table of runs, in words, in what its runs differ.

    apart: axes that are not pooled, though runs of a series differ in them: they are drawn against.
    """
    names = [*series.split(", "), *apart]
    fewest = {_NETWORK: "count(DISTINCT architecture)"}
    told = ", ".join(
        f"CASE WHEN count(DISTINCT ({axis})::VARCHAR) > {fewest.get(axis, 1)} THEN '{words}' END"
        for axis, words in POOLED.items()
        if axis not in names
    )
    own = ", ".join(name for name in series.split(", ") if name in OF_RUNS)
    others = f"(SELECT * EXCLUDE ({own}) FROM runs)" if own else "runs"
    return f"""pooled AS (
  SELECT {series}, concat_ws(', ', {told}) AS pooled
  FROM (SELECT DISTINCT run_id, {series} FROM {table}) JOIN {others} USING (run_id)
  GROUP BY {series}
)"""
