"""Which faces of photographs are cut out, in which order, and what of them is seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fer_core.data.alignment import cut_face, fit_template
from fer_core.errors import FerError
from fer_core.faces import ARCFACE, Alignment, Detection
from fer_core.inference.answer import GROUP
from fer_core.inference.crop import Crop, crop_faces
from fer_core.inference.find import Detecting, Whole
from fer_core.inference.sources import Photo

TEMPLATE = np.array(ARCFACE.poses[0])
BOX, POINTS = Alignment(kind="box"), Alignment(kind="points", template="arcface", size=112)


class Known:
    """A detector that knows the faces of every image by the value of its first pixel."""

    def __init__(self, *faces: Sequence[Detection]) -> None:
        self.faces, self.looked_at = faces, 0

    def detect(self, images):
        self.looked_at += len(images)
        return [list(self.faces[image[0, 0, 0]]) for image in images]


def photo(number: int, height: int = 60, width: int = 90) -> Photo:
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[0, 0] = number
    return Photo(f"{number}.png", Path(f"{number}.png"), pixels)


def at(*box: float, score: float = 1.0, points: object = None) -> Detection:
    return Detection(box=box, score=score, points=points)


def crops(
    photos: Sequence[Photo], detector: Known, alignment: Alignment = BOX, **options: bool
) -> list[list[Crop]]:
    return list(crop_faces(iter(photos), Detecting(detector, "known"), alignment, **options))


def test_the_largest_area_is_taken_with_its_number_from_the_left() -> None:
    tall, wide, sure = at(40, 0, 45, 60), at(50, 10, 75, 30), at(0, 0, 20, 20, score=1.0)
    surest_first = [sure, *(each.model_copy(update={"score": 0.5}) for each in (wide, tall))]
    (found,) = crops([photo(0)], Known(surest_first))
    assert [(crop.number, crop.detection.box) for crop in found] == [(3, wide.box)]


def test_of_faces_of_one_size_the_left_one_is_taken() -> None:
    (found,) = crops([photo(0)], Known([at(60, 0, 80, 20), at(10, 0, 30, 20), at(35, 5, 55, 25)]))
    assert [(crop.number, crop.detection.box[0]) for crop in found] == [(1, 10)]


def test_every_face_comes_from_the_left_with_its_own_pixels() -> None:
    given = photo(0)
    (found,) = crops([given], Known([at(60, 0, 80, 20), at(10, 4, 24, 18), at(35, 5, 55, 25)]), every_face=True)
    assert [crop.number for crop in found] == [1, 2, 3]
    assert {(crop.source, crop.below, crop.error) for crop in found} == {("0.png", Path("0.png"), None)}
    for crop, (left, top, side) in zip(found, ((10, 4, 14), (35, 5, 20), (60, 0, 20)), strict=True):
        assert np.array_equal(crop.pixels, given.pixels[top : top + side, left : left + side])


@pytest.mark.parametrize(
    ("box", "seen"),
    [
        ((-6, 10, 14, 30), (slice(0, 20), slice(6, 20))),
        ((80, 10, 100, 30), (slice(0, 20), slice(0, 10))),
        ((30, -5, 50, 15), (slice(5, 20), slice(0, 20))),
        ((30, 50, 50, 70), (slice(0, 10), slice(0, 20))),
        ((-4, -7, 16, 13), (slice(7, 20), slice(4, 20))),
        ((-20, -35, 110, 95), (slice(35, 95), slice(20, 110))),
    ],
)
def test_beyond_the_border_a_face_is_black_and_stays_where_it_is(box, seen) -> None:
    given = photo(0)
    ((crop,),) = crops([given], Known([at(*box)]))
    left, top, right, bottom = box
    expected = np.zeros((bottom - top, right - left, 3), np.uint8)
    expected[seen] = given.pixels[max(top, 0) : bottom, max(left, 0) : right]
    assert np.array_equal(crop.pixels, expected)


def test_a_margin_moves_no_centre_also_over_the_border() -> None:
    given = photo(0)
    ((narrow,),) = crops([given], Known([at(2, 20, 12, 40)]))
    ((wide,),) = crops([given], Known([at(2, 20, 12, 40)]), Alignment(kind="box", margin=0.5))
    assert (narrow.pixels.shape, wide.pixels.shape) == ((20, 20, 3), (30, 30, 3))
    assert np.array_equal(wide.pixels[5:25, 5:25], narrow.pixels)
    assert not wide.pixels[:, :8].any()  # from -8 to 22
    assert np.array_equal(wide.pixels[:, 8:], given.pixels[15:45, :22])


def test_a_face_on_its_side_and_of_twice_the_size_is_put_upright_by_a_matrix_that_is_known() -> None:
    """(x, y) of the template lies at (300 - 2 y, 10 + 2 x): by a quarter to the right, twice as large."""
    points = np.stack((300 - 2 * TEMPLATE[:, 1], 10 + 2 * TEMPLATE[:, 0]), axis=1)
    fit = fit_template(points, ARCFACE, 112)
    assert np.allclose(fit.matrix, [[0, 0.5, -5], [-0.5, 0, 150]])
    assert fit.residual == pytest.approx(0, abs=1e-9)
    given = photo(0, height=260, width=320)
    ((crop,),) = crops([given], Known([at(70, 0, 300, 250, points=points.tolist())]), POINTS)
    row, column = np.mgrid[:112, :112]
    assert np.array_equal(crop.pixels, given.pixels[10 + 2 * column, 300 - 2 * row])


def test_in_a_smaller_square_the_matrix_is_smaller() -> None:
    fit = fit_template(np.add(TEMPLATE, (20, 30)), ARCFACE, 56)
    assert np.allclose(fit.matrix, [[0.5, 0, -10], [0, 0.5, -15]])


def test_a_face_that_cannot_be_cut_does_not_take_the_others_with_it() -> None:
    good, flat = (TEMPLATE / 4 + (40, 5)).tolist(), [(3.0, 3.0)] * 5
    faces = [at(0, 0, 20, 20, points=flat), at(30, 0, 50, 20), at(60, 0, 80, 20, points=good)]
    first, second, third = crops([photo(0)], Known(faces), POINTS, every_face=True)[0]
    assert str(first.error) == "0.png: the five points coincide: check what the detector returned"
    assert "0.png: the five points have the shape" in str(second.error)
    assert (first.pixels, second.pixels, third.error) == (None, None, None)
    assert (first.number, first.detection) == (1, faces[0])  # the table says which face it was
    assert np.array_equal(third.pixels, cut_face(photo(0).pixels, POINTS, points=good))


@pytest.mark.parametrize("every_face", [False, True])
def test_images_without_a_face_and_those_that_cannot_be_read_keep_their_places(every_face) -> None:
    torn = Photo("torn.png", Path("torn.png"), FerError("cannot read torn.png"))
    detector = Known([], [at(0, 0, 9, 9)])
    found = crops([photo(0), torn, photo(1), torn], detector, every_face=every_face)
    assert detector.looked_at == 2
    assert [[(crop.source, crop.number, crop.error) for crop in each] for each in found] == [
        [("0.png", None, None)],
        [("torn.png", None, torn.pixels)],
        [("1.png", 1, None)],
        [("torn.png", None, torn.pixels)],
    ]


def test_where_no_detector_looks_no_face_is_cut() -> None:
    ((crop,),) = crop_faces(iter([photo(0)]), Whole(), BOX)
    assert crop == Crop("0.png", Path("0.png"))


def test_photos_are_answered_one_by_one_and_no_more_are_held_than_a_group() -> None:
    read = []

    def photos():
        for number in range(2 * GROUP + 3):
            read.append(number)
            yield photo(number % 2, 20, 20)

    answers = crop_faces(photos(), Detecting(Known([], [at(0, 0, 9, 9)]), "known"), BOX)
    assert [crop.number for crop in next(answers)] == [None]
    assert len(read) == GROUP
    assert [crops[0].number for crops in answers] == [1, *([None, 1] * GROUP), None][: 2 * GROUP + 2]
    assert len(read) == 2 * GROUP + 3
