"""Data sets: what is loaded is what was written, and what cannot be run is refused with what to write instead."""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.datasets import load_digits

from kernels.data import files, kinds
from kernels.data.bundled import BUNDLED
from kernels.data.checks import check
from kernels.data.kinds import DATASETS, Dataset, canonical, load
from kernels.spec import InputError, canonical_json, fragment

HERE = Path(__file__).parent
SMALL: dict[str, Mapping[str, Any]] = {
    "points": {"points": {"x": [[1, 2], [0, -3]], "y": [1, -1]}},
    "gaussian": {"gaussian": {"samples": 4, "dim": 10}},
    "file": {"file": "small.csv", "target": "y"},
    "dataset": {"dataset": "digits", "classes": [3, 8], "samples": 10},
}


def small(path: Path) -> Path:
    (path / "small.csv").write_text("a,b,y\n1,2,1\n0,-3,-1\n")
    return path


def loaded(data: Mapping[str, Any], task: str = "classification", base: Path = HERE) -> Dataset:
    return load(canonical(data, task, base), task)


def refused(data: Any, message: str, task: str = "classification", base: Path = HERE) -> None:
    with pytest.raises(InputError, match=message) as caught:
        loaded(data, task, base)
    assert str(caught.value).startswith("data: ")


def samples(name: str, **parameters: Any) -> Mapping[str, Any]:
    return {name: parameters}


# every kind keeps these promises


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("kind", DATASETS)
def test_every_kind_loads(kind: str, task: str, tmp_path: Path) -> None:
    data = canonical(SMALL[kind], task, small(tmp_path))
    assert canonical(data, task, Path("/elsewhere")) == data
    assert canonical_json(data)
    first = load(data, task)
    assert first.x.dtype == first.y.dtype == np.float64
    assert first.x.shape[0] == first.y.shape[0] > 0
    assert first.name
    if task == "classification":
        assert set(first.y) == {-1.0, 1.0}
    with pytest.raises(ValueError, match="read-only"):
        first.x[0, 0] = 7
    kinds._load.cache_clear()
    second = load(data, task)
    assert np.array_equal(first.x, second.x)
    assert np.array_equal(first.y, second.y)
    assert first.name == second.name


@pytest.mark.parametrize("kind", DATASETS)
def test_unknown_parameters_are_refused(kind: str, tmp_path: Path) -> None:
    own = SMALL[kind][kind]
    data = {**SMALL[kind], kind: {**own, "smaples": 3}} if isinstance(own, dict) else {**SMALL[kind], "smaples": 3}
    refused(data, "has no 'smaples'; it takes", base=small(tmp_path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"points": {"x": [[1, 2], [3]], "y": [1, -1]}}, "rows of equal length"),
        ({"points": {"x": [[1, 2]], "y": [1, -1]}}, "1 rows in x and 2 values in y"),
        ({"points": {"x": [1, 2], "y": [1, -1]}}, r"x is \[1, 2\]; write numbers in rows"),
        ({"points": {"x": [], "y": []}}, "write numbers"),
        ({"points": {"x": [[]], "y": [1]}}, "write numbers"),
        ({"points": {"x": [["a"]], "y": [1]}}, "write numbers"),
        ({"points": {"x": [[1.0]]}}, "y is None"),
        ({"points": {"x": [[float("nan")]], "y": [1]}}, "NaN or an infinity"),
        ({"points": {"x": [[1.0]], "y": [float("inf")]}}, "NaN or an infinity"),
        ({"points": 3}, "write its parameters"),
        ({"point": {}}, "point names no kind; write one of points, gaussian, file, dataset"),
        ({"points": {}, "gaussian": {}}, "several kinds"),
        ({"gaussian": {"samples": 4}}, "dim is None; write an integer >= 1"),
        ({"gaussian": {"samples": 0, "dim": 2}}, "samples is 0"),
        ({"gaussian": {"samples": True, "dim": 2}}, "samples is True"),
        ({"gaussian": {"samples": 4, "dim": 3, "sparsity": 4}}, "sparsity 4 is more than dim 3"),
        ({"gaussian": {"samples": 4, "dim": 3, "noise": -1}}, "noise is -1"),
        ({"gaussian": {"samples": 4, "dim": 3, "seed": -1}}, "seed is -1"),
        ({"gaussian": {"samples": 1, "dim": 3}}, "one sample is one class"),
        ({"dataset": "mnist"}, "unknown dataset 'mnist'; write one of digits"),
        ({"dataset": "digits"}, r"digits has 10 classes; write classes: \[a, b\]"),
        ({"dataset": "diabetes"}, "diabetes has real targets"),
        ({"dataset": "diabetes", "classes": [0, 1]}, "diabetes has no classes"),
        ({"dataset": "digits", "classes": [3, 3]}, "two different labels"),
        ({"dataset": "digits", "classes": [3, 10]}, "the classes 0 to 9"),
        ({"dataset": "digits", "classes": [3, 8], "samples": 1000}, "class 3, has 183 samples; 500 are asked for"),
        ({"dataset": "digits", "classes": [3, 8], "scale": "max"}, "write one of range, variance, none"),
        ({"nowhere:nothing": {}}, "cannot be imported"),
        ({"os.path:join": {}}, r"write a function of \(task\) that returns x, y"),
        ({"os.path:join": {"a": object()}}, "is not JSON"),
    ],
)
def test_wrong_data_are_refused(data: Any, message: str) -> None:
    refused(data, message)


