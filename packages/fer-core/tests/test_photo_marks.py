"""Faces marked on photographs: labels that stay within the picture, and colours that tell faces apart."""

from __future__ import annotations

import numpy as np
import pytest
from fer_core.faces import ARCFACE
from fer_core.plotting.palette import SERIES
from fer_core.plotting.photos import Mark, draw_marks
from PIL import ImageColor

WIDTH, HEIGHT, SIDE = 400, 300, 60
COLOURS = [np.array(ImageColor.getrgb(colour)) for colour in SERIES]


def black(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def has(pixels: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return (pixels == colour).all(axis=2)


def drawn(*marks: Mark, pixels: np.ndarray | None = None) -> np.ndarray:
    return np.asarray(draw_marks(black() if pixels is None else pixels, marks))


def ink(pixels: np.ndarray) -> float:
    """How much of the text is seen: the red channel of white letters on the first colour, which has none."""
    return float(pixels[..., 0].sum() / 255)


@pytest.mark.parametrize("x", [-40, 0, 170, WIDTH - SIDE, WIDTH - 15])
@pytest.mark.parametrize("y", [-90, -40, 0, 120, HEIGHT - SIDE, HEIGHT - 15])
@pytest.mark.parametrize("side", [SIDE, 2 * HEIGHT])
def test_a_label_is_seen_whole_wherever_its_face_is(x, y, side) -> None:
    text = ("surprise 87%", "contempt 99%")
    whole = ink(drawn(Mark((150, 120, 150 + side, 120 + min(side, 150)), (), text, 7)))
    assert whole > 300
    assert ink(drawn(Mark((x, y, x + side, y + side), (), text, 7))) == pytest.approx(whole, rel=0.03)


def test_a_label_stands_above_its_face_or_below_it_where_there_is_no_room() -> None:
    for top, above in ((150, True), (2, False)):
        pixels = drawn(Mark((100, top, 160, top + 60), (), ("joy 80%",)))
        rows = np.flatnonzero(has(pixels, (255, 255, 255)).any(axis=1))
        assert rows.max() < top if above else rows.min() >= top + 60


def test_a_frame_lies_within_the_edges_of_its_box_and_leaves_the_face_as_it_is() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    before = photo.copy()
    pixels = drawn(Mark((100, 150, 160, 210), (), ("joy",)), pixels=photo)
    assert np.array_equal(photo, before)
    frame = has(pixels, COLOURS[0])
    assert frame[150:210, [100, 101, 158, 159]].all()
    assert frame[[150, 151, 208, 209], 100:160].all()
    assert np.array_equal(pixels[152:208, 102:158], photo[152:208, 102:158])
    changed = (pixels != photo).any(axis=2)
    assert not changed[210:].any()
    assert not changed[150:210, :100].any()
    assert not changed[150:210, 160:].any()


def test_faces_beside_each_other_have_colours_of_their_own_and_labels_those_of_their_faces() -> None:
    lefts = [10 + 70 * number for number in range(5)]
    marks = [Mark((left, 100, left + 50, 150), (), ("x",), number) for number, left in enumerate(lefts, 1)]
    pixels = drawn(*marks)
    for number, left in enumerate(lefts):
        columns = pixels[:, left : left + 70]
        seen = [has(columns, colour).any() for colour in COLOURS[:6]]
        assert seen == [place == number for place in range(6)]
        assert has(columns[60:99], COLOURS[number]).sum() > 50  # the plate


def test_text_lies_over_the_frames_of_other_faces() -> None:
    alone = drawn(Mark((100, 150, 160, 210), (), ("joy 80%",)))
    both = drawn(Mark((100, 150, 160, 210), (), ("joy 80%",)), Mark((90, 141, 170, 220), (), ("",)))
    plate = has(alone, COLOURS[0])[:150].nonzero()
    assert ink(both[plate[0].min() : 140, 104:150]) == pytest.approx(ink(alone[plate[0].min() : 140, 104:150]))


def test_points_are_dots_of_the_colour_of_their_face() -> None:
    points = np.add(ARCFACE.poses[0], (200, 100))
    pixels = drawn(Mark((200, 100, 312, 212), points.tolist(), ("joy",)))
    dots = has(pixels, COLOURS[0])
    for x, y in points.round().astype(int):
        assert dots[y, x]
        assert not dots[y, x + 6]


def test_points_that_would_hide_a_tiny_face_are_left_out() -> None:
    points = np.add(np.array(ARCFACE.poses[0]) * 16 / 112, (200, 100))
    bare = drawn(Mark((200, 100, 216, 116), (), ("joy",)))
    assert np.array_equal(drawn(Mark((200, 100, 216, 116), points.tolist(), ("joy",))), bare)


def test_marks_grow_with_the_photograph() -> None:
    def text_height(scale: int) -> int:
        box = tuple(scale * edge for edge in (100, 150, 160, 210))
        pixels = drawn(Mark(box, (), ("H",)), pixels=black(scale * HEIGHT, scale * WIDTH))
        return int(np.ptp(np.flatnonzero((pixels[..., 0] > 200).any(axis=1)))) + 1

    assert text_height(1) >= 7
    assert text_height(4) == pytest.approx(0.7 * 4 * 60 / 8, rel=0.15)  # capitals of an eighth of the face
    large = has(drawn(Mark((0, 1000, 900, 1500), (), ("H",)), pixels=black(2000, 2000)), COLOURS[0])
    assert large[1200, :900].sum() == 2 * 5  # a four hundredth on either side


def test_a_grey_image_that_is_a_face_itself_has_its_label_within() -> None:
    pixels = drawn(Mark(None, (), ("joy 80%",)), pixels=np.zeros((48, 48, 1), np.uint8))
    assert pixels.shape == (48, 48, 3)
    assert has(pixels, COLOURS[0])[[0, -1]].all()
    assert ink(pixels) > 50
