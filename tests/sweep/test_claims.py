"""Every claim, whatever its row says: its grid plans, its queries answer, it fails where it should, and it passes."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from analysis.charts import CHARTS
from analysis.claims import CLAIMS, COLUMNS, GRIDS, Claim, Verdict, evaluate
from analysis.claims.page import FAMILIES, write_html, write_markdown
from analysis.claims.separable import ODECO
from analysis.claims.wording import escaped, numbers, symbols
from db.store import Store
from kernels.networks.decomposable import Odeco
from sweep.claims import chosen, grids, launch, together
from sweep.cli import app
from sweep.cli.claims import _lines
from sweep.execution.session import Options
from sweep.grid import shipped
from sweep.grid.expansion import Expansion
from sweep.grid.grid import Grid
from sweep.grid.mistakes import GridError
from tests.marks import sampled

EVERY = list(CLAIMS.values())
each_claim = pytest.mark.parametrize("claim", EVERY, ids=list(CLAIMS))


def ids(grid: Grid) -> set[str]:
    return {candidate.run_id for candidate in Expansion(grid).candidates()}


class Direct:
    """A store on one connection, for a hundred queries."""

    def __init__(self, path: Path):
        self.connection = duckdb.connect(path, read_only=True)

    def query(self, sql: str, /) -> pa.Table:
        return self.connection.execute(sql).to_arrow_table()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> "Direct":
    store = Store(tmp_path_factory.mktemp("claims") / "empty.duckdb")
    store.create()
    return Direct(store.path)


def values(*figures: float | None, converged: int = 1, x: int = 2) -> str:
    """A query of one case a figure, all at one x."""
    rows = ", ".join(f"('a', {x}, 1, {converged}, {'NULL' if f is None else f}::DOUBLE)" for f in figures)
    return f"SELECT * FROM (VALUES {rows}) AS t({', '.join(COLUMNS)})"


def made(cases: str, rival: str = values(1.0), **more: Any) -> Claim:
    """A claim of given cases, bounded by a tenth."""
    some = {"number": "4.1", "statement": "s", "kind": "exact", "reference": "r", "grid": "claims-regression"}
    some |= {"figure": "f", "why": "w", "instead": "another", "across": "depth L"}
    return Claim(cases=cases, rival=rival, bound=0.1, **{**some, **more})


@each_claim
def test_a_claim_is_complete(claim: Claim) -> None:
    for text in (claim.statement, claim.reference, claim.figure, claim.why, claim.instead, claim.across):
        assert text
        assert not text.endswith(".") or text == claim.statement
    assert claim.statement.endswith(".")
    assert claim.grid.removeprefix("claims-") in GRIDS
    assert claim.grid in claim.cases
    assert claim.number.split(".")[0] in FAMILIES
    assert not claim.chart or claim.chart in CHARTS
    assert claim.cases != claim.rival


@each_claim
def test_its_queries_answer_and_without_runs_it_fails_in_words(claim: Claim, empty: Direct) -> None:
    verdict = evaluate(claim, empty)
    assert not verdict.passed
    assert verdict.faults == ("the store has no run of it",)


@pytest.mark.parametrize("name", sampled(list(GRIDS), 4))
def test_a_grid_plans_and_its_quick_runs_are_some_of_its_runs(name: str) -> None:
    of_it = [claim for claim in EVERY if claim.grid == f"claims-{name}"]
    assert of_it, f"no claim asks {name}"
    (whole,), (quick,) = grids(of_it), grids(of_it, quick=True)
    assert whole.name == f"claims-{name}"
    assert ids(quick) < ids(whole)


def test_every_file_is_a_grid_of_claims() -> None:
    assert {path.stem for path in (shipped.folder() / "claims").glob("*.yaml")} == set(GRIDS)


def test_together_they_ask_for_the_same_runs() -> None:
    some = grids([CLAIMS["8.6"], CLAIMS["5.1"]])
    assert ids(together(some)) == set.union(*map(ids, some))


def test_claims_stand_in_the_order_of_their_numbers() -> None:
    numbers = list(CLAIMS)
    assert numbers[numbers.index("7.9") :][:3] == ["7.9", "7.10", "8.1"]


def test_claims_are_chosen_by_number_and_by_family() -> None:
    assert chosen([]) == EVERY
    assert chosen(["4.1"]) == [CLAIMS["4.1"]]
    assert chosen(["5", "4.1"]) == [CLAIMS["4.1"], CLAIMS["5.1"], CLAIMS["5.2"]]
    with pytest.raises(GridError, match=r"claim: unknown '4\.11'; did you mean '4\.1'"):
        chosen(["4.11"])


def test_a_figure_within_its_bound_passes(empty: Direct) -> None:
    verdict = evaluate(made(values(0.01, 0.1)), empty)
    assert verdict.passed
    assert (verdict.runs, verdict.worst, verdict.rival) == (2, 0.1, 1.0)
    assert evaluate(made(values(0.2, 0.1), rival=values(0.01), least=True), empty).passed


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (made(values(0.01, 0.11)), "the bound is broken"),
        (made(values(0.2, 0.09), rival=values(0.01), least=True), "the bound is broken"),
        (made(values(0.01, None)), "1 cases have no figure"),
        (made(values(0.01, float("1e309")).replace("inf", "'inf'")), "1 cases have no figure"),
        (made(values(0.01, 0.02, converged=0)), "2 of 2 runs did not converge"),
        (made(values(0.01), rival=values(0.01, 0.02, 1.0)), "the rival keeps the bound too"),
        (
            made(values(0.01), rival=f"{values(5.0, 5.0, 5.0)} UNION ALL {values(0.01, x=3)}"),
            "the rival keeps the bound",
        ),
        (made(values(0.01), rival=values(None)), "the rival has no figure"),
        (made(values(0.01), rival=f"{values(5.0)} UNION ALL {values(None, x=3)}"), "the rival has no figure"),
    ],
)
def test_a_claim_fails_and_says_why(claim: Claim, words: str, empty: Direct) -> None:
    verdict = evaluate(claim, empty)
    assert not verdict.passed
    assert any(words in fault for fault in verdict.faults)


def test_the_rival_is_judged_where_it_is_nearest_to_the_bound(empty: Direct) -> None:
    assert evaluate(made(values(0.01), rival=f"{values(5.0, 9.0)} UNION ALL {values(3.0, x=3)}"), empty).rival == 3.0
    least = made(values(0.2), rival=f"{values(0.01)} UNION ALL {values(0.02, x=3)}", least=True)
    assert evaluate(least, empty).rival == 0.02


def test_limits_whose_bound_is_not_one_are_those_that_the_page_names() -> None:
    """Claims of family 8 are no limits: their gap stays open."""
    limits = [claim for claim in EVERY if "limit" in claim.kind]
    assert [claim.number for claim in limits if claim.bound != 1] == ["4.2", "4.3", "4.5"]


def test_the_norm_of_odeco_is_that_of_the_networks_in_the_grid() -> None:
    (grid,) = grids([CLAIMS["2.3"]])
    specs = [candidate.spec for candidate in Expansion(grid).candidates() if candidate.spec.architecture == "odeco"]
    found = [Odeco(each.data["gaussian"]["dim"], each.depth, seed=each.seed).decomposition() for each in specs]
    norms = [np.linalg.norm(each.s, 2) for each in found if each is not None]
    assert len(norms) == len(specs)
    assert ODECO - 0.01 < max(norms) <= ODECO


def test_no_line_is_longer_than_eighty_columns(empty: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = [
        Verdict(claim, 1234, 1.2345e-8, 0.123456, ("the bound is broken",), "x " * 60) for claim in EVERY
    ] + [evaluate(claim, empty) for claim in EVERY]  # fmt: skip
    lines = list(_lines(told, Path("claims.duckdb"), 12.0))
    assert max(map(len, lines[:-1])) <= 80
    text = " ".join(" ".join(lines).split())
    assert all(claim.statement in text and claim.number in text for claim in EVERY)


def test_numbers_of_a_verdict() -> None:
    claim = made(values(0.01), kind="limit alpha->0")
    assert numbers(Verdict(claim, 3, 0.012345, 1.0, ())) == "limit α→0; 3 runs; worst 0.012 <= 0.1; rival 1"
    assert numbers(Verdict(claim, 0, None, None, ("x",))) == "limit α→0; 0 runs; worst – <= 0.1; rival –"


def test_signs_of_a_page() -> None:
    assert symbols("as alpha -> 0, beta_1 <= |eta|^(2-L); alphabet") == "as α → 0, β_1 ≤ |η|^(2-L); alphabet"
    assert escaped("beta* <= |eta|") == r"β\* ≤ \|η\|"


@pytest.mark.slow
def test_pages_say_what_failed(empty: Direct, tmp_path: Path) -> None:
    verdicts = [evaluate(claim, empty) for claim in EVERY] + [evaluate(made(values(0.01, 0.02)), empty)]
    html = write_html(verdicts, empty, tmp_path / "claims.html", "two <cores>", False).read_text(encoding="utf-8")
    assert "two &lt;cores&gt;" in html
    assert html.count("the store has no run of it") == len(EVERY)
    assert "<svg" in html
    page = write_markdown(verdicts, empty, tmp_path / "claims.md", "two cores", True).read_text(encoding="utf-8")
    assert all(escaped(claim.statement) in page for claim in EVERY)
    table = [line for line in page.splitlines() if line.startswith("| [")]
    assert {len(line.replace("\\|", "").split("|")) for line in table} == {9}
    assert [path.name for path in (tmp_path / "claims").iterdir()] == ["4.1.svg"]


def test_sql_is_printed_without_a_run_and_can_be_asked(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["claims", "4.1", "--sql"])
    assert ended.exit_code == 0
    assert CLAIMS["4.1"].cases.strip() in ended.stdout
    Store(tmp_path / "results.duckdb").create()
    asked = CliRunner().invoke(app, ["query", ended.stdout.strip(), "--store", str(tmp_path / "results.duckdb")])
    assert asked.exit_code == 0
    assert asked.stdout.split()[:5] == list(COLUMNS)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of all claims, quick."""
    path = tmp_path_factory.mktemp("claims") / "claims.duckdb"
    launch(EVERY, Options(store=path, local=True, quiet=True), quick=True)
    return path


