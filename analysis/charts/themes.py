"""Themes of a figure: how its colours and its text are changed once it is drawn."""

import colorsys
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from analysis.charts.theme import Drawing

COLOUR = re.compile(r"#[0-9a-fA-F]{6}|white|black")
TEXT = frozenset({"fontSize", "labelFontSize", "titleFontSize", "subtitleFontSize"})


@dataclass(frozen=True)
class Theme:
    """What is changed.

    Attributes:
        about: it in words, for people.
        mirrored: whether every colour has its lightness l replaced by 1 - l, its hue kept: white becomes black.
        text: factor of the size of all text.
    """

    about: str
    mirrored: bool = False
    text: float = 1.0

    def apply(self, drawing: Drawing) -> Drawing:
        """The drawing in this theme; its data stay as they are."""
        if self == PAPER:
            return drawing
        return alt.VConcatChart.from_dict(self._changed(drawing.to_dict(), ""), validate=False)

    def _changed(self, value: Any, name: str) -> Any:
        if isinstance(value, Mapping):
            return {key: item if key == "datasets" else self._changed(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self._changed(item, name) for item in value]
        if self.mirrored and isinstance(value, str) and COLOUR.fullmatch(value):
            return mirrored(value)
        return value * self.text if name in TEXT and isinstance(value, int | float) else value


def mirrored(colour: str) -> str:
    """The colour of the same hue whose lightness is 1 less that of this one.

    >>> mirrored("white"), mirrored("#0072B2")
    ('#000000', '#4dbfff')
    """
    text = {"white": "#ffffff", "black": "#000000"}.get(colour, colour)
    hue, lightness, saturation = colorsys.rgb_to_hls(*(int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)))
    parts = colorsys.hls_to_rgb(hue, 1 - lightness, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


PAPER = Theme("on white, for print")
THEMES: Mapping[str, Theme] = {
    "paper": PAPER,
    "dark": Theme("on black, for a dark page", mirrored=True),
    "slides": Theme("text larger by a third, for a screen far away", text=4 / 3),
}
