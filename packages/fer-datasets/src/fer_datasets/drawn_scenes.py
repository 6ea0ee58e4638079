"""Scenes with several drawn faces whose boxes, points and expressions are known."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np
from fer_core.plugin import Detection, FerError, make_scene, write_atomically
from numpy.typing import NDArray
from PIL import Image

from fer_datasets.synthetic import Synthetic

SIDE = 160
"""Pixels at which faces are drawn; scenes show them as large or smaller."""
MOST = 4
"""Faces of a scene."""
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
COLUMNS = ("source", "left", "top", "right", "bottom", *(f"{name}_{axis}" for name in POINTS for axis in "xy"))
"""Of the table that `--boxes` reads."""


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        image: uint8 RGB [480, 640, 3].
        faces: Where its faces are, from left to right.
        labels: Their expressions.
    """

    image: NDArray[np.uint8]
    faces: tuple[Detection, ...]
    labels: tuple[str, ...]


class DrawnScenes(Sequence[Scene]):
    """Scenes of the faces that the dataset `synthetic` draws. A scene depends on the seed and its number alone.

    Args:
        count: How many, 0 or more.
        faces: How many faces a scene has at most, 1 to 4; it has at least one.
        classes: 7 expressions, or 8 with contempt.
        seed: Another seed gives other scenes.

    Raises:
        FerError: An option is not one of these.
    """

    def __init__(self, count: int = 100, *, faces: int = 3, classes: int = 7, seed: int = 0) -> None:
        if count < 0:
            raise FerError(f"drawn scenes: count is {count}, but must be 0 or more")
        if not 1 <= faces <= MOST:
            raise FerError(f"drawn scenes: faces is {faces}, but must be from 1 to {MOST}")
        self._count, self._most, self._seed = count, faces, seed
        self._drawings = Synthetic(size=SIDE, samples=max(count * faces, 3) * classes, classes=classes, seed=seed)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...
    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        """Draws a scene, or several. Raises IndexError."""
        numbers = range(self._count)[index]
        return self._draw(numbers) if isinstance(numbers, int) else [self._draw(number) for number in numbers]

    def write(self, folder: Path) -> Path:
        """Write the scenes as PNG, and where their faces are as `faces.csv`, which `--boxes` reads.

        Returns:
            The table.
        """
        folder.mkdir(parents=True, exist_ok=True)
        table, rows = folder / "faces.csv", []
        for number, scene in enumerate(self):
            path = folder / f"{number:05d}.png"
            write_atomically(path, partial(_save, scene.image))
            rows += [_row(path, *known) for known in zip(scene.faces, scene.labels, strict=True)]
        write_atomically(table, partial(_write, rows))
        return table

    def _draw(self, number: int) -> Scene:
        rng = np.random.default_rng((self._seed, number))
        classes = self._drawings.classes
        labels = rng.integers(0, len(classes), rng.integers(1, self._most + 1)).tolist()
        persons = range(number * self._most, number * self._most + len(labels))  # nobody is in two scenes
        drawn = [
            self._drawings.draw(person * len(classes) + label)
            for person, label in zip(persons, labels, strict=True)
        ]
        image, places = make_scene(rng, [each.pixels for each in drawn])
        faces = tuple(_moved(each.face, place) for each, place in zip(drawn, places, strict=True))
        return Scene(image, faces, tuple(classes[label] for label in labels))


def _moved(face: Detection, place: tuple[int, int, int, int]) -> Detection:
    """A face of a drawing as the scene shows it."""
    left, top, right, bottom = place
    scale, corner = np.array([right - left, bottom - top]) / SIDE, np.array([left, top])
    edges = np.array(face.box).reshape(2, 2) * scale + corner
    points = (np.array(face.points) + 0.5) * scale + corner - 0.5
    return Detection(box=edges.ravel().tolist(), score=face.score, points=points.tolist())


def _row(path: Path, face: Detection, label: str) -> list[str]:
    numbers = [*face.box, *np.array(face.points).ravel().tolist()]
    return [str(path), *(f"{number:.2f}" for number in numbers), label]


def _save(image: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(image).save(path, "PNG")


def _write(rows: Sequence[Sequence[str]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*COLUMNS, "label"])
        writer.writerows(rows)
