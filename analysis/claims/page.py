"""The claims as a page, HTML or Markdown: a sentence, a figure, a number, the reason for its bound, the SQL."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import vl_convert

from analysis.claims.claim import Verdict
from analysis.claims.drawing import draw
from analysis.claims.wording import escaped, figure, symbols
from analysis.files import writing
from analysis.frames.frame import Source
from analysis.names import named

FAMILIES = {
    "1": "Special cases of the tensor formulation",
    "2": "Singular vectors",
    "3": "Separable data, decomposable networks",
    "4": "Underdetermined regression, decomposable networks",
    "5": "Between the l1 and the l2 solution",
    "6": "Fully connected networks",
    "7": "Known results",
    "8": "Where assumptions fail, the gap stays open",
}

_LAUNCH = "SELECT created_at, git_sha, git_dirty FROM sweeps WHERE name LIKE 'claims%' ORDER BY created_at DESC LIMIT 1"


def write_html(verdicts: Sequence[Verdict], store: Source, output: Path, machine: str, quick: bool) -> Path:
    """One file that loads nothing from elsewhere. Raises AnalysisError where it cannot be written."""
    drawings = {verdict.claim.number: markupsafe.Markup(svg) for verdict, svg in _drawings(verdicts, store)}
    return _written("claims.html.j2", output, verdicts, store, machine, quick, drawings)


def write_markdown(verdicts: Sequence[Verdict], store: Source, output: Path, machine: str, quick: bool) -> Path:
    """The page, and its figures as svg in the folder of the same name. Raises AnalysisError."""
    folder = output.with_suffix("")
    folder.mkdir(exist_ok=True)
    names = {}
    for verdict, svg in _drawings(verdicts, store):
        name = folder / f"{verdict.claim.number}.svg"
        with writing(name) as temporary:
            temporary.write_text(svg, encoding="utf-8")
        names[verdict.claim.number] = f"{folder.name}/{name.name}"
    return _written("claims.md.j2", output, verdicts, store, machine, quick, names)


def _drawings(verdicts: Sequence[Verdict], store: Source) -> list[tuple[Verdict, str]]:
    drawn = [(verdict, draw(verdict.claim, store)) for verdict in verdicts]
    return [
        (verdict, vl_convert.vegalite_to_svg(drawing.to_dict())) for verdict, drawing in drawn if drawing is not None
    ]


def _written(
    template: str,
    output: Path,
    verdicts: Sequence[Verdict],
    store: Source,
    machine: str,
    quick: bool,
    drawings: dict[str, Any],
) -> Path:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis"),
        autoescape=template.endswith("html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"arrow": named, "figure": figure, "symbols": symbols, "escaped": escaped}
    families = {
        title: [verdict for verdict in verdicts if verdict.claim.number.split(".")[0] == number]
        for number, title in FAMILIES.items()
    }
    text = environment.get_template(template).render(
        families={title: some for title, some in families.items() if some},
        verdicts=verdicts,
        passed=sum(verdict.passed for verdict in verdicts),
        drawings=drawings,
        machine=machine,
        quick=quick,
        **_launch(store),
    )
    with writing(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return output


def _launch(store: Source) -> dict[str, str]:
    """When the runs were asked for last, and with which code."""
    rows = store.query(_LAUNCH).to_pylist()
    if not rows:
        return {"date": "unknown", "commit": "unknown"}
    moment: datetime = rows[0]["created_at"]
    changed = ", with uncommitted changes" if rows[0]["git_dirty"] else ""
    return {"date": moment.strftime("%Y-%m-%d"), "commit": f"{(rows[0]['git_sha'] or 'unknown')[:12]}{changed}"}