# gaussian


def test_gaussian_is_the_documented_draw() -> None:
    data = samples("gaussian", samples=5, dim=20, sparsity=3, noise=0.0, seed=4)
    rng = np.random.default_rng([4, 2])
    x, teacher = rng.standard_normal((5, 20)), rng.standard_normal(20)
    teacher[rng.permutation(20)[3:]] = 0
    regression, classification = loaded(data, "regression"), loaded(data)
    assert regression.name == "gaussian(dim=20,samples=5,seed=4,sparsity=3)"
    np.testing.assert_array_equal(regression.x, x)
    np.testing.assert_allclose(regression.y, x @ teacher, rtol=1e-12)
    np.testing.assert_array_equal(classification.y[:, None] * classification.x, np.sign(x @ teacher)[:, None] * x)
    noisy = loaded(samples("gaussian", samples=5, dim=20, sparsity=3, noise=0.5, seed=4), "regression")
    np.testing.assert_array_equal(noisy.x, x)
    assert 0 < np.abs(noisy.y - regression.y).max() < 2.5


@pytest.mark.parametrize("seed", range(40))
def test_gaussian_has_both_classes(seed: int) -> None:
    assert set(loaded(samples("gaussian", samples=2, dim=3, seed=seed)).y) == {-1.0, 1.0}


def test_gaussian_noise_may_leave_no_fit() -> None:
    refused(samples("gaussian", samples=20, dim=5, noise=1.0), "20 samples in 5 dimensions", "regression")


# whether a run can succeed


def separable(x: np.ndarray, y: np.ndarray) -> bool:
    """Gordan: either X^T D w > 0 for some w, or a convex combination of the y_i x_i is zero."""
    signed = (y[:, None] * x).T
    _, residual = nnls(np.vstack([signed, np.ones(signed.shape[1])]), np.eye(len(signed) + 1)[-1])
    return residual > 1e-9


@settings(max_examples=150, deadline=None)
@given(
    x=st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=2, max_size=7),
    flips=st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_separable_is_gordans_alternative(x: list[list[int]], flips: list[bool]) -> None:
    inputs, labels = np.array(x, dtype=float), np.where(flips[: len(x)], 1.0, -1.0)
    if len(set(labels)) < 2:
        labels[0] = -labels[0]
    if separable(inputs, labels):
        check(inputs, labels, "classification")
    else:
        with pytest.raises(InputError, match="hyperplane through the origin"):
            check(inputs, labels, "classification")


def test_a_bias_is_offered_where_it_helps() -> None:
    points = {"points": {"x": [[1.0], [2.0]], "y": [1, -1]}}
    refused(points, "with a bias they are: write bias: true")
    loaded({"points": {"x": [[1.0, 1.0], [2.0, 1.0]], "y": [1, -1]}})
    refused({"points": {"x": [[1.0], [2.0], [3.0]], "y": [1, -1, 1]}}, "write fewer samples")
    refused({"points": {"x": [[1.0], [0.0]], "y": [1, -1]}}, "sample 2 is the zero vector")


