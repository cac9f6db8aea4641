"""Norms of the limit between the l1 and the l2 solution, against closed forms and what the runs measured themselves."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

from analysis.frames.norms import NORMS
from analysis.frames.problems import coordinates, problems
from db.store import Store
from tests.db import store_rows as rows


@pytest.fixture(scope="module")
def norms(store: Store) -> pl.DataFrame:
    return NORMS.read(store)


def test_the_exact_curve_is_the_closed_form_of_one_sample(norms: pl.DataFrame) -> None:
    """x = (1, 2), y = 1, L = 2: rho_j = alpha^2 sinh(2 nu x_j) / 2; least norms 1/2 and 1/sqrt 5."""
    assert norms.height == 10
    for alpha, name, reached, predicted, other in norms.select(
        "alpha", "norm", "reached", "predicted", "other"
    ).iter_rows():

        def rho(nu: float, alpha: float = alpha) -> np.ndarray:
            return alpha**2 * np.sinh(2 * nu * np.array([1.0, 2.0])) / 2

        found = rho(brentq(lambda nu: rho(nu) @ [1.0, 2.0] - 1, 0, 40, xtol=1e-15))
        order, least, end = (1, 0.5, 0.6) if name == "l1" else (2, 5**-0.5, 0.5)
        assert predicted == pytest.approx(np.linalg.norm(found, order) / least, rel=1e-6)
        assert reached == pytest.approx(predicted, rel=1e-6)
        assert other == pytest.approx(end / least, rel=1e-8)


def test_norms_are_what_the_runs_measured_of_their_own_layers(store: Store, norms: pl.DataFrame) -> None:
    sql = "SELECT run_id, objective, (detail->>'$.objective_reached')::DOUBLE AS reached FROM predictions "
    for name, power in (("l1", 1.0), ("l2", 0.5)):
        found = store.query(f"{sql} WHERE prediction = 'weighted_{name}'").to_pylist()
        measured = {row["run_id"]: (row["reached"] / row["objective"]) ** power for row in found}
        here = norms.filter(pl.col("norm") == name)
        assert here["reached"].to_list() == pytest.approx([measured[run] for run in here["run_id"]], rel=1e-7)


def test_a_limit_is_not_met_at_the_other_end_of_the_scales(norms: pl.DataFrame) -> None:
    for name, met, missed in (("l1", 0.01, 10.0), ("l2", 10.0, 0.01)):
        at = {row["alpha"]: row["reached"] for row in norms.filter(pl.col("norm") == name).iter_rows(named=True)}
        assert at[met] == pytest.approx(1, abs=1e-2)
        assert at[missed] > 1.1


@pytest.mark.parametrize("network", ["walsh", "odeco", "convolutional"])
def test_weighted_norms_of_coordinates_that_are_not_those_of_beta(network: str) -> None:
    """The weights eta and rho = (S^T)^{-1} beta, against the products of the transformed layers."""
    spec = {**json.loads(SPEC), "architecture": network, "init": {"structured": {"eta": "uniform"}}}
    (problem,) = problems([json.dumps(spec)])
    assert problem is not None
    assert problem.decomposition is not None
    layers = [np.random.default_rng(k).normal(size=layer.shape) for k, layer in enumerate(problem.layers)]
    rho = np.prod(problem.decomposition.transform(layers), axis=0)
    found = coordinates(problem, np.real(problem.architecture.coefficients(layers))[None])
    assert found is not None
    assert np.abs(found[0] - rho).max() < 1e-12
    assert problem.eta is not None
    assert np.ptp(problem.eta) > 0


def test_what_cannot_be_made_again_is_no_problem() -> None:
    """Neither a user's module nor what is no spec is loaded, and twice as many coordinates are not those of beta."""
    double = json.dumps({**json.loads(SPEC), "architecture": "signed_diagonal"})
    mine = json.dumps({**json.loads(SPEC), "architecture": "antigravity:Network"})
    found = problems([SPEC, "{}", "[", mine, double])
    assert [each is None for each in found] == [False, True, True, True, False]
    assert found[-1] is not None
    assert coordinates(found[-1], np.ones((1, 4))) is None


def test_runs_without_coordinates_are_left_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Store(tmp_path_factory.mktemp("norms") / "rows.duckdb")
    store.create()
    tables = rows.results(["a"], spec="{}")
    names = ("minimum_q_norm", "weighted_l1", "weighted_l2")
    tables["predictions"] = rows.table(
        "predictions", rows.PREDICTION, [{"run_id": "a", "prediction": name} for name in names]
    )
    store.commit(tables)
    assert NORMS.read(store).is_empty()


SPEC = json.dumps({
    "task": "regression", "loss": "squared", "data": {"points": {"x": [[1.0, 2.0, 0.5, -1.0]], "y": [1.0]}},
    "architecture": "diagonal", "depth": 3, "width": None, "filter": None, "init": {"structured": {"eta": "ones"}},
    "alpha": 0.1, "seed": 0, "rtol": 1e-7, "stop": {"residual": 1e-10}, "solver": "extrapolation", "record": True,
})  # fmt: skip
