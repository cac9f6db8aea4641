"""What a network and its start can reach: against scipy's flows and programs, and what is refused in which words."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import linprog, nnls

from kernels.data.checks import check, condition, fits, separates
from kernels.data.kinds import Dataset
from kernels.networks.reach import reach
from kernels.networks.table import ARCHITECTURES, build
from kernels.problem import problem_of
from kernels.spec import InputError
from kernels.validate import check_compatible, reach_varies
from tests.kernels.conftest import NETWORKS, classification_data, regression_data, spec_of
from tests.networks import named

TWO = Dataset("two", np.eye(2), np.array([1.0, -1.0]))
THREE = Dataset("three", np.array([[1.0, 0.0], [0.0, -1.0], [1.0, -1.0]]), np.array([1.0, -1.0, 1.0]))


def refused(dataset: Dataset, message: str, **axes: Any) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_compatible(spec_of(dataset, **axes), dataset)
    assert str(caught.value).partition(":")[0] in ("architecture", "init")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5))
def test_signed_fits_and_separations_are_decided_as_by_other_programs(seed: int, samples: int, size: int) -> None:
    """`fits` by a linear program; `separates` by Gordan's alternative: mu >= 0, not zero, with s_j [Z^T mu]_j <= 0."""
    rng = np.random.default_rng(seed)
    matrix = 10.0 ** rng.integers(-4, 5, (samples, 1)) * rng.standard_normal((samples, size))
    signs = rng.choice([-1.0, 0.0, 1.0], size)
    y = matrix @ rng.standard_normal(size) if seed % 2 else rng.standard_normal(samples)
    bounds = [{0.0: (None, None), 1.0: (0, None), -1.0: (None, 0)}[sign] for sign in signs]
    unit = np.linalg.norm(matrix, axis=1)
    program = linprog(np.zeros(size), A_eq=matrix / unit[:, None], b_eq=y / unit, bounds=bounds)
    assert fits(matrix, y, signs) == (program.status == 0)
    # mu >= 0 of sum 1 and slack s >= 0 with Z^T mu + sign s = 0 (s = 0 where the sign is free)
    slack = np.diag(signs)[:, signs != 0]
    top = np.hstack([(matrix / unit[:, None]).T, slack])
    bottom = np.concatenate([np.ones(samples), np.zeros(slack.shape[1])])
    residual = nnls(np.vstack([top, bottom]), np.concatenate([np.zeros(size), [1.0]]))[1]
    assert separates(matrix, signs) == (residual > 1e-9)


def test_samples_count_on_their_own_scale() -> None:
    check(np.array([[1e17, 0.0], [0.0, 1.0]]), np.array([1e17, 1.0]), "regression")
    with pytest.raises(InputError, match="no linear coefficients fit"):
        check(np.array([[1e12, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.array([1e12, 1.0, 2.0]), "regression")
    check(np.array([[1e9, 0.0], [0.0, 1e-9]]), np.array([1.0, -1.0]), "classification")


def test_condition() -> None:
    """Of rows of unit length, against numpy's; dependent rows count once."""
    assert condition(np.diag([1e10, 1.0, 1e-10])) == pytest.approx(1)
    assert condition(np.array([[1.0, 0.0], [1.0, 1e-8]])) == pytest.approx(2e8, rel=1e-6)
    assert condition(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0]])) == pytest.approx(np.sqrt(2))
    rng = np.random.default_rng(0)
    x, s = rng.standard_normal((4, 6)), rng.standard_normal((9, 6))
    rows = x @ s.T
    assert condition(x, s) == pytest.approx(np.linalg.cond(rows / np.linalg.norm(rows, axis=1, keepdims=True)))
    fourier = np.fft.fft(np.eye(6))
    assert condition(x, fourier) == pytest.approx(condition(x))
    assert condition(np.zeros((1, 2))) == np.inf


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_network_too_narrow_is_refused(depth: int) -> None:
    odeco = {"odeco": {"s": [[1, 0.9]]}}
    axes: dict[str, Any] = {"task": "regression", "depth": depth, "init": "gaussian"}
    message = (
        r"architecture: odeco cannot fit these targets: .* S of 1 row, .* rank 1 for 2 samples\); write an s of more"
    )
    refused(TWO, message, architecture=odeco, **axes)
    refused(TWO, r"write a larger width", architecture="odeco", width=1, **axes)
    axes["task"] = "classification"
    refused(THREE, "cannot separate these classes", architecture={"odeco": {"s": [[1, -0.9]]}}, **axes)
    seen = Dataset("seen", np.array([[1.0, 0.9]]), np.array([2.0]))
    check_compatible(spec_of(seen, architecture=odeco, **{**axes, "task": "regression"}), seen)
    blind = Dataset("blind", np.array([[0.9, -1.0]]), np.array([2.0]))
    refused(blind, "cannot fit", architecture=odeco, **{**axes, "task": "regression"})


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_networks_that_represent_all_coefficients_pass(task: str) -> None:
    for name, sizes in NETWORKS:
        for depth in (1, 2, 3):
            dataset = regression_data(3, 4) if task == "regression" else classification_data(4, 4)
            spec = spec_of(
                dataset, task=task, architecture=named(name, 4, depth), depth=depth, init="gaussian", **sizes
            )
            assert not reach_varies(spec, 4)
            check_compatible(spec, dataset)


