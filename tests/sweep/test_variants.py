"""A throw-away observable, prediction and architecture, each of one piece of code, from a grid to the store.

A throw-away loss is in `tests/kernels/test_logistic.py`.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.store import Store
from kernels.networks.base import Diagonal
from kernels.networks.table import ARCHITECTURES
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Kind, RunByRun, record
from kernels.theory.table import PREDICTIONS
from tests.sweep.conftest import SMALL, Launch

SPEED = """
import shutil
from pathlib import Path

from kernels.observables import OBSERVABLES, Observable

speed = Observable(lambda flow, point, data: (point.velocity**2).sum() ** 0.5, "||grad Phi||", added=True)
OBSERVABLES["speed"] = speed
"""
MIGRATION = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "9000", "{last}", None, None


def upgrade() -> None:
    op.execute("ALTER TABLE trajectories ADD COLUMN speed DOUBLE[]")
"""
LAUNCH = """
import sys

import db.schema
from sweep.execution.session import Options, run

shutil.copytree(db.schema.MIGRATIONS, "migrations", ignore=shutil.ignore_patterns("__pycache__"))
text = Path("migration.py").read_text().replace("{last}", db.schema.revisions()[-1])
Path("migrations/versions/r9000_add_the_speed.py").write_text(text)
db.schema.MIGRATIONS = Path("migrations").resolve()

from db.store import Store

store = Store(Path("results.duckdb"))
store.upgrade()
run(Path("grid.yaml"), Options(store=store.path, local=True))
for row in store.query("SELECT alpha, point, speed FROM orbits ORDER BY alpha, point").to_pylist():
    print(row["alpha"], row["point"], row["speed"])
"""


@pytest.mark.slow
def test_an_observable_is_a_row_and_a_column(launch: Launch, tmp_path: Path) -> None:
    """Orbits recorded before it was added have none."""
    recorded = SMALL.replace("record: false", "record: true").replace("[0, 4]", "[0, 1]")
    launch(recorded.replace("[0.5, 1]", "[0.5]"))
    (tmp_path / "grid.yaml").write_text(recorded)
    (tmp_path / "migration.py").write_text(MIGRATION)
    done = subprocess.run(
        [sys.executable, "-c", SPEED + LAUNCH], cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("0.5 ", "1.0 "))]
    assert {line[2] for line in lines if line[0] == "0.5"} == {"None"}
    speeds = [float(line[2]) for line in lines if line[0] == "1.0"]
    assert len(speeds) > 8
    assert speeds[-1] < 1e-3 * speeds[0]


class Doubled(RunByRun):
    """The limit is twice that of least l2 norm: false, so that its distance is known."""

    name = "doubled"
    meaning = "twice the solution of least l2 norm"

    def kind(self, problem: Problem) -> Kind:
        return "exact"

    def applies(self, problem: Problem) -> bool:
        return problem.regression

    def forecast(self, problem: Problem) -> Forecast | None:
        return Forecast(2 * np.linalg.lstsq(problem.dataset.x, problem.dataset.y, rcond=None)[0], 0.0)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        assert forecast is not None
        assert forecast.beta is not None
        distance = np.linalg.norm(endpoint.beta - forecast.beta) / np.linalg.norm(forecast.beta)
        return record(self, problem, forecast, float(distance))


@pytest.mark.slow
def test_a_prediction_is_a_class(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PREDICTIONS, "doubled", Doubled())
    launch(SMALL.replace("[0, 4]", "[0, 1]"), report=tmp_path / "report.html")
    sql = "SELECT beta, predicted, distance FROM convergence WHERE prediction = 'doubled'"
    rows: list[dict[str, Any]] = Store(tmp_path / "results.duckdb").query(sql).to_pylist()
    assert len(rows) == 2
    for row in rows:
        np.testing.assert_allclose(row["predicted"], [0.4, 0.8])
        assert row["distance"] == pytest.approx(np.linalg.norm(np.array(row["beta"]) - [0.4, 0.8]) / np.sqrt(0.8))
    assert "doubled (twice the solution of least l2 norm)" in (tmp_path / "report.html").read_text()


class Mirrored(Diagonal):
    """A diagonal network of reversed inputs, as an entry of the table itself."""

    def coefficients(self, layers: Any) -> Any:
        return super().coefficients(layers)[..., ::-1]

    def decomposition(self) -> Any:
        return None


@pytest.mark.slow
def test_an_architecture_is_a_class(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "mirrored", Mirrored)
    text = SMALL.replace("architecture: diagonal", "architecture: [diagonal, mirrored]").replace("[0, 4]", "[0, 1]")
    launch(text.replace("[[1, 2]]", "[[1, 1]]"))
    sql = "SELECT architecture, beta FROM runs ORDER BY alpha, architecture"
    rows: list[dict[str, Any]] = Store(tmp_path / "results.duckdb").query(sql).to_pylist()
    assert [row["architecture"] for row in rows] == ["diagonal", "mirrored"] * 2
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        np.testing.assert_allclose(one["beta"], other["beta"][::-1], atol=1e-3)
