"""What is predicted on: image files, folders of them, and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.data.images import SUFFIXES, decode_image, is_image
from fer_core.errors import FerError
from fer_core.runs import folder as run_folder

Source = str | Path | NDArray[np.uint8]


def find_images(place: str | Path) -> list[Path]:
    """The image files that a path means: the file itself, or those in a folder and below it, sorted.

    Raises:
        FerError: There is nothing, no image in the folder, or weights in place of images.
    """
    path = Path(place)
    if not os.path.lexists(path):
        raise FerError(f"there is no file or folder {path}: name an image of a face, or a folder of them")
    if path.suffix == ".safetensors" or (path / run_folder.BEST).is_file():
        what = "a run folder" if path.is_dir() else "a weight file"
        raise FerError(f"{path} is {what}, not an image: name it with -m {path}, and images or folders of them")
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if is_image(file.name) and not file.is_dir())
    if not found:
        raise FerError(f"{path} holds no image: expected files ending in {', '.join(sorted(SUFFIXES))}")
    return found


def read_images(sources: Iterable[Source]) -> Iterator[tuple[str, NDArray[np.uint8] | FerError]]:
    """Name and pixels, RGB uint8 [H, W, 3], of every image; where one cannot be read the error in their place.

    Raises:
        FerError: As `find_images`, or an array of another shape.
    """
    for number, source in enumerate(sources):
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
                raise FerError(
                    f"array {number} is {source.dtype} {source.shape}: pass uint8 RGB of shape [H, W, 3]"
                )
            yield f"array {number}", source
            continue
        for path in find_images(source):
            try:
                yield str(path), decode_image(path)
            except FerError as error:
                yield str(path), error
