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
    ("f0144f59053316c5a634a94272fd6a52", "regression", POINTS, {"architecture": "diagonal"}),
    (
        "991c7059d316f3a84c054a41251f4633",
        "regression",
        POINTS,
        {"architecture": "diagonal", "depth": 3, "alpha": 0.01, "init": {"structured": {"eta": "uniform"}}, "seed": 4},
    ),
    (
        "da64a19ca17fa552cc0f4bf9dc032dd3",
        "classification",
        POINTS,
        {"architecture": "diagonal", "depth": 1, "init": "ordered"},
    ),
    (
        "a1466e9dfb65501e220f8db9f7a1a7b2",
        "regression",
        GAUSSIAN,
        {"architecture": "fully_connected", "width": 6, "init": "orthogonal", "seed": 2},
    ),
    (
        "ab322fd215e428e7f75e6e9a01da6c07",
        "regression",
        GAUSSIAN,
        {"architecture": "fully_connected", "depth": 3, "init": "gaussian", "alpha": 0.001, "rtol": 1e-10},
    ),
    (
        "9269944ac99ddc36ae80081650482095",
        "classification",
        GAUSSIAN,
        {"architecture": "fully_connected", "depth": 1, "init": "gaussian", "stop": {"log_margin": 20}},
    ),
    (
        "f03bfdb6c3e15f8d036cb6f5c73a9e7b",
        "regression",
        SPARSE,
        {"architecture": "signed_diagonal", "depth": 2, "alpha": 100},
    ),
    (
        "71d7017ef4677abd57ad29b08fe8099a",
        "classification",
        SPARSE,
        {"architecture": "signed_diagonal", "init": "gaussian", "stop": {"log_loss": -1000.0}},
    ),
    ("a838ebf29e5db14283613fa5428ca041", "regression", GAUSSIAN, {"architecture": "convolutional", "depth": 4}),
    (
        "49f830d44d09255450944ad529162976",
        "regression",
        GAUSSIAN,
        {"architecture": "convolutional", "filter": 2, "init": "gaussian", "seed": 11},
    ),
    (
        "eb8fef55c441a98d8b1c7f0dece35c81",
        "classification",
        GAUSSIAN,
        {"architecture": "convolutional", "filter": "full", "init": "ordered", "seed": 3},
    ),
    (
        "6124d73caf93442eb5f4beece68b7ae0",
        "regression",
        SPARSE,
        {"architecture": "multichannel_convolutional", "width": 3, "filter": 2, "init": "gaussian"},
    ),
    (
        "6b11d5a11c8ca09cae45800664c1369f",
        "regression",
        GAUSSIAN,
        {"architecture": "walsh", "solver": "kvaerno5", "stop": {"residual": 1e-06, "max_steps": 500}},
    ),
    (
        "43fb595dd3d925923e40a2049b4d137d",
        "classification",
        DIGITS,
        {"architecture": "walsh", "depth": 3, "init": "ordered", "record": False},
    ),
    ("f8d001d7de137a686a06cda6db279f80", "regression", GAUSSIAN, {"architecture": "odeco", "width": 5, "seed": 9}),
    (
        "36b8dcb103f4d8d8b2ca7c340081611d",
        "regression",
        POINTS,
        {"architecture": {"odeco": {"s": [[1, 0], [0, 1], [1, 1]]}}, "init": "gaussian", "seed": 1},
    ),
    (
        "13c8e4016b2642809b12649ed762f4ef",
        "regression",
        POINTS,
        {"architecture": "diagonal", "init": {"layers": [[1, 2], [0, 0.5]]}, "solver": "tsit5"},
    ),
    (
        "3d813d8fa2eddb581dc8be2269e05601",
        "regression",
        WINE,
        {"architecture": "fully_connected", "width": 20, "init": "gaussian", "record": False},
    ),
    ("37a097a12d05def4427d262d1f39bd4b", "classification", FILE, {"architecture": "diagonal", "rtol": 1e-05}),
    ("bbd15fcdb621a709fe14315f8c4d3480", "regression", USERS, {"architecture": SCALED, "depth": 2}),
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
