"""Faces of a dataset in scenes, in which a detector has to find them.

A scene is drawn from the number of its row, so that every detector sees the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.alignment import cut_face
from fer_core.data.progress import show_progress
from fer_core.data.scenes import make_scene
from fer_core.returned import find_faces
from fer_core.types import Pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fer_core.faces import Alignment, Detection, Detector
    from fer_core.metrics import Metrics
    from fer_core.types import Json

    Pixels = NDArray[np.uint8]
    Place = tuple[int, int, int, int]

BATCH = 64
"""Scenes that are looked at together."""


@dataclass(frozen=True)
class ThroughDetector:
    """How a detector and a network do together.

    Attributes:
        detector: Its name.
        faces: How many scenes there were, with one face each.
        found: In how many of them the face was found.
        metrics: Of the network on the faces that were found; None if none was.
        given: Of the network on the crops of the same faces, as the dataset gives them; None likewise.
    """

    detector: str
    faces: int
    found: int
    metrics: Metrics | None
    given: Metrics | None

    @property
    def recall(self) -> float:
        """Share of the faces that were found."""
        return self.found / self.faces

    @property
    def accuracy(self) -> float:
        """Share of all faces that were found and classified correctly."""
        return 0.0 if self.metrics is None else self.metrics.accuracy * self.recall

    def plain(self) -> Mapping[str, Json]:
        """For JSON."""
        of_found, of_given = (None if each is None else each.accuracy for each in (self.metrics, self.given))
        counts: dict[str, Json] = {
            "detector": self.detector,
            "faces": self.faces,
            "found": self.found,
            "recall": self.recall,
        }
        accuracies = {
            "accuracy_of_found": of_found,
            "accuracy_of_their_crops": of_given,
            "accuracy": self.accuracy,
        }
        return {**counts, **accuracies}


class Scenes(Pack):
    """Faces of a pack as they are cut out of their scenes, for the rows where a detector found them.

    Args:
        pack: The faces.
        alignment: How they are cut.
    """

    def __init__(self, pack: Pack, alignment: Alignment) -> None:
        self._pack, self._alignment = pack, alignment
        self._found: dict[int, Detection] = {}

    def look(self, rows: NDArray[np.int64], detector: Detector) -> NDArray[np.int64]:
        """The rows in whose scenes a detector finds the face: one whose middle is within what was pasted."""
        with show_progress("finding faces in scenes", len(rows)) as advance:
            for start in range(0, len(rows), BATCH):
                part = rows[start : start + BATCH]
                scenes = [self._scene(int(row)) for row in part]
                found = find_faces(detector, [image for image, _ in scenes])
                for row, faces, (_, place) in zip(part.tolist(), found, scenes, strict=True):
                    within = [face for face in faces if _has_its_middle_in(face, place)]
                    if within:
                        self._found[row] = within[0]  # the highest score
                advance(start + len(part))
        return rows[[row in self._found for row in rows.tolist()]]

    def __len__(self) -> int:
        return len(self._pack)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of what is pasted, before it is cut again."""
        return self._pack.sizes

    @property
    def uniform(self) -> bool:
        """False."""
        return False

    def images(self, rows: NDArray[np.int64]) -> list[Pixels]:
        """The faces of `rows`, which were found."""
        faces = [self._found[row] for row in rows.tolist()]
        scenes = [self._scene(row)[0] for row in rows.tolist()]
        return [
            cut_face(scene, self._alignment, box=face.box, points=face.points)
            for scene, face in zip(scenes, faces, strict=True)
        ]

    def _scene(self, row: int) -> tuple[Pixels, Place]:
        """A scene uint8 [H, W, 3] with the face of a row, and where it is."""
        scene, (place,) = make_scene(np.random.default_rng(row), list(self._pack.images(np.array([row]))))
        return scene, place


def _has_its_middle_in(face: Detection, place: Place) -> bool:
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    return place[0] <= x <= place[2] and place[1] <= y <= place[3]
