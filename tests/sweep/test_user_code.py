"""The user's own modules reach machines that do not see the grid's folder."""

import subprocess
import sys
from pathlib import Path

from sweep.execution.user_code import user_code
from sweep.grid.grid import load
from tests.sweep.conftest import FRAGILE, Write


def test_modules_travel_as_text(write: Write, tmp_path: Path) -> None:
    (tmp_path / "draws.py").write_text("def draw(task):\n    return [[1.0, 2.0]], [1.0]\n")
    code = user_code(load(write(FRAGILE.replace("{points: {x: [[1, 2]], y: [1]}}", "{'draws:draw': {}}"))))
    assert set(code.sources) == {"fragile", "draws"}
    script = (
        "import sys; from sweep.execution.user_code import UserCode\n"
        f"UserCode('/nowhere', {dict(code.sources)!r}).install()\n"
        "import draws, fragile; print(fragile.Fragile.__name__, draws.draw('regression'))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "Fragile ([[1.0, 2.0]], [1.0])\n"


def test_the_text_at_the_launch_is_what_runs(write: Write, tmp_path: Path) -> None:
    """The file beside the grid may be another one by then; tracebacks still show the line that was run."""
    module = tmp_path / "draws.py"
    module.write_text("def draw():\n    raise ValueError('as it was')\n")
    script = (
        "import sys, traceback; from sweep.execution.user_code import UserCode\n"
        f"sys.path.append({str(tmp_path)!r})\n"
        f"code = UserCode({str(tmp_path)!r}, {{'draws': {module.read_text()!r}, 'json': 'never'}})\n"
        "[code.install() for _ in range(3)]\n"
        "import draws, json; print(json.dumps(sum(type(one).__name__ == 'Sent' for one in sys.meta_path)))\n"
        "try: draws.draw()\n"
        "except ValueError: traceback.print_exc()"
    )
    module.write_text("def draw():\n    pass\n")
    done = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert f"File \"{module}\", line 2, in draw\n    raise ValueError('as it was')" in done.stderr
