"""What the files of a pack hold, besides pixels: `pack.json`, `building.json` and the index of the images."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fer_core.errors import FerError
from fer_core.records import Count, Name, Record, Sha256, read_bytes

VERSION: Literal[2] = 2
"""Version of the format and of the way pixels are read; a change rebuilds every pack."""
MANIFEST, BUILDING = "pack.json", "building.json"
PIXELS, SIZES, OFFSETS, SHAPES = "pixels.bin", "sizes.npy", "offsets.npy", "shapes.bin"
ADVICE = "the pack is built again when it is next needed"
MAX_SIDE = 1 << 20
"""Largest height or width of an image in pixels."""


class Digests(Record):
    """sha256 of the files of a pack; of its pixels for each block of `block` bytes, the last one shorter."""

    sizes: Sha256
    offsets: Sha256
    block: Annotated[Count, Field(ge=1)]
    pixels: tuple[Sha256, ...]


class Manifest(Record):
    """`pack.json`: the record of a complete pack.

    Attributes:
        version: `VERSION` of what wrote it.
        dataset: Name of the dataset.
        images: Their number.
        bytes: Size of `pixels.bin`.
        digests: Of the files; None where they are unknown.
    """

    version: Literal[2]
    dataset: Name
    images: Annotated[Count, Field(ge=1)]
    bytes: Count
    digests: Digests | None = None


class Building(Record):
    """`building.json`: what a pack under construction will be."""

    dataset: Name
    images: Count


def read_index(folder: Path, manifest: Manifest) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sizes [N, 2] of the images, and their offsets [N + 1] in `pixels.bin`.

    Raises:
        FerError: They are not those of `manifest.images` images that fill `manifest.bytes` bytes.
    """
    sizes = _read_array(folder / SIZES, (manifest.images, 2))
    offsets = _read_array(folder / OFFSETS, (manifest.images + 1,))
    # Within these limits nothing overflows.
    fits = sizes.min() >= 1 and sizes.max() <= MAX_SIDE and offsets.min() >= 0 and offsets.max() <= manifest.bytes
    if not fits or (offsets[0], offsets[-1]) != (0, manifest.bytes):
        raise FerError(f"{folder} has an index that does not fit its pixels: {ADVICE}")
    pixels, lengths = sizes.prod(axis=1), np.diff(offsets)
    if not ((lengths == pixels) | (lengths == 3 * pixels)).all():
        raise FerError(f"{folder} has an index that does not fit its pixels: {ADVICE}")
    return sizes, offsets


def whole_images(shapes: NDArray[np.int64], size: int) -> int:
    """How many of the images of `shapes` [N, 3] lie in the first `size` bytes of pixels."""
    possible = (shapes >= 1).all(axis=1) & (shapes[:, :2] <= MAX_SIDE).all(axis=1) & np.isin(shapes[:, 2], (1, 3))
    valid = shapes[: int(np.argmin(possible))] if not possible.all() else shapes
    ends = np.minimum(valid.prod(axis=1), size + 1).cumsum()
    return int(ends.searchsorted(size, side="right"))


def _read_array(path: Path, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """An array of exactly this shape; nothing is allocated for another one, whatever the file claims."""
    file = io.BytesIO(read_bytes(path, ADVICE))
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0(file) if version == (1, 0) else None
    except Exception as error:  # numpy raises many kinds for a damaged header
        raise FerError(f"{path} is not an array of numpy: {ADVICE}") from error
    content = file.read()
    if header != (shape, False, np.dtype(np.int64)) or len(content) != 8 * math.prod(shape):
        raise FerError(f"{path} is not an int64 array of the shape {list(shape)}: {ADVICE}")
    return np.frombuffer(content, dtype=np.int64).reshape(shape)
