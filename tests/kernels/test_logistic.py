"""The logistic loss: its flow against scipy's in plain time, its limits, and a loss as one row of the table."""

import decimal
from decimal import Decimal
from pathlib import Path
from typing import Any, final

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from db.store import Store
from kernels.data.kinds import Dataset, canonical, load
from kernels.flows.classification import ClassificationFlow
from kernels.flows.curves import Curves, curve_of
from kernels.flows.exponential import ExponentialFlow
from kernels.flows.logistic import LogisticFlow
from kernels.flows.parametrisation import Forces, Layers, RunData
from kernels.integrator.passage import passage_of
from kernels.losses import LOSSES, Loss, default_loss, losses_of
from kernels.networks.base import Diagonal
from kernels.networks.table import build
from kernels.problem import problem_of
from kernels.results import RunResult
from kernels.room import compile_key
from kernels.simulate import simulate
from kernels.spec import InputError, RunSpec
from kernels.theory.base import Endpoint, weights
from kernels.validate import canonicalise
from kernels.x64 import jax
from sweep.execution.plan import make_plan
from sweep.execution.session import Options, run
from sweep.grid.grid import load as load_grid
from sweep.grid.mistakes import GridError
from tests.kernels.conftest import classification_data, spec_of
from tests.marks import sampled

RTOL = 1e-10
SEPARABLE = "data: {points: {x: [[1, 2], [-0.5, 1]], y: [1, -1]}}\n"


def simulated(dataset: Dataset, **axes: Any) -> RunResult:
    spec = spec_of(dataset, task="classification", **{"loss": "logistic", "init": "gaussian", "rtol": RTOL, **axes})
    (result,) = simulate([(spec, dataset)])
    return result


