"""Alignment by landmarks against figures made with the authors' script."""

from __future__ import annotations

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_models_ddamfn.align import TEMPLATES, align_face, choose_template, fit_similarity, warp

FACE = [[38, 42], [74, 42], [56, 62], [42, 82], [71, 82]]


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 12, 3)).repeat(20, axis=0).repeat(20, axis=1)
    return coarse.astype(np.uint8)


def test_templates_are_the_authors(reference):
    assert reference.alignment["templates"] == TEMPLATES.tolist()
    assert TEMPLATES.shape == (5, 5, 2)


@pytest.mark.parametrize("case", range(7))
def test_template_matrix_and_error_are_the_authors(reference, case):
    expected = reference.alignment["cases"][case]
    index, matrix, error = choose_template(expected["landmarks"])
    assert index == expected["template_index"]
    assert np.abs(matrix - expected["matrix_2x3"])[:, :2].max() < 1e-5
    assert np.abs(matrix - expected["matrix_2x3"])[:, 2].max() < 1e-4
    assert error == pytest.approx(expected["error_px"], abs=1e-4)


def test_fractions_of_detected_landmarks_are_cut_off(reference, picture):
    expected = reference.alignment["detected"]
    landmarks = np.array(expected["landmarks"])  # ten numbers in a row
    index, matrix, _ = choose_template(np.trunc(landmarks))
    assert index == expected["template_index"]
    assert np.abs(matrix - expected["matrix_2x3"])[:, 2].max() < 1e-4
    assert np.abs(choose_template(landmarks)[1] - matrix)[:, 2].max() > 1
    assert np.array_equal(align_face(picture, landmarks), align_face(picture, np.trunc(landmarks)))


def test_fit_undoes_a_known_similarity():
    template = TEMPLATES[2]
    turned = np.array([[0.6, -0.8], [0.8, 0.6]]) * 2.5
    matrix = fit_similarity((template - [7, -3]) @ np.linalg.inv(turned).T, template)
    assert np.allclose(matrix, np.column_stack((turned, [7, -3])))


def test_a_mirrored_face_is_not_mirrored_back():
    matrix = fit_similarity(TEMPLATES[2] * [-1, 1], TEMPLATES[2])
    assert np.linalg.det(matrix[:, :2]) > 0


def test_shift_by_whole_pixels_copies_them(picture):
    face = warp(picture, np.array([[1.0, 0, -30], [0, 1, -20]]))
    assert face.shape == (112, 112, 3)
    assert np.array_equal(face, picture[20:132, 30:142])


def test_between_pixels_their_values_are_mixed_and_outside_is_black():
    image = np.full((2, 2, 1), 100, np.uint8)
    image[:, 1] = 200
    face = warp(image, np.array([[1.0, 0, 0.5], [0, 1, 0]]))  # half a pixel to the right
    assert face[0, :4, 0].tolist() == [50, 150, 100, 0]
    assert not face[2:].any()


def test_far_outside_is_black_on_every_side(picture):
    for shift in ([1e6, 0], [-1e6, 0], [0, 1e6], [0, -1e6]):
        assert not warp(picture, np.column_stack((np.eye(2), shift))).any()


def test_aligned_landmarks_lie_on_the_template():
    image = np.zeros((300, 300, 1), np.uint8)
    points = (TEMPLATES[2] * 2 + 10).round().astype(int)
    for x, y in points:
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    face = align_face(image, points)
    for x, y in TEMPLATES[2].round().astype(int):
        assert face[y, x, 0] > 200
    assert face.mean() < 10


def test_what_is_no_image_or_no_face_is_refused_in_one_line(picture):
    wrong = (
        (picture[..., 0], FACE, "pass uint8"),
        (picture / 255, FACE, "pass uint8"),
        (picture[:0], FACE, "pass uint8"),
        (picture, FACE[:4], "left eye"),
        (picture, np.full((5, 2), np.nan), "left eye"),
        (picture, np.full((5, 2), 30.4), "one point"),
    )
    for image, landmarks, words in wrong:
        with pytest.raises(FerError, match=words) as caught:
            align_face(image, landmarks)
        assert "\n" not in str(caught.value)
