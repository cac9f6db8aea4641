"""Physical time in classification, against the integral it is."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from kernels.flows.base import LaneData, State
from kernels.flows.classification import ClassificationFlow
from kernels.networks.base import Diagonal

FLOW, DATA = ClassificationFlow(Diagonal(1, 3)), LaneData(jnp.ones((1, 1)), jnp.ones(1), ())


def state(m: float, r: float) -> State:
    """Three equal parameters with product M, in the frame of norm r: one sample x = y = 1 has -log Loss = M."""
    theta, log_norm = jnp.full(3, m ** (1 / 3) / r), jnp.log(jnp.asarray(r))
    return State(theta, log_norm, FLOW.velocity(theta, log_norm, DATA))


@pytest.mark.parametrize(
    ("begin", "growth", "useful"),
    [(1e-9, 1e-9, 1.0), (1e-3, 1.0, 10.0), (0.5, 0.3, 1e-2), (3.0, 4.0, 1e-2), (50.0, 30.0, 1e-3), (1e6, 1e6, 1e-6)],
)
def test_time_between_two_states_is_within_its_error(begin: float, growth: float, useful: float) -> None:
    """dM/dt = e^{-M} 3 M^{4/3}: log t is that of the integral of e^M / (3 M^{4/3}) dM."""
    end = begin + growth
    r = np.sqrt(3) * begin ** (1 / 3)
    found, error = FLOW.log_elapsed(state(begin, r), state(end, r), DATA)
    integral, _ = scipy.integrate.quad(
        lambda back: np.exp(-back) / (3 * (end - back) ** (4 / 3)),
        0,
        min(growth, 60.0),
        epsabs=0,
        epsrel=1e-12,
        limit=200,
    )
    assert abs(float(found) - (end + np.log(integral))) <= 2 * float(error) + 1e-12 * end
    assert float(error) < useful