@pytest.mark.parametrize(("y", "shown"), [([1, 1], "1"), ([0, 1], "0, 1"), ([-1, 2], "-1, 2"), ([1, 2], "1, 2")])
def test_labels_are_two_classes(y: list[int], shown: str) -> None:
    refused({"points": {"x": [[1, 2], [0, -3]], "y": y}}, rf"the labels are {shown}; classification needs -1 and \+1")


def test_targets_that_no_coefficients_fit() -> None:
    points = {"points": {"x": [[1, 0], [1, 0]], "y": [1, 2]}}
    refused(points, r"relative residual of 0.32; there are 2 samples in 2 dimensions \(rank 1\)", "regression")
    loaded({"points": {"x": [[1, 0], [2, 0], [3, 0]], "y": [1, 2, 3]}}, "regression")
    refused({"points": {"x": [[1, 0]], "y": [0]}}, "every target is zero", "regression")


# files


def test_any_two_values_become_labels(tmp_path: Path) -> None:
    for text, expected in (("cat,dog,cat", [-1, 1, -1]), ("10,9,10", [1, -1, 1]), ("1.0,1,02", [-1, -1, 1])):
        lines = [f"{number},{number**2},{value}" for number, value in enumerate(text.split(","), 1)]
        (tmp_path / "f.csv").write_text("\n".join(["a,b,y", *lines]))
        x, y = files.read(tmp_path / "f.csv", ["a", "b"], "y", two_values=True)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(x, [[1, 1], [2, 4], [3, 9]])


