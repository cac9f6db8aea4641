"""The glossary names files that there are, in which its words stand, once and in order."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/glossary.md").read_text("utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`]+)` \|$", TEXT, re.M)


@pytest.mark.parametrize(("word", "meaning", "path"), ROWS, ids=[row[0] for row in ROWS])
def test_a_word_stands_in_the_file_that_defines_it(word: str, meaning: str, path: str) -> None:
    assert meaning.endswith(".")
    stem = re.escape(word.partition(" (")[0]).replace(r"\ ", "[ _]")
    assert re.search(rf"\b{stem}", (ROOT / path).read_text("utf-8"), re.I)


def test_words_are_in_order_and_said_once() -> None:
    words = [word for word, *_ in ROWS]
    assert len(words) == len(re.findall(r"^\| ", TEXT, re.M)) - 1  # every row but the head was read
    assert words == sorted(set(words))
