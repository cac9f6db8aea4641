"""One self-contained HTML file of a store: what ran, how far from theory it ended, every chart, and where it came from.

Every number in it is the answer to a query; the Vega libraries stand in the file once, so it works offline.
"""

import functools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import markupsafe
import polars as pl

from analysis.cards import cards, drawn_runs
from analysis.charts import CHARTS, Chart
from analysis.errors import NoData
from analysis.files import REPORT_FORMATS, ScriptEncoder, check_suffix, writing
from analysis.frames import counts, scale
from analysis.frames.frame import EVERY_RUN, Frame, Source, restricted
from analysis.frames.provenance import SWEEPS
from analysis.library import library
from analysis.names import named, number, told_apart
from analysis.sample import sample
from analysis.wording import headlines
from db.part import part
from db.store import Store

MOST_LINES = 200
MOST_SWEEPS = 20
MOST_DIFF = 20_000
"""Characters of a sweep's uncommitted changes that the report carries."""

SELECTED = ("architecture", "depth", "alpha")
"""Axes by which a reader chooses what all charts show."""

FOLDERS = re.compile(
    r"(?<![\w.)<\]/\\])(?:file://|~\w*|\.\.?|[A-Za-z]:|[/\\])?[/\\](?:[^'\",:;=<>\[\]{}\n/\\]+[/\\])*(?=[^\s/\\])"
)
"""Folders in front of a file's name."""


@dataclass(frozen=True)
class Figure:
    """One chart in the report, or the reason why it is left out.

    Attributes:
        name: key of CHARTS.
        title, shows: of the chart.
        queries: SQL by frame, to reproduce it.
        note: how many runs are drawn, and how they were chosen.
        spec: Vega-Lite; None without data.
        missing: the reason why there is no figure.
    """

    name: str
    title: str
    shows: str
    queries: Mapping[str, str]
    note: str = ""
    spec: Mapping[str, Any] | None = None
    missing: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text under headings, and the query they answer; columns that are not words are aligned as numbers."""

    title: str
    note: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    sql: str
    words: frozenset[str] = frozenset({"task", "prediction", "limit", "holds", "architecture"})


def write_report(store: Store | str | Path, output: str | Path, *, provenance: bool = False) -> Path:
    """Write the report of a store (or of its path) as html; whole or not at all.

    Host, folders and uncommitted changes of the launches are in it only with `provenance`, for reports are passed on.
    Raises AnalysisError (an empty store, another suffix, an output that cannot be written) and StoreError.
    """
    source, target = store if isinstance(store, Store) else Store(store), Path(output)
    check_suffix(target, REPORT_FORMATS)
    with writing(target) as temporary:
        temporary.write_text(render(source, source.path.name, provenance), encoding="utf-8")
    return target


def render(whole: Store, name: str, provenance: bool = False) -> str:
    """The report as HTML text."""
    store = Once(whole)
    head = counts.HEAD.read(store).row(0, named=True)
    if not head["runs"]:
        raise NoData("report", "runs", "sweep launch examples/quickstart.yaml")
    every = counts.PREDICTIONS.read(store)
    drawn = sample(head["runs"])
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"unbroken": unbroken, "number": number, "named": named}
    with part(whole, drawn) as shown_of:
        figures = [figure(key, chart, shown_of, drawn) for key, chart in CHARTS.items()]
        specs = [each.spec for each in figures if each.spec is not None]
        shown = cards(shown_of, drawn_runs(specs))
    return environment.get_template("report.html.j2").render(
        title=_title(store, name),
        store=name,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        headlines=headlines(head, counts.ENDS.read(store), every, counts.LIMITS.read(store)),
        queries=[frame.sql for frame in (counts.HEAD, counts.ENDS, counts.PREDICTIONS, counts.LIMITS)],
        tables=[*_tables(store, every)],
        figures=figures,
        specs={each.name: embedded(each.spec) for each in figures if each.spec is not None},
        axes={axis: _values(specs, axis) for axis in SELECTED},
        cards=embedded(shown),
        ids=list(shown),
        sweeps=_sweeps(store, provenance),
        versions={package: version(package) for package in ("altair", "duckdb", "polars", "vl-convert-python")},
        library=library(),
    )


def unbroken(text: str) -> markupsafe.Markup:
    """The sentence with its numbers kept on one line (a browser would break 1e-3 after the hyphen)."""
    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(re.sub(r"\d[\d.]*e-\d+", r'<span class="unbroken">\g<0></span>', escaped))


class Once:
    """A source that answers the same query once."""

    def __init__(self, source: Source):
        self.query = functools.cache(source.query)


def figure(name: str, chart: Chart, store: Source, drawn: str = EVERY_RUN) -> Figure:
    """The chart of a store as Vega-Lite, or why it is left out; `drawn` is the condition that its runs met."""
    queries = {key: restricted(frame.sql, drawn).strip() for key, frame in chart.frames.items()}
    try:
        drawing = chart.drawing(name, store)
    except NoData as reason:
        return Figure(name, chart.title, chart.shows, queries, missing=str(reason))
    with alt.data_transformers.enable("default", max_rows=None):
        spec = drawing.to_dict(validate=False)  # tests validate every chart; here it would take as long as drawing
    note = " ".join(spec.pop("title")["subtitle"])
    if drawn != EVERY_RUN:
        note += f" Of all runs a random sample was taken for this figure: {drawn}."
    return Figure(name, chart.title, chart.shows, queries, note, spec=_rounded(spec))


def embedded(value: Any) -> str:
    """JSON that is safe inside a script element."""
    return json.dumps(value, cls=ScriptEncoder, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _values(specs: Sequence[Mapping[str, Any]], axis: str) -> list[Any]:
    """Every value of an axis in the rows that the charts show, in order."""
    rows = (row for spec in specs for data in spec.get("datasets", {}).values() for row in data)
    return sorted({row[axis] for row in rows if row.get(axis) is not None})


def _rounded(value: Any) -> Any:
    """The same JSON with six significant digits: a figure shows no more, and the file is half as large."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _title(store: Source, name: str) -> str:
    names = SWEEPS.read(store)["name"].unique(maintain_order=True).to_list()
    return ", ".join(names[:3]) + (" and more" if len(names) > 3 else "") if names else name


