"""Commands about stores: what people are told, what programs get, and what is refused."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from db.check import check
from db.store import Store
from tests.db import store_rows as rows
from tests.sweep.test_cli import invoke, refused

FIRST, SECOND, OTHER = "20260102T000000-aaaa1111", "20260103T000000-bbbb2222", "20260103T000000-abcd3333"
GRID = "name: grid\ntask: regression\n"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two sweeps that share the run c1, and one of another name that is pending."""
    store = Store(tmp_path_factory.mktemp("kept") / "kept.duckdb")
    store.create()
    store.commit(rows.whole(["c0", "c1"], sweep_id=FIRST) | rows.sweep(FIRST, ["c0", "c1"], grid=GRID, git_diff="a\nb"))
    second: dict[str, Any] = {"alpha": 0.5, "depth": 3, "status": "stopped", "init_detail": '{"eta":"uniform"}'}
    store.commit(rows.whole(["d0"], sweep_id=SECOND, **second))
    store.commit(rows.sweep(SECOND, ["c1", "d0"], created_at=datetime(2026, 1, 3), shard="2/3"))
    store.commit(rows.sweep(OTHER, ["p"], name="other", created_at=datetime(2026, 1, 3, 1)))
    return store.path


@pytest.fixture
def store(kept: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "kept.duckdb"
    copy.write_bytes(kept.read_bytes())
    return copy


def answer(*arguments: object, store: Path | None = None) -> Any:
    done = invoke(*arguments, "--json", store=store)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_list_is_a_row_a_sweep_latest_first(kept: Path) -> None:
    assert invoke("list", store=kept).stdout.splitlines() == [
        "sweep     when              name   shard  runs",
        "--------  ----------------  -----  -----  ----------------------",
        "abcd3333  2026-01-03 01:00  other         1 pending",
        "bbbb2222  2026-01-03 00:00  grid   2/3    1 converged, 1 stopped",
        "aaaa1111  2026-01-02 00:00  grid          2 converged",
    ]
    found = answer("list", store=kept)["sweeps"]
    assert [(row["sweep_id"], row["shard"], row["pending"]) for row in found] == [
        (OTHER, None, 1), (SECOND, "2/3", 0), (FIRST, None, 0),
    ]  # fmt: skip


def test_tags_and_notes_are_listed(store: Path) -> None:
    assert answer("tag", "aaaa", "final", "talk", store=store) == {"sweep_id": FIRST, "tags": ["final", "talk"]}
    assert answer("note", "other", "a\x1b[31mnote", store=store)["sweep_id"] == OTHER
    listed = invoke("list", store=store).stdout
    assert "final, talk" in listed
    assert r"a\x1b[31mnote" in listed
    assert [row["sweep_id"] for row in answer("list", "--tag", "talk", store=store)["sweeps"]] == [FIRST]
    assert "no sweep has the tag none" in invoke("list", "--tag", "none", store=store).stdout
    assert answer("tag", FIRST, "talk", "--remove", store=store)["tags"] == ["final"]
    refused(invoke("tag", FIRST, "talk", "--remove", store=store), "has no tag 'talk'; it has final")


@pytest.mark.parametrize("command", [["tag", "{}", "x"], ["note", "{}", "x"], ["forget", "--yes", "--sweep", "{}"]])
def test_a_sweep_that_is_none_or_several_is_named(store: Path, command: list[str]) -> None:
    before = store.read_bytes()
    several = "several sweeps may be meant by 'grid': bbbb2222 (grid, 2026-01-03"
    for word, words in (("grid", several), ("zz", "no sweep")):
        refused(invoke(*(part.replace("{}", word) for part in command), store=store), words)
    refused(invoke(*(part.replace("{}", "") for part in command), store=store), "no sweep")
    assert store.read_bytes() == before


def test_show_shows_a_sweep_too(kept: Path) -> None:
    shown = invoke("show", "aaaa1111", store=kept).stdout
    assert shown.endswith(f"\ngrid\n{GRID}")
    assert f"git_diff      2 lines; sweep show {FIRST} --json has them" in shown.splitlines()
    found = answer("show", "other", store=kept)["sweep"]
    assert (found["sweep_id"], found["pending"]) == (OTHER, 1)
    assert answer("show", "d", store=kept)["run"][0]["run_id"] == "d0"
    refused(invoke("show", "c", store=kept), "several are meant by 'c': runs c0, c1; write more of the id")
    refused(invoke("show", "a", store=kept), "several are meant by 'a': sweeps abcd3333 (other")


def test_diff_of_two_sweeps(kept: Path) -> None:
    assert invoke("diff", "aaaa", "bbbb", store=kept).stdout.splitlines() == [
        f"A  {FIRST}",
        f"B  {SECOND}",
        "runs: 1 only in A, 1 only in B, 1 in both",
        "depth: only in B 3",
        'init: only in B structured {"eta":"uniform"}',
        "alpha: only in B 0.5",
    ]
    found = answer("diff", "aaaa", "bbbb", store=kept)
    assert (found["only_a"], found["only_b"], found["both"], found["ends"]) == (["c0"], ["d0"], 1, None)
    assert found["axes"]["depth"] == {"only_a": [], "only_b": [3]}


@pytest.mark.slow
def test_diff_of_two_stores_compares_ends(kept: Path, tmp_path: Path) -> None:
    other = Store(tmp_path / "other.duckdb")
    other.create()
    other.commit(rows.whole(["c0"], beta=[0.0, 0.5 + 4e-6]))
    other.commit(rows.whole(["c1"], beta=[0.0, 0.25]) | rows.sweep("s9", ["c1"], name="theirs"))
    other.commit(rows.whole(["d0"], alpha=0.5, depth=3))
    found = answer("diff", kept, other.path, store=tmp_path / "none.duckdb")
    ends = found["ends"]
    assert (ends["compared"], ends["beyond"], ends["statuses"], found["both"]) == (2, 1, 1, 3)
    assert [row["run_id"] for row in ends["worst"]] == ["d0", "c1", "c0"]
    assert ends["worst"][1]["distance"] == pytest.approx(0.5)
    assert ends["worst"][2]["distance"] == pytest.approx(8e-6, rel=1e-3)
    lines = invoke("diff", FIRST, f"{other.path}:theirs", store=kept).stdout.splitlines()
    assert "1 runs converged in both; 1 ended farther apart than 100 rtol" in lines
    assert lines[-1].split() == ["c1", "diagonal", "2", "0.1", "0", "0.5"]
    assert all(len(line) <= 80 for line in lines[2:])
    refused(invoke("diff", FIRST, "none.duckdb", store=kept), "'none.duckdb' is no file, and no sweep of")


def test_forget_says_what_goes_and_asks(store: Path) -> None:
    before = store.read_bytes()
    said = [
        f"1 sweep ({FIRST}) and 1 runs go (1 converged)",
        "1 runs stay, since other sweeps asked for them",
        "of 1 that stay the record of the code that computed them goes with their sweep",
    ]
    done = invoke("forget", "--sweep", "aaaa", "--dry-run", store=store)
    assert done.stdout.splitlines() == [f"{store}: {said[0]}", *said[1:], "nothing was removed"]
    done = invoke("forget", "--sweep", "aaaa", store=store)  # no answer: no terminal
    assert (done.exit_code, said[0] in done.stdout, "nothing was removed" in done.stderr) == (1, True, True)
    assert store.read_bytes() == before
    found = answer("forget", "--sweep", "aaaa", "--yes", store=store)
    assert (found["sweeps"], found["statuses"], found["removed"]) == ([FIRST], {"converged": 1}, 1)
    assert [row["sweep_id"] for row in answer("list", store=store)["sweeps"]] == [OTHER, SECOND]
    assert answer("forget", "--where", "status = 'stopped'", "--yes", store=store)["removed"] == 1
    assert check(Store(store)).whole
    for wrong in ([], ["--sweep", "bbbb", "--where", "true"]):
        refused(invoke("forget", *wrong, store=store), "--sweep SWEEP or --where CONDITION, one of them")
    refused(invoke("forget", "--where", "alpha >", store=store), "--where alpha >: write one SQL expression")


@pytest.mark.slow
def test_merge_tells_what_came_and_what_differs(kept: Path, tmp_path: Path) -> None:
    other, target = Store(tmp_path / "other.duckdb"), tmp_path / "all.duckdb"
    other.create()
    other.commit(rows.whole(["c0", "e"], beta=[0.0, 0.75]) | rows.sweep("s9", ["c0", "e"]))
    lines = invoke("merge", target, kept, other.path).stdout.splitlines()
    assert lines[:2] == [
        f"{kept}: 3 runs new, 0 there already; 3 sweeps new",
        f"{other.path}: 1 runs new, 1 there already; 1 sweep new",
    ]
    assert lines[-1] == f"{target}: 4 runs and 4 sweeps added"
    assert any(line.split() == ["c0", "converged", "there,", "converged", "here", "3.3e-01"] for line in lines)
    target.unlink()
    done = invoke("merge", target, kept, other.path, "--strict", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["merged"], found["sources"][1]["apart"], target.exists()) == (1, False, 1, False)
    refused(invoke("merge", kept, kept), "are one store; name each once")


def test_export_counts_what_it_wrote(kept: Path, tmp_path: Path) -> None:
    found = answer("export", tmp_path / "out", store=kept)
    assert (found["rows"]["runs"], found["rows"]["sweeps"]) == (3, 3)
    refused(invoke("export", tmp_path / "out", store=kept), "--force")
    assert invoke("export", tmp_path / "out", "--force", store=kept).exit_code == 0
