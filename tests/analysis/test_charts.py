"""Every chart, from a real store to a file: marks that are there, axes that hold them, errors that say what to do."""

import math
import re
import stat
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import pytest

from analysis.charts import CHARTS, FORMATS, cone, save
from analysis.charts.plane import solutions, starts, thinned
from analysis.charts.theme import styled
from analysis.errors import AnalysisError, BadFilter, CannotWrite, NoData, UnknownChart, UnknownFormat
from db.store import NoStore, Store
from tests.marks import sampled

MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<svg", "html": b"<!DOCTYPE html>", "json": b"{"}


def specification(name: str, store: Store, where: str = "true") -> dict[str, Any]:
    with alt.data_transformers.enable("default", max_rows=None):
        return CHARTS[name].drawing(name, store, where).to_dict()


@pytest.mark.parametrize("name", sampled(list(CHARTS), 4))
def test_every_chart_draws_marks(store_path: Path, tmp_path: Path, name: str) -> None:
    svg = save(name, store_path, tmp_path / f"{name}.svg").read_text()
    marks = re.findall(r'class="mark-(?:line|area|symbol|rect|rule) role-mark [^"]*"[^>]*>\s*<path[^>]* d="M', svg)
    assert marks
    assert "NaN" not in svg
    assert "Infinity" not in svg
    assert f"<title id='{name}-title'>{CHARTS[name].title}</title><desc id='{name}-desc'>" in svg


@pytest.mark.parametrize("name", sampled(list(CHARTS), 4))
def test_every_chart_draws_a_single_run(store: Store, name: str) -> None:
    task = (
        "classification"
        if {"classification", "margins", "loss_rate"} & set(re.split("_(?=paths|distance)", name))
        else "regression"
    )
    found = store.query(
        f"SELECT run_id FROM runs WHERE task = '{task}' AND (task <> 'regression' OR architecture = 'diagonal') LIMIT 1"
    )
    assert specification(name, store, f"run_id = '{found['run_id'][0].as_py()}'")["datasets"]


@pytest.mark.parametrize("kind", sampled(["svg", *sorted(set(FORMATS) - {"svg"})], len(FORMATS)))
def test_formats_are_what_they_say(store_path: Path, tmp_path: Path, kind: str) -> None:
    output = save("exactness", store_path, tmp_path / f"chart.{kind}")
    assert output.read_bytes().startswith(MAGIC[kind])
    assert [path.name for path in tmp_path.iterdir()] == [output.name]
    assert stat.S_IMODE(output.stat().st_mode) & 0o044


def test_html_loads_nothing_from_elsewhere(store_path: Path, tmp_path: Path) -> None:
    text = save("exactness", store_path, tmp_path / "chart.html").read_text()
    assert not re.search(r'(?:src|href)="?(?:https?:)?//', text)


@pytest.mark.slow
def test_the_same_store_gives_the_same_chart(store: Store) -> None:
    assert specification("regression_paths", store) == specification("regression_paths", store)


@pytest.mark.parametrize("name", sampled(list(CHARTS), 4))
def test_charts_say_what_they_need(empty: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        NoData, match=rf"no data for the chart '{name}', because the store holds no .*run `sweep launch"
    ):
        save(name, empty, tmp_path / "chart.svg")
    assert not (tmp_path / "chart.svg").exists()


@pytest.mark.parametrize(
    ("name", "output", "where", "error", "message"),
    [
        ("exactnes", "a.svg", "true", UnknownChart, r"unknown 'exactnes' \(did you mean exactness\?\); write one of"),
        ("regression-paths", "a.svg", "true", UnknownChart, r"did you mean regression_paths\?"),
        ("zzz", "a.svg", "true", UnknownChart, "chart: unknown 'zzz'; write one of regression_paths, "),
        (
            "exactness",
            "a.gif",
            "true",
            UnknownFormat,
            "the suffix '.gif'; write one of .html, .svg, .png, .pdf, .json",
        ),
        ("exactness", "a", "true", UnknownFormat, "has no suffix; write one of .html"),
        ("exactness", "a.svg", "alfa < 1", BadFilter, "where: 'alfa < 1' is no condition on the columns of `runs`"),
        ("exactness", "a.svg", "true); COPY (SELECT 1) TO 'a.csv' --", BadFilter, "write one SQL expression, such as"),
        ("exactness", "a.svg", "true) UNION (FROM main.runs", BadFilter, "write one SQL expression"),
        ("exactness", "a.svg", "true --", BadFilter, "and nothing behind it, not even a comment"),
        (
            "exactness",
            "a.svg",
            "EXISTS (FROM read_text('a'))",
            BadFilter,
            "table function read_text is not of the store",
        ),
        ("exactness", "a.svg", "alpha > 100", NoData, "no run of the store meets 'alpha > 100'"),
        (
            "margins",
            "a.svg",
            "task = 'regression'",
            NoData,
            "holds no classification runs .* where task = 'regression'",
        ),
        ("exactness", "no/a.svg", "true", CannotWrite, "output: .*a.svg cannot be written"),
    ],
)
def test_mistakes_are_named(
    store_path: Path, tmp_path: Path, name: str, output: str, where: str, error: type[AnalysisError], message: str
) -> None:
    with pytest.raises(error, match=message):
        save(name, store_path, tmp_path / output, where)
    assert not list(tmp_path.iterdir())


def test_a_missing_store_is_the_stores_error(tmp_path: Path) -> None:
    with pytest.raises(NoStore):
        save("exactness", tmp_path / "none.duckdb", tmp_path / "a.svg")


def test_an_old_file_survives_a_failure(store_path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("old")
    with pytest.raises(NoData):
        save("exactness", store_path, tmp_path / "a.svg", "alpha > 100")
    assert (tmp_path / "a.svg").read_text() == "old"


@pytest.mark.parametrize(("x_1", "x_2", "y"), [(1.0, 2.0, 1.0), (3.0, 0.0, -1.0), (0.0, -2.0, 1.0)])
def test_the_line_of_solutions_solves(x_1: float, x_2: float, y: float) -> None:
    line = solutions(pl.DataFrame({"x_1": [x_1], "x_2": [x_2], "y": [y]}), (-2.0, 2.0, -2.0, 2.0))
    assert [x_1 * b_1 + x_2 * b_2 for b_1, b_2 in line.rows()] == [pytest.approx(y)] * 2
    assert line.n_unique() == 2


def test_there_is_no_line_of_solutions_for_two_samples() -> None:
    two = pl.DataFrame({"x_1": [1.0, 0.0], "x_2": [0.0, 1.0], "y": [1.0, 1.0]})
    assert solutions(two, (-2.0, 2.0, -2.0, 2.0)).is_empty()


def test_the_cone_is_the_one_of_separating_directions() -> None:
    """(1, 2) -> +1 and (0, -3) -> -1: u_2 > 0 and u_1 + 2 u_2 > 0, that is angles from 0 to 180 - atan(1/2) degrees."""
    samples = pl.DataFrame({"x_1": [1.0, 0.0], "x_2": [2.0, -3.0], "y": [1.0, -1.0]})
    corners = cone.cone(samples, 10.0).rows()
    angles = [math.degrees(math.atan2(y, x)) for x, y, _ in corners[1:]]
    assert (min(angles), max(angles)) == (
        pytest.approx(0, abs=0.1),
        pytest.approx(180 - math.degrees(math.atan(0.5)), abs=0.1),
    )


def test_starts_are_told_apart_where_a_network_has_several() -> None:
    rows = [("a", "diagonal", "structured"), ("b", "diagonal", "structured"), ("c", "fully_connected", "orthogonal")]
    columns = ["run_id", "architecture", "init"]
    assert starts(pl.DataFrame(rows, columns, orient="row")) == []
    rows.append(("d", "fully_connected", "gaussian"))
    assert starts(pl.DataFrame(rows, columns, orient="row")) == ["structured", "gaussian", "orthogonal"]


def test_folding_keeps_directions_and_orders_norms() -> None:
    orbits = pl.DataFrame(
        {"depth": [2] * 4, "norm": [0.1, 10.0, 1e200, math.inf], "beta_1": [0.3] * 4, "beta_2": [-0.4] * 4}
    )
    folded = cone.fold(orbits)
    radius = [math.hypot(x, y) for x, y in folded.select("beta_1", "beta_2").rows()]
    assert folded.height == 3
    assert radius[:2] == [pytest.approx(math.log10(1 + 0.5 * n**2)) for n in (0.1, 10.0)]
    assert radius[2] == pytest.approx(400 + math.log10(0.5))
    assert (folded["beta_2"] / folded["beta_1"]).to_list() == [pytest.approx(-4 / 3)] * 3


def test_thinning_keeps_the_ends_and_the_shape() -> None:
    path = pl.DataFrame(
        {"run_id": ["a"] * 1000, "step": range(1000), "beta_1": [k / 999 for k in range(1000)], "beta_2": [0.0] * 1000}
    )
    thin = thinned(path, 0.01)
    assert 90 <= thin.height <= 110
    assert (thin["beta_1"][0], thin["beta_1"][-1]) == (0.0, 1.0)


def test_counts_beside_distances_are_of_the_runs_whose_distances_are_shown(store: Store) -> None:
    """Five scales of the diagonal network; of a limit in alpha one run is at its end of them."""
    drawn = specification("predictions", store, "architecture = 'diagonal'")
    rows = [row for data in drawn["datasets"].values() for row in data if "label" in row]
    label = {row["row"].split(" ·")[0]: row["label"] for row in rows}
    assert label["weighted ℓ1 limit"].startswith("1 of 5 runs at α = 0.01, worst certificate")
    assert label["weighted ℓ2 limit"].startswith("1 of 5 runs at α = 10, worst certificate")
    assert label["minimum Q norm"].startswith("5 runs, worst certificate")


def test_distances_far_below_the_tolerance_are_drawn_at_the_floor(store: Store) -> None:
    """Tolerances are 1e-5: the axis ends at 1e-8, and says so; without such distances it says nothing."""
    low = CHARTS["initialisation_scale"].answers("initialisation_scale", store, "architecture = 'diagonal'")
    assert "Distances below" not in " ".join(CHARTS["initialisation_scale"].drawn(low)["title"]["subtitle"])
    low["points"] = low["points"].with_columns(distance=pl.lit(1e-13), tolerance=pl.lit(1e-5))
    with alt.data_transformers.enable("default", max_rows=None):
        drawn = CHARTS["initialisation_scale"].drawn(low).to_dict()
    assert "Distances below 1e-8, far below" in " ".join(drawn["title"]["subtitle"])
    dots = [row for data in drawn["datasets"].values() for row in data if "run_id" in row]
    assert {row["value"] for row in dots} == {1e-8}


@pytest.mark.slow
def test_zeros_nans_and_infinities_do_not_blank_a_chart(store_path: Path, tmp_path: Path) -> None:
    store = awkward(store_path, tmp_path)
    drawn = 0
    for name, chart in CHARTS.items():
        answers = chart.read(store)
        assert not chart.without_data(answers)
        with alt.data_transformers.enable("default", max_rows=None):
            text = styled(chart.draw(**answers)).to_json()
        assert not re.search(r"\b(?:NaN|Infinity)\b", text), name
        drawn += 1
    assert drawn == len(CHARTS)


@pytest.mark.slow
def test_guides_of_directions_are_where_they_were_observed_and_runs_left_out_are_named(
    store: Store, tmp_path: Path
) -> None:
    mixed = Store(tmp_path / "mixed.duckdb")
    mixed.create()
    network = "CASE seed WHEN 0 THEN 'diagonal' WHEN 1 THEN 'walsh' ELSE architecture END AS architecture"
    beta, of = "CASE seed WHEN 0 THEN NULL ELSE p.beta END AS beta", "FROM predictions p JOIN runs USING (run_id)"
    queries = {
        "runs": f"SELECT * REPLACE ({network}) FROM runs WHERE task = 'classification'",
        "predictions": f"SELECT p.* REPLACE ({beta}) {of} WHERE task = 'classification'",
        "trajectories": "FROM trajectories SEMI JOIN (FROM runs WHERE task = 'classification') USING (run_id)",
    }
    mixed.commit({name: store.query(sql) for name, sql in queries.items()})
    drawing = specification("classification_distance", mixed)
    words = " ".join(drawing["title"]["subtitle"])
    assert "Dotted: slope −1, for comparison; dashed: −1/L, observed for fully connected" in words
    assert words.endswith("Left out, as no direction is predicted: 1 run (Diagonal with L = 2).")
    connected, walsh = drawing["vconcat"][0]["hconcat"]
    for panel, kinds in ((connected, {True, False}), (walsh, {False})):
        lines = [drawing["datasets"][layer["data"]["name"]] for layer in panel["layer"]]
        assert [{row["own"] for row in rows} for rows in lines if "own" in rows[0]] == [kinds]
    plain = " ".join(specification("classification_distance", mixed, "architecture = 'walsh'")["title"]["subtitle"])
    assert "dashed" not in plain
    assert "Left out" not in plain


def awkward(store_path: Path, tmp_path: Path) -> Store:
    """The runs of a store with the values that have no logarithm: in predictions, in orbits, in runs."""
    source, target = Store(store_path), Store(tmp_path / "awkward.duckdb")
    target.create()
    place = "row_number() OVER (PARTITION BY {} ORDER BY run_id) % 4"  # the first of each group keeps its value
    odd = "CASE {place} WHEN 2 THEN 0.0 WHEN 3 THEN 'nan'::DOUBLE WHEN 0 THEN 'inf'::DOUBLE ELSE {name} END AS {name}"
    by_task, by_prediction = place.format("task"), place.format("prediction")
    hole = "list_transform({0}, lambda v, i: CASE i % 7 WHEN 3 THEN 0.0 WHEN 5 THEN 'nan'::DOUBLE ELSE v END) AS {0}"
    points = ", ".join(hole.format(name) for name in ("residual", "min_margin", "alignment", "norm"))
    replaced = {
        "runs": ", ".join(
            odd.format(place=by_task, name=name) for name in ("invariant_drift", "wall_seconds", "min_margin")
        ),
        "predictions": ", ".join(odd.format(place=by_prediction, name=name) for name in ("certificate", "objective")),
        "trajectories": points,
        "path_predictions": odd.format(place=by_prediction, name="distance"),
    }
    target.commit({name: source.query(f"SELECT * REPLACE ({sql}) FROM {name}") for name, sql in replaced.items()})
    return target
