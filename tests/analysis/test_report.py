"""The report: numbers that are the store's, charts that a browser draws, nothing fetched from elsewhere."""

import html
import json
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analysis.charts import CHARTS, save
from analysis.errors import CannotWrite, NoData
from analysis.frames import along, counts, plane, scale
from analysis.report import command_without_folders, embedded, figure, sample, without_folders, write_report
from analysis.wording import headlines
from db.store import Store
from sweep.execution import records
from tests.db import store_rows as rows
from tests.marks import sampled
from tests.needs import CHROMIUM, lack

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-features=NetworkTimeServiceQuerying",
    "--proxy-server=127.0.0.1:9", "--virtual-time-budget=30000",
)  # fmt: skip

OF_THE_BROWSER = re.compile(
    r"(?:clients\d*|update|accounts|optimizationguide-pa|safebrowsing)[.\w-]*\.(?:google|googleapis)\.com"
)
"""Hosts that the browser asks for itself on an empty page; a closed port stands in for them."""


@pytest.fixture(scope="module")
def report(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(store_path, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def text(report: Path) -> str:
    return report.read_text(encoding="utf-8")


def test_head_says_how_many_runs_converged(text: str, store: Store) -> None:
    count = store.query("SELECT count(*) AS n FROM runs WHERE status = 'converged'")["n"][0].as_py()
    assert f"<li>{count} of 20 runs converged" in text


def test_head_says_how_far_from_exact_predictions(text: str, store: Store) -> None:
    (found,) = store.query(
        "SELECT max(distance) AS worst, count(*) AS runs FROM predictions WHERE prediction = 'minimum_q_norm'"
    ).to_pylist()
    worst, runs = found["worst"], found["runs"]
    sentence = re.search(
        rf"minimum_q_norm [^<]*exact at every α: {runs} runs ended within (\S+) of it", re.sub("<[^>]*>", "", text)
    )
    assert sentence
    assert float(sentence[1]) == pytest.approx(worst, rel=0.06)
    assert worst < 1e-5


def test_every_chart_is_there_with_its_caption_and_its_sql(text: str) -> None:
    for name, chart in CHARTS.items():
        assert f'<figure id="{name}">' in text
        assert html.escape(chart.shows, quote=False)[:60] in text.replace("&#39;", "'")
        for frame in chart.frames.values():
            assert frame.sql.strip() in html.unescape(text)


@pytest.mark.slow
def test_shown_sql_runs(store: Store) -> None:
    for chart in CHARTS.values():
        for frame in chart.frames.values():
            assert store.query(frame.sql).num_columns > 0


def test_provenance_is_there_and_escaped(text: str, grid_text: str) -> None:
    assert html.escape(grid_text, quote=False).strip() in text
    assert "<b>not markup</b>" not in text
    assert "0123abc" in text
    assert "jax 0.10.2" in text


def test_specifications_are_json_and_small(text: str) -> None:
    found = re.findall(r'<script type="application/json" id="spec-(\w+)">(.*?)</script>', text, flags=re.S)
    assert [name for name, _ in found] == list(CHARTS)
    assert all(json.loads(spec)["$schema"] for _, spec in found)


def test_nothing_is_loaded_from_elsewhere(text: str) -> None:
    page = re.sub(r"<script\b.*?</script>", "", text, flags=re.S)
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//|@import|url\(", page)
    assert not re.search(r"<script[^>]*\ssrc", text)


SWEEP: dict[str, Any] = {
    "sweep_id": "tiny-2", "name": "</script><script>alert(1)</script>", "created_at": datetime(2026, 1, 3),
    "command": "sweep launch /home/ada/secret/grid.yaml --store '/srv/my data/r.duckdb'", "host": "adas-laptop",
    "grid": "data: {file: /home/ada/my data/kite.csv, target: y}\nexclude: alpha/2 > 1\n", "git_sha": "4567def",
    "git_dirty": True, "git_diff": "+password = 'hunter2'",
}  # fmt: skip


@pytest.fixture
def passed_on(store: Store, tmp_path: Path) -> Store:
    """A store with names that close elements, and a launch that says much about its machine."""
    made = Store(tmp_path / "passed.duckdb")
    made.create()
    tables = copies(store, "architecture = 'diagonal'", 1, runs="'</script><img src=x>' AS architecture")
    made.commit({**tables, "sweeps": records.table("sweeps", {key: [value] for key, value in SWEEP.items()})})
    return made


def test_a_report_says_nothing_of_the_machine_unless_asked(
    passed_on: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.CHARTS", {"overview": CHARTS["overview"]})  # the others say as little
    plain = html.unescape(write_report(passed_on, tmp_path / "plain.html").read_text())
    for word in ("adas-laptop", "ada/", "/srv", "my data", "hunter2", str(tmp_path)):
        assert word not in plain
    for words in ("sweep launch grid.yaml --store r.duckdb", "{file: kite.csv, target: y}", "alpha/2 > 1", "4567def"):
        assert words in plain
    full = html.unescape(write_report(passed_on, tmp_path / "full.html", provenance=True).read_text())
    for word in ("adas-laptop", "/home/ada/secret/grid.yaml", "/home/ada/my data/kite.csv", "hunter2"):
        assert word in full


@pytest.mark.parametrize("name", sampled(["predictions", None, "overview", "initialisation_scale"], 4))
def test_a_label_does_not_leave_its_element(passed_on: Store, tmp_path: Path, name: str | None) -> None:
    output = tmp_path / "page.html"
    page = (save(name, passed_on, output) if name else write_report(passed_on, output)).read_text()
    assert r"\u003c/script>" in page or name == "overview"
    assert not re.search(r"</script><(?:img|script>alert)", page)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: /a/b/c.csv", "x: c.csv"),
        ("[/a/b.csv, '/c d/e.csv']", "[b.csv, 'e.csv']"),
        ("x: ~/a/b.csv", "x: b.csv"),
        ("x: ../../a/b.csv", "x: b.csv"),
        (r"x: C:\Users\ada\b.csv", "x: b.csv"),
        (r"x: \\server\share\b.csv", "x: b.csv"),
        ("file:///a/b.csv", "b.csv"),
        ("data/b.csv", "data/b.csv"),
        ("when: alpha/2 < 1 or depth / 3 > 1", "when: alpha/2 < 1 or depth / 3 > 1"),
        ("task: regression # </script>", "task: regression # </script>"),
    ],
)
def test_folders_are_taken_off_paths(text: str, expected: str) -> None:
    assert without_folders(text) == expected


def test_a_call_from_python_has_no_folders() -> None:
    said = command_without_folders("sweep.launch('/home/ada/secret/grid.yaml', store='a/b/r.duckdb', workers=2)")
    assert said == "sweep.launch('grid.yaml', store='r.duckdb', workers=2)"


def test_a_command_that_is_none_is_left_out() -> None:
    assert command_without_folders("it's") is None
    assert command_without_folders("sweep launch work/grid.yaml --set 'when=alpha/2 > 1'") == (
        "sweep launch grid.yaml --set 'when=alpha/2 > 1'"
    )


def test_an_empty_store_has_no_report(empty: Path, tmp_path: Path) -> None:
    with pytest.raises(NoData, match="the store holds no runs; run `sweep launch"):
        write_report(empty, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_an_output_that_cannot_be_written_is_named(store_path: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"none/report.html cannot be written"):
        write_report(store_path, tmp_path / "none" / "report.html")


def copies(store: Store, where: str, count: int, **changes: str) -> dict[str, pa.Table]:
    """Tables of runs that are the same but for their ids, and for what SQL changes in a table."""
    replaced = {
        name: f", {changes[name]}" if name in changes else "" for name in ("runs", "predictions", "trajectories")
    }
    return {
        name: store.query(
            f"SELECT * EXCLUDE (i) REPLACE (md5(run_id || i) AS run_id{change}) FROM {name}, range({count}) g(i) "
            f"WHERE run_id IN (SELECT run_id FROM runs WHERE {where})"
        )
        for name, change in replaced.items()
    }


OUT_OF_STEPS = {"runs": "'stopped' AS status", "predictions": "0.626 AS distance"}


@pytest.mark.slow
def test_runs_out_of_steps_are_no_evidence_but_counted(store: Store, tmp_path: Path) -> None:
    part = Store(tmp_path / "part.duckdb")
    part.create()
    part.commit(copies(store, "architecture = 'diagonal'", 2, **OUT_OF_STEPS))
    none = write_report(part.path, tmp_path / "none.html").read_text()
    assert re.search(r"minimum_q_norm [^<]*exact at every α: none of 10 runs converged\.", none)
    assert re.search(r"weighted_l1 [^<]*: none of 10 runs converged\.", none)
    assert "the store holds no converged runs with a prediction" in none
    chosen = "WHERE run_id IN (SELECT run_id FROM runs WHERE architecture = 'diagonal')"
    part.commit({name: store.query(f"SELECT * FROM {name} {chosen}") for name in ("runs", "predictions")})
    some = re.sub("<[^>]*>", "", write_report(part.path, tmp_path / "some.html").read_text())
    sentence = re.search(
        r"minimum_q_norm .*every α: 5 runs ended within (\S+) of it, .*; 10 more did not converge\.", some
    )
    assert sentence
    assert float(sentence[1]) < 1e-5
    assert re.search(r"weighted_l1 .* at α = 10 and .* at α = 0\.01 \(5 runs; 10 more did not converge\)\.", some)
    summary = counts.PREDICTIONS.read(part)
    for frame in (summary, counts.PREDICTIONS_BY_NETWORK.read(part)):
        expected = {name: (3, 6) if name == "lasso_path" else (5, 10) for name in frame["prediction"]}  # of alpha < 1
        assert {
            name: (runs, out) for name, runs, out in frame.select("prediction", "runs", "left_out").rows()
        } == expected
    assert summary.filter(kind="exact")["worst"].max() < 1e-5
    ends = counts.LIMITS.read(part).filter(prediction="weighted_l1").select("at_smallest", "at_largest")
    alone = counts.LIMITS.read(store, "architecture = 'diagonal'")
    assert ends.equals(alone.filter(prediction="weighted_l1").select(ends.columns))


@pytest.mark.slow
def test_charts_without_data_are_left_out_with_the_reason(store: Store, tmp_path: Path) -> None:
    part = Store(tmp_path / "part.duckdb")
    part.create()
    part.commit(copies(store, "task = 'classification'", 1))
    text = write_report(part.path, tmp_path / "part.html").read_text()
    assert "Charts left out" in text
    assert '<figure id="regression_paths">' not in text
    assert "the store holds no regression runs on data of dimension 2" in text
    assert '<figure id="classification_paths">' in text


@pytest.mark.slow
def test_figures_of_many_runs_are_of_a_sample_that_is_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts and tables are of all runs all the same; the SQL beside a figure is that of its sample."""
    monkeypatch.setattr("analysis.sample.DRAWN_RUNS", 10)
    text = html.unescape(write_report(store, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "of 20 runs converged" in text
    condition = "run_id < '800000'"
    assert f"a random sample was taken for this figure: {condition}." in text
    assert f"WITH runs AS (SELECT * FROM main.runs WHERE ({condition}))" in text
    assert [sample(runs) for runs in (9, 10, 40)] == ["true", "true", "run_id < '400000'"]


@pytest.mark.slow
def test_many_runs_make_no_large_report(store: Store, tmp_path: Path) -> None:
    many = Store(tmp_path / "many.duckdb")
    many.create()
    many.commit(copies(store, "true", 60))
    frames: dict[str, Any] = {name: getattr(along, name).read(many) for name in ("REGRESSION_DISTANCE", "MARGINS")}
    assert all((frame["runs"] <= along.MOST_RUNS).all() for frame in frames.values())
    assert frames["MARGINS"]["runs_of_series"].max() == 240
    points = scale.LIMIT_POINTS.read(many)
    assert points.group_by("architecture", "limit_prediction", "depth").len()["len"].max() == scale.MOST_POINTS
    drawn = plane.REGRESSION_ORBITS.read(many)
    assert drawn["run_id"].n_unique() <= plane.MOST_RUNS * drawn.select("architecture", "alpha", "depth").n_unique()
    heaviest = ("regression_paths", "classification_paths", "initialisation_scale", "regression_distance")
    sizes = [len(embedded(figure(name, CHARTS[name], many).spec)) for name in heaviest]
    assert 0 < min(sizes) < sum(sizes) < 2_500_000


@pytest.mark.slow
def test_chromium_draws_every_chart_and_asks_the_network_for_nothing(report: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        lack("chromium", "none on PATH")
    log = tmp_path / "net.json"
    done = subprocess.run(
        [
            str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--dump-dom",
            report.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    for name in CHARTS:
        figure = re.search(rf'<figure id="{name}">.*?</figure>', done.stdout, flags=re.S)
        assert figure, name
        assert "could not be drawn" not in figure[0]
        drawn = re.findall(r'class="mark-(?:line|area|symbol|rect|rule) role-mark', figure[0])
        assert drawn, name
        assert 'd="M' in figure[0]
        assert "NaN" not in figure[0], name
    requested = set(re.findall(r'"url":\s*"(?:https?|wss?)://([^"/]+)', log.read_text()))
    assert {host for host in requested if not OF_THE_BROWSER.fullmatch(host)} == set()


def test_runs_without_a_distance_are_not_shown_as_agreement(empty: Path) -> None:
    """As loss_rate, before a margin is: no distance is no small one."""
    store = Store(empty)
    predictions = rows.predictions(["a", "b"], certificate=None, beta=None, distance=None)
    store.commit({"runs": rows.runs(["a", "b"]), "predictions": predictions})
    (head,) = counts.HEAD.read(store).iter_rows(named=True)
    (row,) = counts.PREDICTIONS.read(store).iter_rows(named=True)
    assert (row["runs"], row["without_distance"]) == (2, 2)
    assert row["median"] is row["high"] is row["worst"] is None
    (sentence,) = headlines(head, counts.ENDS.read(store), counts.PREDICTIONS.read(store), counts.LIMITS.read(store))[
        2:
    ]
    assert "2 runs ended before a distance from it is defined" in sentence


@pytest.mark.parametrize(("bad", "said"), [(1, "1 run ended within 0.5 of it"), (2, "")])
def test_what_is_not_certified_is_said_and_not_measured(bad: int, said: str, empty: Path) -> None:
    store = Store(empty)
    names = ["a", "b"]
    parts = [
        rows.predictions(names[bad:], certificate=1e-12),
        rows.predictions(names[:bad], certificate=0.3, beta=None, distance=None),
    ]
    store.commit({"runs": rows.runs(names), "predictions": pa.concat_tables(parts)})
    (head,) = counts.HEAD.read(store).iter_rows(named=True)
    (row,) = counts.PREDICTIONS.read(store).iter_rows(named=True)
    assert (row["runs"], row["without_distance"], row["uncertified"]) == (2, bad, bad)
    (sentence,) = headlines(head, counts.ENDS.read(store), counts.PREDICTIONS.read(store), counts.LIMITS.read(store))[
        2:
    ]
    assert f"the prediction itself is not certified for {bad} run" in sentence
    assert said in sentence
