"""Every image of a dataset, decoded once into one memory-mapped file.

A pack is a folder `<fingerprint>-<order of rows>-v<version>` with `pixels.bin` (uint8, image after image, each
[H, W, C] with C = 1 for grey), `sizes.npy` [N, 2], `offsets.npy` [N + 1], and `pack.json`, written last.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from fer_core.data.progress import show_progress
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.types import FERDataset

    Image = NDArray[np.uint8]

VERSION = 1
"""Of the format and of the way pixels are read; a change makes every pack anew."""
DISK_SHARE = 5
"""A pack may take one fifth of the free disk."""
PART = 16
"""Images that a thread decodes at a time: small ones take less time than handing them over one by one."""
ABANDONED = 3600.0
"""Seconds without a write after which an unfinished pack is taken for that of a killed process."""


class Pack(ABC):
    """Images of a dataset by row number of its table."""

    @property
    @abstractmethod
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]."""

    @property
    @abstractmethod
    def uniform(self) -> bool:
        """Whether all images are known to have the same height, width and number of channels."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def images(self, rows: NDArray[np.int64]) -> Image | list[Image]:
        """Pixels of `rows`, RGB or grey: uint8 [n, H, W, C] if `uniform`, else a list of n arrays [H, W, C]."""


class MappedPack(Pack):
    """A pack on disk.

    Args:
        folder: Of the pack.

    Raises:
        OSError, EOFError, ValueError, KeyError, IndexError: The folder holds no complete pack of this version.
    """

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "pack.json").read_text())
        self.folder = folder
        self._sizes: NDArray[np.int64] = np.load(folder / "sizes.npy")
        self._offsets: NDArray[np.int64] = np.load(folder / "offsets.npy")
        size = (folder / "pixels.bin").stat().st_size
        count = manifest["images"]
        if (manifest["version"], manifest["bytes"]) != (VERSION, size) or int(self._offsets[-1]) != size:
            raise ValueError(f"{folder} is incomplete")
        if len(self._sizes) != count or len(self._offsets) != count + 1:
            raise ValueError(f"{folder} is incomplete")
        channels = np.diff(self._offsets) // self._sizes.prod(axis=1)
        self._channels = channels
        self._uniform = bool((self._sizes == self._sizes[0]).all() and (channels == channels[0]).all())
        self._pixels = np.memmap(folder / "pixels.bin", dtype=np.uint8, mode="r")

    def __reduce__(self) -> tuple[type[MappedPack], tuple[Path]]:
        """Worker processes map the file again instead of receiving a copy of it."""
        return MappedPack, (self.folder,)

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]."""
        return self._sizes

    @property
    def uniform(self) -> bool:
        """Whether all images have the same height, width and number of channels."""
        return self._uniform

    def images(self, rows: NDArray[np.int64]) -> Image | list[Image]:
        """Pixels of `rows`, copied out of the file."""
        if self._uniform:
            shape = (len(self), *self._sizes[0], self._channels[0])
            return np.asarray(self._pixels.reshape(shape)[rows])
        return [self._one(int(row)) for row in rows]

    def _one(self, row: int) -> Image:
        pixels = self._pixels[self._offsets[row] : self._offsets[row + 1]]
        return np.array(pixels).reshape(*self._sizes[row], self._channels[row])


class DirectReader(Pack):
    """The same interface where there is no room for a pack: decodes an image each time it is asked for."""

    def __init__(self, dataset: FERDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset.table)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]: reads all of them, once."""
        shapes = [image.shape[:2] for image in _decode(self._dataset, range(len(self)))]
        return np.array(shapes, dtype=np.int64)

    @property
    def uniform(self) -> bool:
        """False: nothing is known without reading every image."""
        return False

    def images(self, rows: NDArray[np.int64]) -> Image | list[Image]:
        """Pixels of `rows`, decoded now."""
        return [_read(self._dataset, int(row)) for row in rows]


def cache_root() -> Path:
    """Where packs and downloads are kept: `$FER_CACHE`, else `fer` in the platform's cache folder."""
    if os.environ.get("FER_CACHE"):
        return Path(os.environ["FER_CACHE"]).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fer"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fer"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer"