def test_reach_varies_where_s_is_drawn() -> None:
    axes: dict[str, Any] = {"task": "regression", "architecture": "odeco", "init": "gaussian"}
    assert reach_varies(spec_of(TWO, width=1, **axes), 2)
    assert not reach_varies(spec_of(TWO, width=2, **axes), 2)
    assert not reach_varies(spec_of(TWO, **{**axes, "architecture": {"odeco": {"s": [[1, 2]]}}}), 2)


def least_reached(dataset: Dataset, layers: list[list[float]]) -> tuple[float, np.ndarray]:
    """The least ||X rho - y|| that scipy's flow of a diagonal network meets up to t = 1e4, and the last rho."""
    w0 = np.array(layers)

    def velocity(t: float, state: np.ndarray) -> np.ndarray:
        w = state.reshape(w0.shape)
        force = -dataset.x.T @ (dataset.x @ w.prod(axis=0) - dataset.y)
        return (force * np.array([np.delete(w, row, axis=0).prod(axis=0) for row in range(len(w))])).ravel()

    found = solve_ivp(velocity, (0, 1e4), w0.ravel(), method="LSODA", rtol=1e-8, atol=1e-12)
    rho = found.y.reshape(*w0.shape, -1).prod(axis=0)
    return float(np.linalg.norm(dataset.x @ rho - dataset.y[:, None], axis=0).min()), rho[:, -1]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([[1, 1], [1, 1]], "its sign in every coordinate, where two layers share the least modulus"),
        ([[1, 1], [1, 1], [1, 1]], "its sign in every coordinate"),
        ([[2, 1], [0, 1], [1, 3]], "its sign in coordinate 2,"),
        ([[1, -1], [1, 1], [2, -2]], "no coefficients of these signs do it"),
        ([[1, 0], [1, 1], [2, 0]], "nothing moves in coordinate 2, where two or more layers are zero"),
        ([[0, 0], [0, 0]], "nothing moves from this start"),
        ([[2, 2], [1, 1], [2, 2]], None),
        ([[1, 1], [1, -1]], None),
        ([[1, 0], [0, 2], [1, 1]], None),
    ],
    ids=str,
)
def test_starts_are_refused_where_the_flow_never_fits(layers: list[list[float]], message: str | None) -> None:
    """y = (1, -1) on the axes: the second product must become negative."""
    least, _ = least_reached(TWO, layers)
    axes: dict[str, Any] = {"task": "regression", "architecture": "diagonal", "depth": len(layers)}
    axes["init"] = {"layers": layers}
    if message is None:
        assert least < 1e-6
        check_compatible(spec_of(TWO, **axes), TWO)
    else:
        assert least > 0.9
        refused(TWO, message, **axes)


@pytest.mark.parametrize("depth", [2, 3])
def test_signs_matter_only_where_the_data_need_the_other(depth: int) -> None:
    """Equal layers: fine for a teacher of positive weights, for u^L - v^L always, not for labels against both."""
    ones: dict[str, Any] = {"depth": depth, "init": {"layers": [[1.0, 1.0]] * depth}, "architecture": "diagonal"}
    agreeing = Dataset("agreeing", np.array([[1.0, 2.0]]), np.array([3.0]))
    check_compatible(spec_of(agreeing, task="regression", **ones), agreeing)
    against = Dataset("against", np.array([[1.0, 2.0]]), np.array([-3.0]))
    refused(against, "init: this start cannot fit these targets", task="regression", **ones)
    labels = Dataset("labels", np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, -1.0]))
    refused(labels, "init: this start cannot separate these classes", task="classification", **ones)
    kind = Dataset("kind", np.array([[1.0, 0.5], [0.5, -2.0]]), np.array([1.0, -1.0]))
    check_compatible(spec_of(kind, task="classification", **ones), kind)
    signed = {**ones, "architecture": "signed_diagonal", "init": {"layers": [[1.0] * 4] * depth}}
    for task, dataset in (("regression", against), ("classification", labels)):
        check_compatible(spec_of(dataset, task=task, **signed), dataset)


def test_complex_coordinates_keep_no_sign_but_real_ones_do() -> None:
    """Convolution of equal deltas: every |w_l| is equal; only the constant frequency is real, and keeps its sign."""
    data = Dataset("mean", np.ones((1, 3)), np.array([-1.0]))
    axes: dict[str, Any] = {"task": "regression", "architecture": "convolutional", "depth": 2}
    axes["init"] = {"layers": [[1.0, 0.0, 0.0]] * 2}
    found = reach(build(spec_of(data, **axes), 3).decomposition(), problem_of(spec_of(data, **axes), data).coordinates)
    np.testing.assert_array_equal(found.signs, [1, 0, 0])
    refused(data, "its sign in coordinate 1,", **axes)
    other = Dataset("wave", np.array([[1.0, -1.0, 0.0]]), np.array([-1.0]))
    check_compatible(spec_of(other, **axes), other)


@pytest.mark.parametrize("name", ["diagonal", "walsh", "signed_diagonal", "odeco", "convolutional"])
def test_drawn_starts_leave_everything_open(name: str) -> None:
    for depth in (1, 2, 4):
        for init in ("gaussian", "ordered", "structured"):
            spec = spec_of(regression_data(2, 4), task="regression", architecture=name, depth=depth, init=init)
            drawn = problem_of(spec, regression_data(2, 4))
            found = reach(drawn.decomposition, drawn.coordinates)
            assert not found.rest.any()
            assert not found.signs.any()
    assert name in ARCHITECTURES
