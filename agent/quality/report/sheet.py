"""Text, tables and pictures one below the other on A4 sheets, by matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from agent.quality.report.words import printable
from agent.records import QcStatus
from qc_routines.figures.style import INK, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_pdf import PdfPages

__all__ = ["BODY_PT", "SOFT", "STATUS_COLOURS", "Sheets"]

WIDTH_IN, HEIGHT_IN = 8.27, 11.69
MARGIN_IN, FOOT_IN = 0.75, 0.8
TEXT_IN = WIDTH_IN - 2 * MARGIN_IN
BODY_PT = 9.0
LINE = 1.42
"""Height of a line in its size."""

HEADING_PT, ABOVE_HEADING_PT, BELOW_HEADING_PT = 12.0, 10.0, 2.0
LITTLE_IN = 0.7
"""Room for the first lines below a heading."""
HEADING_IN = (ABOVE_HEADING_PT + HEADING_PT * LINE + BELOW_HEADING_PT) / 72
AROUND_IMAGE_IN = 0.6
"""Room for the title above a picture and for its caption."""

EM = 0.58
"""Mean width of a letter of DejaVu Sans in its size, on the wide side."""

STATUS_COLOURS = {
    QcStatus.PASS: "#14713d",
    QcStatus.WARN: "#8a5200",
    QcStatus.FAIL: "#a61b29",
    QcStatus.UNKNOWN: SOFT,
}


def image_room_in(png: bytes) -> float:
    """Return how much room a picture as wide as the text takes, with title and caption."""
    from PIL import Image

    with Image.open(BytesIO(png)) as image:  # reads no more than the header
        width_px, height_px = image.size
    return TEXT_IN * height_px / width_px + AROUND_IMAGE_IN


def axes_room_in(height_in: float) -> float:
    """Return how much room axes take, with their title and the labels below them."""
    return height_in + 0.9


class Sheets:
    """Sheets that are filled from the top; a new one begins when one is full.

    Parameters
    ----------
    pdf : PdfPages
        Takes the sheets.
    foot : str
        At the bottom of each, beside its number.
    """

    def __init__(self, pdf: PdfPages, foot: str) -> None:
        self._pdf, self._foot, self._n = pdf, foot, 0
        self._begin()

    def _begin(self) -> None:
        from matplotlib.figure import Figure

        self._n += 1
        self._sheet = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        self._y_in = HEIGHT_IN - MARGIN_IN
        foot = textwrap.shorten(self._foot, 100, placeholder="…")
        self._text(MARGIN_IN, 0.45, foot, 7.5, SOFT)
        self._text(WIDTH_IN - MARGIN_IN, 0.45, str(self._n), 7.5, SOFT, ha="right")

    def close(self) -> None:
        """End the last sheet."""
        self._pdf.savefig(self._sheet)

    def _need(self, height_in: float) -> None:
        if self._y_in - height_in < FOOT_IN:
            self.close()
            self._begin()

    def _text(self, x_in: float, y_in: float, words: Any, size: float, colour: str, **more: Any) -> None:
        self._sheet.text(
            x_in / WIDTH_IN, y_in / HEIGHT_IN, str(printable(str(words))), fontsize=size, color=colour,
            va="top", parse_math=False, **more,
        )  # fmt: skip

    def space(self, points: float) -> None:
        """Leave some room."""
        self._y_in -= points / 72

    def heading(self, words: str, room_in: float = LITTLE_IN) -> None:
        """Write a heading on the sheet that what comes first below it, so high, will stand on."""
        self._need(HEADING_IN + room_in)
        self.space(ABOVE_HEADING_PT)
        self.write(words, size=HEADING_PT, bold=True)
        self.space(BELOW_HEADING_PT)

    def write(
        self, words: str, size: float = BODY_PT, colour: str = INK, bold: bool = False, indent: float = 0.0
    ) -> None:
        """Write a paragraph; `indent` is a part of the text width."""
        width = int(TEXT_IN * (1 - indent) * 72 / (size * EM * (1.1 if bold else 1.0)))
        for line in textwrap.wrap(words, width) or [""]:
            self._need(size * LINE / 72)
            weight = "bold" if bold else "normal"
            self._text(MARGIN_IN + indent * TEXT_IN, self._y_in, line, size, colour, weight=weight)
            self.space(size * LINE)

    def pairs(self, pairs: Mapping[str, Any], size: float = BODY_PT) -> None:
        """Write names and values side by side; a long name wraps above its value."""
        width = int(TEXT_IN * 0.72 * 72 / (size * EM))
        for name, value in pairs.items():
            names = textwrap.wrap(str(name), int(width * 0.37)) or [""]
            lines = textwrap.wrap(str(value), width) or [""]
            for i in range(max(len(names), len(lines))):
                self._need(size * LINE / 72)
                self._text(MARGIN_IN, self._y_in, names[i] if i < len(names) else "", size, SOFT)
                self._text(
                    MARGIN_IN + 0.28 * TEXT_IN, self._y_in, lines[i] if i < len(lines) else "", size, INK
                )
                self.space(size * LINE)

    def row(self, cells: Mapping[float, str], size: float = 8.0, colour: str = INK) -> None:
        """Write a row of a table: where each cell begins, in parts of the text width, to what it says."""
        self._need(2 * size * LINE / 72)
        self.space(2)
        for x, words in cells.items():
            self._text(MARGIN_IN + x * TEXT_IN, self._y_in, words, size, colour)
        self.space(size * LINE)

    def beside(self, x: float, words: str, colour: str, size: float = 8.0) -> None:
        """Write one more cell into the last row."""
        self._text(MARGIN_IN + x * TEXT_IN, self._y_in + size * LINE / 72, words, size, colour, weight="bold")

    def image(self, png: bytes, title: str) -> None:
        """Put a picture below a title, as wide as the text."""
        from matplotlib.image import imread

        pixels = imread(BytesIO(png), format="png")
        height_in = TEXT_IN * pixels.shape[0] / pixels.shape[1]
        self._need(image_room_in(png))
        self.write(title, bold=True)
        axes = self._box(MARGIN_IN, TEXT_IN, height_in)
        axes.imshow(pixels, aspect="auto", interpolation="none")
        axes.set_axis_off()
        self.space(height_in * 72 + 4)

    def axes(self, height_in: float, title: str) -> Axes:
        """Return axes below a title, with room for labels about them."""
        self._need(axes_room_in(height_in))
        self.write(title, bold=True)
        axes = self._box(MARGIN_IN + 0.6, TEXT_IN - 1.7, height_in)
        self.space(height_in * 72 + 34)
        return axes

    def _box(self, left_in: float, width_in: float, height_in: float) -> Axes:
        bottom_in = self._y_in - height_in
        return self._sheet.add_axes(
            (left_in / WIDTH_IN, bottom_in / HEIGHT_IN, width_in / WIDTH_IN, height_in / HEIGHT_IN)
        )