def open_pack(dataset: FERDataset, cache: Path, progress: bool) -> Pack:
    """The pack of a dataset, built at its first use.

    Args:
        dataset: Decides the pack by its fingerprint and the order of its rows; one that is made of others gives
            theirs by a method `open_pack(cache, progress)`.
        cache: `cache_root()`.
        progress: Show progress on stderr when building takes long.

    Returns:
        A `MappedPack`, or a `DirectReader` (announced in one line) where the pack would take more than a fifth of
        the free disk.

    Raises:
        FerError: An image cannot be read, or the pack cannot be written. Nothing half-written remains.
    """
    made_of_others = getattr(dataset, "open_pack", None)
    if made_of_others is not None:
        own: Pack = made_of_others(cache, progress)
        return own
    final = cache / "packs" / _pack_name(dataset)
    pack = _open(final)
    if pack is not None:
        return pack
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        needed, free = _estimate(dataset), shutil.disk_usage(final.parent).free
        if needed > free / DISK_SHARE:
            click.echo(
                f"{dataset.name}: a pack would take {_gigabytes(needed)} of {_gigabytes(free)} free in {cache}; "
                f"images are read one by one (set FER_CACHE to a larger disk to avoid it)",
                err=True,
            )
            return DirectReader(dataset)
        return _build(dataset, final, progress)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else str(error)
        raise FerError(
            f"cannot write the pack of {dataset.name} in {cache}: {reason}; "
            f"free some space or set FER_CACHE to another folder"
        ) from error


def _pack_name(dataset: FERDataset) -> str:
    # The fingerprint ignores the order of rows, while a pack is addressed by row.
    order = hashlib.sha256("\n".join(dataset.table["id"]).encode()).hexdigest()
    return f"{dataset.fingerprint()[:24]}-{order[:8]}-v{VERSION}"


def _open(folder: Path) -> MappedPack | None:
    """The pack in `folder`, or None where it is absent or damaged."""
    try:
        return MappedPack(folder)
    except (OSError, EOFError, ValueError, KeyError, IndexError):
        return None


def _build(dataset: FERDataset, final: Path, progress: bool) -> Pack:
    _sweep(final)
    folder = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        _write(dataset, folder, progress)
        if _open(final) is None:
            shutil.rmtree(final, ignore_errors=True)
            # Refused when another process has put its pack there meanwhile: then that one serves.
            with contextlib.suppress(OSError):
                folder.rename(final)
                _sync(final.parent)
        return MappedPack(final)
    except (EOFError, ValueError, KeyError, IndexError) as error:
        raise FerError(f"the pack {final} cannot be replaced: {error}; delete the folder and try again") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(dataset: FERDataset, folder: Path, progress: bool) -> None:
    rows = len(dataset.table)
    sizes = np.zeros((rows, 2), dtype=np.int64)
    offsets = np.zeros(rows + 1, dtype=np.int64)
    with (
        (folder / "pixels.bin").open("wb") as file,
        show_progress(f"reading {rows} images of {dataset.name} once", rows, progress) as advance,
    ):
        for row, image in enumerate(_decode(dataset, range(rows))):
            file.write(np.ascontiguousarray(image).data)
            sizes[row] = image.shape[:2]
            offsets[row + 1] = offsets[row] + image.size
            advance(row + 1)
        _flush(file.fileno(), file.flush)
    for name, values in (("sizes.npy", sizes), ("offsets.npy", offsets)):
        with (folder / name).open("wb") as file:
            np.save(file, values)
            _flush(file.fileno(), file.flush)
    with (folder / "pack.json").open("w") as text:
        json.dump({"version": VERSION, "dataset": dataset.name, "images": rows, "bytes": int(offsets[-1])}, text)
        _flush(text.fileno(), text.flush)
    _sync(folder)


def _decode(dataset: FERDataset, rows: range) -> Iterator[Image]:
    """Images of `rows` in order, decoded by a few threads, with a bounded number of them in memory."""
    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as threads:
        for start in range(rows.start, rows.stop, 512):
            stop = min(start + 512, rows.stop)
            parts = [range(first, min(first + PART, stop)) for first in range(start, stop, PART)]
            for images in threads.map(_read_part, itertools.repeat(dataset), parts):
                yield from images


def _read_part(dataset: FERDataset, rows: range) -> list[Image]:
    return [_read(dataset, row) for row in rows]


def _read(dataset: FERDataset, row: int) -> Image:
    image = dataset.read(row)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise FerError(
            f"{dataset.name}: '{dataset.table['id'].iloc[row]}' was read as {image.dtype} {list(image.shape)}, "
            f"not as uint8 [height, width, 1 or 3]; correct the dataset's reader"
        )
    return image


def _estimate(dataset: FERDataset) -> int:
    """Bytes that the pack will take, from at most 32 images over the whole table."""
    rows = np.unique(np.linspace(0, len(dataset.table) - 1, 32).astype(int))
    return int(np.mean([_read(dataset, int(row)).size for row in rows]) * len(dataset.table))


def _sweep(final: Path) -> None:
    """Remove what killed processes left of this pack; one that still writes is left alone."""
    for folder in final.parent.glob(f".{final.name}-*"):
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - newest > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)


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


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
