"""The flow against finite differences, and whole runs against independent integrators."""

from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from kernels.flows.base import Flow
from kernels.flows.parametrisation import Layers, RunData
from kernels.flows.stiffness import Stiffness
from kernels.flows.table import flow_class
from kernels.integrator.drift import invariant_drift
from kernels.integrator.ensemble import End
from kernels.integrator.extrapolation import ExtrapolatedEuler
from kernels.integrator.lane import CONVERGED
from kernels.integrator.passage import integrate
from kernels.integrator.solvers import SOLVERS
from kernels.losses import default_loss
from kernels.networks.table import build
from kernels.problem import problem_of
from kernels.spec import SOLVER_NAMES
from kernels.x64 import jax
from tests.kernels.conftest import classification_data, regression_data, spec_of
from tests.networks import named

SLOW = pytest.mark.slow


def ends_of(runs: list[Any]) -> list[End]:
    ends = integrate([problem_of(spec, dataset) for spec, dataset in runs])
    return sorted(ends, key=lambda end: end.index)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_velocity_and_stiffness_are_derivatives_of_the_potential(
    compiled: tuple[str, dict[str, Any]], task: str
) -> None:
    """Hessian of Phi less J^T C^T C J: linear in the residual (regression) or p (classification), not in kappa."""
    name, sizes = compiled
    dataset = regression_data() if task == "regression" else classification_data()
    spec = spec_of(dataset, task=task, architecture=named(name, 8, 3), depth=3, init="gaussian", alpha=1.0, **sizes)
    problem = problem_of(spec, dataset)
    flow = flow_class(default_loss(task))(Layers(problem.architecture))
    data = RunData(jnp.asarray(dataset.x), jnp.asarray(dataset.y), problem.architecture.constants)
    theta, log_norm, _ = flow.start(jnp.concatenate([jnp.ravel(layer) for layer in problem.layers]), data)
    kappa = jnp.exp(3 * log_norm)

    def potential(z: Any) -> Any:
        loss = flow.log_loss(z, log_norm, data)
        return jnp.exp(loss) if task == "regression" else loss / kappa

    np.testing.assert_allclose(flow.velocity(theta, log_norm, data), -jax.jit(jax.grad(potential))(theta), atol=1e-10)
    weights = dataset.x @ flow.coefficients(theta, data) - dataset.y
    if task == "classification":
        weights = -flow.weights(theta, log_norm, data) * dataset.y
    rest = jax.jit(jax.hessian(lambda z: weights @ flow.outputs(z, data)))(theta)
    curved = jax.jit(jax.hessian(potential))(theta) - rest
    stiff = flow.stiffness(theta, log_norm, data)
    check_bend(flow, theta, data)
    if task == "classification":
        check_bend_of_forces(flow, theta, log_norm, data)
    g, push = flow.force(theta, *stiff.args)
    for c in (0.1, 10.0):
        damped = np.linalg.solve(np.eye(theta.size) + c * curved, flow.velocity(theta, log_norm, data))
        np.testing.assert_allclose(change_by(stiff, g, push, c), damped, atol=1e-8)


def change_by(stiff: Stiffness, g: Any, push: Any, length: float) -> Any:
    """What forces g change in a substep of this length, over the length."""
    damping = stiff.damping(jnp.array([length]))
    entry = jax.tree.map(lambda values: values[0], damping.columns)
    return damping.change(entry, push(damping.forces(entry, g)))


def check_bend_of_forces(flow: Flow, theta: Any, log_norm: Any, data: RunData) -> None:
    """What the solver takes is C^T C, the Hessian of Phi in the outputs, times what bends."""
    v, g = (jnp.asarray(np.random.default_rng(seed).standard_normal(size)) for seed, size in ((1, theta.size), (2, 4)))
    kappa = jnp.exp(flow.parametrisation.degree(data) * log_norm)
    hessian = jax.hessian(lambda f: jax.nn.logsumexp(-kappa * data.y * f) / kappa)(flow.outputs(theta, data))
    stiff = flow.stiffness(theta, log_norm, data)
    assert stiff.bend is not None
    for found, plain in zip(stiff.bend(v, g), flow.bend(theta, v, g, data), strict=True):
        np.testing.assert_allclose(found, hessian @ plain, atol=1e-8)


