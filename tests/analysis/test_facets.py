"""Charts along axes of one's choice, and what may be changed of a figure: from a store to a file."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analysis.charts import CHARTS, Look, save, told
from analysis.charts.facets import Facets, _dash
from analysis.charts.theme import ARCHITECTURE_COLOURS, DEPTH_RAMP
from analysis.charts.themes import mirrored
from analysis.errors import AnalysisError, BadLook, CannotWrite, NoAxes, UnknownAxis, UnknownFormat
from analysis.frames import along, norms
from analysis.frames.facets import AGAINST_SCALE, AXES, QUANTITIES, faceted
from db.store import Store


@pytest.mark.parametrize("name", QUANTITIES)
def test_all_axes_together_are_the_documented_columns(store: Store, name: str) -> None:
    """With every axis as a series there is one run in each but for what no axis tells apart."""
    frame = faceted(name, list(AXES))
    found = frame.read(store)
    assert found.columns == list(frame.columns)
    assert found["runs_of_series"].to_list() == [1] * found.height
    assert set(found["pooled"]) == {""}


@pytest.mark.parametrize("name", AGAINST_SCALE)
def test_all_axes_but_the_scale_are_the_documented_columns(store: Store, name: str) -> None:
    """With every axis but the horizontal one as a series, only scales differ within one."""
    frame = faceted(name, [axis for axis in AXES if axis != "alpha"])
    found = frame.read(store)
    assert found.columns == list(frame.columns)
    assert set(found["pooled"]) == {""}
    assert set(found["runs"]) == {1}


def test_against_the_scale_the_curves_are_the_runs_own(store: Store) -> None:
    """One data set and start: the median at a scale is the norm of the one run there, and a distance is the store's."""
    own = norms.NORMS.read(store).sort("norm", "alpha")
    found = faceted("interpolation", ["architecture"]).read(store)
    assert found["middle"].to_list() == pytest.approx(own["reached"].to_list(), rel=1e-12)
    sql = """SELECT distance FROM convergence WHERE architecture = 'diagonal' AND kind = 'limit alpha->0'
      AND prediction = 'weighted_l1' ORDER BY alpha"""
    known = store.query(sql)["distance"].to_pylist()
    curves = faceted("initialisation_scale", ["architecture"]).read(store)
    limit = curves.filter(architecture="diagonal", kind="limit alpha->0")
    assert limit["middle"].to_list() == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize("name", AGAINST_SCALE)
def test_charts_against_the_scale_have_a_panel_a_kind_and_count_a_run_once(store: Store, name: str) -> None:
    drawn = Facets(name, color="depth").of(CHARTS[name]).drawing(name, store, "architecture = 'diagonal'").to_dict()
    assert [len(row["hconcat"]) for row in drawn["vconcat"]] == [1, 1]
    assert ": 5 runs." in " ".join(drawn["title"]["subtitle"])


def test_network_and_depth_are_the_charts_own_curves(store: Store) -> None:
    own = along.MARGINS.read(store)
    found = faceted("margins", ["architecture", "depth"]).read(store)
    assert found["middle"].to_list() == own["middle"].to_list()
    assert set(found["pooled"]) == {"seeds"}


def test_a_prediction_is_met_at_every_scale_and_a_limit_misses_by_the_scale(store: Store) -> None:
    """Two layers and one sample have a closed form; of the least l2 norm, their limit, alpha = 1 is a tenth away."""
    found = faceted("regression_distance", ["alpha"]).read(store, "init = 'gaussian'")
    assert set(found["kind"]) == {"exact"}
    ends = found.group_by("alpha", maintain_order=True).last()
    assert (ends["middle"] < 1e-6).all()
    sql = "SELECT min(distance) AS d FROM convergence WHERE init = 'gaussian' AND alpha = 1 AND kind = 'limit alpha->0'"
    assert store.query(sql)["d"][0].as_py() > 0.01


def test_a_curve_may_be_architectures_in_one_panel(store: Store, tmp_path: Path) -> None:
    output = save("regression_distance", store, tmp_path / "a.json", color="architecture", look=Look("Mine", 123))
    drawn: Any = json.loads(output.read_text())
    ((panel,),) = [line["hconcat"] for line in drawn["vconcat"]]
    assert (drawn["title"]["text"], panel["width"], panel["title"]["text"]) == ("Mine", 123, "exact")
    assert panel["layer"][1]["encoding"]["color"]["field"] == "architecture"
    assert "pooled over scales α, seeds and starts" in " ".join(drawn["title"]["subtitle"])


def test_the_rows_drawn_are_written_beside_the_figure(store: Store, tmp_path: Path) -> None:
    save("margins", store, tmp_path / "a.json", look=Look(data=tmp_path / "a.csv"))
    rows = pl.read_csv(tmp_path / "a.csv")
    expected = along.MARGINS.read(store)
    assert set(rows["frame"]) == {"curves"}
    assert rows["middle"].to_list() == pytest.approx(expected["middle"].to_list(), rel=1e-12)
    assert rows.columns == ["frame", *expected.columns]


@pytest.mark.parametrize(
    ("name", "axes", "error", "message"),
    [
        (
            "margins",
            {"color": "dept"},
            UnknownAxis,
            r"axis: unknown 'dept' \(did you mean depth\?\); write one of arch",
        ),
        ("margins", {"row": "run_id; --"}, UnknownAxis, "axis: unknown 'run_id; --'; write one of arch"),
        ("interpolation", {"row": "alpha"}, NoAxes, "alpha is the horizontal axis of interpolation; write another"),
        ("exactness", {"column": "alpha"}, NoAxes, "'exactness' has no axes to choose; regression_distance, "),
        (
            "margins",
            {"color": "seed", "row": "seed"},
            NoAxes,
            "twice among colour, dash, row and column: seed, seed",
        ),
    ],
)
def test_wrong_axes_are_named(
    store: Store, tmp_path: Path, name: str, axes: dict[str, str], error: type[AnalysisError], message: str
) -> None:
    with pytest.raises(error, match=message):
        save(name, store, tmp_path / "a.svg", **axes)
    assert not list(tmp_path.iterdir())


