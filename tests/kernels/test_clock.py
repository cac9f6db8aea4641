"""Physical time in classification, against the integral it is."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from kernels.flows.base import State
from kernels.flows.curves import Curves, curve_of
from kernels.flows.exponential import ExponentialFlow
from kernels.flows.parametrisation import Layers, RunData
from kernels.networks.base import Diagonal
from kernels.x64 import jax

EQUAL = curve_of(np.ones((3, 1)))[1]
LAYERS = ExponentialFlow(Layers(Diagonal(1, 3))), RunData(jnp.ones((1, 1)), jnp.ones(1), ())
CURVES = ExponentialFlow(Curves(1, 2)), jax.tree.map(jnp.asarray, LAYERS[1]._replace(constants=EQUAL))
Way = tuple[ExponentialFlow, RunData]


def state(way: Way, m: float, r: float) -> State:
    """Three equal parameters with product M, in the frame of norm r: one sample x = y = 1 has -log Loss = M."""
    flow, data = way
    theta, log_norm = jnp.full(flow.parametrisation.parameters, m ** (1 / 3) / r), jnp.log(jnp.asarray(r))
    return State(theta, log_norm, flow.velocity(theta, log_norm, data))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "growth", "useful"),
    [(1e-9, 1e-9, 1.0), (1e-3, 1.0, 10.0), (0.5, 0.3, 1e-2), (3.0, 4.0, 1e-2), (50.0, 30.0, 1e-3), (1e6, 1e6, 1e-6)],
)
@pytest.mark.parametrize(
    "way", [pytest.param(LAYERS, id="layers", marks=pytest.mark.slow), pytest.param(CURVES, id="curves")]
)
def test_time_between_two_states_is_within_its_error(way: Way, begin: float, growth: float, useful: float) -> None:
    """dM/dt = e^{-M} 3 M^{4/3}: log t is that of the integral of e^M / (3 M^{4/3}) dM."""
    end = begin + growth
    r = np.sqrt(3) * begin ** (1 / 3)
    flow, data = way
    found, error = flow.log_elapsed(state(way, begin, r), state(way, end, r), data)
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
