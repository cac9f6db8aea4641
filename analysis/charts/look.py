"""What a user may change of a figure for a paper: title, size of panels, font, theme, and the rows beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from analysis.charts.theme import Drawing, characters, heading
from analysis.charts.themes import THEMES
from analysis.errors import BadLook
from analysis.files import check_suffix, writing

NARROWEST, WIDEST = 60, 2000


@dataclass(frozen=True)
class Look:
    """Title, width and height of every panel in pixels, font, name in THEMES, CSV file for the rows drawn.

    Raises AnalysisError.
    """

    title: str | None = None
    width: int | None = None
    data: Path | None = None
    height: int | None = None
    font: str | None = None
    theme: str = "paper"

    def __post_init__(self) -> None:
        for name, size in (("width", self.width), ("height", self.height)):
            if size is not None and not NARROWEST <= size <= WIDEST:
                raise BadLook(f"{name}: {size} is not from {NARROWEST} to {WIDEST}, the pixels of one panel")
        if self.font is not None and not self.font.strip():
            raise BadLook("font: it is empty; write the name of a font, such as 'Times New Roman'")
        if self.theme not in THEMES:
            raise BadLook(f"theme: {self.theme!r} is none; write one of {', '.join(THEMES)}")
        if self.data is not None:
            check_suffix(self.data, ("csv",))

    def apply(self, drawing: Drawing) -> Drawing:
        """The drawing with this title, font and theme, its panels of this size.

        Square panels stay square if one size is given.
        """
        if self.title is not None:
            drawing["title"]["text"] = self.title
        if self.font is not None:
            drawing["config"]["font"] = self.font
        if self.width is not None or self.height is not None:
            for panel in (panel for line in drawing["vconcat"] for panel in line["hconcat"]):
                square = panel.get("height") == panel["width"]
                width, height = self.width or (square and self.height), self.height or (square and self.width)
                panel["width"], panel["height"] = width or panel["width"], height or panel["height"]
            title = drawing["title"]
            wide = characters([panel["width"] for panel in line["hconcat"]] for line in drawing["vconcat"])
            drawing["title"] = heading(title["text"], " ".join(title["subtitle"]), wide)
        return THEMES[self.theme].apply(drawing)

    def write(self, answers: Mapping[str, pl.DataFrame]) -> None:
        """The rows of every frame that has some as one CSV: `frame` says which; what a frame lacks is empty."""
        if self.data is None:
            return
        rows = [frame.select(pl.lit(name).alias("frame"), pl.all()) for name, frame in answers.items() if frame.height]
        with writing(self.data) as temporary:
            pl.concat(rows, how="diagonal_relaxed").write_csv(temporary)
