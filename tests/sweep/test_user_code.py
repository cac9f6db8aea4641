"""The user's own modules: found beside the grid that names them, whatever else has their names, and left nowhere."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from kernels import own_code
from kernels.data.kinds import load as load_data
from sweep.grid.expansion import Expansion
from sweep.grid.grid import Grid, load
from sweep.grid.mistakes import GridError
from tests.sweep.conftest import FRAGILE, Write

GRID = "task: regression\ndata: {'%s:draw': {}}\ngrid: {architecture: diagonal, depth: 2}\n"
DRAW = "def draw(task):\n    return [[1.0, 2.0]], [%s]\n"


def grid_of(folder: Path, name: str, text: str) -> Grid:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    (folder / "grid.yaml").write_text(GRID % name)
    return load(folder / "grid.yaml")


def target(grid: Grid) -> float:
    """y of its one sample."""
    expansion = Expansion(grid)
    (candidate,) = expansion.candidates()
    return float(expansion.catalogue.dataset(candidate.structure.entry).y[0])


def test_modules_travel_as_text(write: Write, tmp_path: Path) -> None:
    (tmp_path / "draws.py").write_text("import fragile\n" + DRAW % "1.0")
    code = load(write(FRAGILE.replace("{points: {x: [[1, 2]], y: [1]}}", "{'draws:draw': {}}"))).code
    assert set(code.sources) == {"fragile", "draws"}
    script = (
        "import sys; from kernels.own_code import OwnCode, attribute\n"
        f"with OwnCode('/nowhere', {dict(code.sources)!r}).found():\n"
        "    draw = attribute('draws:draw'); fragile = attribute('fragile:Fragile')\n"
        "    print(fragile.__name__, draw('regression'), draw.__globals__['fragile'].Fragile is fragile)\n"
        "print('draws' in sys.modules, 'fragile' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "Fragile ([[1.0, 2.0]], [1.0]) True\nFalse False\n"


def test_the_text_at_the_launch_is_what_runs(tmp_path: Path) -> None:
    """The file beside the grid may be another one by then; tracebacks still show the line that was run."""
    module = tmp_path / "draws.py"
    module.write_text("def draw():\n    raise ValueError('as it was')\n")
    script = (
        "import sys, traceback; from kernels.own_code import OwnCode, attribute\n"
        f"code = OwnCode({str(tmp_path)!r}, {{'draws': {module.read_text()!r}}})\n"
        "try:\n"
        "    with code.found(): attribute('draws:draw')()\n"
        "except ValueError: traceback.print_exc()"
    )
    module.write_text("def draw():\n    pass\n")
    done = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True)
    assert f"File \"{module}\", line 2, in draw\n    raise ValueError('as it was')" in done.stderr


def test_two_folders_with_modules_of_one_name(tmp_path: Path) -> None:
    """Their runs have one id, for a module counts by its name; their data are their own, in whatever order."""
    one, other = (grid_of(tmp_path / name, "mine", DRAW % y) for name, y in (("a", 1.0), ("b", 3.0)))
    assert [target(grid) for grid in (one, other, one, other)] == [1.0, 3.0, 1.0, 3.0]


def test_a_changed_file_is_a_new_module(tmp_path: Path) -> None:
    before = grid_of(tmp_path / "a", "mine", DRAW % 1.0)
    after = grid_of(tmp_path / "a", "mine", DRAW % 2.0)
    assert [target(grid) for grid in (before, after, before)] == [1.0, 2.0, 1.0]


@pytest.mark.parametrize("name", ["db", "json", "flow", "sweep"])
def test_a_name_that_is_taken(name: str, tmp_path: Path) -> None:
    """The file beside the grid is meant, and what had the name keeps it."""
    known = sys.modules.get(name)
    assert target(grid_of(tmp_path / "a", name, DRAW % 5.0)) == 5.0
    assert sys.modules.get(name) is known


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Neither a path nor a plain name, also of what the module imports from its folder, early or late."""
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "early.py").write_text("Y = 2.0\n")
    (folder / "late.py").write_text("Z = 0.5\n")
    text = "import early\ndef draw(task):\n    import late\n    return [[1.0, 2.0]], [early.Y + late.Z]\n"
    path, finders = list(sys.path), list(sys.meta_path)
    assert target(grid_of(folder, "mine", text)) == 2.5
    assert (sys.path, sys.meta_path) == (path, finders)
    assert not {"mine", "early", "late"} & set(sys.modules)


def test_helpers_of_one_name_in_two_folders(tmp_path: Path) -> None:
    grids = []
    for name, value in (("a", 1.0), ("b", 4.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper.py").write_text(f"Y = {value}\n")
        text = "import helper\ndef draw(task):\n    return [[1.0, 2.0]], [helper.Y]\n"
        grids.append(grid_of(tmp_path / name, "mine", text))
    assert [target(grid) for grid in grids] == [1.0, 4.0]


def test_what_names_mean_can_be_sent(tmp_path: Path) -> None:
    code = grid_of(tmp_path / "a", "mine", DRAW % 1.0).code
    with pickle.loads(pickle.dumps(code)).found():
        assert load_data({"mine:draw": {}}, "regression").y.tolist() == [1.0]
    assert own_code.meaning() == ""


def test_a_module_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "grid.yaml").write_text(GRID % "mine")
    with pytest.raises(GridError, match=r"a module of the grid's own cannot be read"):
        load(tmp_path / "grid.yaml")
