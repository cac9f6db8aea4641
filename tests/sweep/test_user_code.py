"""The user's own modules reach machines that do not see the grid's folder."""

import subprocess
import sys
from pathlib import Path

from sweep.grid import load
from sweep.user_code import user_code
from tests.sweep.conftest import FRAGILE, Write


def test_modules_travel_as_text(write: Write, tmp_path: Path) -> None:
    (tmp_path / "draws.py").write_text("def draw(task):\n    return [[1.0, 2.0]], [1.0]\n")
    code = user_code(load(write(FRAGILE.replace("{points: {x: [[1, 2]], y: [1]}}", "{'draws:draw': {}}"))))
    assert set(code.sources) == {"fragile", "draws"}
    script = (
        "import sys; from sweep.user_code import UserCode\n"
        f"UserCode('/nowhere', {dict(code.sources)!r}).install()\n"
        "import draws, fragile; print(fragile.Fragile.__name__, draws.draw('regression'))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "Fragile ([[1.0, 2.0]], [1.0])\n"
