"""Versions of workers: what the digest covers, and a worker that differs ends the sweep and costs no run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from db.store import Store
from sweep.execution import versions
from sweep.execution.executors import Lost
from sweep.execution.refusal import OtherVersionError, refusal, unloadable
from sweep.execution.versions import CODE, code_digest, differences, folder
from sweep.execution.worker import Finished, Raised, Refused
from tests.sweep.conftest import SMALL, Launch, counts_of

ROOT = folder("sweep").parent


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the code that the digest covers, and of a chart."""
    for name in {path.relative_to(ROOT) for pattern in (*CODE, "analysis/report.py") for path in ROOT.glob(pattern)}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def digest_below(root: Path) -> str:
    return code_digest({name: root / name for name in ("kernels", "sweep", "db")})


def test_the_digest_is_of_what_moves_numbers(copied: Path) -> None:
    def altered(name: str) -> str:
        path = copied / name
        text = path.read_bytes()
        path.write_bytes(text + b"\n")
        try:
            return digest_below(copied)
        finally:
            path.write_bytes(text)

    same = digest_below(ROOT)
    assert digest_below(copied) == same == versions.versions()["code"]
    assert altered("analysis/report.py") == same
    for name in ("kernels/integrator/lane.py", "kernels/theory/table.py", "sweep/execution/worker.py", "db/models.py"):
        assert altered(name) != same
    spread = {name: (copied / name).rename(copied / f"apart-{name}") for name in ("kernels", "sweep", "db")}
    assert code_digest(spread) == same  # as Ray unpacks them, each in a folder of its own
    (spread["kernels"] / "new.py").touch()
    assert code_digest(spread) != same


@pytest.mark.slow
def test_every_module_that_a_worker_imports_from_db_and_sweep_is_covered() -> None:
    code = (
        "import sys, sweep.execution.worker, sweep.execution.records\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('sweep', 'db', 'analysis')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    packages = {"db", "sweep", "sweep.execution"}
    imported = set(done.stdout.split()) - packages
    assert imported == {name.removesuffix(".py").replace("/", ".") for name in CODE if "*" not in name}


def test_differences_are_said_from_both_sides() -> None:
    ours = {"jax": "1", "numpy": "2", "scipy": "3", versions.OURS: "0.1.0"}
    assert differences(ours, {"jax": "1", "numpy": "2.1", "extra": "9"}) == (
        "numpy 2 here, 2.1 there",
        "scipy 3 here, not installed there",
        "extra not installed here, 9 there",
    )
    assert differences(ours, {**ours, versions.OURS: "0.2.0"}) == ("gradient-flow-sweep 0.1.0 here, 0.2.0 there",)
    assert differences(ours, ours) == ()


def test_an_answer_of_another_version_is_refused_by_the_driver_too() -> None:
    mine = versions.versions()
    assert refusal(Finished({}, 1.0, "a:1", mine)) is None
    assert refusal(Raised("E", "T", "a:1")) is None
    assert refusal(Lost("gone")) is None
    of_before = refusal(Finished({}, 1.0, "a:1"))
    assert of_before is not None
    assert "does not say its version" in of_before.error
    other = refusal(Raised("E", "T", "a:1", versions={**mine, "jax": "0"}))
    assert other is not None
    assert other.reasons == (f"jax {mine['jax']} here, 0 there",)


def test_what_is_missing_on_a_machine_is_named() -> None:
    text = "ray::run_batch()\nRuntimeError: failed to import:\n\nModuleNotFoundError: No module named 'clarabel'\n"
    assert unloadable("10.0.0.7", text) == Refused(("the Python package clarabel is missing there",), "10.0.0.7")
    assert unloadable("10.0.0.7", "x\nAttributeError: no Payload").reasons[0].endswith("AttributeError: no Payload")


@pytest.mark.slow
def test_a_refusal_stops_the_sweep_and_no_run_has_failed(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = versions.versions()
    with monkeypatch.context() as patch:
        patch.setattr("sweep.execution.worker.versions", lambda: {**mine, "jaxlib": "0.0.1"})
        with pytest.raises(OtherVersionError) as caught:
            launch(SMALL)
    assert f": jaxlib {mine['jaxlib']} here, 0.0.1 there" in str(caught.value)
    assert "then go on: " in str(caught.value)
    store = Store(tmp_path / "results.duckdb")
    assert store.query("SELECT count(*) AS n FROM runs").to_pylist() == [{"n": 0}]
    assert launch(SMALL).counts == counts_of(converged=8)
    sql = "SELECT outcome, json_extract_string(versions, 'jaxlib') AS jaxlib FROM attempts ORDER BY started_at"
    found = store.query(sql).to_pylist()
    assert found[0] == {"outcome": "refused", "jaxlib": "0.0.1"}
    assert {(row["outcome"], row["jaxlib"]) for row in found[1:]} == {("finished", mine["jaxlib"])}
    stored = store.query("SELECT DISTINCT versions FROM attempts WHERE outcome = 'finished'").to_pylist()
    assert [json.loads(row["versions"]) for row in stored] == [dict(mine)]
