"""Sources of prediction: image files, folders of them, and images in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from fer_core.data.images import SUFFIXES, Pixels, decode_image, is_image
from fer_core.data.pixels import Picture, to_pixels
from fer_core.errors import FerError
from fer_core.runs import folder as run_folder

Source: TypeAlias = str | Path | Picture | Sequence["Source"]
"""An image file, a folder of them, an image in memory (`fer_core.data.pixels`), or a list of these."""


def find_images(place: str | Path) -> list[Path]:
    """The image files that a path means: the file itself, or those in a folder and below it, sorted.

    Raises:
        FerError: The path does not exist, the folder has no image, or the path holds weights instead of images.
    """
    path = Path(place)
    if not os.path.lexists(path):
        raise FerError(f"{path} does not exist: name an image of a face, or a folder of them")
    if path.suffix == ".safetensors" or (path / run_folder.BEST).is_file():
        what = "a run folder" if path.is_dir() else "a weight file"
        raise FerError(f"{path} is {what}, not an image: name it with -m {path}, and images or folders of them")
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if is_image(file.name) and not file.is_dir())
    if not found:
        raise FerError(f"{path} holds no image: expected files ending in {', '.join(sorted(SUFFIXES))}")
    return found


def read_images(sources: Iterable[Source]) -> Iterator[tuple[str, Pixels | FerError]]:
    """Name and pixels, uint8 RGB [H, W, 3] or grey [H, W, 1], of every image of the sources, in their order.

    An image file that cannot be read gives the error in place of its pixels.

    Raises:
        FerError: As `find_images` and `to_pixels`: a source is not an image.
    """
    for number, source in enumerate(_flat(sources)):
        if isinstance(source, str | Path):
            for path in find_images(source):
                try:
                    yield str(path), decode_image(path)
                except FerError as error:
                    yield str(path), error
            continue
        name = f"image {number}"
        faces = to_pixels(source, name)
        names = [name] if len(faces) == 1 else [f"{name}[{place}]" for place in range(len(faces))]
        yield from zip(names, faces, strict=True)


def _flat(sources: Iterable[Source]) -> Iterator[object]:
    """Sources one by one, those in lists among them."""
    for source in sources:
        if isinstance(source, list | tuple):
            yield from _flat(source)
        else:
            yield source
