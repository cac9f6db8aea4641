"""Draw every chart once from the example grids, and write docs/gallery.md about them.

    uv run python docs/gallery.py [--stores FOLDER]

Minutes: seven grids are launched, each into a store of its own; what FOLDER holds already is not computed again.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import sweep
from analysis.charts import CHARTS, save
from analysis.frames.frame import EVERY_RUN

ROOT = Path(__file__).parents[1]
PAGE, PICTURES = ROOT / "docs/gallery.md", ROOT / "docs/gallery"


@dataclass(frozen=True)
class Picture:
    """One chart: the grid under examples/ that it is drawn from, which runs of it, and what is seen."""

    grid: str
    seen: str
    where: str = EVERY_RUN


TWO_DATA_SETS = "architecture = 'diagonal' AND regexp_matches(dataset, 'seed=[01][)]')"

GALLERY: Mapping[str, Picture] = {
    "regression_paths": Picture(
        "figure-regression",
        "Every path ends in its own mark: at small α in the ℓ1 solution of the network's coordinates, at large α near "
        "the ℓ2 solution, where the fully connected network ends at every α.",
        "depth = 3 AND init <> 'gaussian'",
    ),
    "classification_paths": Picture(
        "figure-classification",
        "All paths enter the cone of separating directions and turn to their predicted ray, one ray a network, "
        "whatever the start.",
        "depth = 3",
    ),
    "regression_distance": Picture(
        "quickstart",
        "Distances to exact predictions fall with the residual down to the stop rule, at every depth on the same line; "
        "distances to a limit in α level off (last panel).",
    ),
    "classification_distance": Picture(
        "figure-classification",
        "Directions converge like powers of −log Loss, fully connected ones like its power −1/L (dashed, under the "
        "curves). Of three layers the distance to the convex problem of the margin reached falls like 1/(−log Loss) "
        "(dotted) at every α.",
    ),
    "initialisation_scale": Picture(
        "gaussian",
        "From right to left the limit moves from the ℓ2 to the ℓ1 solution, with the power of α that theory has "
        "(grey), and every dot sits in the ring of its exact prediction, down to what rtol resolves (dotted).",
        TWO_DATA_SETS,
    ),
    "interpolation": Picture(
        "claims/interpolation",
        "Both norms pass from one dashed limit to the other, along the curve of the minimum Q norm; for L = 4 the "
        "ℓ2 norm does not fall all the way.",
    ),
    "sparsity": Picture(
        "compressed",
        "Below α = 0.1 three layers end about as sparse as the teacher of three non-zero coefficients, two layers only "
        "at smaller α; from α = 1 on both end dense.",
    ),
    "exactness": Picture(
        "quickstart",
        "No run is beyond the dashed tolerance; most are five decades below it, where the stop rule left them.",
    ),
    "predictions": Picture(
        "quickstart",
        "Exact predictions are met to 1e-8 and better at every α, limits as nearly as the α nearest to them allows.",
    ),
    "alignment": Picture(
        "figure-classification",
        "Misalignment of layers and gradients dies out in every network; fully connected layers end of rank one, and "
        "the singular vectors of neighbours are parallel, the more so the smaller α.",
    ),
    "margins": Picture(
        "figure-classification",
        "Normalised margins rise to the largest that any parameters have, and none crosses the dashed line.",
    ),
    "loss_rate": Picture(
        "figure-classification",
        "The loss comes to the predicted rate, until its distance meets the error of the margin that stands for its "
        "limit.",
    ),
    "plateaus": Picture(
        "saddles",
        "Coefficients rest on the predicted bars and jump at the predicted times (dashed); waiting grows like log(1/α) "
        "for two layers and like α²⁻ᴸ for more.",
        "depth <= 4",
    ),
    "time_average": Picture(
        "compressed",
        "The time average follows the lasso path, the nearer the smaller α: compare the panels at one time. Below, "
        "it runs through the coefficients of the lasso (circles).",
    ),
    "overview": Picture(
        "quickstart",
        "Every run converged, within a hundred steps; decomposable networks conserve their invariants to rounding.",
    ),
}


def draw(stores: Path) -> None:
    """Launch the grids into stores of a folder, as far as they are not there, and draw every chart."""
    for grid in dict.fromkeys(picture.grid for picture in GALLERY.values()):
        sweep.launch(ROOT / f"examples/{grid}.yaml", store=_store(stores, grid), executor="local", quiet=True)
    PICTURES.mkdir(exist_ok=True)
    for name, picture in GALLERY.items():
        save(name, _store(stores, picture.grid), PICTURES / f"{name}.svg", picture.where)


def _store(stores: Path, grid: str) -> Path:
    return stores / f"{Path(grid).name}.duckdb"


def page(today: date) -> str:
    """The gallery in Markdown."""
    head = f"""# Gallery of charts

Every chart once, from grids of `examples/`. What each must show, and its options: [Charts and report](charts.md).
`uv run python docs/gallery.py` launches these grids, draws the charts and writes this page; here on {today}.
"""
    return "\n".join([head, *(_section(name, picture) for name, picture in GALLERY.items())])


def _section(name: str, picture: Picture) -> str:
    store = f"--store {_store(Path(), picture.grid)}"
    where = "" if picture.where == EVERY_RUN else f' \\\n    --where "{picture.where}"'
    return f"""## {name}

![{CHARTS[name].title}](gallery/{name}.svg)

{picture.seen}

```bash
sweep launch examples/{picture.grid}.yaml {store}
sweep chart {name} {store} -o {name}.svg{where}
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=Path, help="folder for the stores, kept; a temporary one by default")
    stores: Path | None = parser.parse_args().stores
    with tempfile.TemporaryDirectory() as temporary:
        draw(stores or Path(temporary))
    PAGE.write_text(page(date.today()), "utf-8")


if __name__ == "__main__":
    main()
