"""The report in a browser: what a reader sees and does, on a screen and on a phone, by mouse and by keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.report import write_report
from db.store import Store
from tests.needs import CHROMIUM, lack

pytestmark = pytest.mark.slow

SCREENS = {"screen": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        lack("chromium", "none on PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        lack("playwright", error)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(store_path, tmp_path_factory.mktemp("page") / "report.html").as_uri()


def opened(browser: Any, address: str, screen: str = "screen", scheme: str = "light") -> tuple[Any, list[str]]:
    """The page when all of it is drawn, and what its console says."""
    width, height = SCREENS[screen]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    drawn(page, 1)
    return page, said


def drawn(page: Any, times: int) -> None:
    page.wait_for_function(f"document.body.dataset.drawn === '{times}'", timeout=60_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_it_fits_and_is_legible(browser: Any, address: str, screen: str, scheme: str) -> None:
    page, said = opened(browser, address, screen, scheme)
    assert said == []
    assert page.evaluate("document.scrollingElement.scrollWidth") <= SCREENS[screen][0]
    for svg in page.locator("figure .chart svg.marks").all():
        shown, drawn_at = svg.bounding_box()["width"], float(svg.get_attribute("width"))
        assert shown >= 0.79 * drawn_at  # labels of 11 pixels are at least 8.7 high
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    page.close()


def test_one_selection_is_of_every_chart(browser: Any, address: str) -> None:
    page, _ = opened(browser, address)
    titles = page.locator("#initialisation_scale svg text").all_text_contents()
    before = page.locator("#initialisation_scale svg .mark-symbol path").count()
    page.locator("input[name=architecture][value=diagonal]").uncheck()
    drawn(page, 2)
    after = page.locator("#initialisation_scale svg .mark-symbol path").count()
    assert 0 < after < before
    assert page.locator("#initialisation_scale svg text").all_text_contents() != titles
    page.locator("#selection button[type=reset]").click()
    drawn(page, 3)
    assert page.locator("#initialisation_scale svg .mark-symbol path").count() == before
    page.close()


def selection(page: Any) -> tuple[float, float]:
    ends = [page.locator(f"#selection select[name={name}]").input_value() for name in ("from", "to")]
    return float(ends[0]), float(ends[1])


def test_a_drag_along_alpha_chooses_for_every_chart(browser: Any, address: str) -> None:
    page, said = opened(browser, address)
    whole = selection(page)
    points = {
        name: page.locator(f"#{name} svg .mark-symbol path").count() for name in ("initialisation_scale", "sparsity")
    }
    page.locator("#initialisation_scale svg.marks").evaluate("chart => chart.scrollIntoView()")
    panel = page.locator("#initialisation_scale svg g.role-scope g.role-scope > g > path.background").first
    box = panel.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.2 * box["height"], steps=5)
    page.mouse.up()
    drawn(page, 2)
    low, high = selection(page)
    assert whole[0] < low <= high < whole[1]
    for name, count in points.items():
        assert page.locator(f"#{name} svg .mark-symbol path").count() < count, name
    assert page.locator("#initialisation_scale svg [class*=_brush_bg] path").first.bounding_box()["width"] > 0
    page.locator("#initialisation_scale svg .mark-symbol path").first.click(force=True)  # under the brush
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")
    assert selection(page) == (low, high)
    box = panel.bounding_box()
    page.mouse.click(box["x"] + 0.1 * box["width"], box["y"] + 0.1 * box["height"])  # beside the brush
    drawn(page, 3)
    assert selection(page) == whole
    assert said == []
    page.close()


def test_a_click_in_a_legend_chooses_for_every_chart(browser: Any, address: str) -> None:
    page, said = opened(browser, address)
    before = page.locator("#initialisation_scale svg .mark-symbol path").count()
    entry = page.locator("#overview svg .role-legend-label text", has_text="Diagonal").first
    entry.click(force=True)
    drawn(page, 2)
    assert [box.input_value() for box in page.locator("input[name=architecture]:checked").all()] == ["diagonal"]
    assert 0 < page.locator("#initialisation_scale svg .mark-symbol path").count() < before
    entry.click(force=True)
    drawn(page, 3)
    assert page.locator("#initialisation_scale svg .mark-symbol path").count() == before
    assert said == []
    page.close()


def test_a_click_on_a_point_shows_its_run(browser: Any, address: str, store_path: Path) -> None:
    page, said = opened(browser, address)
    page.locator("#initialisation_scale svg .mark-symbol path").last.click(force=True)
    title = page.locator("dialog h2").inner_text()
    found = Store(store_path).query("SELECT * FROM runs WHERE run_id = $id", {"id": title.removeprefix("Run ")})
    (run,) = found.to_pylist()
    shown = page.locator("dialog dl").inner_text()
    assert run["architecture"] in shown
    assert f"{run['alpha']:.3g}" in shown
    assert page.locator("dialog tbody tr").count() > 0
    page.locator("dialog .path svg .mark-line").first.wait_for()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert said == []
    page.close()


def test_the_keyboard_is_enough(browser: Any, address: str, store_path: Path) -> None:
    page, _ = opened(browser, address)
    box = page.locator("input[name=depth]").first
    box.focus()
    page.keyboard.press("Space")
    drawn(page, 2)
    assert not box.is_checked()
    (run,) = Store(store_path).query("SELECT run_id FROM runs LIMIT 1").to_pylist()
    page.locator("#find input").fill(run["run_id"])
    page.keyboard.press("Enter")
    assert page.locator("dialog h2").inner_text() == f"Run {run['run_id']}"
    page.close()


def test_tables_are_sorted_by_their_headings(browser: Any, address: str) -> None:
    page, _ = opened(browser, address)
    table = page.locator("#table-1 table")
    heading = table.locator("th", has_text="worst")
    column = [each.inner_text() for each in table.locator("th").all()].index("worst")
    for order in ("ascending", "descending"):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        cells = [row.locator("td").nth(column).inner_text() for row in table.locator("tbody tr").all()]
        values = [float("inf") if cell == "–" else float(cell.replace("−", "-")) for cell in cells]
        assert values == sorted(values, reverse=order == "descending")
    page.close()