def orbit_of(spec: RunSpec, dataset: Dataset, times: np.ndarray) -> np.ndarray:
    """beta at these physical times, by scipy, of the layers that follow -grad sum_i log(1 + e^{-y_i f(x_i)})."""
    problem = problem_of(spec, dataset)
    shapes = [layer.shape for layer in problem.layers]
    cuts = np.cumsum([layer.size for layer in problem.layers])[:-1]
    x, y = jnp.asarray(dataset.x), jnp.asarray(dataset.y)

    def coefficients(theta: Any) -> Any:
        parts = [part.reshape(shape) for part, shape in zip(jnp.split(theta, cuts), shapes, strict=True)]
        return problem.architecture.coefficients(parts)

    def loss(theta: Any) -> Any:
        return jnp.sum(jnp.log1p(jnp.exp(-y * (x @ coefficients(theta)))))

    slope = jax.jit(jax.grad(loss))
    start = np.concatenate([np.ravel(layer) for layer in problem.layers])
    found = scipy.integrate.solve_ivp(
        lambda _, theta: -np.asarray(slope(jnp.asarray(theta))),
        (0.0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-11, atol=1e-13,
    )  # fmt: skip
    assert found.success
    return np.array([coefficients(jnp.asarray(theta)) for theta in found.y.T])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [
        pytest.param("diagonal", {"depth": 3}, id="curves"),
        pytest.param("diagonal", {"depth": 1}, id="one layer", marks=pytest.mark.slow),
        pytest.param("fully_connected", {"depth": 2, "width": 5}, id="layers", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_the_orbit_is_that_of_plain_gradient_flow(architecture: str, sizes: dict[str, Any], alpha: float) -> None:
    """At the same physical times, from a loss of about n log 2 and from large weights with wrong signs alike."""
    dataset = classification_data()
    result = simulated(dataset, architecture=architecture, alpha=alpha, stop={"log_loss": -6.0}, **sizes)
    assert result.status == "converged"
    orbit = result.trajectory
    assert orbit is not None
    depth = result.spec.depth
    ours = orbit.beta[1:] * orbit["norm"][1:, None] ** depth
    theirs = orbit_of(result.spec, dataset, np.exp(orbit["log_time"][1:]))
    assert len(ours) > 50
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())
    exact = np.log(np.log1p(np.exp(-dataset.y * (theirs @ dataset.x.T))).sum(axis=1))
    np.testing.assert_allclose(orbit["log_loss"][1:], exact, rtol=0, atol=1e-6)


def flow_at(flow: type[ClassificationFlow], alpha: float, curved: bool) -> tuple[ClassificationFlow, Any, Any, RunData]:
    """(flow, theta, log_norm, data) of three layers of size alpha."""
    dataset = classification_data()
    spec = spec_of(dataset, task="classification", architecture="diagonal", depth=3, init="gaussian", alpha=alpha)
    problem = problem_of(spec, dataset)
    theta: Any = np.concatenate([np.ravel(layer) for layer in problem.layers])
    constants: Any = problem.architecture.constants
    if curved:
        theta, constants = curve_of(np.array(problem.layers))
    made = flow(Curves(theta.size, 2) if curved else Layers(problem.architecture))
    data = jax.tree.map(jnp.asarray, RunData(dataset.x, dataset.y, constants, np.zeros(3), 1.0, 0.0, np.ones(4), 1.0))
    theta, log_norm, _ = made.start(jnp.asarray(theta), data)
    return made, theta, log_norm, made.parametrisation.in_frame(data, log_norm)


@pytest.mark.parametrize("curved", [False, True], ids=["layers", "curves"])
@pytest.mark.parametrize("alpha", sampled([3.0, 0.01, 1.0], 3))
def test_loss_and_forces_are_those_of_the_definition(alpha: float, curved: bool) -> None:
    flow, theta, log_norm, data = flow_at(LogisticFlow, alpha, curved)
    z = np.exp(3 * log_norm) * np.asarray(flow.margins(theta, data))
    loss = np.log1p(np.exp(-z)).sum()
    np.testing.assert_allclose(flow.log_loss(theta, log_norm, data), np.log(loss), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(flow.weights(theta, log_norm, data), scipy.special.expit(-z) / loss, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.01, 1.0, 3.0])
def test_curvature_is_the_second_derivative_without_its_negative_direction(alpha: float) -> None:
    """D = kappa (diag h - p p^T) by automatic differentiation of log Loss / kappa in the outputs.

    With D = R (I - v v^T) R, |v|^2 = omega >= 1, what is damped is R (I - v v^T / omega) R: it differs by
    (1 - 1/omega) kappa p p^T, which is all that is negative in D.
    """
    flow, theta, log_norm, data = flow_at(LogisticFlow, alpha, curved=False)
    kappa = jnp.exp(3 * log_norm)
    outputs = flow.outputs(theta, data)
    exact = jax.hessian(lambda f: jnp.log(jnp.sum(jax.nn.softplus(-kappa * data.y * f))) / kappa)(outputs)
    half = flow.half_curvature(theta, log_norm, data)
    z, p = kappa * data.y * outputs, np.asarray(flow.weights(theta, log_norm, data) * data.y)
    omega = float(jnp.sum(jnp.exp(-z)) / jnp.sum(jax.nn.softplus(-z)))
    assert omega > 1
    wanted = exact + kappa * (1 - 1 / omega) * np.outer(p, p)
    np.testing.assert_allclose(half.T @ half, wanted, atol=1e-12 * float(kappa))
    assert np.linalg.eigvalsh(half.T @ half)[0] > -1e-12 * float(kappa)


def _log1p(e: Decimal) -> Decimal:
    return e - e**2 / 2 + e**3 / 3 if e < Decimal("1e-20") else (1 + e).ln()


@pytest.mark.parametrize("z", [-1e8, -800.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 11.0, 12.0, 36.0, 40.0, 800.0, 1e8])
def test_logarithms_of_one_margin_are_exact_at_any_size(z: float) -> None:
    """Against 60 digits, with their derivatives: -l'/l of log l, and -sigma(z) of log(-l')."""
    flow = LogisticFlow(Layers(Diagonal(1, 1)))
    with decimal.localcontext(prec=60, Emax=10**12, Emin=-(10**12)):
        e = (-Decimal(z)).exp()
        softplus, force = _log1p(e), -_log1p(1 / e)
        value, curvature = softplus.ln(), force - softplus
        slope, force_slope = -e / (1 + e) / softplus, -1 / (1 + e)
    at = jnp.array([z])
    np.testing.assert_allclose(flow.log_values(at)[0], float(value), rtol=4e-16, atol=4e-16)
    np.testing.assert_allclose(flow.log_forces(at)[0], float(force), rtol=4e-16)
    np.testing.assert_allclose(flow.log_curvatures(at)[0], float(curvature), rtol=4e-16)
    for function, derivative in ((flow.log_values, float(slope)), (flow.log_forces, float(force_slope))):
        found = jax.grad(lambda y, function=function: function(y[None])[0])(jnp.asarray(z))
        np.testing.assert_allclose(found, derivative, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_with_large_margins_it_is_the_exponential_flow() -> None:
    one, theta, log_norm, data = flow_at(LogisticFlow, 1.0, curved=True)
    other = ExponentialFlow(one.parametrisation)
    x = jnp.asarray(np.random.default_rng(1).uniform(1, 1.001, data.x.shape))
    theta, log_norm = jnp.abs(theta) + 0.1, jnp.asarray(3.0)
    data = data._replace(x=x * jnp.sign(one.coefficients(theta, data))[None], y=jnp.ones(4))
    assert float(jnp.exp(3 * log_norm) * jnp.min(one.margins(theta, data))) > 40
    for name in ("velocity", "log_loss", "half_curvature", "log_rate"):
        ours, theirs = (getattr(flow, name)(theta, log_norm, data) for flow in (one, other))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "sizes"), [("diagonal", {"depth": 2}), ("fully_connected", {"depth": 2, "width": 5})]
)
def test_its_limits_are_those_of_the_exponential_loss(architecture: str, sizes: dict[str, Any]) -> None:
    """To -log Loss = 1e6: the same predictions apply, and both runs end as near to them; the rate's constant is 1."""
    dataset = classification_data()
    axes = {"architecture": architecture, "alpha": 0.5, "rtol": 1e-7, "stop": {"log_loss": -1e6}, **sizes}
    ours, theirs = (simulated(dataset, loss=loss, **axes) for loss in ("logistic", "exponential"))
    assert (ours.status, theirs.status) == ("converged", "converged")
    assert ours.log_loss < -0.999e6
    found, known = ({each.prediction: each for each in result.predictions} for result in (ours, theirs))
    assert list(found) == list(known)
    for name, each in found.items():
        other = known[name]
        assert each.distance is not None
        assert other.distance is not None
        assert each.distance < 1.5 * other.distance
        if each.beta is not None and name != "finite_margin":  # which is of the margin that each run has reached
            np.testing.assert_allclose(each.beta, other.beta, rtol=1e-6, atol=1e-9)
    assert found["loss_rate"].distance is not None
    assert found["loss_rate"].distance < 1e-3


def test_shares_of_the_loss_are_those_of_its_forces() -> None:
    """What theory calls active and aligns layers with: sigmoids, of margins of any size."""
    dataset = classification_data()
    spec = spec_of(dataset, task="classification", loss="logistic", architecture="diagonal", depth=2)
    problem = problem_of(spec, dataset)
    margins = np.array([-2.0, 0.5, 1.0, 3.0])
    for log_norm in (-5.0, 0.0, 1.0):
        endpoint = Endpoint((), np.zeros(8), np.zeros((0, 0)), log_norm, 0.0, 0.0)
        forces = scipy.special.expit(-np.exp(2 * log_norm) * margins)
        np.testing.assert_allclose(weights(problem, endpoint, margins), forces / forces[0], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["kvaerno5"])
def test_other_solvers_agree(solver: str) -> None:
    dataset = classification_data()
    axes = {"architecture": "diagonal", "depth": 2, "rtol": 1e-8, "stop": {"log_loss": -8.0}, "record": False}
    ours, theirs = (simulated(dataset, solver=each, **axes) for each in ("extrapolation", solver))
    assert ours.status == theirs.status == "converged"
    np.testing.assert_allclose(ours.beta, theirs.beta, atol=1e-3)


def test_the_default_loss_is_not_part_of_an_id() -> None:
    points = {"points": {"x": [[1.0, 2.0], [-0.5, 1.0]], "y": [1.0, -1.0]}}
    axes = {"task": "classification", "data": points, "architecture": "diagonal"}
    plain, named, other = (
        canonicalise({**axes, **more}, 2) for more in ({}, {"loss": "exponential"}, {"loss": "logistic"})
    )
    assert plain == named
    assert plain.run_id == named.run_id != other.run_id
    assert RunSpec.from_dict({axis: v for axis, v in plain.to_dict().items() if axis != "loss"}) == plain
    assert RunSpec.from_dict(other.to_dict()).run_id == other.run_id
    assert compile_key(plain, 2, 2) != compile_key(other, 2, 2)
    dataset = load(points, "classification")
    programs = {passage_of(problem_of(spec, dataset)).program for spec in (plain, other)}
    assert len(programs) == 2


def test_a_loss_of_another_task_is_refused() -> None:
    with pytest.raises(InputError, match="loss: 'logistic' is not a loss of regression; write squared"):
        canonicalise({"task": "regression", "loss": "logistic", "data": {}, "architecture": "diagonal"}, 2)


def test_every_task_has_one_kind_of_labels() -> None:
    for loss in LOSSES.values():
        assert {LOSSES[name].labels for name in losses_of(loss.task)} == {loss.labels}
    assert (default_loss("regression"), default_loss("classification")) == ("squared", "exponential")


def planned(path: Path, text: str) -> Any:
    file = path / "grid.yaml"
    file.write_text(text, encoding="utf-8")
    return make_plan(load_grid(file), Store(path / "none.duckdb"))


def test_a_grid_of_two_losses_plans_both(tmp_path: Path) -> None:
    axes = "{architecture: diagonal, loss: [exponential, logistic], alpha: [1, 2]}"
    text = f"task: classification\n{SEPARABLE}grid: {axes}"
    plan = planned(tmp_path, text)
    assert plan.total == 4
    assert sorted(candidate.spec.loss for candidate in plan.candidates()) == ["exponential"] * 2 + ["logistic"] * 2
    assert [candidate.run_id for candidate in plan.candidates()] == [c.spec.run_id for c in plan.candidates()]
    assert len(plan.programs) == 2
    kept = planned(tmp_path, text + "\nwhen: loss == 'logistic'")
    assert {candidate.spec.loss for candidate in kept.candidates()} == {"logistic"}


def test_losses_of_other_tasks_are_dropped_by_rule(tmp_path: Path) -> None:
    text = f"{SEPARABLE}grid: {{task: [regression, classification], architecture: diagonal, loss: [squared, logistic]}}"
    plan = planned(tmp_path, text)
    assert sorted((c.spec.task, c.spec.loss) for c in plan.candidates()) == [
        ("classification", "logistic"),
        ("regression", "squared"),
    ]
    assert plan.dropped == {
        "loss: 'logistic' is not a loss of regression; write squared": 1,
        "loss: 'squared' is not a loss of classification; write exponential or logistic": 1,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("loss: logistic", "loss: 'logistic' is not a loss of regression; write squared"),
        ("loss: logistik", "loss: 'logistik' is not one of squared"),
        ("when: loss == 'logistik'", "logistik"),
    ],
)
def test_a_wrong_loss_is_answered_with_those_there_are(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(GridError) as caught:
        planned(tmp_path, f"task: regression\n{SEPARABLE}architecture: diagonal\n{line}")
    assert message in str(caught.value)


@final
class AreaFlow(ClassificationFlow):
    """l(z) = asinh(e^{-z}), a loss for tests: log l is concave, and its tail exponential."""

    def log_values(self, z: Forces) -> Forces:
        return jnp.where(z > 300, -z, jnp.log(jnp.arcsinh(jnp.exp(-jnp.clip(z, -700, 300)))))

    def log_forces(self, z: Forces) -> Forces:
        return -z - jax.nn.softplus(-2 * z) / 2

    def log_curvatures(self, z: Forces) -> Forces:
        return -z - 1.5 * jax.nn.softplus(-2 * z)


@pytest.mark.slow
def test_one_row_and_one_class_are_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid names it, its runs are planned, integrated, compared with theory and stored."""
    row = Loss(
        task="classification",
        formula="sum_i asinh(exp(-y_i f(x_i)))",
        labels="signs",
        stop={"log_margin": 3.0, "max_steps": 5000},
        columns=(7, 7),
        flow=f"{__name__}:AreaFlow",
        tail=lambda z: -np.logaddexp(0.0, -2 * z) / 2,
    )
    monkeypatch.setitem(LOSSES, "area", row)
    text = (
        f"task: classification\n{SEPARABLE}grid: {{architecture: diagonal, init: gaussian, loss: [exponential, area]}}"
    )
    plan = planned(tmp_path, text + "\nwhen: loss == 'area'")
    (spec,) = (candidate.spec for candidate in plan.candidates())
    assert (spec.loss, dict(spec.stop)) == ("area", dict(row.stop))
    store = tmp_path / "results.duckdb"
    assert run(tmp_path / "grid.yaml", Options(store=store, local=True)).computed == {"converged": 1}
    found = Store(store).query(
        "SELECT loss, status, prediction, distance FROM convergence WHERE prediction = 'max_margin_bridge'"
    )
    assert found["loss"].to_pylist() == ["area"]
    assert found["status"].to_pylist() == ["converged"]


def test_data_and_networks_do_not_ask_for_the_loss(tmp_path: Path) -> None:
    """The same data set, network and start for every loss of a task."""
    data = canonical({"gaussian": {"samples": 3, "dim": 4}}, "classification", tmp_path)
    axes = {"task": "classification", "data": data, "architecture": "walsh", "init": "gaussian"}
    one, other = (canonicalise({**axes, "loss": loss}, 4) for loss in losses_of("classification"))
    assert build(one, 4).parameters == build(other, 4).parameters
    for ours, theirs in zip(*(problem_of(s, load(data, "classification")).layers for s in (one, other)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
