"""Predictions of every recorded point, against integrated orbits: where they must hold, and where they must not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from kernels.data.kinds import Dataset
from kernels.problem import problem_of
from kernels.results import PredictionRecord, RunResult
from kernels.room import Room
from kernels.simulate import simulate
from kernels.spec import RunSpec
from kernels.theory.table import PREDICTIONS
from kernels.validate import canonicalise


def labelled(samples: int, dim: int, seed: int) -> Dataset:
    """Normal inputs with the signs of a normal vector's outputs."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, dim))
    return Dataset(f"labelled-{seed}", x, np.sign(x @ rng.standard_normal(dim)))


def run(data: Dataset, **axes: Any) -> tuple[RunSpec, Dataset]:
    given = {"data": {"points": {}}, "architecture": "diagonal", **axes}
    return canonicalise(given, data.x.shape[1]), data


def classifier(data: Dataset, depth: int = 2, alpha: float = 1.0, **axes: Any) -> tuple[RunSpec, Dataset]:
    stop = {"log_loss": -1e4}
    return run(data, **{"task": "classification", "depth": depth, "alpha": alpha, "stop": stop, **axes})


def regressor(data: Dataset, depth: int, alpha: float, **axes: Any) -> tuple[RunSpec, Dataset]:
    return run(data, **{"task": "regression", "depth": depth, "alpha": alpha, **axes})


def said(result: RunResult, name: str) -> PredictionRecord:
    return next(record for record in result.predictions if record.prediction == name)


def at(result: RunResult, number: float) -> float:
    """Distance at the point whose -log Loss is next to `number`."""
    assert result.trajectory is not None
    logs = -result.trajectory["log_loss"]
    point = min(said(result, "finite_margin").path, key=lambda each: abs(np.log(logs[each.point - 1] / number)))
    assert point.distance is not None
    return point.distance


HELD, REMEMBERED = labelled(4, 6, 0), labelled(4, 6, 1)
"""Draws on which all samples with multipliers remain at the margin, and on which one does not."""
LINE = Dataset("monotone", np.array([[1.0, 0.2, 0.1, 0.3], [0.1, 1.0, 0.2, -0.1]]), np.array([1.0, 0.5]))


@pytest.fixture(scope="module")
def classified() -> dict[str, RunResult]:
    """Through one program."""
    runs = {
        "held": classifier(HELD),
        "remembered": classifier(REMEMBERED),
        "straight": classifier(HELD, depth=1),
        "small": classifier(REMEMBERED, depth=3, alpha=0.1),
    }
    return dict(zip(runs, simulate(list(runs.values()), Room(4, 6, 3)), strict=True))


