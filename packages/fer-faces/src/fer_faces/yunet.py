"""The detector `yunet`: OpenCV's, with a model file that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fer_core.plugin import Detection, FerError
from PIL import Image
from pydantic import Field

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERLAP = 0.3
"""Share of their union from which on two boxes are one face."""
MOST = 5000
"""Boxes that are compared with each other."""


class YuNet:
    """Finds faces with OpenCV's `FaceDetectorYN`, on the CPU; needs the extra `fer-faces[yunet]`.

    Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 20, 2023.

    Args:
        file: The model, such as `face_detection_yunet_2023mar.onnx` of
            https://github.com/opencv/opencv_zoo (MIT).
        side: Longer side that larger images are scaled to, in pixels.
        threshold: Least score of a face.

    Raises:
        FerError: OpenCV is not installed, or the file is missing or not such a model.
    """

    def __init__(
        self,
        *,
        file: str,
        side: Annotated[int, Field(ge=32, le=4096)] = 640,
        threshold: Annotated[float, Field(gt=0, lt=1)] = 0.6,
    ) -> None:
        try:
            import cv2
        except ImportError:
            raise FerError("detector yunet needs OpenCV: pip install 'fer-faces[yunet]'") from None
        if not Path(file).is_file():
            raise FerError(f"detector.file is {file}, which does not exist: download a model of YuNet as ONNX")
        try:
            self.model: Any = cv2.FaceDetectorYN.create(file, "", (side, side), threshold, OVERLAP, MOST)
        except cv2.error as error:
            raise FerError(f"detector.file is {file}, which OpenCV cannot read as YuNet: {error.err}") from None
        self.side = side

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """The faces of each image, the highest score first."""
        return [self._detect(image) for image in images]

    def _detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        height, width = image.shape[:2]
        scale = min(self.side / max(height, width), 1.0)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
        self.model.setInputSize(size)
        _, rows = self.model.detect(np.ascontiguousarray(small[..., ::-1]))  # it reads BGR
        factors = np.array([width, height]) / size
        found = [_detection(np.asarray(row, np.float64), factors) for row in (() if rows is None else rows)]
        return sorted(found, key=lambda face: -face.score)


def _detection(row: NDArray[np.float64], factors: NDArray[np.float64]) -> Detection:
    """Of left, top, width, height, five points (the person's right eye first, which is left as seen), score."""
    box = np.concatenate((row[:2] * factors, (row[:2] + row[2:4]) * factors))
    points = row[4:14].reshape(5, 2) * factors - 0.5  # from the centre of the first pixel
    return Detection(box=box.tolist(), score=float(np.clip(row[14], 0, 1)), points=points.tolist())
