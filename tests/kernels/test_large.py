"""A network of 120,200 parameters runs in bounded memory: no P x P matrix is ever formed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import numpy as np
from kernels.data.kinds import Dataset
from kernels.networks.table import build
from kernels.simulate import simulate
from kernels.validate import canonicalise
from kernels.x64 import jax

def peak():  # in KiB; not getrusage's, which begins with that of the parent process
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

jax.block_until_ready(jax.numpy.ones(3) @ jax.numpy.ones(3))
before = peak()
rng = np.random.default_rng(7)
x = rng.standard_normal((50, 200))
dataset = Dataset("large", x, x @ rng.standard_normal(200))
axes = {"task": "regression", "data": {}, "architecture": "fully_connected", "depth": 4, "width": 200}
spec = canonicalise({**axes, "init": sys.argv[1], "alpha": 1.0, "record": False}, 200)
(result,) = simulate([(spec, dataset)])
(gap,) = [record.distance for record in result.predictions if record.prediction == "minimum_l2_norm"]
after = peak()
print(build(spec, 200).parameters, result.status, gap, result.invariant_drift, before >> 10, after >> 10, result.steps)
"""

PARAMETERS, SAMPLES = 120_200, 50
JACOBIAN = 8 * SAMPLES * PARAMETERS / 2**20
"""MiB of the n x P matrix d f / d Theta, the largest that is needed: 46. A P x P matrix would take 110,000."""


@pytest.mark.slow
@pytest.mark.parametrize("init", ["orthogonal", "gaussian"])
def test_memory_is_a_multiple_of_the_jacobians(init: str) -> None:
    """To completion; less than 16 Jacobians (733 MiB) on top of what importing JAX takes.

    Gaussian layers move in all of their parameters; orthogonal ones in few, and end at the least norm.
    """
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, init], capture_output=True, text=True, check=True, env=environment, cwd=root
    )
    parameters, status, gap, drift, before, after, _ = done.stdout.split()
    assert int(parameters) == PARAMETERS
    assert status == "converged"
    assert init == "gaussian" or float(gap) < 1e-5
    assert float(drift) < 1e-5
    assert int(after) - int(before) < 16 * JACOBIAN
