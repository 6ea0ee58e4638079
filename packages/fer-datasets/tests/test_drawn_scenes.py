"""Scenes of drawn faces: the same for a seed, faces where they are said to be, and a table for `--boxes`."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_datasets.drawn_scenes import DrawnScenes
from fer_datasets.synthetic import create
from PIL import Image


def test_a_scene_depends_on_seed_and_number_alone():
    few, many, other = DrawnScenes(3), DrawnScenes(20), DrawnScenes(3, seed=1)
    many[11]
    for number in range(3):
        np.testing.assert_array_equal(few[number].image, many[number].image)
        assert few[number].faces == many[number].faces
        assert not np.array_equal(few[number].image, other[number].image)
    assert [scene.labels for scene in few] == [scene.labels for scene in few[:]]
    assert few[-1].faces == few[2].faces
    with pytest.raises(IndexError):
        few[3]


def test_scenes_have_one_to_so_many_faces_of_all_expressions_from_left_to_right():
    scenes = list(DrawnScenes(40, faces=4, classes=8))
    assert {len(scene.faces) for scene in scenes} == {1, 2, 3, 4}
    assert len({label for scene in scenes for label in scene.labels}) == 8
    for scene in scenes:
        assert scene.image.shape == (480, 640, 3)
        assert len(scene.labels) == len(scene.faces)
        middles = [face.box[0] + face.box[2] for face in scene.faces]
        assert middles == sorted(middles)
    heights = [face.box[3] - face.box[1] for scene in scenes for face in scene.faces]
    assert min(heights) < 70 < 120 < max(heights)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"faces": 0}, "faces is 0"), ({"faces": 5}, "faces is 5"), ({"count": -1}, "count is -1, but must be 0 or")],
)
def test_options_that_no_scenes_have_are_refused(options, words):
    with pytest.raises(FerError, match=words):
        DrawnScenes(**{"count": 2, **options})
    assert len(DrawnScenes(0)) == 0


def test_eyes_and_mouth_are_where_the_points_say():
    """Around an eye are its white and its pupil; on the cheek is skin alone."""
    dataset = create(None, samples=2100, size=128)
    eyes, cheeks = [], []
    for row in range(0, 350, 7):  # neutral: eyes are open
        pixels, face = dataset.draw(row)
        np.testing.assert_array_equal(pixels, dataset.read(row))
        left, top, right, bottom = face.box
        points = np.array(face.points)
        assert (points > (left, top)).all()
        assert (points < (right, bottom)).all()
        left_eye, right_eye, nose, left_mouth, right_mouth = points
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_eye[1] < nose[1] < left_mouth[1]
        assert left_mouth[0] < right_mouth[0]
        grey = pixels.mean(axis=2)
        for x, y in (left_eye, right_eye):
            eyes.append(np.ptp(grey[round(y) - 6 : round(y) + 7, round(x) - 9 : round(x) + 10]))
        x, y = (left_eye + left_mouth) / 2
        cheeks.append(np.ptp(grey[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4]))
    assert np.median(eyes) > 3 * np.median(cheeks)


def test_they_are_written_with_a_table_of_their_faces(tmp_path):
    scenes = DrawnScenes(4, seed=3)
    table = scenes.write(tmp_path / "scenes")
    with table.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    known = [
        (number, *pair)
        for number, scene in enumerate(scenes)
        for pair in zip(scene.faces, scene.labels, strict=True)
    ]
    assert len(rows) == len(known)
    for row, (number, face, label) in zip(rows, known, strict=True):
        assert row["label"] == label
        assert row["source"] == str(tmp_path / "scenes" / f"{number:05d}.png")
        np.testing.assert_array_equal(np.asarray(Image.open(row["source"])), scenes[number].image)
        edges = [float(row[edge]) for edge in ("left", "top", "right", "bottom")]
        assert edges == pytest.approx(face.box, abs=0.01)
        assert float(row["nose_y"]) == pytest.approx(face.points[2][1], abs=0.01)