@pytest.mark.slow
def test_all_claims_hold_and_each_could_fail(quick: Path, tmp_path: Path) -> None:
    store = Store(quick)
    for claim in EVERY:
        verdict = evaluate(claim, store)
        assert verdict.passed, (claim.number, verdict.worst, verdict.faults)
        assert not evaluate(dataclasses.replace(claim, cases=claim.rival, rival=claim.cases), store).passed
    shutil.copy(quick, tmp_path / "copy.duckdb")
    ended = CliRunner().invoke(
        app, ["claims", "--quick", "--executor", "local", "--store", str(tmp_path / "copy.duckdb")]
    )
    assert ended.exit_code == 0
    assert f"{len(EVERY)} claims: {len(EVERY)} PASS, 0 FAIL" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "right", "wrong"),
    [
        ("2.2", "(-2 / m.depth)", "(-2.1 / m.depth)"),
        ("2.3", "(-2 / m.depth)", "(-2.2 / m.depth)"),
        ("3.1", "+ ln(b.clock / a.clock))", "+ 1.05 * ln(b.clock / a.clock))"),
        ("3.3", "+ ln(b.clock / a.clock))", "+ 1.2 * ln(b.clock / a.clock))"),
        ("4.4", "- depth * ln(alpha)", "- 1.05 * depth * ln(alpha)"),
        ("6.2", "- 1 * ln(alpha)", "- 1.05 * ln(alpha)"),
        ("6.3", "+ ln(b.clock / a.clock) / m.depth)", "+ 1.05 * ln(b.clock / a.clock) / m.depth)"),
        ("7.2", "(1 - 1 / sqrt(7)) * ln(", "1.05 * (1 - 1 / sqrt(7)) * ln("),
        ("7.3", "+ ln(b.clock / a.clock) / m.depth)", "+ 1.05 * ln(b.clock / a.clock) / m.depth)"),
        ("7.5", "- sqrt(5 / 2) * m.alpha)", "- 1.05 * sqrt(5 / 2) * m.alpha)"),
    ],
)
def test_a_rate_that_is_a_little_wrong_breaks_the_bound(number: str, right: str, wrong: str, quick: Path) -> None:
    """By a twentieth; of 2.3 and 3.3, whose next orders are larger, by a tenth and a fifth."""
    claim = CLAIMS[number]
    assert claim.cases.count(right) == 1
    other = evaluate(dataclasses.replace(claim, cases=claim.cases.replace(right, wrong)), Store(quick))
    assert "the bound is broken" in other.faults


@pytest.mark.slow
@each_claim
def test_a_claim_fails_where_its_runs_did_not_converge(claim: Claim, quick: Path) -> None:
    """The same query of a store in which no run converged."""
    cases = claim.cases.replace("SELECT * FROM runs SEMI", "SELECT * REPLACE ('stopped' AS status) FROM runs SEMI")
    verdict = evaluate(dataclasses.replace(claim, cases=cases), Store(quick))
    assert any("did not converge" in fault for fault in verdict.faults)