def _tables(store: Source, every: pl.DataFrame) -> list[Table]:
    quantiles = (
        "runs", "left out", "not certified", "beyond", "at α", "median", "90 %", "worst",
        "certificate",
    )  # fmt: skip
    summary = Table(
        "Predictions",
        "Distances are ||β − β*|| / ||β*|| for regression, ||β/||β|| − β*/||β*|| || for directions, "
        "|value/predicted − 1| for scalars, and the residual itself for stationarity conditions. "
        "Only converged runs are counted, for predictions are of the limit; left out are those that did not converge. "
        "Runs that never moved are compared with nothing, and stand in no line. Beyond are those that ended "
        "farther from an exact prediction than 100 rtol and twice what the stop rule left of the way: they contradict "
        "it. A limit in α is judged at the α nearest to it only. "
        "Not certified are those whose prediction could not be computed to a small certificate: they have no distance.",
        ("task", "prediction", "holds", *quantiles),
        [
            (r["about"], r["prediction"], named(r["kind"]), *_quantiles(r))
            for r in told_apart(every).iter_rows(named=True)
        ],
        counts.PREDICTIONS.sql,
    )
    tables = [summary]
    detailed = counts.PREDICTIONS_BY_NETWORK.read(store)
    if detailed.height:
        cut = "" if detailed.height <= MOST_LINES else f" The first {MOST_LINES} of {detailed.height:,} lines."
        lines = told_apart(detailed).head(MOST_LINES).iter_rows(named=True)
        tables.append(
            Table(
                "Predictions by network and depth",
                f"The same, line by line.{cut}",
                ("task", "prediction", "holds", "architecture", "L", *quantiles),
                [
                    (r["about"], r["prediction"], named(r["kind"]), r["architecture"], str(r["depth"]), *_quantiles(r))
                    for r in lines
                ],
                counts.PREDICTIONS_BY_NETWORK.sql,
            )
        )
    slopes = scale.RATES.read(store)
    if slopes.height:
        tables.append(_slopes(slopes, scale.RATES))
    return tables


def _quantiles(row: Mapping[str, Any]) -> tuple[str, ...]:
    of = f"{row['judged']:,} of " if row["judged"] < row["runs"] else ""
    counted = (f"{of}{row['runs']:,}", *(f"{row[key]:,}" for key in ("left_out", "uncertified")))
    beyond = "–"
    if row["kind"] == "exact":
        beyond = f"{row['beyond']:,}" + (f" ({row['unjudged']:,} not judged)" if row["unjudged"] else "")
    return (
        *counted,
        beyond,
        *(_cell(row[key]) for key in ("judged_at", "median", "high", "worst", "worst_certificate")),
    )


def _slopes(slopes: pl.DataFrame, frame: Frame) -> Table:
    shown = ("slope", "predicted", "least", "largest", "alpha_from", "alpha_to")
    return Table(
        "Rates in the initialisation scale",
        "Distance to the limit as a power of α, the slope of the view slopes: fitted for each data set, network and "
        "start where the distance is between 0.1 and ten times the errors of rtol and stop rule. Median, least and "
        "largest over these curves, and the median of what theory predicts of them.",
        (
            "limit",
            "holds",
            "architecture",
            "L",
            "curves",
            "power of α",
            "theory",
            "least",
            "largest",
            "α from",
            "α to",
            "runs",
        ),
        [
            (
                r["limit_prediction"],
                named(r["limit_kind"]),
                r["architecture"],
                str(r["depth"]),
                f"{r['curves']:,}",
                *(_cell(r[key]) for key in shown),
                f"{r['runs']:,}",
            )
            for r in slopes.head(MOST_LINES).iter_rows(named=True)
        ],
        frame.sql,
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else number(value)


def _sweeps(store: Source, provenance: bool) -> list[dict[str, Any]]:
    rows = SWEEPS.read(store).head(MOST_SWEEPS).to_dicts()
    for row in rows:
        row["packages"] = json.loads(row["packages"]) if row["packages"] else {}
        difference = (row["git_diff"] or "") if provenance else ""
        row["git_diff"] = difference[:MOST_DIFF]
        row["cut"] = len(difference) > MOST_DIFF
        if not provenance:
            row["host"] = None
            row["command"], row["grid"] = command_without_folders(row["command"]), without_folders(row["grid"])
    return rows


def command_without_folders(command: str | None) -> str | None:
    """The command line, or the call of `sweep.launch`, with of every path only the last part."""
    if command and command.startswith("sweep.launch("):
        return re.sub(r"'[^']*[/\\]([^'/\\]+)'", r"'\1'", command)
    try:
        words = shlex.split(command or "")
    except ValueError:  # no command of ours
        return None
    paths = re.compile(r"[^\s=<>()]*[/\\][^\s=<>()]*")
    return shlex.join(re.split(r"[/\\]", w)[-1] if paths.fullmatch(w) else str(without_folders(w)) for w in words)


def without_folders(text: str | None) -> str | None:
    """The text with of every path that starts at a root, at a home or in the folder above only the last part."""
    return text and FOLDERS.sub("", text)
