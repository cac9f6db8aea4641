"""Identity: what determines the numbers of a run, and nothing else."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.losses import LOSSES
from kernels.networks.initialisations import INITIALISATIONS, canonical_init
from kernels.room import compile_key
from kernels.spec import (
    AXES,
    Descriptions,
    InputError,
    RunSpec,
    canonical_json,
    fragment,
    run_id,
)
from kernels.validate import canonicalise

AXIS_VALUES = {"task": "regression", "data": {"points": {"x": [[1.0, 2.0]], "y": [1.0]}}, "architecture": "diagonal"}


def canonical(**axes: object) -> RunSpec:
    return canonicalise({**AXIS_VALUES, **axes}, 2)


@pytest.mark.slow
def test_declarations_import_no_jax() -> None:
    code = "import sys, kernels.validate, kernels.theory.table; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_axes_are_the_fields() -> None:
    assert tuple(canonical().to_dict()) == tuple(AXES)


@given(
    alpha=st.floats(1e-6, 1e6),
    depth=st.integers(1, 20),
    seed=st.integers(0, 10**9),
    rtol=st.floats(1e-13, 1e-2),
    record=st.booleans(),
)
def test_identity_survives_json(alpha: float, depth: int, seed: int, rtol: float, record: bool) -> None:
    spec = canonical(alpha=alpha, depth=depth, seed=seed, rtol=rtol, record=record, init="gaussian")
    again = RunSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.run_id == spec.run_id == run_id({axis: fragment(axis, v) for axis, v in spec.identity().items()})


def test_descriptions_of_many_runs_are_those_of_each() -> None:
    """Whatever axes runs have in common, as the same objects or not; a file's path is in the JSON only."""
    files = [{"file": {"path": path, "sha256": "00", "target": "y"}} for path in ("/a.csv", "/b.csv")]
    data = [AXIS_VALUES["data"], *files]
    changes: list[dict[str, object]] = [{}, {"alpha": 3e-5}, {"depth": 4}, {"rtol": 1e-9}, {"record": False}]
    changes += [{"seed": 7, "init": "gaussian"}, {"architecture": {"odeco": {"s": [[1.0, 0.0], [0.0, 2.0]]}}}]
    changes += [{"architecture": "fully_connected", "init": "gaussian", "width": width} for width in (3, 4)]
    changes += [{"architecture": "convolutional", "filter": 1}, {"solver": "tsit5"}, {"stop": {"residual": 1e-3}}]
    changes += [{"task": "classification"}, {"task": "classification", "loss": "logistic"}]
    assert {axis for change in changes for axis in change} | {"data"} == set(AXES)
    specs = [canonical(data=each, **change) for each in data for change in changes]
    specs += [replace(spec, alpha=0.25, seed=3) for spec in specs]
    descriptions = Descriptions()
    for spec in specs:
        alone = replace(spec)
        assert descriptions.of(spec) == (alone.run_id, canonical_json(alone.to_dict()))
        assert spec.run_id == alone.run_id


def test_identity_ignores_spelling() -> None:
    """An integer alpha, a named or spelled-out initialisation and a default or explicit stop rule are one run."""
    plain = canonical(alpha=1.0)
    assert canonical(alpha=1).run_id == plain.run_id
    assert canonical(init={"structured": {"eta": "ones"}}).run_id == plain.run_id
    assert canonical(stop=LOSSES["squared"].stop).run_id == plain.run_id
    assert canonical(seed=5).run_id == plain.run_id  # nothing is drawn
    assert canonical(width=7).run_id == plain.run_id  # a diagonal network has no width


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 3},
        {"alpha": 0.5},
        {"init": "gaussian"},
        {"rtol": 1e-8},
        {"stop": {"residual": 1e-8}},
        {"record": False},
    ],
    ids=str,
)
def test_identity_tells_runs_apart(change: dict[str, object]) -> None:
    assert canonical(**change).run_id != canonical().run_id


def test_where_a_file_lies_is_not_identity() -> None:
    one, other = ({"file": {"path": path, "sha256": "00", "target": "y"}} for path in ("/a.csv", "/b.csv"))
    assert fragment("data", one) == fragment("data", other)


def test_compile_key_is_shared_by_runs_of_one_shape() -> None:
    assert compile_key(canonical(alpha=0.1), 2, 1) == compile_key(canonical(alpha=3.0), 2, 1)
    assert compile_key(canonical(), 2, 1) != compile_key(canonical(depth=3), 2, 1)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"depth": 0}, "depth: 0 is not an integer >= 1"),
        ({"depth": 2.5}, "depth: 2.5 is not an integer"),
        ({"alpha": 0}, "alpha: 0 is not a positive number"),
        ({"alpha": float("nan")}, "alpha: nan is not a positive number"),
        ({"task": "clustering"}, "task: 'clustering' is not one of regression, classification"),
        ({"rtol": 1}, "rtol: 1 is outside"),
        ({"stop": {"log_loss": -5}}, "stop: .* is not of regression; it takes max_steps, residual"),
        ({"stop": {"residual": 2}}, "residual: 2.* is not between 0 and 1"),
        ({"init": "structered"}, "init: unknown 'structered'; write one of structured"),
        ({"init": {"structured": {"eta": "two"}}}, "eta is 'two'; write ones or uniform"),
        ({"init": {"gaussian": {"scale": 1}}}, "gaussian has no \\['scale'\\]"),
        ({"architecture": "dense"}, "unknown 'dense'; write one of fully_connected"),
        ({"solver": "rk4"}, "solver: 'rk4' is not one of"),
    ],
    ids=str,
)
def test_bad_axes_are_answered(axes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        canonical(**axes)


def test_every_initialisation_has_a_canonical_form() -> None:
    for name in INITIALISATIONS:
        init = {"layers": [[1.0], [2.0]]} if name == "layers" else name
        assert canonical_init(canonical_init(init)) == canonical_init(init)
