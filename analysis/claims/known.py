"""Claims 7.1 to 7.7: known results that the paper's theory contains, each by a closed form of its own.

No formula here is taken from kernels/theory: the queries write them out for the data of examples/claims/known.yaml.
"""

from analysis.claims.claim import Claim
from analysis.claims.fully_connected import turning
from analysis.claims.queries import NETWORK, apart, asked, between, turned, unit

_GRID = "claims-known"
_TOLERANCE = 1e-5
_HUNDRED = "100 rtol, as in 4.1"


def _ends(figure: str, where: str, *, x: str = "depth", more: str = "") -> str:
    """Cases, one a run: a figure of where it ended."""
    return f"""{asked(_GRID)}
SELECT {NETWORK} AS series, {x} AS x, 1 AS runs, (status = 'converged')::INT AS converged, {figure} AS figure
FROM mine m {more}WHERE {where}"""


def _along(figure: str, where: str) -> str:
    """Cases, one a run: the largest figure over the recorded points of its orbit, o."""
    return f"""{asked(_GRID)}
SELECT {NETWORK} AS series, m.alpha AS x, 1 AS runs, (any_value(m.status) = 'converged')::INT AS converged,
  max({figure}) AS figure
FROM mine m JOIN orbits o USING (run_id) WHERE o.log_loss < -1 AND {where} GROUP BY run_id, m.architecture, m.alpha"""


_PLANE = "m.task = 'classification' AND m.dim = 2 AND m.samples = 2"
_SOUDRY = f"{_PLANE} AND depth = 1"
_LOGISTIC = "m.loss = 'logistic'"
_CONVOLUTION = "m.architecture = 'convolutional'"
_WOODWORTH = "m.architecture = 'signed_diagonal'"
_MOROSHKO = "m.task = 'classification' AND m.architecture = 'diagonal' AND m.depth = 2"
_AZULAY = "m.task = 'regression' AND m.architecture = 'fully_connected'"

_L2, _L1 = "[1.0, 2.0]", "[0.0, 1.0]"
_RICH, _KERNEL = "[0.0, 0.5]", "[0.2, 0.4]"


def _sinh(first: str, second: str, scale: str) -> str:
    """|asinh(second / scale) / (2 asinh(first / scale)) - 1|, of coordinates that the sample (1, 2) drives."""
    return f"abs(asinh({second} / ({scale})) / (2 * asinh({first} / ({scale}))) - 1)"


def _linear(first: str, second: str) -> str:
    return f"abs({second} / (2 * {first}) - 1)"


def _both_ends(small: str, large: str) -> str:
    """Cases, one a run: how far the distance to a vector is from the rate of 7.5, over what 7.5 leaves of it."""
    return _ends(
        f"CASE WHEN m.alpha < 1 THEN abs({apart('m.beta', small)} - sqrt(5 / 2) * m.alpha) "
        "/ (sqrt(5 / 2) * m.alpha ** 2 / 2 + 100 * m.rtol) "
        f"ELSE abs({apart('m.beta', large)} - m.alpha ** (-4) / 500) "
        "/ (m.alpha ** (-8) / 25000 + 100 * m.rtol) END",
        f"{_WOODWORTH} AND m.alpha IN (0.001, 10)",
        x="m.alpha",
    )


def _across(vector: str, power: str) -> str:
    """The part of a list of two numbers across the sample (1, 2), over its norm to a power."""
    return f"({vector}[2] - 2 * {vector}[1]) / (list_inner_product({vector}, {vector}) ** ({power}))"


def _kept(power: str) -> str:
    found, start = _across("m.beta", power), _across("t.beta[1]", power)
    return f"abs({found} / ({start}) - 1)"


def _beside_margin(wanted: str) -> str:
    """The distance to a direction, over the bound that the start gives by 7.1."""
    first, second = "(t.beta[1][1] * t.norm[1])", "(t.beta[1][2] * t.norm[1])"
    beside, margin = f"(({second} - 2 * {first}) / sqrt(5))", f"({first} + 2 * {second})"
    most = f"sqrt(5) / 3 * ln(exp(3 * {beside} / sqrt(5)) + 1.8 * exp(-{margin} / 5))"
    return f"{turned('m.beta', wanted)} * -m.log_loss / (sqrt(5) * greatest(abs({beside}), {most}))"


