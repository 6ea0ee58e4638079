"""The detector: ten lines around a function."""

from collections.abc import Sequence

import numpy as np
from fer_core.plugin import Detection

from fer_detector_function.somewhere import find_rectangles


class Sharp:
    """Takes for a face what is sharp.

    Args:
        least: Least score of a face.
    """

    def __init__(self, *, least: float = 0.5) -> None:
        self.least = least

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """A list for each image, the highest score first."""
        return [[face_of(*row) for row in find_rectangles(image) if row[-1] >= self.least] for image in images]


def face_of(left: float, top: float, width: float, height: float, score: float) -> Detection:
    """What fer knows of a face."""
    return Detection(box=(left, top, left + width, top + height), score=score)
