"""What is done to samples before they are run: by definition, in order, for every kind, with a name of its own."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kernels.data.kinds import DATASETS, canonical, load
from kernels.data.preparation import PREPARATIONS, of_unit_norm, prepare, standardised, with_bias
from kernels.spec import InputError
from tests.kernels.test_datasets import SMALL, loaded, refused, small

numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
inputs = arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(1, 5)), elements=numbers)


@given(inputs)
def test_standardised_features_have_mean_zero_and_variance_one_or_are_zero(x: np.ndarray) -> None:
    found = standardised(x)
    constant = np.ptp(x, axis=0) == 0
    assert np.allclose(found.mean(axis=0), 0, atol=1e-6)
    assert not found[:, constant].any()
    assert np.allclose(found[:, ~constant].std(axis=0), 1)


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_units_of_a_feature_do_not_matter(unit: float) -> None:
    x = np.array([[1.0], [2.0], [5.0]])
    np.testing.assert_allclose(standardised(unit * x), standardised(x), rtol=1e-14)


def test_rounding_of_a_constant_feature_is_not_data() -> None:
    assert not standardised(np.array([[0.1 + 0.2], [0.3], [0.3]])).any()


@given(inputs.filter(lambda x: x.any(axis=1).all()))
def test_samples_of_unit_norm_keep_their_direction(x: np.ndarray) -> None:
    found = of_unit_norm(x)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert np.allclose(found * np.linalg.norm(x, axis=1, keepdims=True), x)


def test_norms_neither_overflow_nor_underflow() -> None:
    assert np.allclose(of_unit_norm(np.array([[3e300, 4e300], [3e-300, 4e-300]])), [[0.6, 0.8], [0.6, 0.8]])


def test_a_bias_is_a_last_feature_of_ones() -> None:
    assert np.array_equal(with_bias(np.array([[2.0], [3.0]])), [[2, 1], [3, 1]])


def test_the_order_is_that_of_the_table() -> None:
    x = np.array([[1.0, 2.0], [3.0, 10.0], [8.0, 0.0]])
    expected = with_bias(of_unit_norm(standardised(x)))
    assert np.array_equal(prepare(x, dict.fromkeys(reversed(PREPARATIONS), True)), expected)


@pytest.mark.parametrize("kind", DATASETS)
def test_every_kind_takes_them(kind: str, tmp_path: Path) -> None:
    base = small(tmp_path)
    plain = canonical(SMALL[kind], "classification", base)
    data = canonical({**SMALL[kind], "unit_norm": True, "bias": True}, "classification", base)
    assert canonical(data, "classification", Path("/elsewhere")) == data
    assert data != plain
    assert canonical({**SMALL[kind], "bias": False}, "classification", base) == plain
    before, after = load(plain, "classification"), load(data, "classification")
    assert np.array_equal(after.x, with_bias(of_unit_norm(before.x)))
    assert np.array_equal(after.y, before.y)
    assert after.name == f"{before.name}+unit_norm+bias"


def test_what_is_neither_true_nor_false_is_refused() -> None:
    refused({**SMALL["points"], "bias": 1}, "bias is 1; write true or false")


def test_a_zero_sample_has_no_norm() -> None:
    refused({"points": {"x": [[1, 2], [0, 0]], "y": [1, -1]}, "unit_norm": True}, "sample 2 is the zero vector")


@pytest.mark.parametrize(("task", "y"), [("regression", [2, 3]), ("classification", [1, -1])])
def test_an_error_names_the_bias_that_is_missing(task: str, y: list[int]) -> None:
    data = {"points": {"x": [[1.0], [2.0]], "y": y}}
    refused(data, "write bias: true", task)
    assert loaded({**data, "bias": True}, task).x.shape == (2, 2)


def test_centred_samples_fit_targets_of_any_mean_with_a_bias_only() -> None:
    data = {"points": {"x": [[1, 2, 4], [0, -3, 1]], "y": [1, 2]}, "standardise": True}
    with pytest.raises(InputError, match="with a bias they fit"):
        loaded(data, "regression")
    loaded({**data, "bias": True}, "regression")
