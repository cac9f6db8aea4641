"""Every chart by name, and `save`, which writes one as html, svg, png, pdf or json.

A new chart is a Frame (or several) under analysis/frames, a function from frames to a drawing, and an entry here.
"""

import json
from pathlib import Path
from xml.sax.saxutils import escape

import altair as alt

from analysis.charts import alignment, averages, cone, curves, interpolation, plane, plateaus, scale, summary
from analysis.charts.chart import Chart
from analysis.charts.facets import Facets
from analysis.charts.look import Look
from analysis.errors import UnknownChart
from analysis.files import ScriptEncoder, check_suffix, writing
from analysis.frames import along, counts, norms, regimes, saddles, singular
from analysis.frames import averages as means
from analysis.frames import plane as paths
from analysis.frames import scale as limits
from analysis.frames.frame import EVERY_RUN
from db.store import Store

__all__ = ["CHARTS", "FORMATS", "Chart", "Look", "find", "save"]

EMBEDDED = {"actions": {"export": True, "source": False, "compiled": False, "editor": False}}
"""The menu of a chart's page: Vega-Embed would show the source as HTML, with what names in it say."""

FORMATS = ("html", "svg", "png", "pdf", "json")
AS_IT_IS = Look()

CHARTS: dict[str, Chart] = {
    "regression_paths": Chart(
        title="Where gradient flow goes: linear coefficients in the plane",
        shows="Paths of the linear coefficients β for data of dimension two. Every path must end on the dashed line of "
        "solutions; where an exact prediction applies (diamonds: minimum Q norm; circles: minimum ℓ2 norm from an "
        "orthogonal initialisation) it must end in that mark. As α falls, diagonal networks must move to the ℓ1 "
        "solution of their own coordinates, fully connected ones to the ℓ2 solution.",
        frames={
            "orbits": paths.REGRESSION_ORBITS,
            "limits": paths.REGRESSION_LIMITS,
            "samples": paths.REGRESSION_SAMPLES,
        },
        draw=plane.draw,
        needs="regression runs on data of dimension 2 with a recorded path",
        run="sweep launch examples/figure-regression.yaml",
    ),
    "classification_paths": Chart(
        title="Where gradient flow goes: directions of the coefficients",
        shows="Paths of β under the exponential loss, for data of dimension two: the angle is that of β, the radius "
        "grows like its logarithm. Every path must enter the shaded cone of separating directions and turn towards "
        "its predicted ray: the ℓ2 max-margin direction for fully connected networks, the stationary point of the "
        "network's own norm for decomposable ones.",
        frames={
            "orbits": paths.CLASSIFICATION_ORBITS,
            "limits": paths.CLASSIFICATION_LIMITS,
            "samples": paths.CLASSIFICATION_SAMPLES,
        },
        draw=cone.draw,
        needs="classification runs on data of dimension 2 with a recorded path",
        run="sweep launch examples/figure-classification.yaml",
    ),
    "regression_distance": Chart(
        title="Distance to the prediction along the run: regression",
        shows="Relative distance of β to the predicted coefficients while the residual falls. Where the prediction is "
        "exact the curve must fall with the residual, down to the integrator's tolerance; where it is a limit in α, "
        "it must level off at a height that α sets.",
        frames={"curves": along.REGRESSION_DISTANCE},
        draw=curves.regression_distance,
        needs="regression runs with a recorded path and predicted coefficients",
        run="sweep launch examples/quickstart.yaml",
    ),
    "classification_distance": Chart(
        title="Distance to the prediction along the run: classification",
        shows="Distance of the direction β/||β|| to the predicted one against -log Loss. It must tend to zero; how "
        "fast is not predicted, and the straight guides are observed, not proven: slope -1 (dotted) as of one layer "
        "and many other networks, -1/L (dashed) of fully connected ones from small Gaussian weights. Two-layer "
        "decomposable networks may follow neither: a coordinate off the support dies only like a power of -log Loss. "
        "For L ≥ 3 the direction predicted of a decomposable network is the stationary point next to the run's end. "
        "Panels of finite_margin, at up to four scales, have the relative distance to the solution of the convex "
        "problem with the margin reached: it must fall like 1/(−log Loss) where the bound of its points does (view "
        "along_path), and may stall elsewhere. The last panels have runs of all scales from structured starts against"
        " −log Loss / αᴸ, from −log Loss = 10 on: while it is small the direction must be near the ℓ2 max margin of "
        "the kernel at the start, while it is large near the ℓ2/L max margin, and near the finite margin's solution "
        "all the way for two layers.",
        frames={
            "curves": along.CLASSIFICATION_DISTANCE,
            "finite": along.FINITE_MARGIN,
            "slopes": along.CLASSIFICATION_SLOPES,
            "others": along.UNDIRECTED,
            "regimes": regimes.REGIMES,
        },
        draw=curves.classification_distance,
        needs="classification runs with a recorded path and a predicted direction",
        run="sweep launch examples/figure-classification.yaml",
        from_one=True,
        main=("curves", "finite"),
    ),
    "initialisation_scale": Chart(
        title="Between the ℓ1 and the ℓ2 solution: the initialisation scale",
        shows="Distance of the limit to the ℓ1 solution (theory: to zero as α falls) and to the ℓ2 solution (to zero "
        "as α grows). Dots are runs, rings are where the exact prediction of the same run lies: every dot must sit "
        "in its ring, as far as rtol and the stop rule resolve it (dotted line; below it dots and rings may differ). "
        "Labels give the power of α of the view slopes, the median over data sets and starts, each fitted where its "
        "distance is between 0.1 and ten times the errors. Where theory predicts the power, a grey line beside the "
        "curve has it, over the fitted range.",
        frames={"points": limits.LIMIT_POINTS, "lines": limits.LIMIT_LINES, "slopes": limits.LIMIT_SLOPES},
        draw=scale.distances,
        needs="converged regression runs with a prediction in the limit of small or large alpha",
        run="sweep launch examples/gaussian.yaml",
    ),
    "interpolation": Chart(
        title=interpolation.TITLE,
        shows="The norms of the limit over their least values among all solutions, in the coordinates ρ in which the "
        "network is a product (β = Sᵀρ), weighted as the regression theorem has them: ||ρ||₁ = Σ |ρⱼ| ηⱼ^(2−L), which "
        "weighted_l1 minimises, and ||ρ||₂ = (Σ |ρⱼ|² ηⱼ^(2−2L))^(1/2), which weighted_l2 minimises; η is the shape of "
        "the start, so that both are plain norms where η = 1. Every dot must sit on the curve of the minimum Q norm, "
        "and the curve must go from the dashed end of α→0 to that of α→∞. The ℓ1 norm need not rise, nor the ℓ2 norm "
        "fall, all the way for three layers and more.",
        frames={"norms": norms.NORMS},
        draw=interpolation.draw,
        needs="converged regression runs with minimum_q_norm, weighted_l1 and weighted_l2, of networks with as many "
        "coordinates as inputs",
        run="sweep launch examples/claims/interpolation.yaml",
    ),
    "sparsity": Chart(
        title="Sparsity of the limit: the initialisation scale",
        shows="The effective number ||β||_1² / ||β||_2² of coefficients where the flow ended: k for k equal ones, "
        "between 1 and d. Diagonal networks must go from dense to sparse as α falls, deeper ones sooner; fully "
        "connected ones stay dense. (A convolutional network is sparse in frequencies, not in these coordinates.)",
        frames={"points": limits.SPARSITY_POINTS, "lines": limits.SPARSITY_LINES},
        draw=scale.sparsity,
        needs="converged regression runs on data of more than one dimension",
        run="sweep launch examples/compressed.yaml",
    ),
    "exactness": Chart(
        title="Agreement with exact predictions",
        shows="How far runs ended from predictions that hold exactly at their α, in units of what may be missing: 100 "
        "rtol for the integrator, and twice the way that was left where the stop rule ended the run (to first order, "
        "the residual times the condition of data and network). A run beyond the dashed line contradicts its "
        "prediction. Runs stopped at a residual above 0.01 say nothing.",
        frames={"bins": counts.EXACTNESS, "unjudged": counts.UNJUDGED},
        draw=summary.exactness,
        needs="converged runs to which an exact prediction applies, stopped at a residual of 0.01 or less",
        run="sweep launch examples/quickstart.yaml",
    ),
    "predictions": Chart(
        title="Every prediction and how far the runs ended from it",
        shows="One line for each prediction, network and depth; converged runs only. Exact predictions must be met at "
        "every α as far as rtol and the stop rule allow (chart exactness); limits only as far as α or t has gone. The "
        "certificate is a residual of the prediction itself, which must be near rounding: it says that the optimum was "
        "found, whatever solver found it.",
        frames={"summary": counts.PREDICTIONS_BY_NETWORK},
        draw=summary.predictions,
        needs="converged runs with a prediction",
        run="sweep launch examples/quickstart.yaml",
    ),
    "alignment": Chart(
        title="Alignment of the layers with the gradient",
        shows="The largest over the layers of 1 - |cos(v, gradient)|. For classification theory says that it tends to "
        "zero, in every network; for regression only from small α is it small, and it need not vanish. At up to four "
        "scales, of data of the shape with most runs. In fully connected networks, where classification ended, the "
        "matrices must become of rank one, their second singular value over the first like (−log Loss)^(−1/L) (sooner "
        "from small α), and the singular vectors of adjacent layers parallel, to rounding (1e-16).",
        frames={
            "classification": along.CLASSIFICATION_ALIGNMENT,
            "regression": along.REGRESSION_ALIGNMENT,
            "singular": singular.SINGULAR,
        },
        draw=alignment.draw,
        needs="runs with a recorded path",
        run="sweep launch examples/quickstart.yaml",
        main=("classification", "regression"),
    ),
    "margins": Chart(
        title="Normalised margins along the run",
        shows="The smallest margin of the normalised parameters, min y f(x) / ||Θ||ᴸ, over the largest that any Θ has: "
        "of the ℓ2 max margin for fully connected networks, of the ℓ2/L problem for decomposable ones (objective of "
        "max_margin_bridge; for three layers and more the least known one). Theory says that (a smoothed version of) "
        "it never falls once the data are separated; it must never cross the dashed line, and must tend to it for up "
        "to two layers and for fully connected networks. Of deeper decomposable ones it may rightly end below, in a "
        "stationary point.",
        frames={"curves": along.MARGINS, "others": along.UNBOUNDED},
        draw=curves.margins,
        needs="classification runs with a recorded path and a largest margin that is known",
        run="sweep launch examples/figure-classification.yaml",
        from_one=True,
    ),
    "loss_rate": Chart(
        title="How fast the loss falls, against the predicted rate",
        shows="The relative distance of Loss t (log t)^(2−2/L) from its limit 1 / (L² γ^(2/L)), with γ the run's last "
        "normalised margin in place of its limit. It must fall like log log t / log t at worst, until it reaches the "
        "error of that γ: the floor is 2/L times the relative distance of γ from its limit, about 1e-6 for one layer "
        "where runs end at −log Loss = 1e6 (margins converge like 1/(−log Loss)), more where coordinates off the "
        "support die slowly, and then the curve may cross zero and rise again. Rounding is far below, at "
        "1e-16 times −log Loss.",
        frames={"curves": along.LOSS_RATE},
        draw=curves.loss_rate,
        needs="classification runs with a recorded path",
        run="sweep launch examples/figure-classification.yaml",
        from_one=True,
    ),
    "plateaus": Chart(
        title="Plateaus: how long the flow takes",
        shows="The time of gradient flow at which each residual is reached, at up to four initialisation scales. "
        "The origin is a saddle: the flow must wait longer the smaller α and the deeper the network, like log(1/α) for "
        "L = 2 and α²⁻ᴸ for L ≥ 3. Decomposable networks then go from saddle to saddle: as α falls, coefficients "
        "must rest on the bars, and jump at the dashed times.",
        frames={"curves": along.PLATEAUS, "saddles": saddles.SADDLES, "orbits": saddles.ORBITS},
        draw=plateaus.draw,
        needs="regression runs with a recorded path",
        run="sweep launch examples/saddles.yaml",
    ),
    "time_average": Chart(
        title="The time average along the lasso path",
        shows="Distance between the fits of the time average of β and those of the lasso at the penalty of the time "
        "(log(1/α)/t for L = 2, proportional to α²⁻ᴸ/t for L ≥ 3), over ||y||, at up to four initialisation "
        "scales below one. It must fall with α, like αᴸ⁻² for L ≥ 3 and like 1/log(1/α) for L = 2, except where t "
        "times a coefficient of the lasso turns back. Below, the averages of single runs: up to there they must run "
        "through the circles, which are the lasso's coefficients.",
        frames={"curves": along.TIME_AVERAGE, "averages": means.AVERAGES},
        draw=averages.draw,
        needs="regression runs of a real decomposition, with a recorded path",
        run="sweep launch examples/quickstart.yaml",
    ),
    "overview": Chart(
        title="The sweep: how runs ended and what they cost",
        shows="How the runs ended, and the accepted steps, seconds and drift of conserved quantities that they took. "
        "The exact flow conserves its invariants: their drift is an independent check of the integrator.",
        frames={"statuses": counts.STATUSES, "costs": counts.COSTS},
        draw=summary.overview,
        needs="runs",
        run="sweep launch examples/quickstart.yaml",
    ),
}


