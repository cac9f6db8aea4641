"""The flow against finite differences, and whole runs against independent integrators."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from kernels.ensemble import End, Program, run_ensemble
from kernels.flow import FLOWS, LaneData
from kernels.lane import CONVERGED
from kernels.simulate import _problem, _start
from kernels.solvers import SOLVERS
from kernels.spec import SOLVER_NAMES
from kernels.validate import build
from kernels.x64 import jax
from tests.kernels.conftest import classification_data, key_of, regression_data, spec_of


def ends_of(runs: list[Any]) -> list[End]:
    ends = run_ensemble(Program(*key_of(runs)), [_start(_problem(spec, dataset)) for spec, dataset in runs])
    return sorted(ends, key=lambda end: end.index)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_velocity_and_stiffness_are_derivatives_of_the_potential(
    compiled: tuple[str, dict[str, Any]], task: str
) -> None:
    """Hessian of Phi less J^T C^T C J: linear in the residual (regression) or p (classification), not in kappa."""
    name, sizes = compiled
    dataset = regression_data() if task == "regression" else classification_data()
    spec = spec_of(dataset, task=task, architecture=name, depth=3, init="gaussian", alpha=1.0, **sizes)
    flow = FLOWS[task](build(spec, 8))
    start = _start(_problem(spec, dataset))
    data = LaneData(jnp.asarray(dataset.x), jnp.asarray(dataset.y), start.data.constants)
    theta, log_norm, _ = flow.start(jnp.asarray(start.theta), data)
    kappa = jnp.exp(3 * log_norm)

    def potential(z: Any) -> Any:
        loss = flow.log_loss(z, log_norm, data)
        return jnp.exp(loss) if task == "regression" else loss / kappa

    np.testing.assert_allclose(flow.velocity(theta, log_norm, data), -jax.jit(jax.grad(potential))(theta), atol=1e-10)
    weights = dataset.x @ flow.coefficients(theta, data) - dataset.y
    if task == "classification":
        weights = -flow.weights(theta, log_norm, data) * dataset.y
    rest = jax.jit(jax.hessian(lambda z: weights @ flow.outputs(z, data)))(theta)
    stiff = flow.stiffness(theta, log_norm, data)
    factor = stiff.curvature @ stiff.jacobian
    np.testing.assert_allclose(jax.jit(jax.hessian(potential))(theta), factor.T @ factor + rest, atol=1e-8)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_physical_time_is_that_of_plain_gradient_flow(depth: int) -> None:
    """LSODA in plain time, to the time our clock says: same coefficients, same loss."""
    dataset = classification_data(4, 5)
    axes = {"task": "classification", "architecture": "diagonal", "init": "gaussian", "alpha": 0.3}
    spec = spec_of(dataset, depth=depth, stop={"log_loss": -8.0}, rtol=1e-9, **axes)
    (end,) = ends_of([(spec, dataset)])
    assert end.status == CONVERGED

    def velocity(t: float, theta: np.ndarray) -> np.ndarray:
        layers = theta.reshape(depth, -1)
        g = dataset.x.T @ (dataset.y * np.exp(-dataset.y * (dataset.x @ layers.prod(0))))
        return np.concatenate([g * np.delete(layers, index, 0).prod(0) for index in range(depth)])

    start = _start(_problem(spec, dataset)).theta
    time = np.exp(end.final[1])
    plain = scipy.integrate.solve_ivp(velocity, (0, time), start, method="LSODA", rtol=1e-12, atol=1e-14)
    beta = plain.y[:, -1].reshape(depth, -1).prod(0)
    np.testing.assert_allclose(end.final[7:] * np.exp(depth * end.log_norm), beta, rtol=1e-7)


def test_solver_names_are_the_solvers() -> None:
    assert tuple(SOLVERS) == SOLVER_NAMES


@pytest.mark.parametrize("task", ["regression", pytest.param("classification", marks=pytest.mark.slow)])
def test_diffrax_agrees(task: str) -> None:
    """Kvaerno5 drives the same runs to the same end."""
    if task == "regression":
        dataset, stop = regression_data(2, 4), {"residual": 1e-10}
    else:
        dataset, stop = classification_data(3, 4), {"log_loss": -1e3}
    axes = {"task": task, "architecture": "diagonal", "depth": 3, "init": "gaussian", "alpha": 0.4, "stop": stop}
    ours, theirs = (
        ends_of([(spec_of(dataset, solver=solver, rtol=1e-8, record=False, **axes), dataset)])[0]
        for solver in ("extrapolation", "kvaerno5")
    )
    assert ours.status == theirs.status == CONVERGED
    ours_beta, theirs_beta = (end.final[7:] / np.linalg.norm(end.final[7:]) for end in (ours, theirs))
    tolerance = 1e-6 if task == "regression" else 1e-3  # the stop is met to 1e-4 of log log Loss
    assert np.linalg.norm(ours_beta - theirs_beta) < tolerance


@pytest.mark.parametrize("rtol", [1e-6, 1e-9])
def test_invariants_drift_within_tolerance(compiled: tuple[str, dict[str, Any]], rtol: float) -> None:
    name, sizes = compiled
    dataset = regression_data()
    axes = {"task": "regression", "architecture": name, "depth": 3, "init": "gaussian", "alpha": 0.5, "rtol": rtol}
    (end,) = ends_of([(spec_of(dataset, **axes, **sizes), dataset)])
    assert end.status == CONVERGED
    assert end.drift < 10 * rtol