def test_an_axis_told_by_dashes(store: Store, tmp_path: Path) -> None:
    """Lines of one colour and different dash: each has its own points, and a legend names the values."""
    output = save("margins", store, tmp_path / "a.json", color="architecture", dash="seed")
    drawn = json.loads(output.read_text())
    (panel,) = drawn["vconcat"][0]["hconcat"]
    lines = [layer["encoding"] for layer in panel["layer"] if layer["mark"]["type"] == "line"]
    assert [each["strokeDash"]["field"] for each in lines] == ["seed"]
    (band,) = (layer["encoding"] for layer in panel["layer"] if layer["mark"]["type"] == "area")
    assert {"field": "seed", "type": "nominal"} in band["detail"]  # else one band goes to and fro between the lines
    seeds = store.query("SELECT DISTINCT seed FROM runs WHERE task = 'classification' ORDER BY seed")[
        "seed"
    ].to_pylist()
    assert lines[0]["strokeDash"]["scale"]["domain"] == seeds
    assert len(set(map(tuple, lines[0]["strokeDash"]["scale"]["range"]))) == len(seeds) > 1
    assert lines[0]["strokeDash"]["legend"]["title"] == "seed"
    rows = drawn["datasets"][panel["layer"][-1]["data"]["name"]]
    assert len({(row["architecture"], row["seed"], row["clock"]) for row in rows}) == len(rows)


def test_more_values_than_dashes_are_refused() -> None:
    with pytest.raises(NoAxes, match="dashes tell 5 values apart, depth has 6; write it as colour, row or column"):
        _dash("depth", pl.Series("depth", range(6)))


def test_size_and_font_are_those_asked_for(store: Store, tmp_path: Path) -> None:
    for name, asked, size in (
        ("margins", Look(width=123, height=77), (123, 77)),
        ("regression_paths", Look(height=123), (123, 123)),  # a square, whose angles are true
        ("regression_paths", Look(width=100, height=123), (100, 123)),
    ):
        drawn = json.loads(save(name, store, tmp_path / "a.json", look=asked).read_text())
        panels = [panel for row in drawn["vconcat"] for panel in row["hconcat"]]
        assert {(panel["width"], panel["height"]) for panel in panels} == {size}
    drawn = json.loads(save("margins", store, tmp_path / "a.json", look=Look(font="Serif")).read_text())
    assert drawn["config"]["font"] == "Serif"


def test_themes_change_colours_and_text_and_nothing_else(store: Store, tmp_path: Path) -> None:
    """Turned over twice, every colour is what it was; data, panels and words are the same in every theme."""

    def drawn(theme: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            save("margins", store, tmp_path / "a.json", look=Look(theme=theme)).read_text()
        )
        return found

    paper, dark, slides = map(drawn, ("paper", "dark", "slides"))
    assert (paper["config"]["background"], dark["config"]["background"]) == ("white", "#000000")
    assert slides["config"]["axis"]["labelFontSize"] == pytest.approx(4 / 3 * paper["config"]["axis"]["labelFontSize"])
    for other in (dark, slides):
        assert other["datasets"] == paper["datasets"]
        assert other["title"]["text"] == paper["title"]["text"]
        assert json.dumps(other).count('"mark"') == json.dumps(paper).count('"mark"')
    for colour in (*ARCHITECTURE_COLOURS.values(), *DEPTH_RAMP):
        assert mirrored(mirrored(colour)) == colour.lower() != mirrored(colour)


def test_wrong_looks_are_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadLook, match="width: 3 is not from 60 to 2000"):
        Look(width=3)
    with pytest.raises(BadLook, match="height: 9999 is not from 60 to 2000"):
        Look(height=9999)
    with pytest.raises(BadLook, match="theme: 'pink' is none; write one of paper, dark, slides"):
        Look(theme="pink")
    with pytest.raises(BadLook, match="font: it is empty"):
        Look(font=" ")
    with pytest.raises(UnknownFormat, match=r"rows.txt has the suffix '.txt'; write one of .csv"):
        Look(data=tmp_path / "rows.txt")
    with pytest.raises(CannotWrite, match=r"no/a.csv cannot be written"):
        save("margins", store, tmp_path / "a.json", look=Look(data=tmp_path / "no" / "a.csv"))
    assert not list(tmp_path.iterdir())


def test_every_figure_is_described(store: Store) -> None:
    """Title, what must be seen, and the counts, in SVG for readers of screens."""
    description = CHARTS["margins"].drawing("margins", store)["description"]
    assert description.startswith("Normalised margins along the run. The smallest margin of the normalised")
    assert description.endswith("pooled over seeds: 4 runs.")
    svg = told('<svg width="1"><g/></svg>', "margins", f"{description} <&")
    assert svg.startswith("<svg role='img' aria-labelledby='margins-title margins-desc' width=\"1\"><title")
    assert svg.endswith(f"{description} &lt;&amp;</desc><g/></svg>")


def test_nothing_chosen_leaves_a_chart_as_it_is() -> None:
    assert Facets("exactness").of(CHARTS["exactness"]) is CHARTS["exactness"]