def check_bend(flow: Flow, theta: Any, data: RunData) -> None:
    """Against central differences of the outputs and of J J^T g."""
    v, g = (np.random.default_rng(seed).standard_normal(size) for seed, size in ((1, theta.size), (2, len(data.y))))
    h = 1e-4 / np.linalg.norm(v)
    ahead, behind = theta + h * v, theta - h * v
    lag, drift = flow.bend(theta, jnp.asarray(v), jnp.asarray(g), data)
    assert isinstance(flow.parametrisation, Layers)
    outputs, jacobian = jax.jit(flow.outputs), jax.jit(flow.parametrisation.jacobian)
    second = (outputs(ahead, data) - 2.0 * outputs(theta, data) + outputs(behind, data)) / h**2
    np.testing.assert_allclose(lag, second / 2, rtol=1e-4, atol=1e-4)
    turned = [np.asarray(j) @ (np.asarray(j).T @ g) for j in (jacobian(ahead, data), jacobian(behind, data))]
    np.testing.assert_allclose(drift, (turned[0] - turned[1]) / (2 * h), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_forces_see_where_stiff_directions_turn() -> None:
    """One step of a two-layer Walsh network at -log Loss = 1e6: what curvature takes off is most of the error."""
    dataset = classification_data(4, 8, 2)
    axes = {"task": "classification", "architecture": "walsh", "depth": 2, "init": "gaussian", "alpha": 0.1}
    spec = spec_of(dataset, seed=2, record=False, **axes)
    (end,) = ends_of([(spec, dataset)])
    flow = flow_class("exponential")(Layers(build(spec, 8)))
    theta, log_norm = jnp.asarray(end.theta), jnp.asarray(end.log_norm)
    data = RunData(jnp.asarray(dataset.x), jnp.asarray(dataset.y), ())

    def stiffness(t: Any, y: Any, curved: Any) -> Any:
        stiff = flow.stiffness(y, log_norm, data)
        bend = stiff.bend
        stiff.bend = lambda v, g: tuple(curved * part for part in bend(v, g))
        return stiff

    solver = ExtrapolatedEuler(lambda t, y, args: flow.force(y, log_norm, data), stiffness, 4)
    term = diffrax.ODETerm(lambda t, y, args: flow.velocity(y, log_norm, data))
    state = solver.init(term, 0.0, 1.0, jnp.asarray(theta), None)
    step = jax.jit(lambda y, h, curved: solver.step(term, 0.0, h, y, curved, state, False)[0])

    def shares(h: float, curved: float, steps: int) -> np.ndarray:
        y = theta
        for _ in range(steps):
            y = step(y, h / steps, curved)
        return np.asarray(flow.weights(y, log_norm, data))

    h = 0.03
    truth = shares(h, 1.0, 64)
    assert np.sum(truth > 1e-3) > 1
    straight, curved = (np.abs(shares(h, value, 1) - truth).max() for value in (0.0, 1.0))
    assert curved < 0.1 * straight


@SLOW
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

    start = np.concatenate(problem_of(spec, dataset).layers)
    time = np.exp(end.final[1])
    plain = scipy.integrate.solve_ivp(velocity, (0, time), start, method="LSODA", rtol=1e-12, atol=1e-14)
    beta = plain.y[:, -1].reshape(depth, -1).prod(0)
    np.testing.assert_allclose(end.final[7:] * np.exp(depth * end.log_norm), beta, rtol=1e-7)


def test_solver_names_are_the_solvers() -> None:
    assert tuple(SOLVERS) == SOLVER_NAMES


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
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


@pytest.mark.parametrize("rtol", [1e-6, pytest.param(1e-9, marks=SLOW)])
def test_invariants_drift_within_tolerance(compiled: tuple[str, dict[str, Any]], rtol: float) -> None:
    name, sizes = compiled
    dataset = regression_data()
    axes = {
        "task": "regression",
        "architecture": named(name, 8, 3),
        "depth": 3,
        "init": "gaussian",
        "alpha": 0.5,
        "rtol": rtol,
    }
    problem = problem_of(spec_of(dataset, **axes, **sizes), dataset)
    (end,) = integrate([problem])
    assert end.status == CONVERGED
    assert invariant_drift(problem, end) < 10 * rtol
