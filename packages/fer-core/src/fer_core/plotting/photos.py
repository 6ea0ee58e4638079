"""Photographs with their faces marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_core.plotting.palette import series

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_TEXT = 12
"""Height of text in pixels, whatever the size of the photograph."""
TEXT = 1 / 60
"""Height of text as a share of the photograph's longer side; large faces have up to twice that."""
LINE = 1 / 400
"""Width of a line, likewise."""

DOTS = 10
"""Line widths that a face must have for its points to be drawn, which would hide a smaller one."""


@dataclass(frozen=True)
class Mark:
    """A face in a photograph.

    Attributes:
        box: Left, top, right and bottom edge; None where the whole image is the face.
        points: x and y of its points.
        text: Lines beside the box.
        number: Before the first line.
    """

    box: tuple[float, float, float, float] | None
    points: Sequence[tuple[float, float]]
    text: Sequence[str]
    number: int | None = None


def draw_marks(pixels: NDArray[np.uint8], marks: Sequence[Mark]) -> Image.Image:
    """A copy of a photograph with boxes, points and text, legible at its own size and scaled to a screen.

    Args:
        pixels: uint8 [H, W, 3], or grey [H, W, 1].
        marks: Its faces.
    """
    image = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    draw = ImageDraw.Draw(image)
    longest = max(image.size)
    width = max(2, round(longest * LINE))
    for place, mark in enumerate(marks):
        colour = series(place)
        box = mark.box or (0.0, 0.0, float(image.width), float(image.height))
        # A box has the edges of pixels, and drawing takes pixel numbers: the last one is left of the right edge.
        left, top, right, bottom = (round(box[0]), round(box[1]), round(box[2]) - 1, round(box[3]) - 1)
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=width)
        for x, y in mark.points if right - left >= DOTS * width else ():
            draw.ellipse((x - width, y - width, x + width, y + width), fill=colour, outline="white")
    for place, mark in enumerate(marks):  # text last, so that no box crosses it
        _write(draw, image.size, mark, series(place), width)
    return image


def _write(draw: ImageDraw.ImageDraw, size: tuple[int, int], mark: Mark, colour: str, width: int) -> None:
    """Text on a plate above the box, or below it at the upper edge, and always within the image."""
    left, top, right, bottom = mark.box or (0.0, 0.0, float(size[0]), float(size[1]))
    number = "" if mark.number is None else f"{mark.number}  "
    text = number + "\n".join(mark.text)
    base = max(size) * TEXT
    height = max(SMALLEST_TEXT, min((right - left) / 8, 2 * base), base)
    font = ImageFont.load_default(height)
    pad = max(2, round(height / 5))
    x0, y0, x1, y1 = draw.multiline_textbbox((0, 0), text, font=font)
    wide, high = x1 - x0 + 2 * pad, y1 - y0 + 2 * pad
    x = min(max(left, 0), max(size[0] - wide, 0))
    y = top - high if top >= high else max(bottom, 0)
    if mark.box is None or y + high > size[1]:
        y = min(max(top, 0) + width, max(size[1] - high, 0))
    draw.rectangle((x, y, x + wide, y + high), fill=colour)
    draw.multiline_text((x + pad - x0, y + pad - y0), text, fill="white", font=font)
