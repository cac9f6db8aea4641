"""What a user may change of a figure for a paper: its title, the width of its panels, and the rows beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from analysis.charts.theme import Drawing, characters, heading
from analysis.errors import BadLook
from analysis.files import check_suffix, writing

NARROWEST, WIDEST = 60, 2000


@dataclass(frozen=True)
class Look:
    """Title, width of every panel in pixels, and the CSV file for the rows drawn. Raises AnalysisError."""

    title: str | None = None
    width: int | None = None
    data: Path | None = None

    def __post_init__(self) -> None:
        if self.width is not None and not NARROWEST <= self.width <= WIDEST:
            raise BadLook(f"width: {self.width} is not from {NARROWEST} to {WIDEST}, the pixels of one panel")
        if self.data is not None:
            check_suffix(self.data, ("csv",))

    def apply(self, drawing: Drawing) -> Drawing:
        """The drawing with this title, its panels this wide; square ones stay square."""
        if self.title is not None:
            drawing["title"]["text"] = self.title
        if self.width is not None:
            for line in drawing["vconcat"]:
                for panel in line["hconcat"]:
                    if panel.get("height") == panel["width"]:
                        panel["height"] = self.width
                    panel["width"] = self.width
            title = drawing["title"]
            wide = characters([self.width] * len(line["hconcat"]) for line in drawing["vconcat"])
            drawing["title"] = heading(title["text"], " ".join(title["subtitle"]), wide)
        return drawing

    def write(self, answers: Mapping[str, pl.DataFrame]) -> None:
        """The rows of every frame that has some as one CSV: `frame` says which; what a frame lacks is empty."""
        if self.data is None:
            return
        rows = [frame.select(pl.lit(name).alias("frame"), pl.all()) for name, frame in answers.items() if frame.height]
        with writing(self.data) as temporary:
            pl.concat(rows, how="diagonal_relaxed").write_csv(temporary)
