"""`yunet`: what OpenCV is given and gives, with a stand-in for it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fer_core.components import build
from fer_core.errors import FerError

ROW = [10, 20, 30, 40, 15, 30, 35, 30, 25, 40, 18, 50, 32, 50, 0.9]
"""Left, top, width, height, five points, score, as OpenCV gives them."""


class Model:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.rows = np.array([[*ROW[:-1], 0.7], ROW], np.float32)

    def setInputSize(self, size):  # noqa: N802  # OpenCV's name
        self.size = size

    def detect(self, image):
        self.image = image
        return 1, self.rows


@pytest.fixture
def model(monkeypatch):
    made = Model()

    def create(file, config, size, threshold, overlap, most):
        if "broken" in file:
            raise CvError
        return made

    class CvError(Exception):
        err = "unsupported layer"

    cv2 = SimpleNamespace(FaceDetectorYN=SimpleNamespace(create=create), error=CvError)
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    return made


def test_rows_become_faces_of_the_image(model, tmp_path):
    file = tmp_path / "yunet.onnx"
    file.touch()
    image = np.zeros((200, 400, 3), np.uint8)
    image[..., 0] = 255
    detector = build("detectors", "yunet", {"file": str(file), "side": 200})
    ((best, other),) = detector.detect([image])
    assert model.size == (200, 100)
    assert model.image.shape == (100, 200, 3)
    assert model.image[0, 0].tolist() == [0, 0, 255]  # BGR
    assert (best.score, other.score) == (pytest.approx(0.9), pytest.approx(0.7))
    assert best.box == (20, 40, 80, 120)
    assert best.points[0] == (29.5, 59.5)
    model.rows = None
    assert detector.detect([image]) == [[]]


def test_what_is_missing_is_one_line(model, tmp_path, monkeypatch):
    with pytest.raises(FerError, match=r"absent\.onnx, which does not exist"):
        build("detectors", "yunet", {"file": "absent.onnx"})
    broken = tmp_path / "broken.onnx"
    broken.touch()
    with pytest.raises(FerError, match="cannot read as YuNet: unsupported layer"):
        build("detectors", "yunet", {"file": str(broken)})
    with pytest.raises(FerError, match="file"):
        build("detectors", "yunet", {})
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(FerError, match=r"pip install 'fer-faces\[yunet\]'"):
        build("detectors", "yunet", {"file": str(broken)})
