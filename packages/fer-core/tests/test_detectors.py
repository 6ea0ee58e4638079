"""The contract of face detectors, with a toy that finds bright squares."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from fer_core.components import build
from fer_core.data.alignment import cut_face
from fer_core.errors import FerError
from fer_core.faces import Alignment, Detection
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.returned import find_faces

BOX = (0.0, 0.0, 4.0, 5.0)
POINTS = ((1.0, 1.0), (3.0, 1.0), (2.0, 2.0), (1.0, 3.0), (3.0, 3.0))


class Squares:
    """Finds the box of everything brighter than `threshold`."""

    def __init__(self, threshold: int = 128) -> None:
        self.threshold = threshold

    def detect(self, images):
        return [self._faces(image) for image in images]

    def _faces(self, image):
        rows, columns = np.nonzero(image.max(axis=2) > self.threshold)
        if not len(rows):
            return []
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return [Detection(box=[float(edge) for edge in box], score=1.0)]


@pytest.fixture
def squares(monkeypatch):
    entry = Entry("squares", Squares, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["detectors"], "squares", [entry])


def test_faces_of_images_of_any_sizes_are_found_and_cut(squares):
    images = [np.zeros((30, 40, 3), np.uint8), np.zeros((12, 9, 3), np.uint8), np.zeros((50, 50, 3), np.uint8)]
    images[0][5:15, 20:30] = 200
    images[2][:, :] = 100
    found = find_faces(build("detectors", "squares", {"threshold": 150}), images)
    assert [len(faces) for faces in found] == [1, 0, 0]
    first, _, last = find_faces(build("detectors", "squares", {"threshold": 50}), images)
    assert first == [Detection(box=(20.0, 5.0, 30.0, 15.0), score=1.0, points=None)]
    assert last[0].box == (0, 0, 50, 50)  # the whole image
    assert (cut_face(images[0], Alignment(kind="box", size=10), box=first[0].box) == 200).all()


def test_options_of_a_detector_are_checked(squares):
    for options, words in (({"threshold": "high"}, "detector.threshold is high"), ({"treshold": 1}, "threshold")):
        with pytest.raises(FerError, match=words):
            build("detectors", "squares", options)


def test_a_detection_takes_lists_and_is_kept_as_numbers():
    found = Detection(box=list(BOX), score=0.5, points=[list(point) for point in POINTS])
    assert found == Detection(box=BOX, score=0.5, points=POINTS)
    assert Detection.parse(found.text(), "x", "y") == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"box": (4, 0, 4, 5)}, "left < right"),
        ({"box": (0, 5, 4, 0)}, "left < right and top < bottom"),
        ({"box": (0, 0, 4)}, "box"),
        ({"box": (0, 0, float("nan"), 5)}, "finite number"),
        ({"score": 1.5}, "score is 1.5"),
        ({"score": -0.1}, "score is -0.1"),
        ({"points": POINTS[:4]}, "points"),
        ({"points": (*POINTS[:4], (1.0, float("inf")))}, "finite number"),
        ({"label": "face"}, "label is not a known field"),
    ],
)
def test_what_is_no_detection_is_refused(change, words):
    with pytest.raises(FerError, match=words):
        Detection.check({"box": BOX, "score": 0.5, "points": POINTS, **change}, "squares", "correct the detector")


def test_the_contract_needs_neither_torch_nor_numpy():
    code = "import sys, fer_core.faces; sys.exit(not {'torch', 'numpy'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