def test_parquet_and_csv_agree(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": [0.5, -1.0], "label": ["x", "y"], "flag": [True, False]})
    frame.write_parquet(tmp_path / "f.parquet")
    frame.with_columns(pl.col("flag").cast(pl.Int64)).write_csv(tmp_path / "f.csv")
    both = [loaded({"file": f"f.{kind}", "target": "label"}, base=tmp_path) for kind in ("csv", "parquet")]
    np.testing.assert_array_equal(both[0].x, both[1].x)
    np.testing.assert_array_equal(both[0].y, both[1].y)
    assert both[0].x.tolist() == [[1, 0.5, 1], [2, -1, 0]]


def test_features_are_chosen_in_order(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("name,a,b,y\nu,1,2,3\nv,4,5,6\n")
    found = loaded({"file": "f.csv", "target": "y", "features": ["b", "a"]}, "regression", tmp_path)
    assert found.x.tolist() == [[2, 1], [5, 4]]
    assert found.y.tolist() == [3, 6]
    assert re.fullmatch(r"f-[0-9a-f]{8}", found.name)


def test_features_are_chosen_by_patterns_and_by_leaving_out(tmp_path: Path) -> None:
    """The canonical form names them, so that how they were written is no part of the identity."""
    (tmp_path / "f.csv").write_text("sample,g_2,g_1,x*,y\na,1,2,3,4\nb,5,6,7,8\n")
    for chosen, expected in (
        ({"features": ["g_1", "g_2"]}, ["g_1", "g_2"]),
        ({"features": ["g_*"]}, ["g_2", "g_1"]),
        ({"features": ["g_1", "g_?"]}, ["g_1", "g_2"]),
        ({"features": ["x*", "g_[12]"], "exclude": ["g_2"]}, ["x*", "g_1"]),
        ({"exclude": ["sample"]}, ["g_2", "g_1", "x*"]),
        ({"exclude": ["sample", "g*"]}, ["x*"]),
        ({"features": ["*"], "exclude": ["sample"]}, ["g_2", "g_1", "x*"]),
    ):
        data = canonical({"file": "f.csv", "target": "y", **chosen}, "regression", tmp_path)
        named = canonical({"file": "f.csv", "target": "y", "features": expected}, "regression", tmp_path)
        assert data == named
        assert data["file"]["features"] == expected


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_numbers_the_samples_is_refused_unless_it_is_named(kind: str, tmp_path: Path) -> None:
    for name in ("id", "ID", "sample_id", "patientId", "Sample No", "index"):
        frame = pl.DataFrame({name: [3, 7, 12], "a": [1.0, 0.0, 2.0], "b": [0.0, 2.0, 1.0], "y": [1, 2, 3]})
        frame.write_parquet(tmp_path / "f.parquet") if kind == "parquet" else frame.write_csv(tmp_path / "f.csv")
        data = {"file": f"f.{kind}", "target": "y"}
        refused(data, rf"column '{name}' holds growing whole numbers.*exclude: \[{name}\]", "regression", tmp_path)
        kept = canonical({**data, "features": [name, "a"]}, "regression", tmp_path)
        assert kept["file"]["features"] == [name, "a"]
        assert canonical({**data, "exclude": [name]}, "regression", tmp_path)["file"]["features"] == ["a", "b"]


def test_what_numbers_no_sample_is_a_feature(tmp_path: Path) -> None:
    for name, values in (
        ("id", [3, 3, 4]),
        ("id", [2, 1, 3]),
        ("id", [0.5, 1, 2]),
        ("grid", [1, 2, 3]),
        ("casino", [1, 2, 3]),
    ):
        pl.DataFrame({name: values, "y": [1, 2, 3]}).write_csv(tmp_path / "f.csv")
        data = canonical({"file": "f.csv", "target": "y"}, "regression", tmp_path)
        assert data["file"]["features"] == [name]


def test_moving_a_file_changes_no_identity(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    data = {"file": "small.csv", "target": "y"}
    here = canonical(data, "regression", small(tmp_path))
    shutil.copy(tmp_path / "small.csv", tmp_path / "there" / "moved.csv")
    there = canonical({**data, "file": "there/moved.csv"}, "regression", tmp_path)
    assert here != there
    assert fragment("data", here) == fragment("data", there)
    (tmp_path / "small.csv").write_text("a,b,y\n1,2,1\n0,-3,-2\n")
    assert fragment("data", canonical(data, "regression", tmp_path)) != fragment("data", there)
    with pytest.raises(InputError, match="has changed since the grid was read"):
        load(here, "regression")
    with pytest.raises(InputError, match="has changed: its sha256 is"):
        canonical(here, "regression", tmp_path)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,1\n\n4,nan,2\n", "line 4, column 'b': 'nan' is not a finite number; write"),
        ("a,b,y\n1,2,1\n4,,2\n", "line 3, column 'b': the value is missing"),
        ("a,b,y\n1,2,1\n4,2\n", "line 3, column 'y': the value is missing"),
        ("a,b,y\n1,2,1\n,,\n", "line 3, column 'a': the value is missing"),
        ('a,b,y\n1,"2\n",1\n\n4,inf,2\n', "line 5, column 'b': 'inf' is not"),
        ("a,b,y\n1,two,1\n4,2,2\n", "line 2, column 'b': 'two' is not"),
        ("a,b,y\n1,2,1\n4,5,6,7\n", r"line 3 \(4 fields, 3 columns\)"),
        ("a,b,y\n1,2,1\n4,5,\n", "line 3, column 'y': the value is missing"),
        ("a,b,y\n1,2,1\n4,5,NaN\n", "line 3, column 'y': 'NaN' is not"),
        ("a,b,y\n1,2,1\n4,5,2\n7,8,3\n", "column 'y' holds 1.0, 2.0, 3.0; classification needs two"),
        ("a,b,y\n1,2,1\n4,5,1\n", "column 'y' holds 1.0; classification needs two"),
        ("a,b,y\n", "has no samples"),
        ("", "is empty"),
        ("a,a,y\n1,2,1\n", "line 1: two columns are named 'a'"),
    ],
)
def test_a_csv_is_refused_with_its_line(text: str, message: str, newline: str, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(text, newline=newline)
    refused({"file": "f.csv", "target": "y"}, f"f.csv.*{message}", base=tmp_path)


def test_regression_needs_numbers_as_targets(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a,y\n1,cat\n2,dog\n")
    refused({"file": "f.csv", "target": "y"}, "line 2, column 'y': 'cat' is not", "regression", tmp_path)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"target": "Y"}, r"no column 'Y' \(target\); did you mean 'y'"),
        ({"target": "z"}, "it has a, b, y"),
        ({}, "needs `target`"),
        ({"target": "y", "features": ["c"]}, r"no column 'c' \(features\)"),
        ({"target": "y", "features": "a"}, "write a list of different columns"),
        ({"target": "y", "features": []}, "write a list of different columns"),
        ({"target": "y", "features": ["a", "a"]}, "write a list of different columns"),
        ({"target": "y", "features": ["a", "y"]}, "is the target and a feature"),
        ({"target": "y", "features": ["z*"]}, r"no column like 'z\*' \(features\); it has a, b, y"),
        ({"target": "y", "exclude": ["c"]}, r"no column 'c' \(exclude\)"),
        ({"target": "y", "exclude": "a"}, "exclude is 'a'; write a list"),
        ({"target": "y", "exclude": ["y"]}, "is the target, and excluded"),
        ({"target": "y", "exclude": ["a", "b"]}, "no feature is left"),
        ({"target": "y", "file": "none.csv"}, "none.csv does not exist"),
        ({"target": "y", "file": "small.txt"}, "neither .csv, .tsv nor .parquet"),
        ({"target": "y", "file": None}, "write a path"),
    ],
)
def test_a_wrong_description_of_a_file_is_refused(extra: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    refused({"file": "small.csv", **extra}, message, base=small(tmp_path))


@pytest.mark.parametrize("name", ["f.csv", "f.parquet"])
def test_bytes_that_are_no_table_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"a,y\n\xff\xfe,1\n2,2\n" * 3)
    refused({"file": name, "target": "y"}, f"{name}.*cannot be read", base=tmp_path)


