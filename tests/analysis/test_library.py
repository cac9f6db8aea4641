"""The script of the Vega libraries is made once, and made again where what was kept is not whole."""

from pathlib import Path

import pytest
import vl_convert

from analysis.library import library


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often vl-convert made the script, in a cache folder of its own."""
    calls: list[str] = []

    def bundle(snippet: str) -> str:
        calls.append(snippet)
        return "vega; '</script>'"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(vl_convert, "javascript_bundle", bundle)
    return calls


def test_the_script_is_made_once(made: list[str]) -> None:
    assert library.__wrapped__() == library.__wrapped__()
    assert len(made) == 1
    assert "</script" not in library.__wrapped__()


@pytest.mark.parametrize("content", [b"", b"vega; '<", b"\xff"])
def test_a_script_that_is_not_whole_is_made_again(made: list[str], tmp_path: Path, content: bytes) -> None:
    whole = library.__wrapped__()
    (kept,) = (tmp_path / "cache" / "gradient-flow-sweep").iterdir()
    kept.write_bytes(content)
    assert library.__wrapped__() == whole == kept.read_text()


def test_a_folder_that_cannot_be_made_is_no_matter(made: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert library.__wrapped__().startswith("vega")
