"""Faces cut out of photographs for a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.data.alignment import cut_face
from fer_core.errors import FerError
from fer_core.inference.answer import find_in, groups

if TYPE_CHECKING:
    from fer_core.data.images import Pixels
    from fer_core.faces import Alignment, Detection
    from fer_core.inference.find import Finder
    from fer_core.inference.sources import Photo


@dataclass(frozen=True)
class Crop:
    """A face that was cut out of an image; or an image without a face, or with an error.

    Attributes:
        source: The image.
        below: Where it is below the folder that was named.
        number: Which face it is, from the left, from 1 on; None for none.
        detection: Where it is.
        pixels: uint8 [size, size, 3 or 1].
        error: Why the image could not be read, or the face not be cut.
    """

    source: str
    below: Path
    number: int | None = None
    detection: Detection | None = None
    pixels: Pixels | None = None
    error: FerError | None = None


def crop_faces(
    photos: Iterator[Photo], finder: Finder, alignment: Alignment, *, every_face: bool = False
) -> Iterator[list[Crop]]:
    """The largest face of every image, or all from left to right; one `Crop` without a face where none is found.

    Args:
        photos: The images.
        finder: Says where their faces are.
        alignment: How they are cut.
        every_face: All of them.
    """
    for group in groups(photos):
        for photo, found in zip(group, find_in(group, finder), strict=True):
            if isinstance(found, FerError):
                yield [Crop(photo.name, photo.below, error=found)]
                continue
            numbered = list(enumerate(found or (), 1))
            if not every_face:
                numbered = sorted(numbered, key=lambda face: -_area(face[1]))[:1]
            crops = [_cut(photo, alignment, number, face) for number, face in numbered]
            yield crops or [Crop(photo.name, photo.below)]
        group.clear()  # before the next one is read


def _cut(photo: Photo, alignment: Alignment, number: int, face: Detection) -> Crop:
    try:
        pixels = cut_face(photo.image, alignment, box=face.box, points=face.points)
    except FerError as error:
        return Crop(photo.name, photo.below, number, face, error=FerError(f"{photo.name}: {error}"))
    return Crop(photo.name, photo.below, number, face, pixels)


def _area(face: Detection) -> float:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)