@pytest.fixture(scope="module")
def fitted() -> dict[str, RunResult]:
    """Through one program."""
    runs = {
        **{f"monotone {alpha}": regressor(LINE, 3, alpha) for alpha in (0.1, 0.01, 0.001)},
        "two layers": regressor(LINE, 2, 0.001),
        "gaussian": regressor(LINE, 3, 0.03, init="gaussian"),
        "tiny": regressor(LINE, 3, 1e-7),
    }
    return dict(zip(runs, simulate(list(runs.values()), Room(2, 4, 3)), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["held", "straight"])
def test_distances_fall_like_one_over_the_margin(classified: dict[str, RunResult], name: str) -> None:
    """And the limit of two layers is farther: the bound falls with the distance."""
    result = classified[name]
    _falls(result)
    if name == "held":
        limit = said(result, "max_margin_bridge").distance
        assert limit is not None
        assert limit > 50 * at(result, 1e4)


@pytest.mark.slow
def test_the_logistic_loss_has_the_same_multipliers() -> None:
    (result,) = simulate([classifier(HELD, loss="logistic")])
    _falls(result)


def _falls(result: RunResult) -> None:
    record = said(result, "finite_margin")
    assert record.kind == "limit t->inf"
    assert record.certificate is not None
    assert record.certificate < 1e-12
    assert record.detail["slope"] == pytest.approx(-1, abs=0.1)
    assert at(result, 1e2) < 3e-2
    assert at(result, 1e4) < 2e-4
    assert record.distance == at(result, 1e4)
    assert 0 <= record.detail["excess"] <= record.detail["bound"] < 2e-4


@pytest.mark.slow
def test_the_bound_tells_where_multipliers_are_remembered(classified: dict[str, RunResult]) -> None:
    """Where it must fail: distances stall at .1 and more, of convex problems that are certified, with a large bound."""
    for name in ("remembered", "small"):
        record = said(classified[name], "finite_margin")
        assert record.distance is not None
        assert record.distance > 0.1
        assert record.certificate is not None
        assert record.certificate < 1e-11
        assert record.detail["bound"] > 1e-2
    assert said(classified["small"], "finite_margin").kind == "limit alpha->inf"


@pytest.mark.slow
def test_every_point_is_bounded_and_of_the_orbits_margin(classified: dict[str, RunResult]) -> None:
    for result in classified.values():
        record, orbit = said(result, "finite_margin"), result.trajectory
        assert orbit is not None
        assert 4 <= len(record.path) <= 16
        assert record.path[-1].point == len(orbit["step"])
        assert record.detail["identity"] < 1e-6
        data = HELD if result.dataset == HELD.name else REMEMBERED
        for point in record.path:
            assert point.beta is not None
            assert point.bound is not None
            assert point.bound >= 0
            margins = data.y * (data.x @ point.beta)
            assert margins.min() == pytest.approx(float(orbit["min_margin"][point.point - 1]), rel=1e-9)


@pytest.mark.slow
def test_multipliers_are_those_of_the_flow(classified: dict[str, RunResult]) -> None:
    """mu_i = integral of exp(-m_i) by scipy, in layers, against what the bound at the first point is made of."""
    from kernels.theory.finite_margin import _multipliers, _only_multipliers
    from kernels.theory.recorded import curves

    spec, data = classifier(HELD)
    drawn = problem_of(spec, data)
    assert drawn.coordinates is not None
    signed = data.y[:, None] * data.x

    def velocity(t: float, state: np.ndarray) -> np.ndarray:
        u, v, _ = np.split(state, [6, 12])
        forces = np.exp(-signed @ (u * v))
        return np.concatenate([(forces @ signed) * v, (forces @ signed) * u, forces])

    begin = np.concatenate([*drawn.coordinates, np.zeros(4)])
    end = solve_ivp(velocity, (0, 5.0), begin, "LSODA", rtol=1e-11, atol=1e-13).y[:, -1]
    rho, mu = end[:6] * end[6:12], end[12:]
    curve = curves([drawn])
    nu = curve.nu(curve.chart(rho[None]))[0]
    np.testing.assert_allclose(nu, signed.T @ mu, rtol=0, atol=1e-8)
    np.testing.assert_allclose(_multipliers(signed, nu, signed @ rho), mu, rtol=1e-6)
    np.testing.assert_allclose(_only_multipliers(signed, nu[None])[0], mu, rtol=1e-6)


@pytest.mark.parametrize("name", ["finite_margin", "lasso_path"])
def test_runs_without_an_orbit_are_not_spoken_of(name: str) -> None:
    given = classifier(HELD) if name == "finite_margin" else regressor(LINE, 3, 0.1)
    assert PREDICTIONS[name].applies(problem_of(*given))
    light = replace(given[0], record=False)
    assert not PREDICTIONS[name].applies(problem_of(light, given[1]))


@pytest.mark.slow
def test_time_averages_come_to_the_lasso_in_proportion_to_alpha(fitted: dict[str, RunResult]) -> None:
    """L = 3; each point's beta is the lasso's of its penalty, T_3 = pi/2."""
    records = [said(fitted[f"monotone {alpha}"], "lasso_path") for alpha in (0.1, 0.01, 0.001)]
    distances = np.array([record.distance for record in records], float)
    assert distances[0] < 0.1
    np.testing.assert_allclose(distances[:-1] / distances[1:], 10, rtol=0.1)
    for record in records:
        assert record.detail["monotone"] == 1
        assert record.certificate is not None
        assert record.certificate < 1e-12
    orbit, last = fitted["monotone 0.01"].trajectory, records[1].path[-1]
    assert orbit is not None
    penalty = np.pi / 2 / 0.01 / np.exp(orbit["log_time"][last.point - 1])
    assert last.beta is not None
    slopes = LINE.x.T @ (LINE.y - LINE.x @ last.beta)
    assert np.abs(slopes).max() == pytest.approx(penalty, rel=1e-9)


@pytest.mark.slow
def test_two_layers_are_farther_from_it(fitted: dict[str, RunResult]) -> None:
    """Where it must fail: log(1/alpha) is not large, and the same alpha that serves L = 3 does not serve L = 2."""
    two, three = said(fitted["two layers"], "lasso_path"), said(fitted["monotone 0.001"], "lasso_path")
    assert two.distance is not None
    assert three.distance is not None
    assert two.distance > 0.02 > 20 * three.distance


@pytest.mark.slow
def test_the_identity_certifies_the_integrator(fitted: dict[str, RunResult]) -> None:
    """nu(rho(t)) = A^T lambda(t) at any alpha; another integral would not do."""
    for name, result in fitted.items():
        identity = said(result, "lasso_path").detail["identity"]
        assert identity < 1e-6, name
        orbit = result.trajectory
        assert orbit is not None
        assert orbit.residual_integral is not None
        assert orbit.residual_integral.shape == (len(orbit["step"]), 2)
        assert not orbit.residual_integral[0].any()


def test_what_is_summed_is_the_residual(fitted: dict[str, RunResult]) -> None:
    """By scipy, in layers: lambda and beta at one recorded time."""
    orbit = fitted["gaussian"].trajectory
    assert orbit is not None
    assert orbit.residual_integral is not None
    drawn = problem_of(*regressor(LINE, 3, 0.03, init="gaussian"))
    assert drawn.coordinates is not None
    place = len(orbit["step"]) // 2

    def velocity(t: float, state: np.ndarray) -> np.ndarray:
        w = state[:12].reshape(3, 4)
        rest = LINE.y - LINE.x @ w.prod(axis=0)
        others = [np.delete(w, layer, axis=0).prod(axis=0) for layer in range(3)]
        return np.concatenate([np.ravel(np.array(others) * (rest @ LINE.x)), rest])

    begin = np.concatenate([np.ravel(drawn.coordinates), np.zeros(2)])
    span = (0.0, float(np.exp(orbit["log_time"][place])))
    end = solve_ivp(velocity, span, begin, "LSODA", rtol=1e-11, atol=1e-14).y[:, -1]
    np.testing.assert_allclose(orbit.beta[place], end[:12].reshape(3, 4).prod(axis=0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(orbit.residual_integral[place], end[12:], rtol=1e-5)


@pytest.mark.slow
def test_summing_leaves_the_end_as_it_is(fitted: dict[str, RunResult]) -> None:
    """Against a run that records nothing, in steps of other lengths: within the tolerance."""
    spec, data = regressor(LINE, 3, 0.01)
    (light,) = simulate([(replace(spec, record=False), data)], Room(2, 4, 3))
    assert light.trajectory is None
    np.testing.assert_allclose(light.beta, fitted["monotone 0.01"].beta, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_classification_and_layers_sum_nothing(classified: dict[str, RunResult]) -> None:
    orbit = classified["held"].trajectory
    assert orbit is not None
    assert orbit.residual_integral is None


@pytest.mark.slow
def test_theorys_figures_at_every_scale() -> None:
    """n = 12, d = 6, L = 2: a draw without remembered multipliers, falling in proportion; then L = 3 at alpha = 3."""
    data = labelled(12, 6, 15)
    for result in simulate([classifier(data, alpha=alpha) for alpha in (0.3, 1.0, 3.0)]):
        assert said(result, "finite_margin").detail["slope"] == pytest.approx(-1, abs=0.15)
        for number, most in ((10, 2e-1), (1e2, 3e-2), (1e3, 3e-3), (1e4, 3e-4)):
            assert at(result, number) < most


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3])
def test_flows_cross_from_one_regime_to_the_other(depth: int) -> None:
    """-log Loss / alpha^L small: the l2 margin, which the bridge is far from; large: the bridge."""
    from kernels.theory.optimisers.margins import least_norm

    data = labelled(4, 6, 0)
    kernel, rich = simulate([
        classifier(data, depth, 1e3, stop={"log_loss": -1e3}), classifier(data, depth, 0.1, stop={"log_loss": -1e6}),
    ])  # fmt: skip
    euclidean = np.real(least_norm(data.y[:, None] * data.x).solution)
    euclidean /= np.linalg.norm(euclidean)
    near, far = (np.linalg.norm(each.beta / np.linalg.norm(each.beta) - euclidean) for each in (kernel, rich))
    assert near < 1e-2 < 0.05 < far
    there, here = said(kernel, "max_margin_bridge"), said(rich, "max_margin_bridge")
    assert here.distance is not None
    assert here.distance < 2e-2
    if depth == 2:
        assert there.distance is not None
        assert there.distance > 0.05
