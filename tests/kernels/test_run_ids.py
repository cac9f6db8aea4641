"""Ids of twenty runs, written down: stored results are found again as long as none of them moves.

An id moves with `KERNEL_VERSION` alone, which is raised when numbers move; then these are written down anew.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import canonical, load
from kernels.validate import canonicalise

POINTS = {"points": {"x": [[1, 2], [0.5, -1]], "y": [1, -1]}}
GAUSSIAN = {"gaussian": {"samples": 3, "dim": 4}}
SPARSE = {"gaussian": {"samples": 3, "dim": 8, "sparsity": 2, "noise": 0.25, "seed": 7}}
DIGITS = {"dataset": "digits", "classes": [3, 8], "samples": 6}
WINE = {"dataset": {"name": "wine", "samples": 5, "seed": 1, "scale": "variance"}}
FILE = {"file": "samples.csv", "target": "y"}
USERS = {"tests.kernels.test_run_ids:line": {"slope": 2}}
SCALED = {"tests.sweep.networks.scaled:Scaled": {"scale": 3}}

RUNS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("4626f3009422c0c25260148fbea991bb", "regression", POINTS, {"architecture": "diagonal"}),
    (
        "9f15fd44502158976ee8e2e1a7709b77",
        "regression",
        POINTS,
        {"architecture": "diagonal", "depth": 3, "alpha": 0.01, "init": {"structured": {"eta": "uniform"}}, "seed": 4},
    ),
    (
        "9e8bd47ccc339e4d7259390638bdc6c0",
        "classification",
        POINTS,
        {"architecture": "diagonal", "depth": 1, "init": "ordered"},
    ),
    (
        "a8787605343326a3e68ca3f51baa7dba",
        "regression",
        GAUSSIAN,
        {"architecture": "fully_connected", "width": 6, "init": "orthogonal", "seed": 2},
    ),
    (
        "d70f4e10f7ad5a8f0251bbf89939a919",
        "regression",
        GAUSSIAN,
        {"architecture": "fully_connected", "depth": 3, "init": "gaussian", "alpha": 0.001, "rtol": 1e-10},
    ),
    (
        "2444f61b6ad560fd37aa9a26fab99958",
        "classification",
        GAUSSIAN,
        {"architecture": "fully_connected", "depth": 1, "init": "gaussian", "stop": {"log_margin": 20}},
    ),
    (
        "7a87af31cfe87a84a3d2b305e8890702",
        "regression",
        SPARSE,
        {"architecture": "signed_diagonal", "depth": 2, "alpha": 100},
    ),
    (
        "048362dc55f4c06c0d94c2c9ca5cd237",
        "classification",
        SPARSE,
        {"architecture": "signed_diagonal", "init": "gaussian", "stop": {"log_loss": -1000.0}},
    ),
    ("6739273d9f6978b76b795af86422954a", "regression", GAUSSIAN, {"architecture": "convolutional", "depth": 4}),
    (
        "86fdc8b4e51528196d7932cace2171cd",
        "regression",
        GAUSSIAN,
        {"architecture": "convolutional", "filter": 2, "init": "gaussian", "seed": 11},
    ),
    (
        "063f0429b71f4dca83fd6ea904ada7fd",
        "classification",
        GAUSSIAN,
        {"architecture": "convolutional", "filter": "full", "init": "ordered", "seed": 3},
    ),
    (
        "c49e7771695e7200372e9ec4111fd12f",
        "regression",
        SPARSE,
        {"architecture": "multichannel_convolutional", "width": 3, "filter": 2, "init": "gaussian"},
    ),
    (
        "ca7b090d18eb5e97896927aef59b784b",
        "regression",
        GAUSSIAN,
        {"architecture": "walsh", "solver": "kvaerno5", "stop": {"residual": 1e-06, "max_steps": 500}},
    ),
    (
        "f2a8c557dae5dc07f8bc450555369149",
        "classification",
        DIGITS,
        {"architecture": "walsh", "depth": 3, "init": "ordered", "record": False},
    ),
    ("97fd03d107324c5adf8872b2f14b1455", "regression", GAUSSIAN, {"architecture": "odeco", "width": 5, "seed": 9}),
    (
        "941b4b760a970637d252181c0f3eb45b",
        "regression",
        POINTS,
        {"architecture": {"odeco": {"s": [[1, 0], [0, 1], [1, 1]]}}, "init": "gaussian", "seed": 1},
    ),
    (
        "b1f6bd517213b53a1cecf5df66e3ac6a",
        "regression",
        POINTS,
        {"architecture": "diagonal", "init": {"layers": [[1, 2], [0, 0.5]]}, "solver": "tsit5"},
    ),
    (
        "c6852650ab8e8c3ff1c32b0695a6d30a",
        "regression",
        WINE,
        {"architecture": "fully_connected", "width": 20, "init": "gaussian", "record": False},
    ),
    ("38c19f88aa24bb0f1067d7accb385d83", "classification", FILE, {"architecture": "diagonal", "rtol": 1e-05}),
    ("6b8bc909486d8f645b20d5081ff7c5c3", "regression", USERS, {"architecture": SCALED, "depth": 2}),
]


def line(task: str, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """A data set of the user's."""
    return np.array([[1.0, slope]]), np.array([1.0])


@pytest.mark.parametrize(("run_id", "task", "data", "axes"), RUNS, ids=[run_id for run_id, *_ in RUNS])
def test_run_ids_stay(run_id: str, task: str, data: dict[str, Any], axes: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("a,b,y\n1,2,1\n3,-1,-1\n")
    found = canonical(data, task, tmp_path)
    spec = canonicalise({"task": task, "data": found, **axes}, load(found, task).x.shape[1])
    assert spec.run_id == run_id
