"""Sources of prediction: image files, folders of them, patterns, standard input, and images in memory."""

from __future__ import annotations

import glob
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from fer_core.data.images import MAX_BYTES, SUFFIXES, Pixels, decode_bytes, decode_image, image_size, is_image
from fer_core.data.pixels import Picture, to_pixels
from fer_core.errors import FerError
from fer_core.runs import folder as run_folder

Source: TypeAlias = str | Path | bytes | Picture | Sequence["Source"]
"""An image file, a folder of them, a pattern such as `photos/*.jpg`, `-` (an image on standard input), the bytes
of an image file, an image in memory (`fer_core.data.pixels`), or a list of these."""
STANDARD_INPUT = "-"
READERS = min(4, os.cpu_count() or 1)
"""Threads that decode files while the networks compute."""
AHEAD = 32_000_000
"""Pixels of the images that are decoded ahead. A larger one is decoded alone."""
AHEAD_IMAGES = 128
"""As many images at most are decoded ahead."""


@dataclass(frozen=True)
class ImageFile:
    """An image file of a source.

    Attributes:
        path: Where it is.
        below: Where it is below the folder that was named; its name, where it was named itself.
    """

    path: Path
    below: Path


@dataclass(frozen=True)
class Photo:
    """An image of a source.

    Attributes:
        name: What messages and tables call it.
        below: As `ImageFile.below`; of an image in memory its name.
        pixels: uint8 RGB [H, W, 3] or grey [H, W, 1]; or why it cannot be read.
    """

    name: str
    below: Path
    pixels: Pixels | FerError

    @property
    def image(self) -> Pixels:
        """`pixels` of an image that could be read."""
        assert not isinstance(self.pixels, FerError)
        return self.pixels


def find_images(place: str | Path) -> list[ImageFile]:
    """The image files that a path means, sorted: the file itself, those in a folder and below it, or of a pattern.

    A pattern has `*`, `?`, `[...]`, and `**` for folders at any depth, and is one where no file has that name.

    Raises:
        FerError: The path does not exist, the folder has no image, or the path holds weights instead of images.
    """
    path = Path(place)
    if str(path) == STANDARD_INPUT:
        return [ImageFile(path, Path("standard-input"))]
    if not os.path.lexists(path):
        if not glob.has_magic(str(path)):
            raise FerError(f"{path} does not exist: name an image, a folder of images, or a pattern in quotes")
        found = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
        files = [ImageFile(file, Path(file.name)) for file in found if is_image(file.name) and not file.is_dir()]
        if not files:
            raise FerError(f"{path} matches no image: expected files ending in {', '.join(sorted(SUFFIXES))}")
        return files
    if path.suffix == ".safetensors" or (path / run_folder.BEST).is_file():
        what = "a run folder" if path.is_dir() else "a weight file"
        raise FerError(f"{path} is {what}, not an image: name it with -m {path}, and images or folders of them")
    if not path.is_dir():
        return [ImageFile(path, Path(path.name))]
    found = sorted(file for file in path.rglob("*") if is_image(file.name) and not file.is_dir())
    if not found:
        raise FerError(f"{path} holds no image: expected files ending in {', '.join(sorted(SUFFIXES))}")
    return [ImageFile(file, file.relative_to(path)) for file in found]


def read_images(sources: Iterable[Source | ImageFile]) -> Iterator[Photo]:
    """Every image of the sources, in their order. Files are decoded ahead, as many as `AHEAD` allows.

    Raises:
        FerError: As `find_images` and `to_pixels`: a source is not an image.
    """
    pending: deque[tuple[int, Future[Photo]]] = deque()
    ahead = 0
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
    try:
        for pixels, read in _reads(sources):
            ready: deque[Photo] = deque()
            while pending and (ahead + pixels > AHEAD or len(pending) == AHEAD_IMAGES):
                size, first = pending.popleft()
                ready.append(first.result())
                ahead -= size
                del first  # it holds the pixels
            while ready and pixels > AHEAD:  # a large one is decoded when these are done with
                yield ready.popleft()
            pending.append((pixels, pool.submit(read)))
            ahead += pixels
            while ready:  # the next one is decoded while these are looked at
                yield ready.popleft()
        while pending:
            yield pending.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _reads(sources: Iterable[Source | ImageFile]) -> Iterator[tuple[int, Callable[[], Photo]]]:
    """For every image its number of pixels in a file, and what reads it."""
    for number, source in enumerate(_flat(sources)):
        name = f"image {number}"
        if isinstance(source, ImageFile | str | Path):
            for file in [source] if isinstance(source, ImageFile) else find_images(source):
                yield _pixels_of(file.path), partial(_read_file, file)
        elif isinstance(source, bytes):
            yield 0, partial(_read_bytes, source, name)
        else:
            images = to_pixels(source, name)
            names = [name] if len(images) == 1 else [f"{name}[{place}]" for place in range(len(images))]
            for each, pixels in zip(names, images, strict=True):
                yield 0, partial(Photo, each, Path(each), pixels)


def _pixels_of(path: Path) -> int:
    try:
        width, height = (0, 0) if str(path) == STANDARD_INPUT else image_size(path)
    except FerError:  # which reading it raises again
        return 0
    return width * height


def _read_file(file: ImageFile) -> Photo:
    if str(file.path) == STANDARD_INPUT:
        return _read_bytes(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
    try:
        return Photo(str(file.path), file.below, decode_image(file.path))
    except FerError as error:
        return Photo(str(file.path), file.below, error)


def _read_bytes(content: bytes, name: str) -> Photo:
    try:
        return Photo(name, Path(name), decode_bytes(content, name))
    except FerError as error:
        return Photo(name, Path(name), error)


def _flat(sources: Iterable[object]) -> Iterator[object]:
    """Sources one by one, those in lists among them."""
    for source in sources:
        if isinstance(source, list | tuple):
            yield from _flat(source)
        else:
            yield source
