"""grid.yaml: every mistake is answered with its place, the value, the choices, the nearest match."""

import json
from pathlib import Path

import jsonschema
import pytest

from kernels.integrator.solvers import SOLVERS
from kernels.spec import SOLVER_NAMES
from sweep.cli.outputs import STARTER
from sweep.grid.expansion import Audit, Expansion
from sweep.grid.grid import from_source
from sweep.grid.mistakes import GridError
from sweep.grid.overrides import override
from sweep.grid.schema import json_schema
from sweep.grid.source import parse
from tests.sweep.conftest import EXAMPLES, NETWORKS

HEAD = """\
task: regression
data: {points: {x: [[1, 2]], y: [1]}}
"""


def mistakes(text: str, *assignments: str, folder: Path = NETWORKS) -> str:
    """What is said about a grid."""
    with pytest.raises(GridError) as caught:
        runs(text, *assignments, folder=folder)
    return str(caught.value).replace(f"{folder}/", "")


def runs(text: str, *assignments: str, folder: Path = NETWORKS) -> int:
    source = parse(text, folder / "grid.yaml")
    override(source, assignments)
    return len({candidate.run_id for candidate in Expansion(from_source(source)).candidates()})


GRIDS = {
    "grid: {architecture: diagnal}": "grid.yaml:3: architecture: 'diagnal' is not one of fully_connected, diagonal",
    "grid: {architecture: diagnal, depth: 2}": "did you mean 'diagonal'",
    "grid: {architecture: 'no_such:Net'}": "grid.yaml:3: architecture: 'no_such:Net' cannot be imported",
    "grid: {architecture: 'os:getcwd'}": "is not a subclass",
    "grid:\n  architecture: diagonal\n  depth: [2, 0]": "grid.yaml:5: depth: 0 is not an integer >= 1",
    "grid:\n  architecture: diagonal\n  depth:\n  - 2\n  - 2.0": "grid.yaml:7: depth: 2.0 is not an integer",
    "grid: {architecture: {odec: {s: [[1, 2]]}}}": "grid.yaml:3: architecture: 'odec' is not one of",
    "grid: {architecture: {odeco: {t: [[1, 2]]}}}": "architecture: Odeco has no parameter 't'; it takes s, bases",
    "grid: {architecture: {odeco: {s: [[1], [2, 3]]}}}": "grid.yaml:3: architecture: s of odeco must be rows",
    "grid: {architecture: {odeco: {s: [[1, .nan]]}}}": "grid.yaml:3: architecture: {'odeco': {'s': [[1, nan]]}} holds",
    "grid: {architecture: {odeco: {s: [[1, 2, 3]]}}}": "grid.yaml:3: architecture: s of odeco has shape (1, 3);",
    "grid: {architecture: {odeco: {s: [[1, 2]]}}, width: 2}": "grid.yaml:3: width: 2 is not that of the matrices given",
    "grid: {architecture: {diagonal: {s: [[1, 2]]}}}": "Diagonal has no parameter 's'; it takes no parameters",
    "grid: {architecture: diagonal, depth: true}": "depth: True is not an integer",
    "grid: {architecture: diagonal, alpha: -1}": "alpha: -1 is not a positive number",
    "grid: {architecture: diagonal, alpha: .nan}": "grid.yaml:3: alpha: nan holds a number that is not finite",
    "grid: {architecture: diagonal, alpha: small}": "alpha: 'small' is not a positive number",
    "grid: {architecture: diagonal, rtol: 1}": "rtol: 1 is outside 1e-13 .. 1e-2",
    "grid: {architecture: diagonal, seed: -1}": "seed: -1 is not an integer >= 0",
    "grid: {architecture: diagonal, solver: eulr}": "solver: 'eulr' is not one of extrapolation",
    "grid: {architecture: diagonal, record: 1}": "record: 1 is not true or false",
    "grid: {architecture: diagonal, init: struct}": "did you mean 'structured'",
    "grid: {architecture: diagonal, init: {structured: {eto: ones}}}": "structured has no ['eto']",
    "grid: {architecture: diagonal, init: {layers: 3}}": "layers is 3",
    "grid: {architecture: diagonal, stop: {residul: 1e-3}}": "did you mean 'residual'",
    "grid: {architecture: diagonal, stop: {residual: 2}}": "not between 0 and 1",
    "grid: {architecture: diagonal, stop: {log_loss: -5}}": "stop: {'log_loss': -5} is not of regression",
    "grid: {architecture: diagonal, stop: 3}": "stop: 3 is not a mapping",
    "grid: {architecture: diagonal, width: 3}": "grid.yaml:3: width: not an axis of diagonal; remove it, or add one of",
    "grid: {architecture: [diagonal, walsh], filter: 1}": "filter: not an axis of diagonal",
    "grid: {architecture: fully_connected, depth: 1, width: 3, init: gaussian}": "width: no hidden layer at depth 1",
    "grid: {architecture: convolutional, filter: [2, 9]}": "filter: 9 does not fit inputs of dimension 2",
    "grid: {architecture: diagonal, init: orthogonal}": "init: orthogonal starts only fully_connected networks",
    "grid: {architecture: fully_connected}": "init: structured (the default) needs an orthogonally decomposable",
    "grid: {architecture: diagonal}\ngrids: 3": "grid.yaml:4: unknown key 'grids'; did you mean 'grid'?; the keys",
    "grid: {architecture: diagonal, dept: 3}": "grid.yaml:3: unknown key 'dept'; did you mean 'depth'",
    "grid: {architecture: diagonal, network: walsh}": "network is another name of architecture",
    "grid: [1]": "grid.yaml:3: grid: [1] is not a mapping",
    "blocks: {grid: {architecture: diagonal}}": "blocks: {'grid': {'architecture': 'diagonal'}} is not a list",
    "blocks: []": "the list is empty",
    "blocks: [{grid: {architecture: diagonal}}]\ngrid: {depth: 2}": "grid stands beside blocks",
    "name: 3\ngrid: {architecture: diagonal}": "name: 3: ",
    "architecture: diagonal\nzip: {depth: [1, 2], alpha: [1, 2, 3]}": "depth has 2, alpha has 3",
    "architecture: diagonal\ngrid: {depth: 2}\nzip: {depth: [3, 4]}": "depth is declared twice in this block",
    "architecture: diagonal\nrandom: {alpha: {uniform: [1, 2]}}": "grid.yaml:4: random.n: missing",
    "architecture: diagonal\nrandom: {n: 0, alpha: {uniform: [1, 2]}}": "random.n: 0",
    "architecture: diagonal\nrandom: {n: 3}": "no axis is drawn",
    "architecture: diagonal\nrandom: {n: 3, seed: -1, alpha: {uniform: [1, 2]}}": "random.seed: -1",
    "architecture: diagonal\nrandom: {n: 3, alpha: {unifrm: [1, 2]}}": "did you mean 'uniform'",
    "architecture: diagonal\nalpha: [1, 2]\nlist: [{depth: 2, alpha: 3}, {depth: 3}]": "its default has several values",
    "architecture: diagonal\nexclude: ['dept == 2']": "grid.yaml:4: exclude: 'dept == 2': 'dept' is not an axis",
    "architecture: diagonal\nwhen:\n- depth == 2\n- depth == deep": "grid.yaml:6: when: 'depth == deep'",
    "grid: {depth: 2}": "grid.yaml:1: architecture: missing; write for example architecture: diagonal",
}


