"""The same ensembles on a CUDA device and on the CPU, each in a process of its own since JAX has one default device."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.integrator.lane import CAPACITY
from tests.needs import lack

SCRIPT = """
import json
import sys
import numpy as np
from kernels.simulate import simulate
from kernels.x64 import jax
from tests.kernels.conftest import classification_data, regression_data, spec_of

try:
    device = jax.devices()[0]
except (RuntimeError, AssertionError) as error:  # the latter where JAX has no plugin for the platform
    print(str(error) or "JAX has no plugin for it", file=sys.stderr)
    sys.exit(77)
found = {"platform": device.platform, "runs": []}
ALPHAS = np.geomspace(0.05, 2.0, 40)
for axes in (
    {"task": "regression", "architecture": "fully_connected", "width": 9, "init": "gaussian"},
    {"task": "regression", "architecture": "convolutional", "init": "gaussian"},
    {"task": "regression", "architecture": "odeco", "init": "structured"},
    {"task": "classification", "architecture": "diagonal", "init": "ordered", "stop": {"log_loss": -1e4}},
):
    data = regression_data if axes["task"] == "regression" else classification_data
    runs = []
    for seed, alpha in enumerate(ALPHAS):
        dataset = data(3, 8, seed + 1)
        runs.append((spec_of(dataset, depth=3, alpha=float(alpha), seed=seed, rtol=1e-9, record=True, **axes), dataset))
    for result in simulate(runs):
        found["runs"].append(
            {
                "task": result.spec.task,
                "status": result.status,
                "dtype": str(result.beta.dtype),
                "beta": result.beta.tolist(),
                "drift": result.invariant_drift,
                "points": len(result.trajectory["step"]),
                "exact": [p.distance for p in result.predictions if p.kind == "exact"],
            }
        )
print(json.dumps(found))
"""

ROOT = Path(__file__).parents[2]
NO_DEVICE = 77
RTOL = 1e-9
"""Of both integrations."""


def ensembles(platform: str) -> dict[str, Any]:
    """Ends of the ensembles on one platform; skips the test where there is no such device."""
    environment = {**os.environ, "JAX_PLATFORMS": platform, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode == NO_DEVICE:
        lack("cuda", done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.gpu
def test_cuda_computes_what_the_cpu_computes() -> None:
    """float64 on both: rounding differs, so steps may; coefficients agree to 1000 rtol, exact predictions hold on both.

    A direction is compared where log Loss first passes -1e4, at a step that rounding may move: to 1e-4.
    """
    device, host = ensembles("cuda"), ensembles("cpu")
    assert (device["platform"], host["platform"]) == ("gpu", "cpu")
    assert len(device["runs"]) == len(host["runs"]) == 160
    for one, other in zip(device["runs"], host["runs"], strict=True):
        assert one["status"] == other["status"] == "converged"
        assert one["dtype"] == other["dtype"] == "float64"
        assert max(one["drift"], other["drift"]) < 1e-5
        assert {64 <= run["points"] <= CAPACITY for run in (one, other)} == {True}
        a, b = np.array(one["beta"]), np.array(other["beta"])
        if one["task"] == "regression":
            assert np.linalg.norm(a - b) <= 1000 * RTOL * np.linalg.norm(b)
            assert all(distance <= 1e-7 for distance in (*one["exact"], *other["exact"]))
        else:
            assert np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)) <= 1e-4
