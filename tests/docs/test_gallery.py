"""The gallery has every chart, its pictures are there and small, and the page is the one that the command writes."""

import re
from datetime import date

from analysis.charts import CHARTS
from docs.gallery import GALLERY, PAGE, PICTURES, page

MOST_BYTES = 1_600_000


def test_every_chart_is_in_the_gallery() -> None:
    assert list(GALLERY) == list(CHARTS)
    assert {path.stem for path in PICTURES.iterdir()} == set(CHARTS)


def test_the_page_is_the_one_that_the_command_writes() -> None:
    written = PAGE.read_text("utf-8")
    when = re.search(r"here on (\d{4}-\d{2}-\d{2})\.", written)
    assert when is not None
    assert written == page(date.fromisoformat(when[1]))


def test_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < MOST_BYTES