@pytest.mark.parametrize(("text", "words"), GRIDS.items(), ids=list(GRIDS))
def test_mistakes_in_axes(text: str, words: str) -> None:
    assert words in mistakes(HEAD + text)


DATA = {
    "data: {gausian: {samples: 3, dim: 8}}": "did you mean 'gaussian'",
    "data: {gaussian: {sample: 3, dim: 8}}": "did you mean 'samples'",
    "data: {gaussian: {samples: 0, dim: 8}}": "samples is 0; write an integer >= 1",
    "data: {gaussian: {samples: 3, dim: 8}, points: {x: [[1]], y: [1]}}": "several kinds",
    "data: gaussian": "data: 'gaussian' is not a mapping",
    "data: {points: {x: [[1, 2], [1, 2]], y: [1, 2]}}": "grid.yaml:2: data: ",
    "data: {points: {x: [[1, .nan]], y: [1]}}": "not finite",
    "data: {file: absent.csv, target: y}": "absent.csv",
    "data: {file: bad.csv, target: label}": "label",
    "data: {file: bad.csv, target: y}": "bad.csv",
    "task: classification\ndata: {points: {x: [[1, 2], [2, 4]], y: [1, -1]}}": "separable",
    "task: classification\ndata: {points: {x: [[1, 2], [0, 3]], y: [1, 1]}}": "grid.yaml:2: data: ",
    "task: regresion\ndata: {points: {x: [[1, 2]], y: [1]}}": "grid.yaml:1: task: 'regresion' is not one of",
}


