"""A stand-in for a detector: it knows the faces of the scenes that it was told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from fer_core.faces import Detection
from fer_core.plugins import Entry, Plugin, load_plugins

Faces = Sequence[Detection]


class KnownFaces:
    """Returns the faces that it was given; an image is recognised by its pixels.

    Args:
        faces: Bytes of the pixels -> faces.
    """

    def __init__(self, faces: Mapping[bytes, Faces]) -> None:
        self.faces = faces

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """What it was told; no face in other images."""
        return [list(self.faces.get(image.tobytes(), ())) for image in images]


class InOrder:
    """Returns the faces of images that come in this order, as frames of a video do."""

    def __init__(self, faces: Sequence[Faces]) -> None:
        self.faces = iter(faces)

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Those of the next images."""
        return [list(next(self.faces)) for _ in images]


def install(monkeypatch: pytest.MonkeyPatch, detector: KnownFaces | InOrder) -> None:
    """Makes it the detector `known`, as a plugin would."""
    entry = Entry("known", lambda: detector, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["detectors"], "known", [entry])
