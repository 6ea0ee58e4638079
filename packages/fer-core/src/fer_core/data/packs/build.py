"""Writing a pack: decoded by a few threads, resumed after an interruption, in place only when complete.

A pack grows in the hidden folder `.<name>`: `pixels.bin`, and `shapes.bin` (int64 [images, 3]: height, width,
channels) of the images whose pixels are safely on the disk. A later start does not read those images again.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.data.packs.files import (
    BUILDING,
    MANIFEST,
    OFFSETS,
    PIXELS,
    SHAPES,
    SIZES,
    VERSION,
    Building,
    Manifest,
    whole_images,
)
from fer_core.data.progress import show_progress
from fer_core.errors import FerError
from fer_core.returned import in_words, wrong

if TYPE_CHECKING:
    from fer_core.types import FERDataset

    Image = NDArray[np.uint8]

logger = logging.getLogger(__name__)
PART = 16
"""Images that a thread decodes at a time: small ones decode faster than they can be handed over one by one."""
SAVED = 16 * 2**20
"""Bytes of pixels between two flushes: at most as much is read again after an interruption."""


def build_pack(dataset: FERDataset, final: Path, progress: bool) -> None:
    """Write the pack of a dataset to the folder `final`. Only one process may do so at a time.

    An interrupted or killed writer leaves its part for the next one; an error leaves nothing behind.

    Raises:
        FerError: An image cannot be read.
        OSError: The pack cannot be written.
    """
    folder = unfinished(final)
    try:
        _begin(folder)
        shapes = _write_pixels(dataset, folder, progress)
        _write_index(dataset.name, folder, shapes)
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
        _sync(final.parent)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _begin(folder: Path) -> None:
    """Make the folder, or keep it where it holds nothing but files."""
    if not folder.is_dir() or not all(path.is_file() and not path.is_symlink() for path in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def unfinished(final: Path) -> Path:
    """Where the pack of folder `final` is built until it is complete."""
    return final.with_name(f".{final.name}")


def decode(dataset: FERDataset, rows: range) -> Iterator[Image]:
    """Images of `rows` in order, decoded by a few threads, with a bounded number of them in memory."""
    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as threads:
        for start in range(rows.start, rows.stop, 512):
            stop = min(start + 512, rows.stop)
            parts = [range(first, min(first + PART, stop)) for first in range(start, stop, PART)]
            for images in threads.map(_read_part, itertools.repeat(dataset), parts):
                yield from images


def read_image(dataset: FERDataset, row: int) -> Image:
    """One image of a dataset. Raises FerError where its reader does not return what it should."""
    image = dataset.read(row)
    if not isinstance(image, np.ndarray):
        raise wrong(dataset, f"read({row})", in_words(image), "an array uint8 [height, width, 1 or 3]")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise FerError(
            f"{dataset.name}: '{dataset.table['id'].iloc[row]}' was read as {image.dtype} {list(image.shape)}, "
            f"not as uint8 [height, width, 1 or 3]; correct the dataset's reader"
        )
    return image


def _read_part(dataset: FERDataset, rows: range) -> list[Image]:
    return [read_image(dataset, row) for row in rows]


def _write_pixels(dataset: FERDataset, folder: Path, progress: bool) -> NDArray[np.int64]:
    """Write or complete `pixels.bin`; shapes of all images, int64 [N, 3]."""
    rows = len(dataset.table)
    done = _saved_shapes(folder)[:rows]
    if len(done):
        logger.info(f"{dataset.name}: {len(done)} of {rows} images are packed already")
    (folder / BUILDING).write_text(Building(dataset=dataset.name, images=rows).text())
    shapes = np.zeros((rows, 3), dtype=np.int64)
    shapes[: len(done)] = done
    saved = row = len(done)
    with (
        (folder / PIXELS).open("ab") as pixels,
        (folder / SHAPES).open("ab") as journal,
        show_progress(f"reading {rows} images of {dataset.name} once", rows, progress) as advance,
    ):
        pixels.truncate(int(done.prod(axis=1).sum()))
        journal.truncate(done.nbytes)
        waiting = 0
        for image in decode(dataset, range(len(done), rows)):
            pixels.write(np.ascontiguousarray(image).data)
            shapes[row] = image.shape
            row, waiting = row + 1, waiting + image.size
            if waiting >= SAVED:
                _flush(pixels.fileno(), pixels.flush)
                journal.write(shapes[saved:row].tobytes())
                _flush(journal.fileno(), journal.flush)
                saved, waiting = row, 0
            advance(row)
        _flush(pixels.fileno(), pixels.flush)
    return shapes


def _saved_shapes(folder: Path) -> NDArray[np.int64]:
    """Shapes of the images that an earlier writer completed, int64 [n, 3]."""
    try:
        size = (folder / PIXELS).stat().st_size
        values = np.fromfile(folder / SHAPES, dtype=np.int64)
    except FileNotFoundError:
        return np.zeros((0, 3), dtype=np.int64)
    shapes = values[: len(values) // 3 * 3].reshape(-1, 3)
    return shapes[: whole_images(shapes, size)]


def _write_index(name: str, folder: Path, shapes: NDArray[np.int64]) -> None:
    """Write what makes `pixels.bin` a pack; `pack.json` comes last."""
    offsets = np.concatenate([[0], shapes.prod(axis=1).cumsum()])
    for file_name, values in ((SIZES, shapes[:, :2]), (OFFSETS, offsets)):
        with (folder / file_name).open("wb") as file:
            np.save(file, values)
            _flush(file.fileno(), file.flush)
    with (folder / MANIFEST).open("w") as text:
        manifest = Manifest(version=VERSION, dataset=name, images=len(shapes), bytes=int(offsets[-1]))
        text.write(manifest.text())
        _flush(text.fileno(), text.flush)
    for file_name in (BUILDING, SHAPES):
        (folder / file_name).unlink()
    _sync(folder)


def _flush(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)


def _sync(folder: Path) -> None:
    """Make a rename survive a power cut; folders cannot be opened for it on Windows."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
