"""Sheets of faces, and heat maps over faces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_core.plotting.chart import PIXELS, Chart, shorten
from fer_core.plotting.palette import INK, MUTED, SERIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRONG = SERIES[1]
SIDE, MARGIN, LINE = 94.0, 9.0, 11.0
"""Pixels of a tile, of the sheet's margin, and of a line of text."""
LONGEST = 20
"""Characters of a line that fit below a face."""
COLUMNS = 12
"""Images of a line of `save_flagged`."""
FRAMES = (SERIES[0], SERIES[1])
"""Colours of the groups of equal images, in turn."""


@dataclass(frozen=True)
class Tile:
    """A face with text below it.

    Attributes:
        pixels: uint8 [H, W, 3] or [H, W, 1], or float [H, W, 3] from 0 to 1.
        first: First line.
        second: Second line, smaller.
        wrong: Whether the first line is coloured.
        frame: Colour of a frame; empty for none.
    """

    pixels: NDArray[Any]
    first: str
    second: str = ""
    wrong: bool = False
    frame: str = ""


@dataclass(frozen=True)
class Section:
    """Tiles under a heading."""

    heading: str
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Sheet:
    """The same faces prepared in several ways.

    Attributes:
        names: One for each row.
        rows: Faces, float32 [H, W, 3] from 0 to 1, row by row.
    """

    names: list[str]
    rows: list[list[NDArray[np.float32]]]


class _Place:
    """Places on a sheet, in pixels from its upper left corner, below the title of the figure."""

    def __init__(self, figure: Figure, height: float) -> None:
        self.figure, self.height = figure, height
        self.whole = figure.get_size_inches() * PIXELS

    def image(self, pixels: NDArray[Any], left: float, top: float, side: float, frame: str = "") -> None:
        width, height = self.whole
        box = (left / width, (self.height - top - side) / height, side / width, side / height)
        axes = self.figure.add_axes(box)
        grey = pixels.shape[2] == 1
        most = 255 if pixels.dtype == np.uint8 else 1
        axes.imshow(pixels[..., 0] if grey else pixels, cmap="gray", vmin=0, vmax=most, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(bool(frame))
        if frame:
            axes.spines[:].set(color=frame, linewidth=2)

    def text(self, text: str, left: float, top: float, size: float, colour: str = INK, **style: Any) -> None:
        width, height = self.whole
        self.figure.text(
            left / width, (self.height - top) / height, text, fontsize=size, color=colour, va="top", **style
        )


def save_gallery(path: Path, tiles: Sequence[Tile], *, columns: int, title: str, note: str) -> None:
    """Draw tiles row by row as a PNG.

    Args:
        path: Where it goes; an existing file is replaced.
        tiles: The faces.
        columns: Of the sheet.
        title: Heading.
        note: Smaller lines below it.

    Raises:
        FerError: The file cannot be written.
    """
    head = 12.0 * len(note.splitlines()) + 8
    below = 2.6 * LINE
    size = (2 * MARGIN + columns * SIDE, head + math.ceil(len(tiles) / columns) * (SIDE + below) + MARGIN)

    def paint(figure: Figure) -> None:
        place = _Place(figure, size[1])
        place.text(note, MARGIN, 0, 9, MUTED)
        for tile, left, top in _grid(tiles, columns, head, SIDE + below):
            _paint_tile(place, tile, left, top)

    Chart(title, "", size, paint, fit=False).save(path)


def save_flagged(path: Path, sections: Sequence[Section], title: str) -> None:
    """Draw the findings of a check as a PNG, each under its heading.

    Args:
        path: Where it goes; an existing file is replaced.
        sections: Tiles, those of one group in frames of one colour (`FRAMES`).
        title: Heading.

    Raises:
        FerError: The file cannot be written.
    """
    head, step = 24.0, SIDE + 2.6 * LINE
    heights = [head + step * math.ceil(len(section.tiles) / COLUMNS) for section in sections]
    size = (2 * MARGIN + COLUMNS * SIDE, sum(heights) + MARGIN)

    def paint(figure: Figure) -> None:
        place, above = _Place(figure, size[1]), 0.0
        for section, height in zip(sections, heights, strict=True):
            place.text(section.heading, MARGIN, above + 6, 10.5)
            for tile, left, top in _grid(section.tiles, COLUMNS, above + head, step):
                _paint_tile(place, tile, left, top)
            above += height

    Chart(title, "", size, paint, fit=False).save(path)


def save_preview(path: Path, sheet: Sheet, captions: Sequence[str], title: str, note: str) -> None:
    """Draw the same faces in every row of `sheet` as a PNG.

    Args:
        path: Where it goes; an existing file is replaced.
        sheet: The faces.
        captions: One for each face.
        title: Heading.
        note: Smaller line below it.

    Raises:
        FerError: The file cannot be written.
    """
    names, head, below = 116.0, 22.0 + 3 * LINE, 4.0
    size = (names + max(len(captions), 4) * SIDE + MARGIN, head + len(sheet.rows) * (SIDE + below) + MARGIN)

    def paint(figure: Figure) -> None:
        place = _Place(figure, size[1])
        place.text(note, MARGIN, 0, 9, MUTED)
        for row, (name, faces) in enumerate(zip(sheet.names, sheet.rows, strict=True)):
            top = head + row * (SIDE + below)
            place.text(name, names - 8, top + SIDE / 2 - 12, 9, ha="right")
            for column, pixels in enumerate(faces):
                left = names + column * SIDE
                place.image(pixels, left, top, 0.95 * SIDE)
                if row == 0:
                    place.text(captions[column], left + SIDE / 2, top - 2.4 * LINE, 9, ha="center")
                    shape = f"{pixels.shape[1]} x {pixels.shape[0]}"
                    place.text(shape, left + SIDE / 2, top - 1.3 * LINE, 8, MUTED, ha="center")

    Chart(title, "", size, paint, fit=False).save(path)


def _grid(tiles: Sequence[Tile], columns: int, above: float, step: float) -> Iterator[tuple[Tile, float, float]]:
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        yield tile, MARGIN + SIDE * column, above + step * row


def _paint_tile(place: _Place, tile: Tile, left: float, top: float) -> None:
    place.image(tile.pixels, left, top, 0.94 * SIDE, tile.frame)
    place.text(shorten(tile.first, LONGEST), left, top + SIDE - 2, 8.5, WRONG if tile.wrong else INK)
    place.text(shorten(tile.second, LONGEST + 3), left, top + SIDE - 2 + LINE, 7.5, MUTED)


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A face uint8 [H, W, 3] in grey, under the colours of a map [H, W] from 0 (dark) to 1 (bright)."""
    from matplotlib import colormaps

    # Its brightness rises steadily, so it reads the same with every kind of colour vision.
    colours = colormaps["inferno"](heat)[..., :3]
    grey = pixels.mean(axis=2, keepdims=True) / 255
    mixed: NDArray[np.uint8] = np.rint(255 * (0.28 * grey + 0.72 * colours * (0.3 + 0.7 * grey))).astype(np.uint8)
    return mixed
