"""Faces marked on photographs: legible at any size, and nothing outside of the photograph is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fer_core.faces import Detection
from fer_core.files import free_path
from fer_core.inference import Face
from fer_core.inference.marks import marks_of
from fer_core.plotting.palette import series
from fer_core.plotting.photos import SMALLEST_TEXT, Mark, draw_marks
from PIL import ImageColor

GREY = 90


def drawn(width: int, height: int, *marks: Mark) -> np.ndarray:
    """Where something was drawn, [H, W]."""
    pixels = np.full((height, width, 3), GREY, np.uint8)
    image = np.asarray(draw_marks(pixels, marks)).astype(int)
    assert image.shape == pixels.shape
    assert (pixels == GREY).all()  # the photograph itself is left alone
    return (image != GREY).any(axis=2)


def plate(width: int, height: int, *marks: Mark) -> np.ndarray:
    """Rows and columns of the text's plate, which is the one large area of the first colour: [K, 2]."""
    image = np.asarray(draw_marks(np.full((height, width, 3), GREY, np.uint8), marks))
    filled = (image == ImageColor.getrgb(series(0))).all(axis=2)
    inner = filled[2:, 2:] & filled[:-2, :-2] & filled[2:, :-2] & filled[:-2, 2:]
    return np.argwhere(inner)


@pytest.mark.parametrize(("width", "height"), [(400, 300), (4000, 3000)])
def test_text_is_legible_at_every_size(width, height) -> None:
    box = (0.4 * width, 0.4 * height, 0.5 * width, 0.6 * height)
    found = plate(width, height, Mark(box, (), ("happiness 91%",), 1))
    above = found[found[:, 0] < box[1] - 2]
    tall = np.ptp(above[:, 0])
    assert tall >= SMALLEST_TEXT
    assert tall >= width / 60  # as tall on a screen whatever the photograph has
    assert tall < height / 8


@pytest.mark.parametrize(
    "box",
    [(0, 0, 40, 50), (370, 250, 400, 300), (-30, -20, 30, 40), (380, 100, 440, 180), (0, 0, 400, 300), None],
)
def test_marks_at_the_edge_keep_their_text_within(box) -> None:
    marks = [Mark(box, ((5.0, 5.0), (900.0, -4.0)), ("surprise 54%", "neutral 71%"), None if box is None else 2)]
    text = plate(400, 300, *marks)
    assert np.ptp(text[:, 1]) > 60  # all of the line
    assert np.ptp(text[:, 0]) > 20  # and both


def test_a_tiny_grey_image_can_be_marked() -> None:
    image = draw_marks(np.full((5, 7, 1), GREY, np.uint8), [Mark((1, 1, 3, 4), (), ("happiness 91%",), 1)])
    assert image.size == (7, 5)
    assert image.mode == "RGB"


def test_what_has_no_face_is_left_as_it_is() -> None:
    assert not drawn(60, 40).any()
    assert drawn(60, 40, Mark((10, 10, 30, 30), (), ("anger 50%",), 1)).any()


def test_a_face_has_one_mark_with_a_line_of_every_network() -> None:
    at = Detection(box=(1, 2, 30, 40), score=0.8, points=[(float(k), 5.0) for k in range(5)])
    faces = [
        Face("a.png", label, p, {}, number, at) for number, label, p in ((1, "fear", 0.514), (2, "anger", 1.0))
    ]
    first, second = marks_of([faces[0], faces[1], Face("a.png", "neutral", 0.3, {}, 1, at, "other")])
    assert (first.text, second.text) == (("fear 51%", "neutral 30%"), ("anger 100%",))
    assert (first.box, first.points, first.number) == (at.box, at.points, 1)
    (whole,) = marks_of([Face("a.png", "fear", 0.5, {})])
    assert (whole.box, whole.points, whole.number) == (None, (), None)


def test_names_that_are_taken_get_a_number() -> None:
    taken: set[Path] = set()
    names = [free_path(Path("in", name), taken).name for name in ("a.jpg", "a.jpg", "a-2.jpg", "a.jpg", "b.jpg")]
    assert names == ["a.jpg", "a-2.jpg", "a-2-2.jpg", "a-3.jpg", "b.jpg"]
