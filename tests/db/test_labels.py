"""Tags and notes: on the sweep that is meant, kept over an upgrade of nothing else, refused where they are no words."""

import pytest

from db import labels
from db.check import check
from db.store import Store, StoreError
from tests.db import store_rows as rows


@pytest.fixture
def swept(store: Store) -> Store:
    for sweep in ("s1", "s2"):
        store.commit(rows.whole([sweep]) | rows.sweep(sweep, [sweep]))
    return store


def said(store: Store) -> list[tuple[object, ...]]:
    found = store.query("SELECT sweep_id, tags, note FROM sweeps ORDER BY ALL").to_pylist()
    return [tuple(row.values()) for row in found]


def test_tags_are_added_once_and_removed(swept: Store) -> None:
    assert labels.tag(swept, "s1", ["b", "a"]) == ["b", "a"]
    assert labels.tag(swept, "s1", ["a", "c"]) == ["b", "a", "c"]
    assert labels.tag(swept, "s1", removed=["b", "c"]) == ["a"]
    assert said(swept) == [("s1", ["a"], None), ("s2", None, None)]
    assert labels.tag(swept, "s1", removed=["a"]) == []
    assert said(swept) == [("s1", None, None), ("s2", None, None)]
    assert check(swept).whole


@pytest.mark.parametrize(
    "word", ["", "a b", *(pytest.param(word, marks=pytest.mark.slow) for word in ("a,b", "a\nb", "x" * 61))]
)
def test_what_is_no_word_is_no_tag(swept: Store, word: str) -> None:
    with pytest.raises(StoreError, match="is no tag; write one word"):
        labels.tag(swept, "s1", ["good", word])
    assert said(swept)[0] == ("s1", None, None)


def test_a_tag_that_is_not_there_is_named_with_those_that_are(swept: Store) -> None:
    labels.tag(swept, "s1", ["a", "b"])
    with pytest.raises(StoreError, match="has no tag 'c'; it has a, b"):
        labels.tag(swept, "s1", removed=["a", "c"])
    assert said(swept)[0] == ("s1", ["a", "b"], None)


def test_a_note_replaces_the_one_before(swept: Store) -> None:
    labels.note(swept, "s2", "first")
    labels.note(swept, "s2", "it's\nsecond")
    assert said(swept) == [("s1", None, None), ("s2", None, "it's\nsecond")]
    labels.note(swept, "s2", "")
    assert said(swept)[1] == ("s2", None, None)
