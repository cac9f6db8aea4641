"""Whether the code that ran is that of its commit."""

import subprocess
from pathlib import Path

import pytest

from sweep.execution import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, inside of a repository with one commit, of a file with the name of the module that asks."""
    folder = tmp_path / "repository" / "code"
    folder.mkdir(parents=True)
    module = folder / "provenance.py"
    module.write_text("first\n")
    monkeypatch.setattr(provenance, "__file__", str(module))
    for line in ("init -q", "add .", "-c user.name=a -c user.email=a@example.org commit -qm first"):
        subprocess.run(["git", *line.split()], cwd=folder.parent, check=True)
    return folder


def test_what_the_program_writes_beside_the_code_is_no_change(checkout: Path) -> None:
    (checkout / "claims.html").write_text("a page")
    assert provenance.git_state(checkout)[1:] == (False, None)


def test_code_that_no_commit_has_is_a_change(checkout: Path) -> None:
    elsewhere = checkout.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text("new")
    assert provenance.git_state(checkout)[1:] == (True, None)
    (elsewhere / "mine.py").unlink()
    (checkout / "provenance.py").write_text("second\n")
    _, dirty, diff = provenance.git_state(checkout)
    assert dirty
    assert diff is not None
    assert "+second" in diff


def test_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert provenance.git_state(tmp_path) == (None, None, None)