def find(name: str) -> Chart:
    """The chart of that name. Raises UnknownChart with the nearest one."""
    if name not in CHARTS:
        raise UnknownChart(name, CHARTS)
    return CHARTS[name]


def save(
    name: str,
    store: Store | str | Path,
    output: str | Path,
    where: str = EVERY_RUN,
    *,
    color: str | None = None,
    row: str | None = None,
    column: str | None = None,
    dash: str | None = None,
    look: Look = AS_IT_IS,
) -> Path:
    """Write one chart of a store as html (offline), svg, png, pdf or json (Vega-Lite), by the suffix of `output`.

    Whole or not at all. `store` is one, or its path; `where` is a condition in SQL on the columns of `runs`; `color`,
    `row`, `column` and `dash` are axes for charts along the run. Raises AnalysisError (unknown chart, format or axis,
    no data, bad condition, output that cannot be written) and StoreError.
    """
    chart, target = Facets(name, color, row, column, dash).of(find(name)), Path(output)
    kind = check_suffix(target, FORMATS)
    answers = chart.answers(name, store if isinstance(store, Store) else Store(store), where)
    drawing = look.apply(chart.drawn(answers))
    with alt.data_transformers.enable("default", max_rows=None), writing(target) as temporary:
        if kind == "html":
            drawing.save(
                str(temporary), format="html", inline=True, json_kwds={"cls": ScriptEncoder}, embed_options=EMBEDDED
            )
        elif kind == "json":
            temporary.write_text(json.dumps(drawing.to_dict(), ensure_ascii=False, allow_nan=False), "utf-8")
        else:
            drawing.save(str(temporary), scale_factor=2 if kind == "png" else 1)
        if kind == "svg":
            temporary.write_text(told(temporary.read_text("utf-8"), name, drawing["description"]), "utf-8")
        look.write(answers)
    return target


def told(svg: str, name: str, description: str) -> str:
    """The SVG with a title and a description, which readers of screens say; vl-convert drops Vega's."""
    words = f"<title id='{name}-title'>{escape(CHARTS[name].title)}</title>"
    words += f"<desc id='{name}-desc'>{escape(description)}</desc>"
    head, rest = svg.removeprefix("<svg ").split(">", 1)
    return f"<svg role='img' aria-labelledby='{name}-title {name}-desc' {head}>{words}{rest}"
