"""Faces as marks on their photographs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fer_core.plotting.photos import Mark

if TYPE_CHECKING:
    from fer_core.inference.answer import Face


def marks_of(faces: Iterable[Face]) -> list[Mark]:
    """A mark for each face, with what every network says of it."""
    marks: dict[int | None, Mark] = {}
    for face in faces:
        line = f"{face.label} {face.probability:.0%}"
        box = None if face.detection is None else face.detection.box
        points = () if face.detection is None else face.detection.points or ()
        known = marks.get(face.number)
        text = (line,) if known is None else (*known.text, line)
        marks[face.number] = Mark(box, points, text, face.number)
    return list(marks.values())