def _dying(wanted: str) -> str:
    """Cases, one a run: how far the distance to a direction is from the power of 7.2, over its next order."""
    direction, power = unit(f"{wanted}::DOUBLE[]"), "(1 - 1 / sqrt(7))"
    return f"""{between(_GRID, _CONVOLUTION)}, apart AS (
  SELECT *, list_distance(a.direction, {direction}) AS first, list_distance(b.direction, {direction}) AS last
  FROM pairs
)
SELECT {NETWORK} AS series, m.seed AS x, 1 AS runs, (m.status = 'converged')::INT AS converged,
  abs(ln(last / first) + {power} * ln(b.clock / a.clock)) / (
    {power} * (ln(2) / a.clock + first / sqrt(14)) + first ** 2 / 2
    + 2 * (start ** 2 / (a.clock * first)) ** 2) AS figure
FROM mine m JOIN apart USING (run_id)"""


CLAIMS = (
    Claim(
        number="7.1",
        statement="One layer turns to the l2 margin (Soudry et al.): for the samples (1, 2) and (0, 3), to (1, 2).",
        kind="limit t->inf",
        reference="Soudry et al., arXiv:1710.10345",
        grid=_GRID,
        figure="distance of directions to (1, 2) / sqrt(5) at -log Loss = 1e6, times -log Loss / (sqrt(5) c)",
        cases=_ends(_beside_margin(_L2), _SOUDRY, x="m.seed", more="JOIN trajectories t USING (run_id) "),
        bound=1.0,
        why="a theorem: let m be the margin of (1, 2) and u what beta is along (-2, 1) / sqrt(5). Only (0, 3) moves u, "
        "upwards: du/dm <= 3 / (5 sqrt(5)) exp(m - m_2), where m_2 = 1.2 m + 3 u / sqrt(5) is its margin. "
        "Integrated from the start, |u| <= c = max(|u|, sqrt(5)/3 log(exp(3 u / sqrt(5)) + 9/5 exp(-m / 5))), u and m "
        "of the start; beta along (1, 2) / sqrt(5) is m / sqrt(5), and m >= -log Loss",
        rival=_ends(_beside_margin(_L1), _SOUDRY, x="m.seed", more="JOIN trajectories t USING (run_id) "),
        instead="the l1 margin, (0, 1)",
        across="seed",
        chart="classification_paths",
    ),
    Claim(
        number="7.2",
        statement="Two full-length convolutions turn to the least l1 norm of the Fourier coefficients (Gunasekar et "
        "al.): for the sample (2, -1, 0), to its part of the first frequency, (5, -4, -1), at the rate "
        "(-log Loss)^(1 / sqrt(7) - 1).",
        kind="limit t->inf",
        reference="Gunasekar et al., arXiv:1806.00468",
        grid=_GRID,
        figure="|change of log(distance of directions to (5, -4, -1) / sqrt(42)) + (1 - 1 / sqrt(7)) log(-log Loss)| "
        "from -log Loss = 3e3 to 3e5, over its next order",
        cases=_dying("[5.0, -4.0, -1.0]"),
        bound=1.0,
        why="the sample's Fourier coefficients are 1 and, twice, sqrt(7) in modulus; the coordinates' sums grow like "
        "exp(s) and exp(sqrt(7) s) and their differences fall so. The mean b is then a constant times "
        "f_1^(1 / sqrt(7)), f_1 = M + log 2 - b with M = -log Loss, and the distance c is sqrt(14) b / f_1. The next "
        "order, at the first point: (1 - 1 / sqrt(7)) (log 2 / M + c / sqrt(14)), c^2 / 2 for the chord, and for the "
        "differences 2 (||Theta(0)||^2 / (c M))^2",
        rival=_dying("[2.0, -1.0, 0.0]"),
        instead="the l2 margin, (2, -1, 0)",
        across="seed",
        chart="classification_distance",
    ),
    Claim(
        number="7.3",
        statement="Deep linear networks turn to the l2 margin under the logistic loss (Ji and Telgarsky), L = 2 to 4, "
        "at the rate (-log Loss)^(-1/L).",
        kind="limit t->inf",
        reference="Ji and Telgarsky, arXiv:1810.02032; the rate as in 6.3",
        grid=_GRID,
        figure="|change of log(distance of directions to (1, 2) / sqrt(5)) + 1/L log(-log Loss)| from -log Loss = 3e3 "
        "to 3e5, over its next order",
        cases=turning(_GRID, unit(f"{_L2}::DOUBLE[]"), _LOGISTIC),
        bound=1.0,
        why="as in 6.3, with the logistic loss equal to the exponential one up to exp(-3000); the alignment of layers "
        "is claims 2.4 and 2.5",
        rival=turning(_GRID, unit(f"{_L1}::DOUBLE[]"), _LOGISTIC),
        instead="the l1 margin, (0, 1)",
        across="depth L",
        chart="classification_paths",
    ),
    Claim(
        number="7.4",
        statement="u^2 - v^2 from u = v = alpha ends in beta_j = 2 alpha^2 sinh(nu x_j) at every alpha (Woodworth et "
        "al.): for the sample (1, 2), asinh(beta_2 / 2 alpha^2) is twice asinh(beta_1 / 2 alpha^2).",
        kind="exact",
        reference="Woodworth et al., arXiv:2002.09277",
        grid=_GRID,
        figure="|asinh(beta_2 / 2 alpha^2) / (2 asinh(beta_1 / 2 alpha^2)) - 1| at the end",
        cases=_ends(_sinh("m.beta[1]", "m.beta[2]", "2 * m.alpha ** 2"), _WOODWORTH, x="m.alpha"),
        bound=_TOLERANCE,
        why=_HUNDRED,
        rival=_ends(_linear("m.beta[1]", "m.beta[2]"), f"{_WOODWORTH} AND m.alpha < 10", x="m.alpha"),
        instead="the kernel's end at every alpha below 10, beta_2 = 2 beta_1",
        across="initialisation scale",
        chart="regression_paths",
    ),
    Claim(
        number="7.5",
        statement="It is rich at small alpha, ending in the least l1 norm (0, 1/2), and a kernel at large alpha, "
        "ending in the least l2 norm (1/5, 2/5) (Woodworth et al.).",
        kind="both limits of alpha",
        reference="Woodworth et al., arXiv:2002.09277",
        grid=_GRID,
        figure="|relative distance - its rate| over the next order and 100 rtol, to (0, 1/2) at alpha = 0.001 and to "
        "(1/5, 2/5) at alpha = 10",
        cases=_both_ends(_RICH, _KERNEL),
        bound=1.0,
        why="by 7.4 with 2 alpha^2 (sinh(nu) + 2 sinh(2 nu)) = 1. At small alpha exp(nu) is 1 / (sqrt(2) alpha) and "
        "beta_1 is alpha / sqrt(2): the distance is sqrt(5/2) alpha, up to (beta_1 + 4 alpha^2) / 2 <= alpha / 2 of "
        "it. At large alpha nu is 1 / (10 alpha^2): the distance is 2 alpha^2 nu^3 = alpha^-4 / 500, up to 2 nu^2 of "
        "it; 100 rtol as in 4.1",
        rival=_both_ends(_KERNEL, _RICH),
        instead="the ends exchanged",
        across="initialisation scale",
        chart="regression_paths",
    ),
    Claim(
        number="7.6",
        statement="Two layers on separable data are at every moment, not only in the limit, where a potential of alpha "
        "says (Moroshko et al.): for the sample (1, 2), asinh(2 beta_2 / alpha^2) is twice asinh(2 beta_1 / alpha^2).",
        kind="exact",
        reference="Moroshko et al., arXiv:2007.06738",
        grid=_GRID,
        figure="largest |asinh(2 beta_2 / alpha^2) / (2 asinh(2 beta_1 / alpha^2)) - 1| along the orbit",
        cases=_along(_sinh("(o.beta[1] * o.norm ** 2)", "(o.beta[2] * o.norm ** 2)", "m.alpha ** 2 / 2"), _MOROSHKO),
        bound=_TOLERANCE,
        why=_HUNDRED,
        rival=_along(_linear("o.beta[1]", "o.beta[2]"), _MOROSHKO),
        instead="the l2 margin all along, beta_2 = 2 beta_1",
        across="initialisation scale",
        chart="classification_distance",
    ),
    Claim(
        number="7.7",
        statement="Two balanced layers keep the direction of their start in mind (Azulay et al.): what of "
        "beta / sqrt(||beta||) is across the samples is what it was at the start.",
        kind="exact",
        reference="Azulay et al., arXiv:2102.09769",
        grid=_GRID,
        figure="relative change of the part of beta / sqrt(||beta||) across the sample (1, 2), from start to end",
        cases=_ends(_kept("1/4"), _AZULAY, x="m.alpha", more="JOIN trajectories t USING (run_id) "),
        bound=_TOLERANCE,
        why=_HUNDRED,
        rival=_ends(_kept("0"), _AZULAY, x="m.alpha", more="JOIN trajectories t USING (run_id) "),
        instead="what of beta itself is across the sample, as for one layer",
        across="initialisation scale",
        chart="regression_paths",
    ),
)
