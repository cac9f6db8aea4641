"""The lazy expansion has exactly the runs of the plain definition: multiply, canonicalise, filter, collapse."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.data.kinds import canonical, load
from kernels.spec import InputError, RunSpec
from kernels.validate import canonicalise, check_compatible
from sweep.grid.expansion import AT_REST, Audit, Expansion
from sweep.grid.grid import from_source
from sweep.grid.grid import load as load_grid
from sweep.grid.mistakes import GridError
from sweep.grid.source import Source

AXES: dict[str, list[Any]] = {
    "architecture": ["diagonal", "fully_connected", "convolutional", "walsh", "odeco", {"odeco": {"s": [[1, 2]]}}],
    "depth": [1, 2, 3],
    "width": [2, 4],
    "filter": [1, 2, "full"],
    "init": ["structured", "gaussian", "orthogonal", {"structured": {"eta": "uniform"}}],
    "alpha": [0.1, 1, 1.0],
    "seed": [0, 1, 2],
    "rtol": [1e-7, 1e-6],
    "data": [
        {"points": {"x": [[1, 2]], "y": [1]}},
        {"gaussian": {"samples": 2, "dim": 4, "seed": 0}},
        {"gaussian": {"samples": 2, "dim": 3, "seed": 1}},
    ],
}
FILTERS = [
    "seed > 0 and init == 'orthogonal'", "width == 2", "depth == 1", "alpha < 0.5", "dim == 4", "filter == 1",
    "architecture in ['walsh', 'odeco']",
]  # fmt: skip


@st.composite
def grids(draw: st.DrawFn) -> dict[str, Any]:
    """A few values of a few axes, some of them in step, some filters."""
    chosen = {
        axis: draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique_by=str))
        for axis, values in AXES.items()
        if axis in ("architecture", "data") or draw(st.booleans())
    }
    step = [axis for axis, values in chosen.items() if len(values) == 2 and draw(st.booleans())][:3]
    sections: dict[str, Any] = {"grid": {axis: values for axis, values in chosen.items() if axis not in step}}
    if step:
        sections["zip"] = {axis: chosen[axis] for axis in step}
    for kind in ("when", "exclude", "include"):
        if texts := draw(st.lists(st.sampled_from(FILTERS), max_size=2)):
            sections[kind] = texts
    return sections


def by_definition(block: dict[str, Any]) -> tuple[set[str], int]:
    """Identities of the runs, and the number of combinations."""
    columns = [[{axis: value} for value in values] for axis, values in block["grid"].items()]
    if "zip" in block:
        rows = zip(*block["zip"].values(), strict=True)
        columns.append([dict(zip(block["zip"], row, strict=True)) for row in rows])
    found, combinations = set(), 0
    for parts in itertools.product(*columns):
        combinations += 1
        axes: dict[str, Any] = {"task": "regression"}
        for part in parts:
            axes.update(part)
        axes["data"] = canonical(axes["data"], "regression", Path())
        dataset = load(axes["data"], "regression")
        try:
            spec = canonicalise(axes, dataset.x.shape[1])
            check_compatible(spec, dataset)
        except InputError:
            continue
        if kept(spec, dataset.x.shape[1], block):
            found.add(spec.run_id)
    return found, combinations


def kept(spec: RunSpec, dim: int, block: dict[str, Any]) -> bool:
    names = {**spec.to_dict(), "architecture": spec.architecture_name, "init": spec.init_name, "dim": dim}

    def holds(text: str) -> bool:
        missing = any(names.get(axis) is None for axis in ("width", "filter") if axis in text)
        return not missing and bool(eval(text, {}, dict(names)))

    when, exclude, include = ([holds(text) for text in block.get(kind, [])] for kind in ("when", "exclude", "include"))
    return all(when) and not any(exclude) and (any(include) or not include)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(grids())
def test_lazy_is_as_by_definition(block: dict[str, Any]) -> None:
    source = Source(Path("grid.yaml"), {"task": "regression", **block})
    audit, ids, emitted = Audit(), set(), 0
    refused = False
    try:
        for candidate in Expansion(from_source(source)).candidates(audit):
            emitted += 1
            ids.add(candidate.run_id)
            assert candidate.spec.run_id == candidate.run_id
    except GridError:
        refused = True  # some value of an axis has no run; the others were enumerated before
    expected, combinations = by_definition(block)
    assert ids == expected
    assert emitted + sum(audit.dropped.values()) == combinations
    assert not refused or audit.mistakes.lines


@settings(max_examples=20, deadline=None)
@given(grids())
def test_every_enumeration_is_the_same(block: dict[str, Any]) -> None:
    source = Source(Path("grid.yaml"), {"task": "regression", **block})
    expansion = Expansion(from_source(source))

    def ids() -> list[str]:
        found = []
        try:
            for candidate in expansion.candidates():
                found.append(candidate.run_id)  # noqa: PERF401 - those before the error count
        except GridError:
            pass
        return found

    assert ids() == ids()


MIXED = """
data: {points: {x: [[1, 2], [2, 5]], y: [1, 3]}}
grid:
  task: [regression, classification]
  loss: [squared, exponential]
  architecture: [diagonal, fully_connected]
  width: 3
  depth: 2
  init: [structured, orthogonal, gaussian]
"""


def test_a_mistake_in_the_data_of_one_task_is_said_once_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(MIXED)
    with pytest.raises(GridError) as caught:
        list(Expansion(load_grid(path)).candidates())
    assert caught.value.mistakes == (
        f"{path}:2: data: the labels are 1, 3; classification needs -1 and +1, both of them present",
    )


@pytest.mark.parametrize(
    ("task", "loss", "message"),
    [
        ("regression", "sqared", "'sqared' is not one of squared; did you mean 'squared'?"),
        ("classification", "sqared", "'sqared' is not one of exponential, logistic"),
        ("classification", "logistc", "'logistc' is not one of exponential, logistic; did you mean 'logistic'?"),
        ("[regression, classification]", "sqared", "squared, exponential, logistic; did you mean 'squared'?"),
    ],
)  # fmt: skip
def test_a_misspelt_loss_is_answered_with_those_of_its_task(task: str, loss: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        f"data: {{points: {{x: [[1, 2]], y: [1]}}}}\ntask: {task}\ngrid: {{architecture: diagonal, loss: {loss}}}"
    )
    with pytest.raises(GridError) as caught:
        load_grid(path)
    assert len(caught.value.mistakes) == 1
    assert caught.value.mistakes[0].endswith(message)


def test_alpha_of_which_the_gradient_has_no_square_is_refused_when_planning(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    head = "task: regression\ndata: {points: {x: [[1, 2]], y: [1]}}\ngrid: {architecture: diagonal, init: gaussian"
    path.write_text(f"{head}, depth: 1, alpha: [1, 1e-160]}}")
    with pytest.raises(GridError, match=r"alpha: 1e-160 has no square in double precision; write 1e-153 or more"):
        load_grid(path)
    path.write_text(f"{head}, depth: [2, 3], alpha: [1e-8, 1e-100]}}")
    audit = Audit()
    kept = [(run.spec.depth, run.alpha) for run in Expansion(load_grid(path)).candidates(audit)]
    assert kept == [(2, 1e-8), (2, 1e-100), (3, 1e-8)]
    assert audit.dropped == {AT_REST: 1}
