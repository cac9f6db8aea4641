"""Claim 8: where an assumption of a statement fails, the gap stays open. Figures are least gaps."""

from analysis.claims.claim import Claim
from analysis.claims.fully_connected import balanced
from analysis.claims.queries import NETWORK, apart, asked, predicted, turned
from analysis.claims.saddles import SADDLES, visits

_GRID = "claims-gaps"
_TOLERANCES = (
    "a hundred times the 1e-5 within which the statement holds where its assumptions do: no error of the integrator"
)
_LONG = "(m.stop->>'$.log_loss')::DOUBLE < -1e7"


def _against(
    grid: str, found: str, kept: str, prediction: str, figure: str, same: str = "dataset, depth", x: str = "m.depth"
) -> str:
    """Cases of runs `found` against what is predicted of the runs `kept` that are the same in some axes."""
    return f"""{asked(grid)}, wanted AS (
  SELECT DISTINCT ON ({same}) {same}, p.beta FROM mine m JOIN predictions p USING (run_id)
  WHERE p.prediction = '{prediction}' AND p.beta IS NOT NULL AND {kept} ORDER BY {same}, run_id
)
SELECT {NETWORK} AS series, {x} AS x, 1 AS runs, (m.status = 'converged')::INT AS converged, {figure} AS figure
FROM mine m JOIN wanted w USING ({same}) WHERE {found}"""


def _last_alignment(grid: str, where: str) -> str:
    return f"""{asked(grid)}
SELECT {NETWORK} AS series, depth AS x, 1 AS runs, (m.status = 'converged')::INT AS converged, t.alignment[-1] AS figure
FROM mine m LEFT JOIN trajectories t USING (run_id) WHERE {where}"""


def _rises(where: str) -> str:
    """Cases, one a depth: the longest step upwards of the weighted l2 norm as alpha grows, over its range."""
    return f"""{asked("claims-interpolation")}, norms AS (
  SELECT m.*, (p.detail->>'$.objective_reached')::DOUBLE AS norm
  FROM mine m LEFT JOIN predictions p ON p.run_id = m.run_id AND p.prediction = 'weighted_l2'
), steps AS (
  SELECT *, lead(norm) OVER (PARTITION BY dataset, depth ORDER BY alpha) - norm AS step FROM norms
), curves AS (
  SELECT architecture, depth, count(*) AS runs, sum((status = 'converged')::INT) AS converged,
    greatest(max(step), 0) / (max(norm) - min(norm)) AS figure
  FROM steps WHERE {where} GROUP BY architecture, depth, dataset
)
SELECT architecture AS series, depth AS x, sum(runs) AS runs, sum(converged) AS converged, max(figure) AS figure
FROM curves GROUP BY architecture, depth"""


_TO_WANTED = apart("m.beta", "w.beta")
_TURNED = turned("m.beta", "w.beta")


def _beyond(where: str) -> str:
    """Cases of diagonal networks: how much farther the l2 margin of the data is than the network's own limit."""
    own = "(SELECT p.distance FROM predictions p WHERE p.run_id = m.run_id AND p.prediction = 'max_margin_bridge')"
    return _against(
        "claims-separable",
        f"m.architecture = 'diagonal' AND {where} AND {_LONG}",
        "m.architecture = 'fully_connected'",
        "max_margin_l2",
        f"{_TURNED} - {own}",
        same="dataset",
    )


_SIGNED = "m.init = 'layers'"
_ALIKE = "(m.init_detail->>'$.arrays') LIKE '%[1.0,1.0]]'"

