"""The same ensembles as diffrax is used: diffeqsolve with adaptive steps, under jit and vmap."""

import functools
from collections.abc import Callable
from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from benchmarks.ensembles import Ensemble
from kernels.flows.base import LaneData
from kernels.flows.regression import RegressionFlow
from kernels.networks.base import Architecture
from kernels.x64 import jax

MAX_STEPS = 20_000
"""Steps after which a run is given up; explicit ones of small networks are cheap and get five times as many."""

SOLVERS: dict[str, Callable[[], diffrax.AbstractSolver[Any]]] = {
    "Kvaerno5": diffrax.Kvaerno5,
    "Kvaerno3": diffrax.Kvaerno3,
    "KenCarp4": diffrax.KenCarp4,
    "Tsit5": diffrax.Tsit5,
}

Solve = Callable[..., tuple[Array, Array, Array]]
Ends = tuple[np.ndarray, np.ndarray, np.ndarray]


def floor(theta: np.ndarray) -> np.ndarray:
    """Root mean square of each run's Theta(0): tolerances are rtol (|theta| + floor), as in the project's own runs."""
    return np.sqrt(np.mean(theta**2, axis=1))


@functools.cache
def program(name: str, architecture: Architecture, most: int) -> Solve:
    """vmapped and jitted (theta, x, y, time, rtol, atol, goal) -> (Theta at the end, steps, whether it got there)."""
    flow = RegressionFlow(architecture)

    def solve(
        theta: Array, x: Array, y: Array, time: Array, rtol: Array, atol: Array, goal: Array
    ) -> tuple[Array, Array, Array]:
        data = LaneData(x, y, architecture.constants)

        def field(t: Any, z: Array, args: Any) -> Array:
            return flow.velocity(z, jnp.zeros(()), data)

        def fitted(t: Any, z: Array, args: Any, **more: Any) -> Array:
            return flow.residual(z, data) <= goal

        solver = SOLVERS[name]()
        term: Any = diffrax.ODETerm(field)
        if name.startswith("KenCarp"):  # all of it implicit
            term = diffrax.MultiTerm(diffrax.ODETerm(lambda t, z, args: jnp.zeros_like(z)), term)
        found = diffrax.diffeqsolve(
            term,
            solver,
            t0=0.0,
            t1=time,
            dt0=None,
            y0=theta,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
            event=diffrax.Event(fitted),
            adjoint=diffrax.ForwardMode(),
            max_steps=most,
            throw=False,
        )
        assert found.ys is not None
        return found.ys[-1], found.stats["num_steps"], diffrax.is_okay(found.result)

    return jax.jit(jax.vmap(solve, in_axes=(0, 0, 0, 0, None, 0, None)))


class DiffraxRuns:
    """An ensemble through one diffrax solver, `width` runs to a vmapped call."""

    def __init__(self, name: str, ensemble: Ensemble, times: np.ndarray, width: int, most: int | None = None):
        cheap = name == "Tsit5" and ensemble.architecture.parameters <= 100
        self.solve = program(name, ensemble.architecture, most or MAX_STEPS * (5 if cheap else 1))
        self.ensemble, self.times, self.width = ensemble, times, width
        self.goal = ensemble.runs[0][0].stop["residual"]
        self.floor = floor(ensemble.theta)

    def call(self, part: slice, rtol: float) -> Ends:
        """One vmapped call, its results on the host."""
        e = self.ensemble
        atol = rtol * self.floor[part]
        found = self.solve(e.theta[part], e.x[part], e.y[part], self.times[part], rtol, atol, self.goal)
        theta, steps, arrived = (np.asarray(value) for value in found)
        return theta, steps, arrived

    def compile(self) -> None:
        """One call at a tolerance of 1 %."""
        self.call(slice(0, self.width), 1e-2)

    def integrate(self, rtol: float) -> Ends:
        """Theta at the end, steps, and whether it got there, of all runs."""
        parts = [self.call(slice(k, k + self.width), rtol) for k in range(0, len(self.ensemble), self.width)]
        theta, steps, arrived = (np.concatenate(column) for column in zip(*parts, strict=True))
        return theta, steps, arrived
