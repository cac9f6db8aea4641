"""A store in Python: frames of its views, SQL, charts that hold their data."""

from pathlib import Path

import altair as alt
import duckdb
import pytest

import analysis
from analysis import load
from analysis.errors import BadFilter, NoRun, UnknownChart
from db.errors import NoStore, NotAStore, QueryError


@pytest.fixture(scope="module")
def results(store_path: Path) -> analysis.Results:
    return load(store_path)


@pytest.mark.parametrize("name", ["runs", "convergence", "orbits"])
def test_frames_are_the_views(name: str, results: analysis.Results, store_path: Path) -> None:
    with duckdb.connect(store_path, read_only=True) as client:
        (rows,) = client.execute(f"SELECT count(*) FROM {name}").fetchone() or (None,)
        columns = [column[0] for column in client.execute(f"DESCRIBE {name}").fetchall()]
        (deep,) = client.execute(f"SELECT count(*) FROM {name} WHERE alpha = 0.1 OR seed = 1").fetchone() or (None,)
    frame = getattr(results, name)()
    assert (frame.height, frame.columns) == (rows, columns)
    assert getattr(results, name)("alpha = 0.1 OR seed = 1").height == deep
    assert 0 < deep < rows


def test_an_orbit_is_in_order(results: analysis.Results) -> None:
    orbit = results.orbits("architecture = 'diagonal' AND alpha = 0.1")
    assert orbit["run_id"].n_unique() == 1
    assert orbit["point"].to_list() == list(range(1, orbit.height + 1))
    assert orbit["residual"][0] == 1


def test_sql(results: analysis.Results) -> None:
    found = results.sql("SELECT count(*) AS n FROM runs WHERE architecture = ? AND alpha = ?", ["diagonal", 0.1])
    assert found.rows() == [(1,)]
    for hostile in ("DROP TABLE runs", "SELECT * FROM read_csv('/etc/passwd')", "SELECT 1; SELECT 2"):
        with pytest.raises(QueryError):
            results.sql(hostile)


def test_a_condition_is_one_expression_on_the_columns_of_its_view(results: analysis.Results) -> None:
    for hostile in ("true) UNION (SELECT * FROM runs", "true --", "true; DROP TABLE runs"):
        with pytest.raises(BadFilter, match="write one SQL expression"):
            results.convergence(hostile)
    with pytest.raises(BadFilter, match=r"of `convergence`: .*did you mean distance"):
        results.convergence("distanse < 1")


@pytest.mark.slow
def test_a_chart_holds_its_data_and_changes_no_setting(results: analysis.Results) -> None:
    before = (alt.data_transformers.active, dict(alt.data_transformers.options))
    drawn = results.chart("regression_paths", where="depth = 2")
    assert (alt.data_transformers.active, dict(alt.data_transformers.options)) == before
    with alt.data_transformers.enable("default", max_rows=1):  # a notebook's own, which a large chart would exceed
        spec = drawn.to_dict()
    assert sum(map(len, spec["datasets"].values())) > 100
    assert isinstance(drawn, alt.TopLevelMixin)
    with pytest.raises(UnknownChart, match="did you mean regression_paths"):
        results.chart("regression_path")
    with pytest.raises(NoRun, match="no run of the store meets"):
        results.chart("regression_paths", where="depth = 9")


def test_what_it_says_of_itself(results: analysis.Results, store_path: Path, empty: Path) -> None:
    assert repr(results) == f"{store_path}: {results.runs().height} converged"
    assert repr(load(empty)) == f"{empty}: no runs yet"


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(NoStore, match="does not exist"):
        load(tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("no database")
    with pytest.raises(NotAStore):
        load(tmp_path / "text.duckdb")


def test_names_are_there_when_they_are_asked_for() -> None:
    assert {"Results", "load"} <= set(dir(analysis))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        analysis.lode  # noqa: B018
