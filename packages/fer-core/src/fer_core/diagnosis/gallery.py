"""Sheets of faces with a line or two below each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fer_core.data.packs.pack import Pack

_INK, _FAINT, _WRONG = "#1c2733", "#5a6673", "#B33A00"
_LONGEST = 21
"""Letters of a line that fit below a face."""


@dataclass(frozen=True)
class Tile:
    """A picture uint8 [H, W, 3] or [H, W, 1], and up to two lines; the first one is coloured if `wrong`."""

    picture: NDArray[np.uint8]
    first: str
    second: str = ""
    wrong: bool = False


def read_faces(pack: Pack, rows: Sequence[int] | NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """Faces as they are stored, one by one, uint8 [H, W, C]."""
    return [np.asarray(pack.images(np.array([row]))[0]) for row in rows]


def save_gallery(path: Path, tiles: Sequence[Tile], *, columns: int, title: str, note: str) -> None:
    """Draw tiles row by row as a PNG.

    Args:
        path: Where it goes; an existing file is replaced.
        tiles: The faces.
        columns: Of the sheet.
        title: Heading.
        note: Smaller lines below it.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    side, words, margin = 1.3, 0.4, 0.12
    head = 0.52 + 0.17 * len(note.splitlines())
    lines = math.ceil(len(tiles) / columns)
    width, height = 2 * margin + columns * side, head + lines * (side + words) + margin
    with style.context("default"):
        figure = Figure(figsize=(width, height), dpi=110, facecolor="white")
        plain: dict[str, Any] = {"parse_math": False, "va": "top"}
        figure.text(margin / width, 1 - 0.1 / height, title, fontsize=11, fontweight="bold", color=_INK, **plain)
        figure.text(margin / width, 1 - 0.36 / height, note, fontsize=8, color=_FAINT, **plain)
        for number, tile in enumerate(tiles):
            left = margin + side * (number % columns)
            top = head + (side + words) * (number // columns)
            box = (left / width, 1 - (top + side) / height, 0.94 * side / width, 0.96 * side / height)
            axes = figure.add_axes(box)
            grey = tile.picture.shape[2] == 1
            axes.imshow(tile.picture[..., 0] if grey else tile.picture, cmap="gray", vmin=0, vmax=255)
            axes.set_axis_off()
            for line, text in enumerate((tile.first, tile.second)):
                colour = _WRONG if tile.wrong and line == 0 else _INK if line == 0 else _FAINT
                shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
                place = (left / width, 1 - (top + side + 0.04 + 0.15 * line) / height)
                figure.text(*place, shown, fontsize=7.5, color=colour, **plain)
        figure.savefig(path, format="png", metadata={"Software": None})