@pytest.mark.parametrize(("text", "words"), DATA.items(), ids=list(DATA))
def test_mistakes_in_data(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,y\n1,2\nnan,3\n")
    task = "" if "task" in text else "task: regression\n"
    assert words in mistakes(f"{task}{text}\ngrid: {{architecture: diagonal}}", folder=tmp_path)


def test_many_mistakes_are_reported_together() -> None:
    said = mistakes(HEAD + "grid: {architecture: diagnal, depth: 0, alpha: -1}\nexclude: ['dept == 2', 'init ==']")
    assert [line.split(": ")[1] for line in said.splitlines()].count("exclude") == 2
    assert len(said.splitlines()) == 5


def test_an_option_is_named_instead_of_a_line() -> None:
    assert mistakes(HEAD + "grid: {architecture: diagonal, depth: 2}", "grid.depth=0").startswith(
        "--set grid.depth=0: "
    )


def test_a_users_network_is_found_beside_the_grid() -> None:
    text = HEAD + "grid: {network: 'fragile:Fragile', depth: [2, 3]}"
    path = NETWORKS / "grid.yaml"
    import sys

    sys.path.append(str(NETWORKS))
    try:
        found = list(Expansion(from_source(parse(text, path))).candidates())
    finally:
        sys.path.remove(str(NETWORKS))
    assert [candidate.spec.architecture for candidate in found] == ["fragile:Fragile"] * 2


SIZES = {
    "architecture: diagonal": 1,
    "grid: {architecture: [diagonal, convolutional], depth: [2, 3], alpha: [1, 2, 3]}": 12,
    "architecture: diagonal\nzip: {depth: [2, 3, 4], alpha: [1, 2, 3], rtol: 1e-6}": 3,
    "architecture: diagonal\nzip: {depth: [2, 3], alpha: [1, 2]}\ngrid: {init: [structured, ordered]}": 4,
    "list: [{architecture: diagonal, depth: 2}, {architecture: fully_connected, init: gaussian, width: [2, 3]}]": 3,
    "grid: {architecture: [diagonal, odeco, {odeco: {s: [[1, 2]]}}, {odeco: {}}], seed: [0, 1]}": 5,
    "grid: {architecture: [{odeco: {s: [[1, 2]]}}, {odeco: {s: [[1.0, 2.0]]}}]}\nwhen: architecture == 'odeco'": 1,
    "alpha: 2\nlist: [{architecture: diagonal}, {architecture: diagonal, alpha: 2.0}]": 1,
    "architecture: diagonal\nrandom: {n: 7, alpha: {uniform: [1, 2]}}\ngrid: {depth: [2, 3]}": 14,
    "architecture: diagonal\nrandom: {n: 5, seed: {integers: [0, 1000000]}}\ninit: gaussian": 5,
    "architecture: diagonal\nalpha: [1, 2]\ngrid: {depth: [2, 3]}": 4,
    "alpha: [1, 2]\nblocks:\n- {architecture: diagonal}\n- {architecture: walsh, alpha: 5}": 3,
    "architecture: diagonal\ndepth: [2, 3]\ngrid: {depth: 4}": 1,
    "grid: {architecture: diagonal, seed: {range: [0, 9]}}": 1,
    "grid: {architecture: fully_connected, width: [3, 4], depth: [1, 2], init: gaussian}": 3,
    "grid: {architecture: convolutional, depth: 2, filter: [full, 2]}": 1,
    "grid: {architecture: [diagonal, fully_connected], init: [structured, orthogonal], width: 4}": 2,
    "grid: {architecture: diagonal, depth: {range: [1, 7]}}\nwhen: depth > 2\nexclude: [depth == 4, depth == 5]": 2,
    "grid: {architecture: diagonal, depth: {range: [1, 7]}}\ninclude: [depth == 1, depth == 4]": 2,
    "architecture: diagonal\nwhen: dim == 2 and samples == 1 and data == 'points' and init == 'structured'": 1,
    "architecture: diagonal\ndata: [{gaussian: {samples: [2, 3], dim: 4, seed: {range: [0, 3]}}},"
    " {points: {x: [[1, 2]], y: [1]}}]\nexclude: data == 'points' or samples == 2": 3,
}


@pytest.mark.parametrize(("text", "size"), SIZES.items(), ids=list(SIZES))
def test_how_many_runs_a_grid_has(text: str, size: int) -> None:
    head = HEAD.splitlines()[0] + "\n" if "\ndata" in text else HEAD
    assert runs(head + text) == size


def test_draws_of_one_axis_do_not_depend_on_the_others() -> None:
    def alphas(more: str) -> list[float]:
        text = HEAD + f"architecture: diagonal\nrandom: {{n: 4, seed: 3, alpha: {{uniform: [1, 2]}}{more}}}"
        source = parse(text, NETWORKS / "grid.yaml")
        return [candidate.alpha for candidate in Expansion(from_source(source)).candidates()]

    assert alphas("") == alphas(", depth: {integers: [2, 5]}")


def test_dropped_combinations_are_counted_by_rule() -> None:
    text = HEAD + (
        "grid: {architecture: [diagonal, fully_connected], init: [gaussian, orthogonal], width: [1, 2],"
        " seed: {range: [0, 3]}, depth: 2}\nexclude: ['seed == 2', 'alpha > 5']"
    )
    audit = Audit()
    list(Expansion(from_source(parse(text, NETWORKS / "grid.yaml"))).candidates(audit))
    assert audit.dropped["exclude: seed == 2"] == 5
    assert audit.dropped["exclude: alpha > 5"] == 0
    assert audit.dropped["init: orthogonal starts only fully_connected networks; write structured or gaussian"] == 6
    assert sum(count for rule, count in audit.dropped.items() if "width >= dim" in rule) == 3


def test_solvers_are_those_of_the_kernels() -> None:
    assert set(SOLVER_NAMES) == set(SOLVERS)


def test_the_json_schema_accepts_what_is_shipped_and_refuses_mistakes() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in (*EXAMPLES.glob("*.yaml"), STARTER):
        validator.validate(parse(path.read_text(), path).tree)
    for network in ({"odeco": {"s": [[1, 2]]}}, [{"odeco": {"s": [[1, 2]]}}, "odeco"], "my:Net", {"my:Net": {"p": 1}}):
        validator.validate({"architecture": network})
    for wrong in (
        {"grid": {"dept": 3}},
        {"grid": {"depth": 0}},
        {"blocks": 3},
        {"architecture": "diagnal"},
        {"network": {"odeco": {"t": 1}}},
    ):
        assert not validator.is_valid(json.loads(json.dumps(wrong)))
