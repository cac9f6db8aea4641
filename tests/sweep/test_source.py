"""Reading grid files: numbers, positions, and what is no grid file."""

from pathlib import Path

import pytest

from sweep.grid.mistakes import GridError
from sweep.grid.source import parse, parse_value, read

PATH = Path("grid.yaml")


@pytest.mark.parametrize("text", ["1e-7", "1E-7", "1.0e-7", "0.0000001", "1e-07"])
def test_every_spelling_of_a_float_is_a_float(text: str) -> None:
    value = parse(f"rtol: {text}", PATH).tree["rtol"]
    assert type(value) is float
    assert value == 1e-7
    assert parse_value(text) == 1e-7


def test_values_are_plain_python() -> None:
    tree = parse("a: 3\nb: yes\nc: true\nd: null\ne: 'x'\nf: 2020-01-01\ng: [1, {h: 010}]\n1: 2", PATH).tree
    assert tree == {"a": 3, "b": "yes", "c": True, "d": None, "e": "x", "f": "2020-01-01", "g": [1, {"h": 10}], "1": 2}
    assert {type(value) for value in tree.values()} == {int, str, bool, type(None), list}


def test_every_place_has_its_line() -> None:
    source = parse("a: 1\nb:\n  - 2\n  - c: 3\n    d: [4,\n        5]\n", PATH)
    places = {("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1, "c"): 4, ("b", 1, "d", 0): 5, ("b", 1, "d", 1): 6}
    assert {place: source.where(place) for place in places} == {p: f"grid.yaml:{n}" for p, n in places.items()}
    assert source.where(("b", 1, "c", "deeper")) == "grid.yaml:4"


def test_anchors_and_merges_are_resolved() -> None:
    source = parse("base: &base {depth: 2, alpha: 1}\nb: {<<: *base, depth: 3}\n", PATH)
    assert source.tree["b"] == {"depth": 3, "alpha": 1}
    assert source.where(("b", "alpha")) == "grid.yaml:2"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: 1\nb: [1, 2\n", "grid.yaml:3:1: not YAML"),
        ("a: 1\n  b: 2\n", "grid.yaml:2:4: not YAML"),
        ("a: 1\n\tb: 2\n", "grid.yaml:2:1: not YAML"),
        ("a: 1\nb: 2\na: 3\n", 'grid.yaml:3: found duplicate key "a"'),
        ("", "grid.yaml: the file is empty"),
        ("# only a comment\n", "grid.yaml: the file is empty"),
        ("- 1\n- 2\n", "grid.yaml:1: a grid is a mapping"),
        ("just words", "grid.yaml:1: a grid is a mapping"),
    ],
)
def test_what_is_no_grid_is_refused_with_its_line(text: str, start: str) -> None:
    with pytest.raises(GridError) as caught:
        parse(text, PATH)
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"a: \xff\xfe")
    for name in ("absent.yaml", "binary.yaml", "."):
        with pytest.raises(GridError) as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
