"""Every image of a dataset, decoded once into one memory-mapped file.

A pack is a folder `<fingerprint>-<order of rows>-v<version>` with `pixels.bin` (uint8, image after image, each
[H, W, C] with C = 1 for grey), `sizes.npy` [N, 2], `offsets.npy` [N + 1], and `pack.json`.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from fer_core.data.packs.build import build_pack, decode, read_image
from fer_core.data.packs.files import ADVICE, MANIFEST, PIXELS, VERSION, Manifest, read_index
from fer_core.errors import FerError
from fer_core.types import Pack

if TYPE_CHECKING:
    from fer_core.types import FERDataset, Image

logger = logging.getLogger(__name__)
DISK_SHARE = 5
"""A pack may take one fifth of the free disk."""
PATIENCE = 2.0
"""Seconds to wait for another process that writes the same pack before saying so."""
FULL = (errno.ENOSPC, errno.EFBIG, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []))


class MappedPack(Pack):
    """A pack on disk.

    Args:
        folder: Of the pack.

    Raises:
        FerError: The folder holds no complete pack of this version.
    """

    def __init__(self, folder: Path) -> None:
        manifest = Manifest.read(folder / MANIFEST, ADVICE)
        self.folder = folder
        self.bytes = manifest.bytes
        self._sizes, self._offsets = read_index(folder, manifest)
        pixels = folder / PIXELS
        if not pixels.is_file() or pixels.stat().st_size != self.bytes:
            raise FerError(f"{pixels} is not a file of {self.bytes} bytes: {ADVICE}")
        channels = np.diff(self._offsets) // self._sizes.prod(axis=1)
        self._channels = channels
        self._uniform = bool((self._sizes == self._sizes[0]).all() and (channels == channels[0]).all())
        self._pixels = np.memmap(pixels, dtype=np.uint8, mode="r")

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
        whole = self.whole()
        return [self._one(int(row)) for row in rows] if whole is None else np.asarray(whole[rows])

    def whole(self) -> Image | None:
        """The mapped file, if all images are alike."""
        shape = (len(self), *self._sizes[0], self._channels[0])
        return self._pixels.reshape(shape) if self._uniform else None

    def _one(self, row: int) -> Image:
        pixels = self._pixels[self._offsets[row] : self._offsets[row + 1]]
        return np.array(pixels).reshape(*self._sizes[row], self._channels[row])


class DirectReader(Pack):
    """The same interface if the disk is too small for a pack: decodes an image each time it is requested."""

    def __init__(self, dataset: FERDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset.table)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]: reads all of them, once."""
        shapes = [image.shape[:2] for image in decode(self._dataset, range(len(self)))]
        return np.array(shapes, dtype=np.int64)

    @property
    def uniform(self) -> bool:
        """False: unknown without reading every image."""
        return False

    def images(self, rows: NDArray[np.int64]) -> Image | list[Image]:
        """Pixels of `rows`, decoded now."""
        return [read_image(self._dataset, int(row)) for row in rows]


def open_pack(dataset: FERDataset, cache: Path, progress: bool) -> Pack:
    """The pack of a dataset, built at its first use.

    Args:
        dataset: Its fingerprint and the order of its rows decide the pack; one that is made of others gives a view
            of theirs (`FERDataset.open_pack`).
        cache: `cache_root()`.
        progress: Show progress on stderr when building takes long.

    Returns:
        A `MappedPack`, a view, or a `DirectReader` (with a warning) where the pack would take more than a fifth of
        the free disk.

    Raises:
        FerError: An image cannot be read, or the pack cannot be written. Nothing half-written remains.
    """
    view = dataset.open_pack(cache, progress)
    if view is not None:
        return view
    final = cache / "packs" / pack_name(dataset)
    pack = find_pack(final)
    if pack is not None:
        logger.debug(f"pack     {final}")
        return pack
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with pack_lock(final, dataset.name):
            pack = find_pack(final)  # another process may have written it meanwhile
            if pack is not None:
                return pack
            needed, free = _estimate(dataset), shutil.disk_usage(final.parent).free
            if needed > free / DISK_SHARE:
                logger.warning(
                    f"{dataset.name}: a pack would take {gigabytes(needed)} of {gigabytes(free)} free in {cache}; "
                    f"images are read one by one (set FER_CACHE to a larger disk to avoid it)"
                )
                return DirectReader(dataset)
            build_pack(dataset, final, progress)
            logger.debug(f"packed   {final}")
            return MappedPack(final)
    except OSError as error:
        reason = "the disk is full" if error.errno in FULL else str(error)
        raise FerError(
            f"cannot write the pack of {dataset.name} in {cache}: {reason}; "
            f"free some space or set FER_CACHE to another folder"
        ) from error


def pack_name(dataset: FERDataset) -> str:
    """Name of the folder of a dataset's pack: other content or another order of rows is another pack."""
    # The fingerprint ignores the order of rows, while a pack is addressed by row.
    order = hashlib.sha256("\n".join(dataset.table["id"]).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{dataset.fingerprint()[:24]}-{order[:8]}-v{VERSION}"


def find_pack(folder: Path) -> MappedPack | None:
    """The pack in `folder`, or None where it is absent or damaged."""
    try:
        return MappedPack(folder)
    except FerError:
        return None


@contextmanager
def pack_lock(final: Path, name: str) -> Iterator[None]:
    """Hold the lock of the pack in folder `final` of dataset `name`; a process that dies releases it."""
    folder = final.parents[1] / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{final.name}.lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        logger.info(f"{name}: another process writes its pack; waiting for it ...")
        lock.acquire()
    except NotImplementedError as error:
        raise FerError(
            f"{folder} is on a file system without locks: set FER_CACHE to a folder on a local disk"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _estimate(dataset: FERDataset) -> int:
    """Bytes that the pack will take, from at most 32 images over the whole table."""
    rows = np.unique(np.linspace(0, len(dataset.table) - 1, 32).astype(int))
    return int(np.mean([read_image(dataset, int(row)).size for row in rows]) * len(dataset.table))


def gigabytes(size: int) -> str:
    """A human-readable number of bytes."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
