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
    ("669fe86f347b8ba88f8af9e8c6bf061f", "regression", POINTS, {"architecture": "diagonal"}),
    (
        "180507e68defdb75e904181d906bab90",
        "regression",
        POINTS,
        {"architecture": "diagonal", "depth": 3, "alpha": 0.01, "init": {"structured": {"eta": "uniform"}}, "seed": 4},
    ),
    (
        "447011f87d4b981fdfc2d2afe3a4d087",
        "classification",
        POINTS,
        {"architecture": "diagonal", "depth": 1, "init": "ordered"},
    ),
    (
        "8be4c3cff836293bd7186afa4c097a8b",
        "regression",
        GAUSSIAN,
        {"architecture": "fully_connected", "width": 6, "init": "orthogonal", "seed": 2},
    ),
    (
        "f6e7cec86e2245893ea7c2783503115c",
        "regression",
        GAUSSIAN,
        {"architecture": "fully_connected", "depth": 3, "init": "gaussian", "alpha": 0.001, "rtol": 1e-10},
    ),
    (
        "771da43aad84170647576bfd0e465237",
        "classification",
        GAUSSIAN,
        {"architecture": "fully_connected", "depth": 1, "init": "gaussian", "stop": {"log_margin": 20}},
    ),
    (
        "8bba9b45a5242f7d413fa122340e13e8",
        "regression",
        SPARSE,
        {"architecture": "signed_diagonal", "depth": 2, "alpha": 100},
    ),
    (
        "39c8112dbf3af3aab6238c3c396b9794",
        "classification",
        SPARSE,
        {"architecture": "signed_diagonal", "init": "gaussian", "stop": {"log_loss": -1000.0}},
    ),
    ("249734e8e41ab044364476f0062d6dff", "regression", GAUSSIAN, {"architecture": "convolutional", "depth": 4}),
    (
        "e3d8a1e68de1d99cdff9b48ec8e091b7",
        "regression",
        GAUSSIAN,
        {"architecture": "convolutional", "filter": 2, "init": "gaussian", "seed": 11},
    ),
    (
        "6dc077c2c7509380daa7bffbc5d64e59",
        "classification",
        GAUSSIAN,
        {"architecture": "convolutional", "filter": "full", "init": "ordered", "seed": 3},
    ),
    (
        "8cd9c65640f872fab9c4d20cb0e86690",
        "regression",
        SPARSE,
        {"architecture": "multichannel_convolutional", "width": 3, "filter": 2, "init": "gaussian"},
    ),
    (
        "4c991c69d5eb4bacb252824c9892b25c",
        "regression",
        GAUSSIAN,
        {"architecture": "walsh", "solver": "kvaerno5", "stop": {"residual": 1e-06, "max_steps": 500}},
    ),
    (
        "e72f2c8a50cc7183266044f75a5f19e5",
        "classification",
        DIGITS,
        {"architecture": "walsh", "depth": 3, "init": "ordered", "record": False},
    ),
    ("ba05c03e157f24a828661b576b45afea", "regression", GAUSSIAN, {"architecture": "odeco", "width": 5, "seed": 9}),
    (
        "bb234e54ba7ca217d9b7de3d415a99e2",
        "regression",
        POINTS,
        {"architecture": {"odeco": {"s": [[1, 0], [0, 1], [1, 1]]}}, "init": "gaussian", "seed": 1},
    ),
    (
        "960a941b2c09befbb4ba3b5c1c2a7569",
        "regression",
        POINTS,
        {"architecture": "diagonal", "init": {"layers": [[1, 2], [0, 0.5]]}, "solver": "tsit5"},
    ),
    (
        "21a29d089503e0a7a456455a4147a05f",
        "regression",
        WINE,
        {"architecture": "fully_connected", "width": 20, "init": "gaussian", "record": False},
    ),
    ("aaa1a0c511685b5507bad826172e7df5", "classification", FILE, {"architecture": "diagonal", "rtol": 1e-05}),
    ("1ce6783acdcd3623c8369958ec6c8b4f", "regression", USERS, {"architecture": SCALED, "depth": 2}),
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