def test_a_parquet_of_lists_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": [[1.0], [2.0]], "y": [1, 2]}).write_parquet(tmp_path / "f.parquet")
    refused({"file": "f.parquet", "target": "y"}, "column 'a' holds List", base=tmp_path)
    pl.DataFrame({"a": [1.0, None], "y": [1, 2]}).write_parquet(tmp_path / "f.parquet")
    refused({"file": "f.parquet", "target": "y"}, "row 2, column 'a': the value is missing", base=tmp_path)


# scikit-learn's


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_set_loads(name: str) -> None:
    classes = {} if BUNDLED[name][1] is None else {"classes": [0, 1]}
    parameters = {"dataset": name, "samples": 4, "scale": "variance", **classes}
    assert loaded(parameters, "regression").x.shape[0] == 4
    if classes:
        assert loaded(parameters).y.sum() == 0


def test_digits_are_the_first_of_each_class_scaled_to_one() -> None:
    x, y = load_digits(return_X_y=True)
    rows = np.sort(np.concatenate([np.flatnonzero(y == 3)[:6], np.flatnonzero(y == 8)[:5]]))
    found = loaded({"dataset": "digits", "classes": [3, 8], "samples": 11})
    assert found.name == "digits(classes=3|8,samples=11)"
    np.testing.assert_array_equal(found.y, np.where(y[rows] == 8, 1, -1))
    np.testing.assert_allclose(found.x, x[rows] / np.where(x.max(axis=0) > 0, x.max(axis=0), 1))
    assert 0 <= found.x.min() < found.x.max() == 1
    np.testing.assert_array_equal(loaded({"dataset": "digits", "samples": 5}, "regression").y, y[:5])


def test_a_seed_draws_other_samples() -> None:
    names: Callable[[Any], Dataset] = lambda seed: loaded(  # noqa: E731
        {"dataset": "digits", "classes": [3, 8], "samples": 40, "seed": seed, "scale": "none"}
    )
    first, second, again = names(0), names(1), names(0)
    assert first.x.max() == 16
    assert not np.array_equal(first.x, second.x)
    assert np.array_equal(first.x, again.x)
    assert first.y.sum() == 0


# a user's own


def own(task: str, rows: int) -> tuple[list[list[float]], list[float]]:
    """A data set that a test stands for its user with."""
    return [[1.0, float(row)] for row in range(rows)], [1.0, -1.0][:rows]


def test_a_users_function_is_a_kind() -> None:
    data = {f"{__name__}:own": {"rows": 2}}
    found = loaded(data)
    assert found.name.startswith(f"{__name__}:own-")
    assert found.x.tolist() == [[1, 0], [1, 1]]
    refused({f"{__name__}:own": {"rows": 3}}, r"x has shape \(3, 2\), y has shape \(2,\)")