CLAIMS = (
    Claim(
        number="8.1",
        statement="The minimum of Q needs a last layer of zero: from Gaussian layers the end is another one.",
        kind="assumption fails",
        reference="the counterpart of 4.1",
        grid=_GRID,
        figure="least ||beta - beta*|| / ||beta*||, beta* of least Q norm, alpha = 1",
        cases=_against(
            _GRID,
            "m.architecture = 'diagonal' AND m.init = 'gaussian'",
            "m.init = 'structured'",
            "minimum_q_norm",
            _TO_WANTED,
        ),
        bound=1e-3,
        why=_TOLERANCES,
        rival=predicted(_GRID, "minimum_q_norm", apart("m.beta", "p.beta"), where="m.init = 'structured'"),
        instead="the gap is open from the paper's start as well",
        across="depth L",
        least=True,
    ),
    Claim(
        number="8.2",
        statement="The least l1 norm at small alpha needs an orthogonal decomposition: fully connected networks do not "
        "go there.",
        kind="assumption fails",
        reference="the counterpart of 4.2",
        grid="claims-fully-connected",
        figure="least ||beta - beta*|| / ||beta*||, beta* of least l1 norm, alpha = 0.01",
        cases=_against(
            "claims-fully-connected",
            "m.architecture = 'fully_connected' AND alpha = 0.01",
            "m.architecture = 'diagonal'",
            "weighted_l1",
            _TO_WANTED,
        ),
        bound=1e-3,
        why=_TOLERANCES,
        rival=_against(
            "claims-fully-connected",
            "m.architecture = 'diagonal' AND depth > 2",
            "m.architecture = 'diagonal'",
            "weighted_l1",
            _TO_WANTED,
        ),
        instead="the gap is open for diagonal networks as well",
        across="depth L",
        least=True,
    ),
    Claim(
        number="8.3",
        statement="The least l2 norm at every alpha needs orthogonal layers: from Gaussian ones the end at "
        "alpha = 1 is elsewhere.",
        kind="assumption fails",
        reference="the counterpart of 6.1",
        grid=_GRID,
        figure="least ||beta - beta*|| / ||beta*||, beta* of least l2 norm, alpha = 1",
        cases=_against(
            _GRID,
            "m.architecture = 'fully_connected' AND m.init = 'gaussian'",
            "m.init = 'orthogonal'",
            "minimum_l2_norm",
            _TO_WANTED,
        ),
        bound=1e-3,
        why=_TOLERANCES,
        rival=predicted(_GRID, "minimum_l2_norm", apart("m.beta", "p.beta"), where="m.init = 'orthogonal'"),
        instead="the gap is open from orthogonal layers as well",
        across="depth L",
        least=True,
    ),
    Claim(
        number="8.4",
        statement="The l2 margin at every depth needs full layers: diagonal networks of three and more turn elsewhere.",
        kind="assumption fails",
        reference="the counterpart of 6.3",
        grid="claims-separable",
        figure="least of the distance of directions to the l2 margin less that to the run's own limit, the certified "
        "stationary point of 3.3, at -log Loss = 1e8",
        cases=_beyond("depth > 2"),
        bound=1e-3,
        why=f"by the triangle inequality the limit is at least so far from the l2 margin, whatever is left to go; "
        f"{_TOLERANCES}",
        rival=_beyond("depth = 1"),
        instead="the gap is open for one diagonal layer as well",
        across="depth L",
        least=True,
        chart="classification_distance",
    ),
    Claim(
        number="8.5",
        statement="The weighted l2 norm of the end may rise as alpha grows where there are three layers and more: it "
        "does so for some of these data.",
        kind="assumption fails",
        reference="the counterpart of 5.2",
        grid="claims-interpolation",
        figure="longest step of the weighted l2 norm upwards, over its range, the largest over the data",
        cases=_rises("depth > 2"),
        bound=1e-3,
        why=_TOLERANCES,
        rival=_rises("depth = 2"),
        instead="it rises for two layers as well",
        across="depth L",
        least=True,
    ),
    Claim(
        number="8.6",
        statement="The margin of the network's own norm needs one layer to be the least in every coordinate: where two "
        "layers start alike no coordinate changes its sign, and the best direction is out of reach.",
        kind="assumption fails",
        reference="the counterpart of 3.2",
        grid=_GRID,
        figure="distance of directions to the l1 margin, (0, -1), at -log Loss = 1e6",
        cases=_against(_GRID, f"m.task = 'classification' AND {_ALIKE}", _SIGNED, "max_margin_bridge", _TURNED),
        bound=1.0,
        why="all reachable coefficients are non-negative, and (0, -1) is at least sqrt(2) away from each of them",
        rival=_against(_GRID, f"m.task = 'classification' AND NOT {_ALIKE}", _SIGNED, "max_margin_bridge", _TURNED),
        instead="the gap is open where the last layer is the least as well",
        across="depth L",
        least=True,
    ),
    Claim(
        number="8.7",
        statement="Layers need not turn to singular vectors where the data are fitted, not separated.",
        kind="assumption fails",
        reference="the counterpart of 2.1",
        grid=_GRID,
        figure="1 - |cos| between a layer and its gradient at the end of regression, alpha = 1",
        cases=_last_alignment(
            _GRID, "task = 'regression' AND m.architecture = 'fully_connected' AND init = 'gaussian'"
        ),
        bound=1e-3,
        why="of layers that are aligned the error of the integrator leaves (100 rtol)^2 / 2, far below; 1e-3 as in 8.1",
        rival=_last_alignment("claims-separable", f"m.architecture = 'fully_connected' AND {_LONG}"),
        instead="they do not on separable data either",
        across="depth L",
        least=True,
        chart="alignment",
    ),
    Claim(
        number="8.8",
        statement="The shape of the start is not kept where layers are not balanced.",
        kind="assumption fails",
        reference="the counterpart of 6.4 and 7.7",
        grid=_GRID,
        figure="least relative change of the part of beta ||beta||^(1/L - 1) across the sample (1, 2), alpha = 1",
        cases=balanced(_GRID, "(1 - 1 / m.depth) / 2", "m.width = 2 AND m.init = 'gaussian'"),
        bound=1e-3,
        why=_TOLERANCES,
        rival=balanced("claims-fully-connected", "(1 - 1 / m.depth) / 2", "m.init = 'layers'"),
        instead="it changes from balanced layers as well",
        across="depth L",
        least=True,
    ),
    Claim(
        number="8.9",
        statement="From weights that are not small, alpha = 1, no saddle is visited.",
        kind="assumption fails",
        reference="the counterpart of 7.8",
        grid=_GRID,
        figure="nearest relative distance of the orbit to the two saddles",
        cases=visits(_GRID, *SADDLES[:2]),
        bound=0.05,
        why="7.8 allows its runs a distance of alpha, which is 0.0464 at most",
        rival=visits("claims-known", *SADDLES[:2]),
        instead="they are missed from small weights as well",
        across="number of the saddle",
        least=True,
    ),
)
